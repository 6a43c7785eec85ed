//! A secret on a sheet, as one policy sees it.

use jiff::Timestamp;
use secret_rotation_api::operation::SecretRotationOperation;

use super::policy::{PolicyView, Row, belongs, secret_of};
use super::reasons;
use super::sections::{Events, event_lines, journal, summary_lines};
use crate::ui::document::{Sheet, moment, painted, plain};
use crate::ui::style::{Dress, Mood};

/// At most this many operations are shown.
const SHOWN: usize = 12;

/// What is known of a secret.
pub(crate) fn sheet(
    view: &PolicyView,
    row: &Row,
    operations: &[SecretRotationOperation],
    events: &Events,
    dress: Dress,
    now: Option<Timestamp>,
) -> Sheet {
    let mut sheet = Sheet::default();
    let state = row.state.as_deref();
    let mood = state.map_or(Mood::Quiet, Mood::of_state);
    sheet.fact("Secret", row.key.secret.clone());
    sheet.fact("Region", row.key.region.clone());
    sheet.fact("Policy", format!("{} ({})", view.title(), view.mode()));
    sheet.pieces(
        "State",
        vec![painted(
            mood,
            format!("{} {}", dress.sign(mood), state.unwrap_or("not reported")),
        )],
    );
    sheet.some("Since", row.since.map(|time| moment(time, now)));
    let unseen = |time| format!("{}: this is what was known then", moment(time, now));
    sheet.some("Unseen since", row.unseen.map(unseen));
    sheet.some(
        "Why",
        Some(row.message.clone()).filter(|text| !text.is_empty()),
    );
    sheet.some("Current", row.current.clone());
    sheet.some("Pending", row.pending.clone());
    sheet.some("Attempts", row.attempts.map(|number| number.to_string()));
    sheet.some("Next", row.doing.words(now));
    sheet.some("Advice", row.doing.reason().and_then(reasons::about));
    conditions(&mut sheet, view, dress);
    let own: Vec<_> = operations
        .iter()
        .filter(|one| {
            belongs(one, &view.policy)
                && secret_of(one).is_some_and(|(name, region)| {
                    name == row.key.secret && region == row.key.region
                })
        })
        .cloned()
        .collect();
    sheet.title("Operations");
    summary_lines(&mut sheet, &own, SHOWN, dress, now);
    let newest = own
        .iter()
        .max_by_key(|one| one.metadata.creation_timestamp.clone());
    if let Some(newest) = newest {
        journal(&mut sheet, newest, dress);
    }
    sheet.title("Events");
    event_lines(&mut sheet, events, &row.key.secret, now);
    sheet
}

fn conditions(sheet: &mut Sheet, view: &PolicyView, dress: Dress) {
    sheet.title("Policy");
    for kind in ["Ready", "Healthy"] {
        let (status, reason) = view.condition(kind);
        let mood = Mood::of_condition(&status);
        sheet.line(vec![
            painted(mood, dress.sign(mood)),
            plain(format!(" {kind}={status} {reason}")),
        ]);
    }
}
