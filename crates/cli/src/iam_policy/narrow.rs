//! Bounds on which secrets a policy allows something.

use serde_json::{Map, Value, json};

/// The beginning of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

/// A tag with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    key: String,
    value: String,
}

/// The prefix of IAM condition keys on a secret's tags.
const RESOURCE_TAG: &str = "aws:ResourceTag/";

/// A prefix as it is typed. What IAM would take for a wildcard or a variable is refused: it would widen the policy.
pub(super) fn parse_prefix(text: &str) -> Result<Prefix, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-!".contains(c);
    if text.is_empty() || !text.chars().all(allowed) {
        return Err("write letters, digits and / _ + = . @ - only".to_owned());
    }
    Ok(Prefix(text.to_owned()))
}

/// A tag as it is typed.
pub(super) fn parse_tag(text: &str) -> Result<Tag, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " /_+=.:@-".contains(c);
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && text.chars().all(allowed) => Ok(Tag {
            key: key.to_owned(),
            value: value.to_owned(),
        }),
        Some(_) | None => Err("write KEY=VALUE, such as team=payments".to_owned()),
    }
}

/// Bounds every statement that allows something on secrets. Statements that deny stay as wide as they are.
pub(super) fn apply(policy: &mut Value, prefixes: &[Prefix], tag: Option<&Tag>) {
    let statements = policy["Statement"].as_array_mut().into_iter().flatten();
    let bound = |statement: &&mut Value| {
        statement["Effect"] == "Allow" && statement["Resource"] != json!("*")
    };
    for statement in statements.filter(bound) {
        if !prefixes.is_empty() {
            statement["Resource"] = prefixes.iter().map(arn).collect();
        }
        if let Some(statement) = statement.as_object_mut() {
            replace_tag(statement, tag);
        }
    }
}

fn arn(Prefix(prefix): &Prefix) -> Value {
    json!(format!("arn:aws:secretsmanager:*:*:secret:{prefix}*"))
}

/// The tag of the file goes; the one that was typed, if any, takes its place.
fn replace_tag(statement: &mut Map<String, Value>, tag: Option<&Tag>) {
    let mut condition = match statement.remove("Condition") {
        Some(Value::Object(condition)) => condition,
        Some(_) | None => Map::new(),
    };
    let mut equals = match condition.remove("StringEquals") {
        Some(Value::Object(equals)) => equals,
        Some(_) | None => Map::new(),
    };
    equals.retain(|key, _| !key.starts_with(RESOURCE_TAG));
    if let Some(Tag { key, value }) = tag {
        equals.insert(format!("{RESOURCE_TAG}{key}"), json!(value));
    }
    if !equals.is_empty() {
        condition.insert("StringEquals".to_owned(), Value::Object(equals));
    }
    if !condition.is_empty() {
        statement.insert("Condition".to_owned(), Value::Object(condition));
    }
}
