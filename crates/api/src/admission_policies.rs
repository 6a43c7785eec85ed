//! The admission policies that guard approvals, profiles and status: the policies of this release, and the checks
//! that find out whether the installed ones are weaker or of another version.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;
use thiserror::Error;

/// The names under which `deploy/admission` installs the policies and their bindings.
pub const NAMES: [&str; 3] = [
    "secret-rotation-operations.secretrotation.dev",
    "secret-rotation-profiles.secretrotation.dev",
    "secret-rotation-status.secretrotation.dev",
];

/// Annotation of the policies and bindings: the release that they belong to.
pub const VERSION_ANNOTATION: &str = "secretrotation.dev/version";

/// The release that this program belongs to.
const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The admission policies that this release ships and relies on.
const SHIPPED: &str = include_str!("../../../deploy/admission/admission.yaml");

/// Why an installed policy with its binding does not guard what it should.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Defect {
    /// It admits requests that the shipped policy refuses.
    #[error("{0}")]
    Weak(String),
    /// Its rules differ from those that this release ships.
    #[error("{0}")]
    OtherVersion(String),
}

/// Compares an installed policy and its binding with the shipped ones. Returns the defect, or `None` if they guard
/// enough.
///
/// The comparison is by content, because the name of a policy proves nothing.
pub fn defect(
    name: &str,
    policy: &ValidatingAdmissionPolicy,
    binding: &ValidatingAdmissionPolicyBinding,
) -> Option<Defect> {
    let weak = weakened_rule(name, policy).or_else(|| unbound(name, binding));
    let weak = weak.map(Defect::Weak);
    weak.or_else(|| other_version(name, policy).map(Defect::OtherVersion))
}

