//! Kubernetes objects as JSON, read as a person reads `kubectl get -o yaml`.

use serde_json::Value;

/// Returns a condition of an object, or null.
pub fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array();
    conditions
        .and_then(|all| all.iter().find(|one| one["type"] == kind))
        .unwrap_or(&Value::Null)
}

/// Returns status and reason of a condition, such as `True/Succeeded`; empty if there is none.
pub fn verdict(object: &Value, kind: &str) -> String {
    let found = condition(object, kind);
    if found.is_null() {
        return String::new();
    }
    format!("{}/{}", text(&found["status"]), text(&found["reason"]))
}

/// Returns the message of a condition.
pub fn message(object: &Value, kind: &str) -> String {
    text(&condition(object, kind)["message"])
}

/// Returns the state of an operation: the reason of condition `Complete`, with `!` in front if it has failed.
pub fn state(operation: &Value) -> String {
    let failed = condition(operation, "Failed")["status"] == "True";
    let reason = text(&condition(operation, "Complete")["reason"]);
    if failed { format!("!{reason}") } else { reason }
}

/// Returns whether an operation has ended.
pub fn is_finished(operation: &Value) -> bool {
    let is_true = |kind| condition(operation, kind)["status"] == "True";
    is_true("Complete") || is_true("Failed")
}

/// Returns a number of a policy's summary.
pub fn count(policy: &Value, name: &str) -> u64 {
    policy["status"]["summary"][name].as_u64().unwrap_or(0)
}

/// Returns the finding on a secret, or null.
pub fn finding<'a>(policy: &'a Value, secret: &str) -> &'a Value {
    let findings = policy["status"]["findings"].as_array();
    findings
        .and_then(|all| all.iter().find(|one| one["name"] == secret))
        .unwrap_or(&Value::Null)
}

/// Returns the names of the steps in an operation's journal, in order.
pub fn steps(operation: &Value) -> Vec<String> {
    let steps = operation["status"]["steps"].as_array();
    steps
        .map(|steps| steps.iter().map(|step| text(&step["name"])).collect())
        .unwrap_or_default()
}

/// Returns a string, empty if the value is not a string.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
