//! Whether the API server itself watches over who decides about operations.

use std::fmt::Debug;

use jiff::Timestamp;
use k8s_openapi::ClusterResourceScope;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{Api, Client, Resource};
use secret_rotation_core::approval::Admission;
use secret_rotation_core::clock::ServerTime;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::kubernetes::bounded;

/// The policies that guard approvals, by the names under which `deploy/admission` installs them and their bindings.
pub(crate) const GUARDS: [&str; 2] = [
    "secret-rotation-operations.secretrotation.dev",
    "secret-rotation-status.secretrotation.dev",
];

/// Asks the API server, by quorum, for the policies and their bindings.
pub(crate) async fn enforced(client: &Client) -> Result<Admission, Error> {
    let mut since = ServerTime::new(Timestamp::MIN);
    for name in GUARDS {
        let policy = match found::<ValidatingAdmissionPolicy>(client, name).await? {
            Found::Object(policy) => policy,
            Found::Nothing(admission) => return Ok(admission),
        };
        let binding = match found::<ValidatingAdmissionPolicyBinding>(client, name).await? {
            Found::Object(binding) => binding,
            Found::Nothing(admission) => return Ok(admission),
        };
        if let Some(what) = gap(name, &policy, &binding) {
            return Ok(Admission::Missing { what });
        }
        since = since.max(created(&policy)).max(created(&binding));
    }
    Ok(Admission::Enforced { since })
}

/// One object of a guard, or what it means that there is none.
enum Found<K> {
    Object(K),
    Nothing(Admission),
}

/// Forbidden is an answer: it must be told to whoever waits for it, and may last.
async fn found<K>(client: &Client, name: &str) -> Result<Found<K>, Error>
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope> + Clone + DeserializeOwned + Debug,
{
    let what = format!("{} {name}", K::kind(&()));
    let api: Api<K> = Api::all(client.clone());
    match bounded(api.get_opt(name)).await {
        Ok(Some(object)) => Ok(Found::Object(object)),
        Ok(None) => Ok(Found::Nothing(Admission::Missing {
            what: format!("{what} does not exist"),
        })),
        Err(Error::Kubernetes { code: 403, .. }) => {
            Ok(Found::Nothing(Admission::Unreadable { what }))
        }
        Err(error) => Err(error),
    }
}

/// An object without a date, which no API server sends, is as good as just made.
fn created<K: Resource>(object: &K) -> ServerTime {
    let created = object.meta().creation_timestamp.as_ref();
    ServerTime::new(created.map_or(Timestamp::MAX, |created| created.0))
}

/// What keeps a policy from refusing anything, if something does.
fn gap(
    name: &str,
    policy: &ValidatingAdmissionPolicy,
    binding: &ValidatingAdmissionPolicyBinding,
) -> Option<String> {
    let fails = policy
        .spec
        .as_ref()
        .is_some_and(|spec| spec.failure_policy.as_deref() != Some("Ignore"));
    if !fails {
        return Some(format!(
            "ValidatingAdmissionPolicy {name} has failurePolicy Ignore"
        ));
    }
    if is_narrowed(policy) {
        return Some(format!(
            "ValidatingAdmissionPolicy {name} does not judge every object; install it as it is shipped"
        ));
    }
    let spec = binding.spec.as_ref();
    let denies = spec.is_some_and(|spec| {
        let mut actions = spec.validation_actions.iter().flatten();
        actions.any(|action| action == "Deny")
    });
    let is_bound = spec.and_then(|spec| spec.policy_name.as_deref()) == Some(name);
    let is_narrow = spec.is_some_and(|spec| spec.match_resources.is_some());
    (!denies || !is_bound || is_narrow).then(|| {
        format!(
            "ValidatingAdmissionPolicyBinding {name} does not deny everywhere what its policy refuses"
        )
    })
}

