//! Decides when the status of an operation that only waits must be written.

use std::time::Duration;

use secret_rotation_api::conditions::{ConditionType, find};
use secret_rotation_api::operation::SecretRotationOperationStatus;
use secret_rotation_core::advance::Phase;
use secret_rotation_core::time::AwsTime;

/// An operation that waits for its turn no longer than this does not report it.
const SOON: Duration = Duration::from_secs(2);

/// Returns whether the status must be written: something other than the time of the next step differs, or that time
/// has passed.
pub(super) fn is_due(
    old: Option<&SecretRotationOperationStatus>,
    new: &SecretRotationOperationStatus,
    now: AwsTime,
) -> bool {
    let Some(old) = old else { return true };
    let timeless = |status: &SecretRotationOperationStatus| SecretRotationOperationStatus {
        next_step_time: None,
        ..status.clone()
    };
    if timeless(old) != timeless(new) {
        return true;
    }
    match (&old.next_step_time, &new.next_step_time) {
        (Some(old), Some(_)) => old.aws().is_none_or(|due| due <= now),
        (None, Some(_)) | (Some(_), None) => true,
        (None, None) => false,
    }
}

/// Returns whether an operation must report that it waits for its turn: it has reported nothing yet, or its status
/// still reports an earlier wait that is over. Once it has begun, its status stays as it is meanwhile.
pub(super) fn is_delay_due(old: Option<&SecretRotationOperationStatus>, wait: Duration) -> bool {
    let over = [
        Phase::AwaitingApproval,
        Phase::AwaitingWindow,
        Phase::BackingOff,
        Phase::Suspended,
    ];
    let Some(complete) = old.and_then(|old| find(&old.conditions, ConditionType::Complete)) else {
        return wait > SOON;
    };
    wait > SOON && Phase::parse(&complete.reason).is_some_and(|phase| over.contains(&phase))
}

#[cfg(test)]
mod tests {
    use fixtures::condition;

    use super::*;

    #[test]
    fn a_later_next_step_alone_is_not_written_before_it_is_due() {
        let old = due("2026-11-23T10:00:00Z");
        assert!(!is_due(
            Some(&old),
            &due("2026-11-23T10:00:07Z"),
            at("2026-11-23T09:59:59Z")
        ));
        assert!(is_due(
            Some(&old),
            &due("2026-11-23T10:00:07Z"),
            at("2026-11-23T10:00:00Z")
        ));
        assert!(!is_due(Some(&old), &old, at("2026-11-23T09:59:59Z")));
    }

    #[test]
    fn any_other_difference_is_written_immediately() {
        let old = due("2026-11-23T10:00:00Z");
        let new = SecretRotationOperationStatus {
            secret_name: Some("a".into()),
            ..old.clone()
        };
        assert!(is_due(Some(&old), &new, at("2026-11-23T09:00:00Z")));
        assert!(is_due(None, &old, at("2026-11-23T09:00:00Z")));
    }

    #[test]
    fn an_operation_that_waits_for_its_turn_reports_it_once() {
        let in_phase = |phase: Phase| {
            let complete = condition("Complete", "False", phase.name(), "");
            let complete = serde_json::json!({"conditions": [complete]});
            serde_json::from_value::<SecretRotationOperationStatus>(complete).expect("a status")
        };
        let long = SOON * 2;
        assert!(is_delay_due(None, long));
        assert!(is_delay_due(
            Some(&SecretRotationOperationStatus::default()),
            long
        ));
        assert!(is_delay_due(Some(&in_phase(Phase::AwaitingApproval)), long));
        assert!(!is_delay_due(None, SOON));
        for other in [Phase::Queued, Phase::Settling, Phase::Verifying] {
            assert!(!is_delay_due(Some(&in_phase(other)), long), "{other:?}");
        }
    }

    fn due(time: &str) -> SecretRotationOperationStatus {
        SecretRotationOperationStatus {
            next_step_time: Some(at(time).into()),
            ..SecretRotationOperationStatus::default()
        }
    }

    fn at(time: &str) -> AwsTime {
        AwsTime::new(time.parse().expect("a time"))
    }
}
