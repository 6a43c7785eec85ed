//! Validation rules of the schema: CEL expressions with their messages.

use serde_json::{Value, json};

/// A CEL rule with what to write instead.
pub(crate) fn rule(rule: &str, message: &str) -> Value {
    json!({ "rule": rule, "message": message })
}

/// A CEL rule whose message quotes what was written; the plain message is for where that fails.
pub(crate) fn explained(rule: &str, message: &str, expression: &str) -> Value {
    json!({ "rule": rule, "message": message, "messageExpression": expression })
}

/// A field that is set once.
pub(crate) fn immutable(message: &str) -> Vec<Value> {
    vec![rule("self == oldSelf", message)]
}

/// A rule that bounds the keys of a map, which a schema cannot.
pub(crate) fn key_length(max: usize) -> Vec<Value> {
    let message = format!("write keys of at most {max} characters");
    vec![rule(
        &format!("self.all(key, size(key) <= {max})"),
        &message,
    )]
}
