//! Resources in the format of kubectl for `-o json` and `-o yaml`.

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

use crate::CommandError;

/// The format of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table with more columns.
    Wide,
    /// The resources as JSON.
    Json,
    /// The resources as YAML.
    Yaml,
}

/// Formats as JSON: one named resource, else a `List`.
pub(crate) fn json<K: Serialize>(objects: &[K], named: bool) -> Result<String, CommandError> {
    let text = serde_json::to_string_pretty(&whole(objects, named)?);
    Ok(text.map_err(unprintable)? + "\n")
}

/// Formats as YAML: one named resource, else a `List`.
pub(crate) fn yaml<K: Serialize>(objects: &[K], named: bool) -> Result<String, CommandError> {
    serde_saphyr::to_string(&whole(objects, named)?).map_err(unprintable)
}

fn whole<K: Serialize>(objects: &[K], named: bool) -> Result<Value, CommandError> {
    let mut items = objects
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<Vec<_>, _>>()
        .map_err(unprintable)?;
    items.iter_mut().for_each(without_managed_fields);
    Ok(match items.pop() {
        Some(one) if named && items.is_empty() => one,
        last => {
            items.extend(last);
            json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items})
        }
    })
}

/// Removes the managed fields, as kubectl does by default.
fn without_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

fn unprintable(error: impl std::fmt::Display) -> CommandError {
    CommandError::new(format!("cannot format the objects: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_named_resource_is_no_list() {
        let object = json!({"metadata": {"name": "a", "managedFields": []}});
        let one: Value =
            serde_json::from_str(&json(std::slice::from_ref(&object), true).expect("it prints"))
                .expect("it is JSON");
        assert_eq!(one, json!({"metadata": {"name": "a"}}));
        let list: Value =
            serde_json::from_str(&json(&[object.clone(), object], false).expect("it prints"))
                .expect("it is JSON");
        assert_eq!(list["kind"], "List");
        assert_eq!(
            list["items"],
            json!([{"metadata": {"name": "a"}}, {"metadata": {"name": "a"}}])
        );
        assert_eq!(
            yaml::<Value>(&[], false).expect("it prints").lines().next(),
            Some("apiVersion: v1")
        );
    }
}
