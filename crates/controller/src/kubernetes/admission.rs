//! Whether the API server itself watches over who decides about operations.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::{Api, Client};
use secret_rotation_core::approval::Admission;

use crate::error::Error;
use crate::kubernetes::bounded;

/// The policies that guard approvals, by the names under which `deploy/admission` installs them and their bindings.
pub(crate) const GUARDS: [&str; 2] = [
    "secret-rotation-operations.secretrotation.dev",
    "secret-rotation-status.secretrotation.dev",
];

/// Asks the API server, by quorum, for the policies and their bindings.
pub(crate) async fn enforced(client: &Client) -> Result<Admission, Error> {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    for name in GUARDS {
        let policy = bounded(policies.get_opt(name)).await?;
        let binding = bounded(bindings.get_opt(name)).await?;
        if let Some(what) = gap(name, policy.as_ref(), binding.as_ref()) {
            return Ok(Admission::Missing { what });
        }
    }
    Ok(Admission::Enforced)
}

/// What keeps a policy from refusing anything, if something does.
fn gap(
    name: &str,
    policy: Option<&ValidatingAdmissionPolicy>,
    binding: Option<&ValidatingAdmissionPolicyBinding>,
) -> Option<String> {
    let Some(policy) = policy.and_then(|policy| policy.spec.as_ref()) else {
        return Some(format!("ValidatingAdmissionPolicy {name} does not exist"));
    };
    if policy.failure_policy.as_deref() == Some("Ignore") {
        return Some(format!(
            "ValidatingAdmissionPolicy {name} has failurePolicy Ignore"
        ));
    }
    let Some(binding) = binding.and_then(|binding| binding.spec.as_ref()) else {
        return Some(format!(
            "ValidatingAdmissionPolicyBinding {name} does not exist"
        ));
    };
    let denies = binding
        .validation_actions
        .iter()
        .flatten()
        .any(|action| action == "Deny");
    let is_bound = binding.policy_name.as_deref() == Some(name);
    let is_narrow = binding.match_resources.is_some();
    (!denies || !is_bound || is_narrow).then(|| {
        format!(
            "ValidatingAdmissionPolicyBinding {name} does not deny everywhere what its policy refuses"
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NAME: &str = GUARDS[0];

    fn found(policy: &Value, binding: &Value) -> Option<String> {
        let policy = serde_json::from_value(json!({"spec": policy})).expect("a policy");
        let binding = serde_json::from_value(json!({"spec": binding})).expect("a binding");
        gap(NAME, Some(&policy), Some(&binding))
    }

    #[test]
    fn a_policy_with_a_binding_that_denies_is_enough() {
        let binding = json!({"policyName": NAME, "validationActions": ["Deny", "Audit"]});
        assert_eq!(found(&json!({"failurePolicy": "Fail"}), &binding), None);
        assert_eq!(found(&json!({}), &binding), None, "Fail is the default");
    }

    #[test]
    fn anything_weaker_is_not() {
        let fails = json!({"failurePolicy": "Fail"});
        let narrow = json!({"policyName": NAME, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": {}}});
        for (policy, binding) in [
            (
                &json!({"failurePolicy": "Ignore"}),
                json!({"policyName": NAME, "validationActions": ["Deny"]}),
            ),
            (
                &fails,
                json!({"policyName": NAME, "validationActions": ["Warn"]}),
            ),
            (
                &fails,
                json!({"policyName": "another", "validationActions": ["Deny"]}),
            ),
            (&fails, narrow),
        ] {
            assert!(found(policy, &binding).is_some(), "{policy} {binding}");
        }
        assert!(gap(NAME, None, None).is_some());
    }
}
