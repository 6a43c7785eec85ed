//! Sections that several documents have: operations, the journal of one, and events.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt as _;
use secret_rotation_api::operation::{Action, SecretRotationOperation, StepStatus};

use super::policy::{action_name, ended, message, phase, secret_of};
use super::version_id::short;
use crate::CommandError;
use crate::kubernetes::events;
use crate::ui::document::{Sheet, moment, painted, plain, whole};
use crate::ui::duration;
use crate::ui::style::{Dress, Mood};

/// At most this many events are shown.
const SHOWN: usize = 12;

/// What happened, as far as one may know.
pub(crate) type Events = Result<Vec<Event>, CommandError>;

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

pub(super) fn mood(operation: &SecretRotationOperation) -> Mood {
    match ended(operation) {
        Some(true) => Mood::Good,
        Some(false) => Mood::Bad,
        None => Mood::Busy,
    }
}

/// Events that speak of something, newest last.
pub(super) fn event_lines(sheet: &mut Sheet, told: &Events, about: &str, now: Option<Timestamp>) {
    let told = match told {
        Ok(told) => told,
        Err(failure) => {
            sheet.line(vec![painted(Mood::Unsure, failure.message())]);
            return;
        }
    };
    let relevant: Vec<_> = told
        .iter()
        .filter(|event| events::line(event).contains(about))
        .collect();
    if relevant.is_empty() {
        sheet.line(vec![plain("none that are still kept")]);
    }
    for event in relevant.iter().skip(relevant.len().saturating_sub(SHOWN)) {
        let mood = if events::is_warning(event) {
            Mood::Bad
        } else {
            Mood::Quiet
        };
        let time = events::time(event).map_or_else(String::new, |time| moment(time, now));
        sheet.line(vec![
            plain(format!("{time}  ")),
            painted(mood, events::line(event)),
        ]);
    }
}
