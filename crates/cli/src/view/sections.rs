//! Sections that several documents share: operations, a journal, and events.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt as _;
use secret_rotation_api::operation::{Action, SecretRotationOperation, StepStatus};

use super::version_id::short;
use crate::CommandError;
use crate::kubernetes::events;
use crate::ui::document::{Document, colored, plain, time_with_age, whole_seconds};
use crate::ui::duration;
use crate::ui::style::{Severity, Style};

/// The number of events to show.
const SHOWN: usize = 12;

/// The events of an object, or why they cannot be read.
pub(crate) type Events = Result<Vec<Event>, CommandError>;

/// Adds a line per operation, newest first.
pub(super) fn summary_lines(
    document: &mut Document,
    operations: &[SecretRotationOperation],
    most: usize,
    style: Style,
    now: Option<Timestamp>,
) {
    let mut operations: Vec<_> = operations.iter().collect();
    operations.sort_by_key(|one| std::cmp::Reverse(one.metadata.creation_timestamp.clone()));
    if operations.is_empty() {
        document.line(vec![plain("none")]);
    }
    for operation in operations.iter().take(most) {
        let severity = severity(operation);
        let secret = operation
            .secret_and_region()
            .map_or_else(String::new, |(name, _)| format!(" {name}"));
        let created = operation
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0);
        let age = created.zip(now);
        let age = age.map_or_else(String::new, |(then, now)| {
            format!("  {} ago", duration::since(then, now))
        });
        document.line(vec![
            colored(
                severity,
                format!("{} {}", style.symbol(severity), operation.phase()),
            ),
            plain(format!(
                "  {}{secret}{age}  {}",
                operation.spec.action.name(),
                operation.name_any()
            )),
        ]);
        let why = operation.message();
        if !why.is_empty() {
            document.line(vec![plain(format!("  {why}"))]);
        }
    }
}

/// Adds the journal of an operation, with a title.
pub(super) fn journal(document: &mut Document, operation: &SecretRotationOperation, style: Style) {
    let steps = operation
        .status
        .as_ref()
        .map(|status| status.steps.as_slice());
    let steps = steps.unwrap_or_default();
    if steps.is_empty() {
        return;
    }
    document.title(&format!("Journal of {}", operation.name_any()));
    for step in steps {
        let (severity, result) = match step.result.as_deref() {
            Some("Applied") => (Severity::Good, "Applied".to_owned()),
            // AWS answers so to a retry, and starts it nevertheless.
            Some("RotationPending") if operation.spec.action == Action::RetryRotation => {
                (Severity::Good, with_code("RotationPending", step))
            }
            Some(result) => (Severity::Bad, with_code(result, step)),
            None => (Severity::Busy, "no response yet".to_owned()),
        };
        let version = step.version_id.as_ref();
        let version = version.map_or_else(String::new, |id| format!(" {}", short(id)));
        let time = step
            .intent_time
            .timestamp()
            .map_or_else(String::new, whole_seconds);
        let tries = match step.tries.value() {
            1 => String::new(),
            tries => format!(" (try {tries})"),
        };
        document.line(vec![
            colored(severity, style.symbol(severity)),
            plain(format!(" {time}  {}{version}{tries}: ", step.name)),
            colored(severity, result),
        ]);
    }
}

fn with_code(result: &str, step: &StepStatus) -> String {
    let code = step.code.as_ref().filter(|code| !code.is_empty());
    code.map_or_else(|| result.to_owned(), |code| format!("{result} ({code})"))
}

pub(super) fn severity(operation: &SecretRotationOperation) -> Severity {
    match operation.succeeded() {
        Some(true) => Severity::Good,
        Some(false) => Severity::Bad,
        None => Severity::Busy,
    }
}

/// Adds the events whose text contains `about`, newest last.
pub(super) fn event_lines(
    document: &mut Document,
    events: &Events,
    about: &str,
    now: Option<Timestamp>,
) {
    let events = match events {
        Ok(events) => events,
        Err(failure) => {
            document.line(vec![colored(Severity::Unsure, failure.message())]);
            return;
        }
    };
    let relevant: Vec<_> = events
        .iter()
        .filter(|event| events::line(event).contains(about))
        .collect();
    if relevant.is_empty() {
        document.line(vec![plain("no recent events")]);
    }
    for event in relevant.iter().skip(relevant.len().saturating_sub(SHOWN)) {
        let severity = if events::is_warning(event) {
            Severity::Bad
        } else {
            Severity::Quiet
        };
        let time = events::time(event).map_or_else(String::new, |time| time_with_age(time, now));
        document.line(vec![
            plain(format!("{time}  ")),
            colored(severity, events::line(event)),
        ]);
    }
}
