//! The custom resource definitions, corrected where the derived schema does not follow the API conventions.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use serde_json::{Map, Value, json};

use crate::{
    columns, operation::SecretRotationOperation, policy::SecretRotationPolicy,
    profile::AWSAccessProfile, schema::rule,
};

/// Returns the definitions of all resources, ready to be applied.
pub fn crds() -> Vec<CustomResourceDefinition> {
    [
        SecretRotationPolicy::crd(),
        SecretRotationOperation::crd(),
        AWSAccessProfile::crd(),
    ]
    .map(corrected)
    .into()
}

/// Returns the definitions as JSON values in which whole numbers are written without a fraction.
///
/// The typed form stores bounds as floating-point numbers, and so would print `1.0`.
pub fn manifests() -> Vec<Value> {
    let plain = |definition| serde_json::to_value(definition).expect("a definition is plain data");
    crds()
        .into_iter()
        .map(plain)
        .map(with_whole_numbers)
        .collect()
}

fn corrected(definition: CustomResourceDefinition) -> CustomResourceDefinition {
    let mut value = serde_json::to_value(definition).expect("a definition is plain data");
    columns::print(&mut value);
    let named_by_people =
        value.pointer("/spec/names/kind") != Some(&json!("SecretRotationOperation"));
    if let Some(root) = value.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
        without_null(root);
        correct_root(root, named_by_people);
    }
    serde_json::from_value(value).expect("a corrected definition is a definition")
}

/// Removes `nullable` and null values: a field is either absent or has a value, and is never null.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove("nullable");
            fields.values_mut().for_each(without_null);
        }
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(without_null);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn correct_root(root: &mut Value, named_by_people: bool) {
    let Some(root) = root.as_object_mut() else {
        return;
    };
    root.remove("title");
    if named_by_people {
        let short = rule(
            "size(self.metadata.name) <= 63",
            "metadata.name: write a name of at most 63 characters",
        );
        root.insert("x-kubernetes-validations".to_owned(), json!([short]));
    }
    if let Some(Value::Object(properties)) = root.get_mut("properties") {
        describe_standard_fields(properties);
        if let Some(Value::Object(status)) = properties.get_mut("status") {
            status.insert("default".to_owned(), json!({ "observedGeneration": -1 }));
        }
    }
}

/// Describes the fields that every object has, in the words of the Kubernetes API reference.
fn describe_standard_fields(properties: &mut Map<String, Value>) {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let version = "The versioned schema of this representation of the object.";
    let kind = "The kind of object that this is, in CamelCase.";
    properties.insert("apiVersion".to_owned(), text(version));
    properties.insert("kind".to_owned(), text(kind));
    properties.insert("metadata".to_owned(), json!({ "type": "object" }));
}

fn with_whole_numbers(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, field)| (name, with_whole_numbers(field)))
            .collect(),
        Value::Array(items) => items.into_iter().map(with_whole_numbers).collect(),
        Value::Number(number) => Value::Number(whole(&number).unwrap_or(number)),
        Value::Null | Value::Bool(_) | Value::String(_) => value,
    }
}

/// Returns the number as an integer if it is a float without a fractional part.
fn whole(number: &serde_json::Number) -> Option<serde_json::Number> {
    number
        .as_f64()
        .filter(|_| number.is_f64())?
        .to_string()
        .parse::<i64>()
        .ok()
        .map(Into::into)
}
