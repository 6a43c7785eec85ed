//! The columns that `kubectl get` prints for each resource.

use serde_json::{Value, json};

/// One printed column.
struct Column {
    title: &'static str,
    kind: &'static str,
    path: &'static str,
    meaning: &'static str,
}

const fn column(
    title: &'static str,
    kind: &'static str,
    path: &'static str,
    meaning: &'static str,
) -> Column {
    Column {
        title,
        kind,
        path,
        meaning,
    }
}

const READY: &str = r#".status.conditions[?(@.type=="Ready")].status"#;
const READY_REASON: &str = r#".status.conditions[?(@.type=="Ready")].reason"#;
const READY_MESSAGE: &str = r#".status.conditions[?(@.type=="Ready")].message"#;
const HEALTHY: &str = r#".status.conditions[?(@.type=="Healthy")].status"#;
const COMPLETE_REASON: &str = r#".status.conditions[?(@.type=="Complete")].reason"#;
const COMPLETE_MESSAGE: &str = r#".status.conditions[?(@.type=="Complete")].message"#;
const CREATED: &str = ".metadata.creationTimestamp";

const POLICY: [Column; 7] = [
    column("Mode", "string", ".spec.mode", "Whether the policy acts."),
    column(
        "Ready",
        "string",
        READY,
        "Whether the controller can do its job for the policy.",
    ),
    column(
        "Healthy",
        "string",
        HEALTHY,
        "Whether all rotations are healthy.",
    ),
    column(
        "Secrets",
        "integer",
        ".status.summary.selected",
        "Number of secrets selected.",
    ),
    column(
        "Stuck",
        "integer",
        ".status.summary.stuck",
        "Number of secrets whose rotation is stuck.",
    ),
    column(
        "Last-Check",
        "date",
        ".status.lastCheckTime",
        "Time since the last check.",
    ),
    column("Age", "date", CREATED, "Time since the policy was created."),
];

const POLICY_WIDE: [Column; 5] = [
    column(
        "Overdue",
        "integer",
        ".status.summary.overdue",
        "Number of secrets whose rotation is overdue.",
    ),
    column(
        "Suspended",
        "boolean",
        ".spec.suspend",
        "Whether the policy is suspended.",
    ),
    column(
        "Profile",
        "string",
        ".spec.profileRef.name",
        "The profile that bounds the policy.",
    ),
    column(
        "Reason",
        "string",
        READY_REASON,
        "Why the policy is ready or not, in one word.",
    ),
    column(
        "Message",
        "string",
        READY_MESSAGE,
        "Why the policy is ready or not, in a sentence.",
    ),
];

const OPERATION: [Column; 4] = [
    column(
        "Action",
        "string",
        ".spec.action",
        "The action of the operation.",
    ),
    column(
        "Secret",
        "string",
        ".status.secretName",
        "The secret that the operation acts on.",
    ),
    column(
        "State",
        "string",
        COMPLETE_REASON,
        "What the operation is doing, or how it ended.",
    ),
    column(
        "Age",
        "date",
        CREATED,
        "Time since the operation was created.",
    ),
];

const OPERATION_WIDE: [Column; 5] = [
    column(
        "Trigger",
        "string",
        ".spec.trigger",
        "Whether a person or a policy requested the operation.",
    ),
    column(
        "Reason",
        "string",
        ".spec.reason",
        "Why the operation was requested.",
    ),
    column(
        "Requested-By",
        "string",
        ".spec.requestedBy",
        "The person who requested the operation.",
    ),
    column(
        "Decided-By",
        "string",
        ".spec.decision.by",
        "Who approved or denied the operation.",
    ),
    column(
        "Message",
        "string",
        COMPLETE_MESSAGE,
        "What the operation is doing, or how it ended, in a sentence.",
    ),
];

const PROFILE: [Column; 4] = [
    column("Account", "string", ".spec.accountId", "The AWS account."),
    column("Regions", "string", ".spec.regions", "The AWS regions."),
    column(
        "Ready",
        "string",
        READY,
        "Whether the controller can use the profile.",
    ),
    column(
        "Age",
        "date",
        CREATED,
        "Time since the profile was created.",
    ),
];

/// Adds the columns of a resource to its definition.
pub(crate) fn print(definition: &mut Value) {
    let (always, wide): (&[Column], &[Column]) = match definition
        .pointer("/spec/names/kind")
        .and_then(Value::as_str)
    {
        Some("SecretRotationPolicy") => (&POLICY, &POLICY_WIDE),
        Some("SecretRotationOperation") => (&OPERATION, &OPERATION_WIDE),
        _ => (&PROFILE, &[]),
    };
    let columns: Value = always
        .iter()
        .map(|column| printed(column, 0))
        .chain(wide.iter().map(|column| printed(column, 1)))
        .collect();
    if let Some(Value::Object(version)) = definition.pointer_mut("/spec/versions/0") {
        version.insert("additionalPrinterColumns".to_owned(), columns);
    }
}

/// Builds one column. Priority 0 is always printed, priority 1 only with `-o wide`.
///
/// The API server does not store a priority of 0. It is left out here too, so that the stored definition equals the
/// written one.
fn printed(column: &Column, priority: i32) -> Value {
    let Column {
        title,
        kind,
        path,
        meaning,
    } = column;
    let mut printed =
        json!({ "name": title, "type": kind, "jsonPath": path, "description": meaning });
    if priority > 0 {
        printed["priority"] = json!(priority);
    }
    printed
}
