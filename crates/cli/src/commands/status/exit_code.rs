//! `--exit-code`: the health of policies as an exit status.

use secret_rotation_api::conditions::{ConditionStatus, ConditionType, find};
use secret_rotation_api::policy::SecretRotationPolicy;

/// Everything is healthy.
const HEALTHY: u8 = 0;
/// Something is unhealthy.
const UNHEALTHY: u8 = 1;
/// The state is unknown. 2 means an invalid command line.
pub(super) const CANNOT_TELL: u8 = 3;

/// Returns the exit status for all policies: an unhealthy one outweighs an unknown one.
pub(super) fn of(policies: &[SecretRotationPolicy]) -> u8 {
    let codes: Vec<_> = policies.iter().map(one).collect();
    if codes.contains(&UNHEALTHY) {
        UNHEALTHY
    } else if codes.contains(&CANNOT_TELL) || codes.is_empty() {
        CANNOT_TELL
    } else {
        HEALTHY
    }
}

/// Returns the exit status for one policy. One that is suspended, not ready, or changed since its last check does not prove
/// health.
fn one(policy: &SecretRotationPolicy) -> u8 {
    let Some(status) = &policy.status else {
        return CANNOT_TELL;
    };
    let is = |kind, value: ConditionStatus| {
        find(&status.conditions, kind).is_some_and(|found| found.status == value.name())
    };
    let observed = status
        .observed_generation
        .map(secret_rotation_api::count::Count::value);
    let fresh = observed == policy.metadata.generation && policy.suspended_by().is_none();
    if is(ConditionType::Healthy, ConditionStatus::False) {
        UNHEALTHY
    } else if fresh
        && is(ConditionType::Healthy, ConditionStatus::True)
        && is(ConditionType::Ready, ConditionStatus::True)
    {
        HEALTHY
    } else {
        CANNOT_TELL
    }
}

#[cfg(test)]
mod tests {
    use fixtures::{condition, merged, policy_resource};
    use serde_json::{Value, json};

    use super::*;

    fn policy(healthy: &str, ready: &str, change: &Value) -> SecretRotationPolicy {
        let conditions = json!([
            condition("Healthy", healthy, "X", ""),
            condition("Ready", ready, change["reason"].as_str().unwrap_or("X"), ""),
        ]);
        let changes = json!({
            "metadata": {"generation": change["generation"].as_u64().unwrap_or(2)},
            "spec": {"suspend": change["suspend"]},
            "status": {"observedGeneration": 2, "conditions": conditions},
        });
        let object = merged(policy_resource("n", "p", "a/"), &changes);
        serde_json::from_value(object).expect("a policy")
    }

    #[test]
    fn health_must_be_proved() {
        let none = json!({});
        let healthy = policy("True", "True", &none);
        for (policies, code) in [
            (vec![healthy.clone()], 0),
            (vec![policy("False", "True", &none)], 1),
            (vec![policy("Unknown", "True", &none)], 3),
            (vec![policy("True", "False", &none)], 3),
            (vec![policy("True", "True", &json!({"suspend": true}))], 3),
            (
                vec![policy("True", "True", &json!({"reason": "Suspended"}))],
                3,
            ),
            (vec![policy("True", "True", &json!({"generation": 3}))], 3),
            (
                vec![
                    policy("Unknown", "False", &none),
                    policy("False", "True", &none),
                    healthy.clone(),
                ],
                1,
            ),
            (vec![policy("Unknown", "False", &none), healthy], 3),
            (vec![], 3),
        ] {
            assert_eq!(of(&policies), code, "{policies:#?}");
        }
    }
}
