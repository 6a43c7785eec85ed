//! A policy on a sheet.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use secret_rotation_api::operation::SecretRotationOperation;

use super::policy::{self, PolicyView, Row};
use super::reasons;
use super::sections::{Events, event_lines, summary_lines};
use crate::ui::document::{Sheet, moment, painted, plain};
use crate::ui::style::{Dress, Mood};

/// At most this many operations are shown.
const OPERATIONS: usize = 10;

/// What is known of a policy.
pub(crate) fn sheet(
    view: &PolicyView,
    operations: &[SecretRotationOperation],
    events: &Events,
    dress: Dress,
    now: Option<Timestamp>,
) -> Sheet {
    let mut sheet = Sheet::default();
    sheet.fact("Policy", view.title());
    sheet.fact("Mode", view.mode());
    sheet.fact("Profile", view.policy.spec.profile_ref.name.to_string());
    sheet.fact("Interval", view.policy.spec.check_interval.to_string());
    sheet.some("Checked", view.checked().map(|time| moment(time, now)));
    let mut secrets = vec![plain(
        view.selected()
            .map_or_else(|| "not counted yet".to_owned(), |number| number.to_string()),
    )];
    for (mood, text) in policy::counts_in_words(view, dress) {
        secrets.extend([plain("  "), painted(mood, text)]);
    }
    sheet.pieces("Secrets", secrets);
    conditions(&mut sheet, view, dress, now);
    findings(&mut sheet, view, dress, now);
    sheet.title("Operations");
    summary_lines(&mut sheet, operations, OPERATIONS, dress, now);
    sheet.title("Events");
    event_lines(&mut sheet, events, "", now);
    sheet
}

fn conditions(sheet: &mut Sheet, view: &PolicyView, dress: Dress, now: Option<Timestamp>) {
    sheet.title("Conditions");
    let conditions = view
        .policy
        .status
        .iter()
        .flat_map(|status| &status.conditions);
    let mut none = true;
    for condition in conditions {
        none = false;
        let mood = mood(condition);
        sheet.line(vec![
            painted(mood, dress.sign(mood)),
            plain(format!(
                " {}={} {} since {}: {}",
                condition.type_,
                condition.status,
                condition.reason,
                moment(condition.last_transition_time.0, now),
                condition.message
            )),
        ]);
        let advice = reasons::about(&condition.reason);
        if let Some(advice) = advice.filter(|_| mood != Mood::Good) {
            sheet.line(vec![plain(format!("  {advice}"))]);
        }
    }
    if none {
        sheet.line(vec![plain(
            "none yet: no controller has visited this policy; does one run, and does it watch this namespace?",
        )]);
    }
}

/// `Stalled` and `Reconciling` are there only while something is wrong.
fn mood(condition: &Condition) -> Mood {
    match condition.type_.as_str() {
        "Stalled" => Mood::Bad,
        "Reconciling" => Mood::Busy,
        _ => Mood::of_condition(&condition.status),
    }
}

fn findings(sheet: &mut Sheet, view: &PolicyView, dress: Dress, now: Option<Timestamp>) {
    if view.rows.is_empty() {
        return;
    }
    sheet.title("Secrets that need attention, or are worked on");
    for row in &view.rows {
        finding(sheet, row, dress, now);
    }
    if view.omitted() > 0 {
        sheet.line(vec![plain(format!(
            "and {} more that the status does not list",
            view.omitted()
        ))]);
    }
}

fn finding(sheet: &mut Sheet, row: &Row, dress: Dress, now: Option<Timestamp>) {
    let state = row.state.as_deref();
    let mood = state.map_or(Mood::Quiet, Mood::of_state);
    sheet.line(vec![
        painted(
            mood,
            format!("{} {}", dress.sign(mood), state.unwrap_or("worked on")),
        ),
        plain(format!("  {} in {}", row.key.secret, row.key.region)),
    ]);
    if !row.message.is_empty() {
        sheet.line(vec![plain(format!("  {}", row.message))]);
    }
    if let Some(unseen) = row.unseen {
        sheet.line(vec![plain(format!(
            "  unseen since {}: this is what was known then",
            moment(unseen, now)
        ))]);
    }
    if let Some(words) = row.doing.words(now) {
        sheet.line(vec![plain(format!("  {words}"))]);
    }
    if let Some(advice) = row.doing.reason().and_then(reasons::about) {
        sheet.line(vec![plain(format!("  {advice}"))]);
    }
}
