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
use serde_json::Value;

use crate::error::Error;
use crate::kubernetes::bounded;

/// The policies that guard approvals, profiles and status, by the names under which `deploy/admission` installs them and
/// their bindings.
pub(crate) const GUARDS: [&str; 3] = [
    "secret-rotation-operations.secretrotation.dev",
    "secret-rotation-profiles.secretrotation.dev",
    "secret-rotation-status.secretrotation.dev",
];

/// What this release ships, and so what it relies on.
const SHIPPED: &str = include_str!("../../../../deploy/admission/admission.yaml");

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
        let gap = gap(name, &policy, &binding).or_else(|| other_version(name, &policy));
        if let Some(what) = gap {
            return Ok(Admission::Missing { what });
        }
        since = since.max(unchanged(&policy)).max(unchanged(&binding));
    }
    Ok(Admission::Enforced { since })
}

/// That a policy judges otherwise than the one that this release ships, if so.
fn other_version(name: &str, policy: &ValidatingAdmissionPolicy) -> Option<String> {
    let shipped = shipped(name)?;
    let (ours, theirs) = (rules(&shipped), rules(policy));
    let part = ours
        .iter()
        .zip(&theirs)
        .find(|(own, other)| own.1 != other.1)?
        .0
        .0;
    Some(format!(
        "ValidatingAdmissionPolicy {name} is of another version: its {part} differ from those of this release; apply deploy/admission of the release that runs"
    ))
}

fn shipped(name: &str) -> Option<ValidatingAdmissionPolicy> {
    let documents = SHIPPED.split("\n---\n");
    let policies = documents.filter_map(|text| {
        let value: Value = serde_saphyr::from_str(text).ok()?;
        (value["kind"] == "ValidatingAdmissionPolicy")
            .then(|| serde_json::from_value(value).ok())?
    });
    let mut policies: Vec<ValidatingAdmissionPolicy> = policies.collect();
    policies.retain(|policy| policy.metadata.name.as_deref() == Some(name));
    policies.pop()
}

/// Everything in a policy that decides, with the word for it. What an API server fills in is left out.
fn rules(policy: &ValidatingAdmissionPolicy) -> [(&'static str, Vec<String>); 5] {
    let spec = policy.spec.clone().unwrap_or_default();
    let matched = spec.match_constraints.unwrap_or_default();
    let resources = matched.resource_rules.into_iter().flatten().map(|rule| {
        let sorted = |list: Option<Vec<String>>| {
            let mut list = list.unwrap_or_default();
            list.sort();
            list
        };
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?}",
            sorted(rule.api_groups),
            sorted(rule.api_versions),
            sorted(rule.resources),
            sorted(rule.operations),
            sorted(rule.resource_names),
            rule.scope.as_deref().unwrap_or("*"),
        )
    });
    let conditions = spec.match_conditions.into_iter().flatten();
    let variables = spec.variables.into_iter().flatten();
    let validations = spec.validations.into_iter().flatten();
    let kinds = spec.param_kind.map(|kind| format!("{kind:?}"));
    [
        ("resourceRules", resources.collect()),
        (
            "matchConditions",
            conditions.map(|one| one.expression).collect(),
        ),
        (
            "variables",
            variables
                .map(|one| format!("{} {}", one.name, one.expression))
                .collect(),
        ),
        (
            "validations",
            validations.map(|one| one.expression).collect(),
        ),
        ("paramKind", kinds.into_iter().collect()),
    ]
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

