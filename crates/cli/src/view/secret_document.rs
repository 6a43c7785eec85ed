//! The document of a secret, as one policy reports it.

use jiff::Timestamp;
use secret_rotation_api::conditions::ConditionType;
use secret_rotation_api::operation::SecretRotationOperation;

use super::policy::{PolicyView, Row};
use super::reasons;
use super::sections::{Events, event_lines, journal, summary_lines};
use crate::ui::document::{Document, colored, plain, time_with_age};
use crate::ui::style::{Severity, Style};

/// The number of operations to show.
const SHOWN: usize = 12;

/// Returns everything known about a secret.
pub(crate) fn document(
    view: &PolicyView,
    row: &Row,
    operations: &[SecretRotationOperation],
    events: &Events,
    style: Style,
    now: Option<Timestamp>,
) -> Document {
    let mut document = Document::default();
    let state = row.state.as_deref();
    let severity = state.map_or(Severity::Quiet, Severity::of_state);
    document.fact("Secret", row.key.secret.clone());
    document.fact("Region", row.key.region.clone());
    document.fact("Policy", format!("{} ({})", view.title(), view.mode()));
    document.spans(
        "State",
        vec![colored(
            severity,
            format!(
                "{} {}",
                style.symbol(severity),
                state.unwrap_or("not reported")
            ),
        )],
    );
    document.optional_fact("Since", row.since.map(|time| time_with_age(time, now)));
    let unseen = |time| format!("{}: the rest is as of then", time_with_age(time, now));
    document.optional_fact("Unseen since", row.unseen.map(unseen));
    document.optional_fact(
        "Why",
        Some(row.message.clone()).filter(|text| !text.is_empty()),
    );
    document.optional_fact("Current", row.current.clone());
    document.optional_fact("Pending", row.pending.clone());
    document.optional_fact("Attempts", row.attempts.map(|number| number.to_string()));
    document.optional_fact("Next", row.activity.summary(now));
    document.optional_fact("Advice", row.activity.reason().and_then(reasons::about));
    conditions(&mut document, view, style);
    let own: Vec<_> = operations
        .iter()
        .filter(|one| {
            one.belongs_to(&view.policy)
                && one.secret_and_region().is_some_and(|(name, region)| {
                    name == row.key.secret && region == row.key.region
                })
        })
        .cloned()
        .collect();
    document.title("Operations");
    summary_lines(&mut document, &own, SHOWN, style, now);
    let newest = own
        .iter()
        .max_by_key(|one| one.metadata.creation_timestamp.clone());
    if let Some(newest) = newest {
        journal(&mut document, newest, style);
    }
    document.title("Events");
    event_lines(&mut document, events, &row.key.secret, now);
    document
}

fn conditions(document: &mut Document, view: &PolicyView, style: Style) {
    document.title("Policy");
    for kind in [ConditionType::Ready, ConditionType::Healthy] {
        let (status, reason) = view.condition(kind);
        let severity = Severity::of_condition(status);
        document.line(vec![
            colored(severity, style.symbol(severity)),
            plain(format!(" {kind}={status} {reason}")),
        ]);
    }
}
