//! An operation on a sheet.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt as _;
use secret_rotation_api::operation::{Action, Decision, SecretRotationOperation, StepStatus};
use secret_rotation_api::text::Text;
use secret_rotation_api::time::Time;

use super::Events;
use super::secret::event_lines;
use crate::advice;
use crate::overview::{action_name, ended, message, phase};
use crate::ui::document::{Sheet, moment, painted, plain, whole};
use crate::ui::duration;
use crate::ui::style::{Dress, Mood};
use crate::version_id::short;

pub(super) use crate::overview::secret_of;

/// What is known of an operation.
pub(super) fn sheet(
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
    sheet.some("Advice", advice::about(&phase).filter(|_| !done));
}

fn mood(operation: &SecretRotationOperation) -> Mood {
    match ended(operation) {
        Some(true) => Mood::Good,
        Some(false) => Mood::Bad,
        None => Mood::Busy,
    }
}

/// The journal of an operation, under a title.
pub(super) fn journal(sheet: &mut Sheet, operation: &SecretRotationOperation, dress: Dress) {
    let steps = operation
        .status
        .as_ref()
        .map(|status| status.steps.as_slice());
    let steps = steps.unwrap_or_default();
    if steps.is_empty() {
        return;
    }
    sheet.title(&format!("Journal of {}", operation.name_any()));
    for step in steps {
        let (mood, result) = match step.result.as_deref() {
            Some("Applied") => (Mood::Good, "Applied".to_owned()),
            // Refused in words, and done all the same: that is how a pending version is run again.
            Some("RotationPending") if operation.spec.action == Action::RetryRotation => {
                (Mood::Good, with_code("RotationPending", step))
            }
            Some(result) => (Mood::Bad, with_code(result, step)),
            None => (Mood::Busy, "no answer yet".to_owned()),
        };
        let version = step.version_id.as_ref();
        let version = version.map_or_else(String::new, |id| format!(" {}", short(id)));
        let time = step.intent_time.timestamp().map_or_else(String::new, whole);
        let tries = match step.tries.value() {
            1 => String::new(),
            tries => format!(" (try {tries})"),
        };
        sheet.line(vec![
            painted(mood, dress.sign(mood)),
            plain(format!(" {time}  {}{version}{tries}: ", step.name)),
            painted(mood, result),
        ]);
    }
}

fn with_code(result: &str, step: &StepStatus) -> String {
    let code = step.code.as_ref().filter(|code| !code.is_empty());
    code.map_or_else(|| result.to_owned(), |code| format!("{result} ({code})"))
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

/// A line for each operation, newest first.
pub(super) fn summary_lines(
    sheet: &mut Sheet,
    operations: &[SecretRotationOperation],
    most: usize,
    dress: Dress,
    now: Option<Timestamp>,
) {
    let mut operations: Vec<_> = operations.iter().collect();
    operations.sort_by_key(|one| std::cmp::Reverse(one.metadata.creation_timestamp.clone()));
    if operations.is_empty() {
        sheet.line(vec![plain("none")]);
    }
    for operation in operations.iter().take(most) {
        let mood = mood(operation);
        let secret = secret_of(operation).map_or_else(String::new, |(name, _)| format!(" {name}"));
        let created = operation
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0);
        let age = created.zip(now);
        let age = age.map_or_else(String::new, |(then, now)| {
            format!("  {} ago", duration::since(then, now))
        });
        sheet.line(vec![
            painted(mood, format!("{} {}", dress.sign(mood), phase(operation))),
            plain(format!(
                "  {}{secret}{age}  {}",
                action_name(operation.spec.action),
                operation.name_any()
            )),
        ]);
        let why = message(operation);
        if !why.is_empty() {
            sheet.line(vec![plain(format!("  {why}"))]);
        }
    }
}
