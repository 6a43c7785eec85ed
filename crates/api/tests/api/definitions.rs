//! Checks that the definitions follow the API conventions, field by field.

use serde_json::Value;

use secret_rotation_api::{
    crds, manifests, operation::SecretRotationOperation, policy::SecretRotationPolicy,
    profile::AWSAccessProfile,
};

use crate::support;

const KINDS: [&str; 3] = [
    "SecretRotationPolicy",
    "SecretRotationOperation",
    "AWSAccessProfile",
];

/// Calls `visit` for every schema below spec and status, with its path and whether it is a field.
fn walk(schema: &Value, path: &str, field: bool, visit: &mut impl FnMut(&Value, &str, bool)) {
    visit(schema, path, field);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(property, &format!("{path}.{name}"), true, visit);
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(schema) = schema.get(inner) {
            walk(schema, &format!("{path}[]"), false, visit);
        }
    }
}

/// Returns every schema of every resource for which `broken` reports a problem.
fn complaints(broken: impl Fn(&Value, bool) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for kind in KINDS {
        for part in ["spec", "status"] {
            let schema = support::schema(kind)["properties"][part].clone();
            let mut visit = |schema: &Value, path: &str, field: bool| {
                if broken(schema, field) {
                    found.push(format!("{kind}.{part}{path}: {schema}"));
                }
            };
            walk(&schema, "", true, &mut visit);
        }
    }
    found
}

fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_field_is_described_by_a_full_sentence() {
    none(&complaints(|schema, field| {
        let text = schema["description"].as_str().unwrap_or_default();
        let sentence = text.ends_with('.')
            && text.starts_with(char::is_uppercase)
            && text.contains(' ')
            && !text.contains('\n');
        field && !sentence
    }));
}

#[test]
fn every_string_is_bounded_or_an_enum() {
    none(&complaints(|schema, _| {
        schema["type"] == "string" && schema["maxLength"].is_null() && schema["enum"].is_null()
    }));
}

#[test]
fn every_number_has_whole_bounds_and_a_known_format() {
    none(&complaints(|schema, _| {
        let whole = schema["minimum"].is_i64() && schema["maximum"].is_i64();
        let known = schema["format"] == "int32" || schema["format"] == "int64";
        (schema["type"] == "integer" && !(whole && known)) || schema["type"] == "number"
    }));
}

#[test]
fn every_list_is_bounded_and_has_a_list_type() {
    none(&complaints(|schema, _| {
        let kind = schema["x-kubernetes-list-type"]
            .as_str()
            .unwrap_or_default();
        let keyed = (kind == "map") == schema["x-kubernetes-list-map-keys"].is_array();
        let sound =
            schema["maxItems"].is_u64() && ["atomic", "set", "map"].contains(&kind) && keyed;
        schema["type"] == "array" && !sound
    }));
}

#[test]
fn every_map_is_bounded() {
    none(&complaints(|schema, _| {
        let bounded =
            schema["maxProperties"].is_u64() && schema["x-kubernetes-validations"].is_array();
        schema.get("additionalProperties").is_some() && !bounded
    }));
}

#[test]
fn nothing_is_nullable_and_everything_has_one_type() {
    none(&complaints(|schema, _| {
        let null = schema.get("nullable").is_some()
            || schema["enum"]
                .as_array()
                .is_some_and(|names| names.contains(&Value::Null));
        let mixed = ["anyOf", "oneOf", "allOf", "$ref"]
            .iter()
            .any(|key| schema.get(*key).is_some());
        null || mixed || !schema["type"].is_string()
    }));
}

#[test]
fn every_default_obeys_its_own_schema() {
    none(&complaints(|schema, _| {
        schema
            .get("default")
            .is_some_and(|default| !support::violations(schema, default).is_empty())
    }));
}

/// An API server fills in defaults, and then the stored object differs from the written one: a second manager of an
/// atomic list has a conflict, and a diff never ends.
#[test]
fn no_atomic_field_contains_a_default() {
    fn defaults(schema: &Value, path: &str, whole: bool, found: &mut Vec<String>) {
        if whole && schema.get("default").is_some() {
            found.push(path.to_owned());
        }
        let is_atomic = |kind: &str| schema[kind] == "atomic";
        let fields = whole || is_atomic("x-kubernetes-map-type");
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            defaults(property, &format!("{path}.{name}"), fields, found);
        }
        if let Some(items) = schema.get("items") {
            let items_of = whole || is_atomic("x-kubernetes-list-type");
            defaults(items, &format!("{path}[]"), items_of, found);
        }
    }
    let mut found = Vec::new();
    for kind in KINDS {
        defaults(&support::schema(kind), kind, false, &mut found);
    }
    none(&found);
}

