//! Shared parts of the tests of this crate: small objects, and a check of values against a schema.

use fixtures::{merged, resource};
use jiff::Timestamp;
use secret_rotation_api::manifests;
use serde_json::{Map, Value, json};

/// Returns the schema of a resource from its definition.
pub(crate) fn schema(kind: &str) -> Value {
    let definition = manifests()
        .into_iter()
        .find(|definition| definition["spec"]["names"]["kind"] == kind)
        .expect("a kind of ours");
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Returns everything about a value that its schema does not allow, as an API server reports it before CEL.
pub(crate) fn violations(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    judge(schema, value, "", &mut found);
    found
}

fn judge(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let mut refuse = |why: &str| found.push(format!("{path}: {value} {why}"));
    if schema["enum"]
        .as_array()
        .is_some_and(|allowed| !allowed.contains(value))
    {
        refuse("is not in the enum");
    }
    match value {
        Value::String(text) => {
            let length = text.chars().count() as u64;
            if schema["maxLength"].as_u64().is_some_and(|max| length > max)
                || schema["minLength"].as_u64().is_some_and(|min| length < min)
            {
                refuse("has a wrong length");
            }
            if schema["format"] == "date-time" && text.parse::<Timestamp>().is_err() {
                refuse("is no time");
            }
        }
        Value::Number(number) => {
            let number = number.as_i64().expect("whole numbers only");
            if schema["minimum"].as_i64().is_none_or(|min| number < min)
                || schema["maximum"].as_i64().is_none_or(|max| number > max)
            {
                refuse("lies out of bounds");
            }
        }
        Value::Bool(_) => {}
        Value::Null => refuse("is null"),
        Value::Array(items) => judge_list(schema, items, path, found),
        Value::Object(fields) => judge_object(schema, fields, path, found),
    }
    let expected = match value {
        Value::String(_) => "string",
        Value::Number(_) => "integer",
        Value::Bool(_) => "boolean",
        Value::Null => "null",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if schema["type"] != expected {
        found.push(format!("{path}: {value} is not of type {}", schema["type"]));
    }
}

fn judge_list(schema: &Value, items: &[Value], path: &str, found: &mut Vec<String>) {
    if items.len() as u64 > schema["maxItems"].as_u64().unwrap_or(0) {
        found.push(format!("{path}: {} items are too many", items.len()));
    }
    let keys = schema["x-kubernetes-list-map-keys"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let identity = |item: &Value| match keys.as_slice() {
        [] => item.clone(),
        keys => keys
            .iter()
            .map(|key| item[key.as_str().expect("a name")].clone())
            .collect(),
    };
    let distinct = schema["x-kubernetes-list-type"] != "atomic";
    for (index, item) in items.iter().enumerate() {
        judge(&schema["items"], item, &format!("{path}[{index}]"), found);
        if distinct
            && items[..index]
                .iter()
                .any(|other| identity(other) == identity(item))
        {
            found.push(format!("{path}[{index}]: appears twice"));
        }
    }
}

fn judge_object(schema: &Value, fields: &Map<String, Value>, path: &str, found: &mut Vec<String>) {
    for required in schema["required"].as_array().into_iter().flatten() {
        if !fields.contains_key(required.as_str().expect("a name")) {
            found.push(format!("{path}.{required}: is missing"));
        }
    }
    for (name, value) in fields {
        let known = schema["properties"]
            .get(name)
            .or_else(|| schema.get("additionalProperties"));
        match known {
            Some(schema) => judge(schema, value, &format!("{path}.{name}"), found),
            None => found.push(format!("{path}.{name}: is not in the schema")),
        }
    }
}

/// Returns the value with every default of the schema filled in, as by an API server.
pub(crate) fn defaulted(schema: &Value, mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                let old = fields
                    .remove(name)
                    .or_else(|| schema.get("default").cloned());
                if let Some(old) = old {
                    fields.insert(name.clone(), defaulted(schema, old));
                }
            }
            value
        }
        Value::Array(items) => items
            .drain(..)
            .map(|item| defaulted(&schema["items"], item))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// Returns a value that the schema admits, with every field or with the required ones only. `variant` chooses among
/// enums.
pub(crate) fn sample(schema: &Value, every: bool, variant: usize) -> Value {
    if let Some(names) = schema["enum"].as_array() {
        return names[variant % names.len()].clone();
    }
    match schema["type"].as_str().expect("one type") {
        "string" if schema["format"] == "date-time" => json!("2026-11-23T10:00:00Z"),
        "string" => json!(
            "x".repeat(usize::try_from(schema["minLength"].as_u64().unwrap_or(0)).expect("short"))
        ),
        "integer" => schema[if every { "maximum" } else { "minimum" }].clone(),
        "boolean" => json!(every),
        "array" if every || schema["minItems"].is_u64() => {
            json!([sample(&schema["items"], every, variant)])
        }
        "array" => json!([]),
        _ => sample_object(schema, every, variant),
    }
}

fn sample_object(schema: &Value, every: bool, variant: usize) -> Value {
    if let Some(values) = schema.get("additionalProperties") {
        return json!({ "key": sample(values, every, variant) });
    }
    let required = |name: &String| {
        schema["required"]
            .as_array()
            .is_some_and(|names| names.contains(&json!(name)))
    };
    let fields = schema["properties"].as_object().expect("fields").iter();
    let chosen = fields.filter(|(name, _)| every || required(name));
    chosen
        .map(|(name, schema)| (name.clone(), sample(schema, every, variant)))
        .collect()
}

/// Returns an object as the API server stores it.
pub(crate) fn object(kind: &str, name: &str, spec: &Value) -> Value {
    let metadata = json!({
        "uid": "6e1f0c1a-0000-4000-8000-000000000001",
        "generation": 3,
        "creationTimestamp": "2026-11-01T00:00:00Z",
    });
    let object = resource(kind, "team-payments", name, spec);
    merged(object, &json!({ "metadata": metadata }))
}
