//! Validation rules of the schema: CEL expressions with messages.

use serde_json::{Value, json};

/// Builds a CEL rule. The message says what to write instead.
pub(crate) fn rule(rule: &str, message: &str) -> Value {
    json!({ "rule": rule, "message": message })
}

/// Builds a CEL rule whose message quotes the value. An API server uses the plain message if the expression fails.
pub(crate) fn explained(rule: &str, message: &str, expression: &str) -> Value {
    json!({ "rule": rule, "message": message, "messageExpression": expression })
}

/// Builds the rule of a field that cannot be changed.
pub(crate) fn immutable(message: &str) -> Vec<Value> {
    vec![rule("self == oldSelf", message)]
}

/// Builds a rule that bounds the length of the keys of a map, which a schema cannot.
pub(crate) fn key_length(max: usize) -> Vec<Value> {
    let message = format!("write keys of at most {max} characters");
    vec![rule(
        &format!("self.all(key, size(key) <= {max})"),
        &message,
    )]
}