/// Since when an object certainly says what it says now, by what the API server keeps of it.
///
/// An object of generation 1 has not changed since it was created. Another one changed last when one of those who own its
/// fields wrote last: each change of the spec moves the time of its writer. Without such a time nothing is certain.
fn unchanged<K: Resource>(object: &K) -> ServerTime {
    let meta = object.meta();
    let created = meta.creation_timestamp.as_ref().map(|time| time.0);
    let written = meta.managed_fields.iter().flatten();
    // The status of a policy is the API server's own business.
    let written = written.filter(|entry| entry.subresource.is_none());
    let written = written
        .filter_map(|entry| entry.time.as_ref())
        .map(|time| time.0)
        .max();
    let since = match meta.generation {
        Some(1) => created,
        Some(_) | None => written.max(written.and(created)),
    };
    ServerTime::new(since.unwrap_or(Timestamp::MAX))
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
    leaves_out || spec.validations.iter().flatten().next().is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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

    fn changed(change: impl Fn(&mut Value)) -> Option<String> {
        let shipped = shipped(NAME).expect("it is shipped");
        let mut value = serde_json::to_value(shipped).expect("plain data");
        change(&mut value["spec"]);
        let policy = serde_json::from_value(value).expect("a policy");
        other_version(NAME, &policy)
    }

    #[test]
    fn what_is_shipped_is_of_this_version_however_the_api_server_completes_it() {
        for name in GUARDS {
            let shipped = shipped(name).expect("it is shipped");
            assert_eq!(other_version(name, &shipped), None, "{name}");
        }
        let completed = changed(|spec| {
            spec["matchConstraints"]["resourceRules"][0]["scope"] = json!("*");
            spec["matchConstraints"]["matchPolicy"] = json!("Equivalent");
            spec["matchConstraints"]["namespaceSelector"] = json!({});
            spec["matchConstraints"]["resourceRules"][0]["operations"] =
                json!(["UPDATE", "CREATE"]);
            spec["validations"][0]["message"] = json!("translated");
        });
        assert_eq!(completed, None);
    }

    #[test]
    fn what_judges_otherwise_is_of_another_version() {
        type Change = (&'static str, fn(&mut Value));
        let changes: [Change; 7] = [
            ("resourceRules", |spec| {
                spec["matchConstraints"]["resourceRules"][0]["operations"] = json!(["CREATE"]);
            }),
            ("resourceRules", |spec| {
                spec["matchConstraints"]["resourceRules"][0]["resourceNames"] = json!(["one"]);
            }),
            ("matchConditions", |spec| {
                spec["matchConditions"] = json!([{"name": "never", "expression": "false"}]);
            }),
            ("variables", |spec| {
                spec["variables"][2]["expression"] = json!("true");
            }),
            ("validations", |spec| {
                spec["validations"][3]["expression"] = json!("true");
            }),
            ("validations", |spec| {
                spec["validations"].as_array_mut().expect("a list").pop();
            }),
            ("paramKind", |spec| {
                spec["paramKind"] = json!({"apiVersion": "v1", "kind": "ConfigMap"});
            }),
        ];
        for (part, change) in changes {
            let what = changed(change).expect("another version");
            assert!(
                what.contains(&format!("another version: its {part} differ")),
                "{what}"
            );
        }
    }

    fn since(meta: &Value) -> ServerTime {
        let binding: ValidatingAdmissionPolicyBinding =
            serde_json::from_value(json!({"metadata": meta})).expect("a binding");
        unchanged(&binding)
    }

    #[test]
    fn guards_hold_since_their_last_change() {
        let time = |text: &str| ServerTime::new(text.parse().expect("a time"));
        let (made, relabelled, changed) = (
            "2026-11-01T10:00:00Z",
            "2026-11-02T10:00:00Z",
            "2026-11-03T10:00:00Z",
        );
        let written = |at: &[&str]| {
            let entries = at.iter().map(|at| json!({"manager": "m", "time": at}));
            Value::Array(entries.collect())
        };
        let meta = |generation: u8, at: &[&str]| json!({"creationTimestamp": made, "generation": generation, "managedFields": written(at)});
        assert_eq!(since(&meta(1, &[made, relabelled])), time(made));
        assert_eq!(since(&meta(3, &[made, changed])), time(changed));
        let never = ServerTime::new(Timestamp::MAX);
        assert_eq!(since(&meta(3, &[])), never, "nothing is certain");
        assert_eq!(since(&json!({"generation": 1})), never);
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