/// Whether conditions or selectors that ours do not have leave objects out.
fn is_narrowed(policy: &ValidatingAdmissionPolicy) -> bool {
    let Some(spec) = &policy.spec else {
        return true;
    };
    let selects = |selector: &Option<LabelSelector>| {
        selector
            .as_ref()
            .is_some_and(|selector| *selector != LabelSelector::default())
    };
    let has_conditions = spec.match_conditions.iter().flatten().next().is_some();
    let leaves_out = spec.match_constraints.as_ref().is_none_or(|constraints| {
        selects(&constraints.namespace_selector)
            || selects(&constraints.object_selector)
            || constraints
                .exclude_resource_rules
                .iter()
                .flatten()
                .next()
                .is_some()
    });
    has_conditions || leaves_out || spec.validations.iter().flatten().next().is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NAME: &str = GUARDS[0];

    fn weakness(policy: &Value, binding: &Value) -> Option<String> {
        let policy = serde_json::from_value(json!({"spec": policy})).expect("a policy");
        let binding = serde_json::from_value(json!({"spec": binding})).expect("a binding");
        gap(NAME, &policy, &binding)
    }

    /// As an API server shows it, with its defaults.
    fn guard() -> Value {
        json!({
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": {},
                "objectSelector": {},
                "resourceRules": [{"resources": ["secretrotationoperations"], "operations": ["CREATE", "UPDATE"]}],
            },
            "validations": [{"expression": "false"}],
        })
    }

    fn with(field: &str, value: Value) -> Value {
        let mut guard = guard();
        guard[field] = value;
        guard
    }

    fn binding() -> Value {
        json!({"policyName": NAME, "validationActions": ["Deny", "Audit"]})
    }

    #[test]
    fn a_policy_with_a_binding_that_denies_is_enough() {
        assert_eq!(weakness(&guard(), &binding()), None);
        let silent = with("failurePolicy", Value::Null);
        assert_eq!(weakness(&silent, &binding()), None, "Fail is the default");
    }

    #[test]
    fn a_binding_that_denies_less_is_not() {
        for binding in [
            json!({"policyName": NAME, "validationActions": ["Warn"]}),
            json!({"policyName": "another", "validationActions": ["Deny"]}),
            json!({"policyName": NAME, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": {}}}),
        ] {
            assert!(weakness(&guard(), &binding).is_some(), "{binding}");
        }
    }

    #[test]
    fn a_policy_that_judges_less_is_not() {
        let labelled = json!({"matchLabels": {"guarded": "true"}});
        for policy in [
            with("failurePolicy", json!("Ignore")),
            with("validations", json!([])),
            with(
                "matchConditions",
                json!([{"name": "never", "expression": "false"}]),
            ),
            with("matchConstraints", json!({"objectSelector": labelled})),
            with("matchConstraints", json!({"namespaceSelector": labelled})),
            with(
                "matchConstraints",
                json!({"excludeResourceRules": [{"resources": ["*"]}]}),
            ),
            with("matchConstraints", Value::Null),
        ] {
            assert!(weakness(&policy, &binding()).is_some(), "{policy}");
        }
    }

    /// Rights of an older release: the operation waits and says so, instead of being tried again without a word.
    #[tokio::test]
    async fn what_may_not_be_read_is_an_answer_and_what_fails_is_not() {
        let answer = answering(403, "Forbidden").await.expect("an answer");
        let what = format!("ValidatingAdmissionPolicy {NAME}");
        assert_eq!(answer, Admission::Unreadable { what });
        let answer = answering(404, "NotFound").await.expect("an answer");
        let what = format!("ValidatingAdmissionPolicy {NAME} does not exist");
        assert_eq!(answer, Admission::Missing { what });
        assert!(answering(500, "InternalError").await.is_err());
    }

    async fn answering(code: u16, reason: &str) -> Result<Admission, Error> {
        let status = json!({
            "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "no",
        });
        let respond = move |_: http::Request<kube::client::Body>| {
            let body = kube::client::Body::from(status.to_string().into_bytes());
            let response = http::Response::builder().status(code).body(body);
            std::future::ready(response)
        };
        enforced(&Client::new(tower::service_fn(respond), "default")).await
    }
}
