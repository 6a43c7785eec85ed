//! The document of a policy.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use secret_rotation_api::conditions::ConditionType;
use secret_rotation_api::operation::SecretRotationOperation;

use super::policy::{self, PolicyView, Row, status_of};
use super::reasons;
use super::sections::{Events, event_lines, summary_lines};
use crate::ui::document::{Document, colored, plain, time_with_age};
use crate::ui::style::{Severity, Style};

/// The number of operations to show.
const OPERATIONS: usize = 10;

/// Returns everything known about a policy.
pub(crate) fn document(
    view: &PolicyView,
    operations: &[SecretRotationOperation],
    events: &Events,
    style: Style,
    now: Option<Timestamp>,
) -> Document {
    let mut document = Document::default();
    document.fact("Policy", view.title());
    document.fact("Mode", view.mode());
    document.fact("Profile", view.policy.spec.profile_ref.name.to_string());
    document.fact("Interval", view.policy.spec.check_interval.to_string());
    document.optional_fact(
        "Checked",
        view.checked().map(|time| time_with_age(time, now)),
    );
    let mut secrets = vec![plain(
        view.selected()
            .map_or_else(|| "not counted yet".to_owned(), |number| number.to_string()),
    )];
    for (severity, text) in policy::state_counts(view, style) {
        secrets.extend([plain("  "), colored(severity, text)]);
    }
    document.spans("Secrets", secrets);
    conditions(&mut document, view, style, now);
    findings(&mut document, view, style, now);
    document.title("Operations");
    summary_lines(&mut document, operations, OPERATIONS, style, now);
    document.title("Events");
    event_lines(&mut document, events, "", now);
    document
}

fn conditions(document: &mut Document, view: &PolicyView, style: Style, now: Option<Timestamp>) {
    document.title("Conditions");
    let conditions = view
        .policy
        .status
        .iter()
        .flat_map(|status| &status.conditions);
    let mut none = true;
    for condition in conditions {
        none = false;
        let severity = severity(condition);
        document.line(vec![
            colored(severity, style.symbol(severity)),
            plain(format!(
                " {}={} {} since {}: {}",
                condition.type_,
                condition.status,
                condition.reason,
                time_with_age(condition.last_transition_time.0, now),
                condition.message
            )),
        ]);
        let advice = reasons::about(&condition.reason);
        if let Some(advice) = advice.filter(|_| severity != Severity::Good) {
            document.line(vec![plain(format!("  {advice}"))]);
        }
    }
    if none {
        document.line(vec![plain(
            "none yet: no controller has checked this policy. Check that one is running and watches this namespace.",
        )]);
    }
}

/// Returns the severity of a condition. `Stalled` and `Reconciling` exist only while something is wrong.
fn severity(condition: &Condition) -> Severity {
    match ConditionType::parse(&condition.type_) {
        Some(ConditionType::Stalled) => Severity::Bad,
        Some(ConditionType::Reconciling) => Severity::Busy,
        _ => Severity::of_condition(status_of(condition)),
    }
}

fn findings(document: &mut Document, view: &PolicyView, style: Style, now: Option<Timestamp>) {
    if view.rows.is_empty() {
        return;
    }
    document.title("Secrets that need attention or have an operation in progress");
    for row in &view.rows {
        finding(document, row, style, now);
    }
    if view.omitted() > 0 {
        document.line(vec![plain(format!(
            "and {} more, which the status does not list",
            view.omitted()
        ))]);
    }
}

fn finding(document: &mut Document, row: &Row, style: Style, now: Option<Timestamp>) {
    let state = row.state.as_deref();
    let severity = state.map_or(Severity::Quiet, Severity::of_state);
    document.line(vec![
        colored(
            severity,
            format!(
                "{} {}",
                style.symbol(severity),
                state.unwrap_or("in progress")
            ),
        ),
        plain(format!("  {} in {}", row.key.secret, row.key.region)),
    ]);
    if !row.message.is_empty() {
        document.line(vec![plain(format!("  {}", row.message))]);
    }
    if let Some(unseen) = row.unseen {
        document.line(vec![plain(format!(
            "  unseen since {}: the rest is as of then",
            time_with_age(unseen, now)
        ))]);
    }
    if let Some(words) = row.activity.summary(now) {
        document.line(vec![plain(format!("  {words}"))]);
    }
    if let Some(advice) = row.activity.reason().and_then(reasons::about) {
        document.line(vec![plain(format!("  {advice}"))]);
    }
}
