//! The JSON schema of the chart's values. It rejects unknown keys at every level that the chart defines.

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};

use super::values::{Described, Values};

/// Builds the schema of all values.
pub(super) fn of(values: &Values) -> Result<Value> {
    let mut root = closed();
    root.insert(
        "$schema".to_owned(),
        json!("http://json-schema.org/draft-07/schema#"),
    );
    for value in &values.0 {
        let schema =
            leaf(value).with_context(|| format!("values.yaml: {}", value.path.join(".")))?;
        place(&mut root, &value.path, schema)?;
    }
    Ok(Value::Object(root))
}

/// Builds an object that has no fields yet and accepts no other fields.
fn closed() -> Map<String, Value> {
    let object = json!({"type": "object", "additionalProperties": false, "properties": {}});
    let Value::Object(object) = object else {
        unreachable!("it is written as an object")
    };
    object
}

fn place(parent: &mut Map<String, Value>, path: &[String], schema: Value) -> Result<()> {
    let (key, rest) = path.split_first().context("a value has a name")?;
    let fields = parent.get_mut("properties").and_then(Value::as_object_mut);
    let fields = fields.context("it lies within another value that is described as a whole")?;
    if rest.is_empty() {
        fields.insert(key.clone(), schema);
        return Ok(());
    }
    let inner = fields
        .entry(key.clone())
        .or_insert_with(|| Value::Object(closed()));
    place(
        inner.as_object_mut().context("a schema is an object")?,
        rest,
        schema,
    )
}

fn leaf(value: &Described) -> Result<Value> {
    let mut schema = match value.bounds.get("kind").and_then(Value::as_str) {
        Some(kind) => spec_of(kind)?,
        None => value.bounds.clone(),
    };
    if !schema.contains_key("type") && !schema.contains_key("enum") {
        schema.insert("type".to_owned(), json!(type_of(value)?));
    }
    schema.insert("description".to_owned(), json!(value.description));
    if let Some(default) = &value.default {
        schema.insert("default".to_owned(), default.clone());
    }
    Ok(Value::Object(schema))
}

/// Returns the type of the default. The schema of a list or a map must describe its items.
fn type_of(value: &Described) -> Result<&'static str> {
    let says = |key| value.bounds.contains_key(key);
    Ok(match &value.default {
        Some(Value::String(_)) => "string",
        Some(Value::Bool(_)) => "boolean",
        Some(Value::Number(number)) if number.is_f64() => "number",
        Some(Value::Number(_)) => "integer",
        Some(Value::Array(_)) if says("items") => "array",
        Some(Value::Object(_)) if says("additionalProperties") => "object",
        Some(Value::Array(_)) => bail!("describe its `items` in @schema"),
        Some(Value::Object(_)) => bail!("describe its `additionalProperties` in @schema"),
        None | Some(Value::Null) => bail!("it has no default: state its `type` in @schema"),
    })
}

/// Returns the schema of a resource's spec from its CRD. No field is required: by default the chart creates no object, and
/// the API server checks required fields when it does.
fn spec_of(kind: &str) -> Result<Map<String, Value>> {
    let definitions = secret_rotation_api::manifests();
    let definition = definitions
        .iter()
        .find(|one| one["spec"]["names"]["kind"] == kind);
    let spec = definition
        .and_then(|one| one.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec"))
        .with_context(|| format!("there is no kind {kind}"))?;
    let Value::Object(mut spec) = strict(spec) else {
        bail!("the spec of {kind} is no object");
    };
    spec.remove("required");
    Ok(spec)
}

/// Converts a schema of Kubernetes to a JSON schema in which objects accept no other fields.
fn strict(schema: &Value) -> Value {
    let Value::Object(fields) = schema else {
        return schema.clone();
    };
    let kept = fields
        .iter()
        .filter(|(key, _)| !key.starts_with("x-kubernetes-") && *key != "format");
    let mut strict: Map<_, _> = kept
        .map(|(key, value)| match key.as_str() {
            "properties" => (key.clone(), each(value)),
            "items" | "additionalProperties" => (key.clone(), self::strict(value)),
            _ => (key.clone(), value.clone()),
        })
        .collect();
    if strict.contains_key("properties") {
        strict.insert("additionalProperties".to_owned(), json!(false));
    }
    Value::Object(strict)
}

fn each(properties: &Value) -> Value {
    let fields = properties.as_object().into_iter().flatten();
    fields
        .map(|(key, value)| (key.clone(), strict(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> Result<Value> {
        of(&Values::parse(text)?)
    }

    #[test]
    fn types_come_from_defaults_and_every_level_is_closed() {
        let schema = schema(
            "# How many.\n# @schema {minimum: 1}\nreplicas: 2\nlog:\n  # How bad.\n  # @schema {enum: [info, debug]}\n  level: info\n",
        );
        assert_eq!(
            schema.expect("valid"),
            json!({
                "$schema": "http://json-schema.org/draft-07/schema#",
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "replicas": {"type": "integer", "minimum": 1, "description": "How many.", "default": 2},
                    "log": {
                        "type": "object",
                        "additionalProperties": false,
                        "properties": {"level": {"enum": ["info", "debug"], "description": "How bad.", "default": "info"}},
                    },
                },
            })
        );
    }

    #[test]
    fn a_list_must_say_what_is_in_it() {
        let error = schema("# Things.\nthings: []\n").expect_err("a mistake");
        assert_eq!(
            format!("{error:#}"),
            "values.yaml: things: describe its `items` in @schema"
        );
    }

    #[test]
    fn the_spec_of_a_kind_is_taken_from_its_definition() {
        let schema =
            schema("# Its spec.\n# @schema {kind: AWSAccessProfile}\nspec: {}\n").expect("valid");
        let spec = &schema["properties"]["spec"];
        assert_eq!(spec["additionalProperties"], false);
        assert_eq!(
            spec["properties"]["rateLimit"]["additionalProperties"],
            false
        );
        assert_eq!(spec["properties"]["regions"]["maxItems"], 40);
        assert!(!spec.to_string().contains("x-kubernetes"), "{spec:#}");
    }
}