#[test]
fn every_rule_has_a_message_about_what_to_write() {
    none(&complaints(|schema, _| {
        let rules = schema["x-kubernetes-validations"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        rules.iter().any(|rule| {
            rule["message"].as_str().is_none_or(|text| text.len() < 20) || rule["rule"].is_null()
        })
    }));
}

#[test]
fn a_new_object_is_in_progress_for_kstatus() {
    for kind in KINDS {
        let status = &support::schema(kind)["properties"]["status"];
        assert_eq!(
            status["default"],
            serde_json::json!({ "observedGeneration": -1 }),
            "{kind}"
        );
    }
}

#[test]
fn names_that_users_choose_fit_into_a_label() {
    for kind in ["SecretRotationPolicy", "AWSAccessProfile"] {
        let rule = &support::schema(kind)["x-kubernetes-validations"][0]["rule"];
        assert_eq!(rule, "size(self.metadata.name) <= 63", "{kind}");
    }
}

#[test]
fn each_resource_has_its_names_columns_and_selectors() {
    let summary = |definition: &Value| {
        let (names, version) = (
            &definition["spec"]["names"],
            &definition["spec"]["versions"][0],
        );
        let columns = version["additionalPrinterColumns"]
            .as_array()
            .expect("columns");
        let titles = |priority: bool| {
            let shown = columns
                .iter()
                .filter(|column| (column["priority"] == 1) == priority);
            shown
                .map(|column| column["name"].as_str().expect("a name").to_uppercase())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let selectable = version["selectableFields"].as_array().into_iter().flatten();
        let selectable: Vec<_> = selectable
            .map(|field| field["jsonPath"].as_str().expect("a path"))
            .collect();
        format!(
            "{} {} {} {} | {} | {} | {}",
            names["plural"].as_str().expect("a name"),
            names["shortNames"][0].as_str().expect("a name"),
            names["categories"][0].as_str().expect("a name"),
            definition["spec"]["scope"].as_str().expect("a scope"),
            titles(false),
            titles(true),
            selectable.join(" "),
        )
    };
    assert_eq!(
        manifests().iter().map(summary).collect::<Vec<_>>(),
        [
            "secretrotationpolicies srp secret-rotation Namespaced | MODE READY HEALTHY SECRETS STUCK LAST-CHECK AGE \
             | OVERDUE SUSPENDED PROFILE REASON MESSAGE | .spec.mode .spec.profileRef.name",
            "secretrotationoperations sro secret-rotation Namespaced | ACTION SECRET STATE AGE | TRIGGER REASON REQUESTED-BY DECIDED-BY MESSAGE \
             | .spec.policyRef.name .spec.action",
            "awsaccessprofiles awsap secret-rotation Cluster | ACCOUNT REGIONS READY AGE |  | ",
        ]
    );
}

#[test]
fn printed_columns_fit_a_terminal() {
    let widest = |title: &str| match title {
        "Mode" => "Remediate",
        "Ready" | "Healthy" => "False",
        "Secrets" | "Stuck" => "5000",
        "Last-Check" | "Age" => "365d",
        "Action" => "ClearAndRotate",
        "Secret" => "payments/db/main",
        "State" => "Superseded",
        "Account" => "111122223333",
        "Regions" => r#"["eu-west-1"]"#,
        other => panic!("no example for column {other}"),
    };
    for definition in manifests() {
        let columns = definition["spec"]["versions"][0]["additionalPrinterColumns"]
            .as_array()
            .expect("columns")
            .clone();
        let shown = columns.iter().filter(|column| column["priority"] != 1);
        let titles = shown.map(|column| column["name"].as_str().expect("a name"));
        let name = if definition["spec"]["names"]["shortNames"][0] == "sro" {
            "payments-x7k2m4q9ab".len()
        } else {
            "payments".len()
        };
        let width: usize = name
            + titles
                .map(|title| 3 + title.len().max(widest(title).len()))
                .sum::<usize>();
        assert!(width <= 80, "{}: {width}", definition["metadata"]["name"]);
    }
}

#[test]
fn the_definitions_stay_far_below_the_limits_of_etcd_and_of_client_side_apply() {
    for definition in manifests() {
        let size = definition.to_string().len();
        assert!(
            size < 64 * 1024,
            "{}: {size} bytes",
            definition["metadata"]["name"]
        );
    }
}

/// Parses and serializes an object of a resource.
fn there_and_back(kind: &str, spec: &Value, status: &Value) -> (Value, Value) {
    let mut object = support::object(kind, "any", spec);
    object["status"].clone_from(status);
    let read =
        match kind {
            "SecretRotationPolicy" => serde_json::from_value::<SecretRotationPolicy>(object)
                .and_then(serde_json::to_value),
            "SecretRotationOperation" => serde_json::from_value::<SecretRotationOperation>(object)
                .and_then(serde_json::to_value),
            _ => serde_json::from_value::<AWSAccessProfile>(object).and_then(serde_json::to_value),
        };
    let read = read.unwrap_or_else(|error| panic!("{kind} {spec} {status}: {error}"));
    (read["spec"].clone(), read["status"].clone())
}

#[test]
fn no_object_that_the_schema_admits_is_refused_or_loses_a_field() {
    for (kind, variant) in KINDS
        .into_iter()
        .flat_map(|kind| (0..16).map(move |variant| (kind, variant)))
    {
        let [spec, status] =
            ["spec", "status"].map(|part| support::schema(kind)["properties"][part].clone());
        let (full_spec, full_status) = (
            support::sample(&spec, true, variant),
            support::sample(&status, true, variant),
        );
        assert_eq!(support::violations(&spec, &full_spec), [""; 0]);
        assert_eq!(
            there_and_back(kind, &full_spec, &full_status),
            (full_spec.clone(), full_status.clone())
        );
        let least = (
            support::sample(&spec, false, variant),
            support::sample(&status, false, variant),
        );
        let (read, _) = there_and_back(kind, &least.0, &least.1);
        assert_eq!(read, support::defaulted(&spec, least.0));
    }
}

#[test]
fn the_typed_and_the_plain_definitions_are_the_same() {
    for (typed, plain) in crds().iter().zip(manifests()) {
        let read = serde_json::from_value(plain).expect("a definition");
        assert_eq!(*typed, read);
    }
}