/// Returns how the rules of a policy differ from those that this release ships, or `None` if they do not.
fn other_version(name: &str, policy: &ValidatingAdmissionPolicy) -> Option<String> {
    let shipped = shipped(name)?;
    let (ours, theirs) = (rules(&shipped), rules(policy));
    let mut pairs = ours.iter().zip(&theirs);
    let ((part, _), _) = pairs.find(|(own, other)| own.1 != other.1)?;
    let annotations = policy.metadata.annotations.as_ref();
    let version = annotations.and_then(|all| all.get(VERSION_ANNOTATION));
    let which = match version.map(String::as_str) {
        Some(OWN_VERSION) => "was changed".to_owned(),
        Some(version) => format!("is of version {version}"),
        None => "has no version annotation".to_owned(),
    };
    Some(format!(
        "ValidatingAdmissionPolicy {name} {which}: its {part} differ from those of version {OWN_VERSION}, the version of this \
         program; apply deploy/admission of version {OWN_VERSION}"
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

/// Returns every part of a policy that affects its decisions, each with its name. What an API server fills in is left
/// out.
fn rules(policy: &ValidatingAdmissionPolicy) -> [(&'static str, Vec<String>); 6] {
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
        (
            "matchPolicy",
            // An API server fills in `Equivalent`.
            matched
                .match_policy
                .into_iter()
                .filter(|policy| policy != "Equivalent")
                .collect(),
        ),
    ]
}

/// Returns why a policy does not refuse every request that it should, if there is a reason.
fn weakened_rule(name: &str, policy: &ValidatingAdmissionPolicy) -> Option<String> {
    let fails = policy
        .spec
        .as_ref()
        .is_some_and(|spec| spec.failure_policy.as_deref() != Some("Ignore"));
    if !fails {
        return Some(format!(
            "ValidatingAdmissionPolicy {name} has failurePolicy Ignore"
        ));
    }
    is_narrowed(policy).then(|| {
        format!(
            "ValidatingAdmissionPolicy {name} does not check every object; install it unchanged"
        )
    })
}

/// Returns why a binding does not deny everything that its policy refuses, if there is a reason.
fn unbound(name: &str, binding: &ValidatingAdmissionPolicyBinding) -> Option<String> {
    let denies = binding.spec.as_ref().is_some_and(|spec| {
        let mut actions = spec.validation_actions.iter().flatten();
        actions.any(|action| action == "Deny")
            && spec.policy_name.as_deref() == Some(name)
            && spec.match_resources.is_none()
            && spec.param_ref.is_none()
    });
    (!denies).then(|| {
        format!(
            "ValidatingAdmissionPolicyBinding {name} does not deny everything that its policy refuses; install it unchanged"
        )
    })
}

/// Returns whether conditions or selectors that the shipped policy does not have exclude objects.
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

    const NAME: &str = NAMES[0];

    fn weakness(policy: &Value, binding: &Value) -> Option<String> {
        let policy = serde_json::from_value(json!({"spec": policy})).expect("a policy");
        let binding = serde_json::from_value(json!({"spec": binding})).expect("a binding");
        weakened_rule(NAME, &policy).or_else(|| unbound(NAME, &binding))
    }

    /// Returns a policy as an API server returns it, with the defaults filled in.
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
    fn a_binding_that_denies_less_is_a_defect() {
        for binding in [
            json!({"policyName": NAME, "validationActions": ["Warn"]}),
            json!({"policyName": "another", "validationActions": ["Deny"]}),
            json!({"policyName": NAME, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": {}}}),
            json!({"policyName": NAME, "validationActions": ["Deny"], "paramRef": {"name": "x"}}),
        ] {
            assert!(weakness(&guard(), &binding).is_some(), "{binding}");
        }
    }

    #[test]
    fn a_policy_that_checks_less_is_a_defect() {
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
    fn the_shipped_policies_are_of_this_version_even_with_the_defaults_of_an_api_server() {
        for name in NAMES {
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
    fn a_policy_with_other_rules_is_of_another_version() {
        type Change = (&'static str, fn(&mut Value));
        let changes: [Change; 8] = [
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
            ("matchPolicy", |spec| {
                spec["matchConstraints"]["matchPolicy"] = json!("Exact");
            }),
        ];
        for (part, change) in changes {
            let what = changed(change).expect("another version");
            assert!(
                what.contains(&format!("was changed: its {part} differ")),
                "{what}"
            );
        }
    }

    #[test]
    fn another_version_is_named() {
        let of = |version: Option<&str>| {
            let mut policy = shipped(NAME).expect("it is shipped");
            let annotations = policy.metadata.annotations.get_or_insert_default();
            annotations.remove(VERSION_ANNOTATION);
            let version =
                version.map(|version| (VERSION_ANNOTATION.to_owned(), version.to_owned()));
            annotations.extend(version);
            let spec = policy.spec.as_mut().expect("it has a spec");
            spec.validations = Some(vec![]);
            other_version(NAME, &policy).expect("another version")
        };
        assert!(of(Some("0.0.1")).contains("is of version 0.0.1: its validations differ"));
        assert!(of(None).contains("has no version annotation"));
        assert!(of(Some(OWN_VERSION)).contains("was changed"));
    }

    /// A user without verb `use` on a profile may change only the fields that the admission policy exempts.
    #[test]
    fn every_field_of_a_policy_except_suspend_and_mode_needs_verb_use() {
        let definitions = crate::manifests();
        let is_policy = |one: &&Value| one["spec"]["names"]["kind"] == "SecretRotationPolicy";
        let definition = definitions.iter().find(is_policy).expect("it is defined");
        let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        let fields = definition.pointer(spec).and_then(Value::as_object);
        let guard = shipped("secret-rotation-profiles.secretrotation.dev").expect("it is shipped");
        let variables = guard.spec.and_then(|spec| spec.variables);
        let reaches = variables
            .into_iter()
            .flatten()
            .find(|one| one.name == "reaches");
        let reaches = reaches.expect("it says what reaches").expression;
        for field in fields.expect("it has fields").keys() {
            let compared = if ["suspend", "mode"].contains(&field.as_str()) {
                format!("object.spec.?{field}.orValue(")
            } else {
                format!("object.spec.?{field} != oldObject.spec.?{field}")
            };
            assert!(reaches.contains(&compared), "{field}");
        }
    }
}
