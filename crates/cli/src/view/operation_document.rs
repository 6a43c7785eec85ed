//! The document of an operation.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt as _;
use secret_rotation_api::operation::{Decision, SecretRotationOperation};
use secret_rotation_api::text::Text;
use secret_rotation_api::time::Time;

use super::reasons;
use super::sections::{Events, event_lines, journal, severity};
use crate::ui::document::{Document, colored, plain, time_with_age};
use crate::ui::style::Style;

/// Returns everything known about an operation.
pub(crate) fn document(
    operation: &SecretRotationOperation,
    events: &Events,
    style: Style,
    now: Option<Timestamp>,
) -> Document {
    let mut document = Document::default();
    let spec = &operation.spec;
    document.fact(
        "Operation",
        format!(
            "{}/{}",
            operation.namespace().unwrap_or_default(),
            operation.name_any()
        ),
    );
    document.fact("Policy", spec.policy_ref.name.to_string());
    document.fact("Action", spec.action.name());
    document.fact(
        "Secret",
        operation.secret_and_region().map_or_else(
            || "unknown".to_owned(),
            |(name, region)| format!("{name} in {region}"),
        ),
    );
    document.fact("Reason", spec.reason.to_string());
    document.fact("Trigger", format!("{:?}", spec.trigger));
    document.optional_fact(
        "Requested by",
        spec.requested_by.as_ref().map(ToString::to_string),
    );
    document.optional_fact("Decision", spec.decision.as_ref().map(decision));
    expectations(&mut document, operation);
    state(&mut document, operation, style, now);
    journal(&mut document, operation, style);
    let status = operation.status.clone().unwrap_or_default();
    labels(&mut document, "Labels before", status.before.as_ref());
    labels(&mut document, "Labels after", status.after.as_ref());
    document.title("Events");
    event_lines(&mut document, events, "", now);
    document
}

fn decision(decision: &Decision) -> String {
    let message = decision.message.as_ref();
    let message = message.map_or_else(String::new, |message| format!(": {message}"));
    format!("{:?} by {}{message}", decision.verdict, decision.by)
}

fn expectations(document: &mut Document, operation: &SecretRotationOperation) {
    let Some(expect) = &operation.spec.expect else {
        return;
    };
    let versions = [
        ("AWSCURRENT", &expect.current_version_id),
        ("AWSPENDING", &expect.pending_version_id),
        ("AWSPREVIOUS", &expect.previous_version_id),
        ("a pin", &expect.pinned_version_id),
    ];
    for (label, version) in versions {
        let version = version.as_ref();
        document.optional_fact("Expects", version.map(|id| format!("{label} on {id}")));
    }
    let deleted = expect.deleted_time.as_ref();
    document.optional_fact(
        "Expects",
        deleted.map(|time| format!("deletion scheduled on {time}")),
    );
}

/// Adds its phase or result, the reason, and what to do.
fn state(
    document: &mut Document,
    operation: &SecretRotationOperation,
    style: Style,
    now: Option<Timestamp>,
) {
    let phase = operation.phase();
    let severity = severity(operation);
    document.spans(
        "State",
        vec![colored(
            severity,
            format!("{} {phase}", style.symbol(severity)),
        )],
    );
    document.optional_fact(
        "Why",
        Some(operation.message()).filter(|text| !text.is_empty()),
    );
    let status = operation.status.as_ref();
    let time = |time: Option<&Time>| {
        let time = time.and_then(Time::timestamp);
        time.map(|time| time_with_age(time, now))
    };
    document.optional_fact(
        "Started",
        time(status.and_then(|status| status.start_time.as_ref())),
    );
    document.optional_fact(
        "Ended",
        time(status.and_then(|status| status.completion_time.as_ref())),
    );
    document.optional_fact(
        "Next step",
        time(status.and_then(|status| status.next_step_time.as_ref())),
    );
    let done = operation.succeeded() == Some(true);
    document.optional_fact("Advice", reasons::about(phase).filter(|_| !done));
}

fn labels(
    document: &mut Document,
    title: &str,
    labels: Option<&BTreeMap<String, Vec<Text<1, 256>>>>,
) {
    let Some(labels) = labels.filter(|labels| !labels.is_empty()) else {
        return;
    };
    document.title(title);
    for (version, labels) in labels {
        let labels: Vec<_> = labels
            .iter()
            .map(secret_rotation_api::text::Text::as_str)
            .collect();
        document.line(vec![plain(format!("{version}  {}", labels.join(", ")))]);
    }
}
