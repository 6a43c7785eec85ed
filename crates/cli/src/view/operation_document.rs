//! An operation on a sheet.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt as _;
use secret_rotation_api::operation::{Decision, SecretRotationOperation};
use secret_rotation_api::text::Text;
use secret_rotation_api::time::Time;

use super::policy::{action_name, ended, message, phase, secret_of};
use super::reasons;
use super::sections::{Events, event_lines, journal, mood};
use crate::ui::document::{Sheet, moment, painted, plain};
use crate::ui::style::Dress;

/// What is known of an operation.
pub(crate) fn sheet(
    operation: &SecretRotationOperation,
    events: &Events,
    dress: Dress,
    now: Option<Timestamp>,
) -> Sheet {
    let mut sheet = Sheet::default();
    let spec = &operation.spec;
    sheet.fact(
        "Operation",
        format!(
            "{}/{}",
            operation.namespace().unwrap_or_default(),
            operation.name_any()
        ),
    );
    sheet.fact("Policy", spec.policy_ref.name.to_string());
    sheet.fact("Action", action_name(spec.action));
    sheet.fact(
        "Secret",
        secret_of(operation).map_or_else(
            || "not known yet".to_owned(),
            |(name, region)| format!("{name} in {region}"),
        ),
    );
    sheet.fact("Reason", spec.reason.to_string());
    sheet.fact("Trigger", format!("{:?}", spec.trigger));
    sheet.some(
        "Requested by",
        spec.requested_by.as_ref().map(ToString::to_string),
    );
    sheet.some("Decision", spec.decision.as_ref().map(decision));
    expectations(&mut sheet, operation);
    state(&mut sheet, operation, dress, now);
    journal(&mut sheet, operation, dress);
    let status = operation.status.clone().unwrap_or_default();
    labels(&mut sheet, "Labels before", status.before.as_ref());
    labels(&mut sheet, "Labels after", status.after.as_ref());
    sheet.title("Events");
    event_lines(&mut sheet, events, "", now);
    sheet
}

fn decision(decision: &Decision) -> String {
    let message = decision.message.as_ref();
    let message = message.map_or_else(String::new, |message| format!(": {message}"));
    format!("{:?} by {}{message}", decision.verdict, decision.by)
}

fn expectations(sheet: &mut Sheet, operation: &SecretRotationOperation) {
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
        sheet.some("Expects", version.map(|id| format!("{label} on {id}")));
    }
    let deleted = expect.deleted_time.as_ref();
    sheet.some(
        "Expects",
        deleted.map(|time| format!("deletion scheduled on {time}")),
    );
}

/// What it is doing or how it ended, why, and what to do about it.
fn state(
    sheet: &mut Sheet,
    operation: &SecretRotationOperation,
    dress: Dress,
    now: Option<Timestamp>,
) {
    let phase = phase(operation);
    let mood = mood(operation);
    sheet.pieces(
        "State",
        vec![painted(mood, format!("{} {phase}", dress.sign(mood)))],
    );
    sheet.some(
        "Why",
        Some(message(operation)).filter(|text| !text.is_empty()),
    );
    let status = operation.status.as_ref();
    let time = |time: Option<&Time>| {
        let time = time.and_then(Time::timestamp);
        time.map(|time| moment(time, now))
    };
    sheet.some(
        "Started",
        time(status.and_then(|status| status.start_time.as_ref())),
    );
    sheet.some(
        "Ended",
        time(status.and_then(|status| status.completion_time.as_ref())),
    );
    sheet.some(
        "Next step",
        time(status.and_then(|status| status.next_step_time.as_ref())),
    );
    let done = ended(operation) == Some(true);
    sheet.some("Advice", reasons::about(&phase).filter(|_| !done));
}

fn labels(sheet: &mut Sheet, title: &str, labels: Option<&BTreeMap<String, Vec<Text<1, 256>>>>) {
    let Some(labels) = labels.filter(|labels| !labels.is_empty()) else {
        return;
    };
    sheet.title(title);
    for (version, labels) in labels {
        let labels: Vec<_> = labels
            .iter()
            .map(secret_rotation_api::text::Text::as_str)
            .collect();
        sheet.line(vec![plain(format!("{version}  {}", labels.join(", ")))]);
    }
}
