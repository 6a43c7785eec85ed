//! The tree of policies and secrets, as text.

use std::fmt::Write as _;

use jiff::Timestamp;
use secret_rotation_api::conditions::ConditionType;
use secret_rotation_api::readiness::ReadyReason;
use secret_rotation_api::time::Time;

use crate::ui::duration;
use crate::ui::style::{Severity, Style};
use crate::ui::table::{Cell, Table};
use crate::view::policy::{PolicyView, Row, state_counts};
use crate::view::version_id;

const NARROW: [&str; 7] = [
    "NAME", "STATE", "CURRENT", "PENDING", "ATTEMPTS", "ACTION", "SINCE",
];
const WIDE: [&str; 9] = [
    "NAME", "REGION", "STATE", "CURRENT", "PENDING", "ATTEMPTS", "ACTION", "MESSAGE", "SINCE",
];

/// Renders all policies, with an empty line between two.
pub(super) fn render(
    views: &[PolicyView],
    wide: bool,
    style: Style,
    now: Option<Timestamp>,
) -> String {
    let trees: Vec<_> = views
        .iter()
        .map(|view| tree(view, wide, style, now))
        .collect();
    trees.join("\n")
}

fn tree(view: &PolicyView, wide: bool, style: Style, now: Option<Timestamp>) -> String {
    let mut text = heading(view, style);
    text.push('\n');
    text.push_str(&secrets(view, style, now));
    text.push('\n');
    if view.rows.is_empty() {
        return text;
    }
    let mut table = Table::new(if wide { &WIDE } else { &NARROW });
    let last = view.rows.len().saturating_sub(1);
    for (index, row) in view.rows.iter().enumerate() {
        table.push(cells(view, row, index == last, wide, style, now));
    }
    text.push_str(&table.render(style));
    if view.omitted() > 0 {
        let more = view.omitted();
        let _ = writeln!(text, "and {more} more, which the status does not list");
    }
    text
}

/// Renders the name and the mode of the policy, and its two conditions.
fn heading(view: &PolicyView, style: Style) -> String {
    let condition = |kind: ConditionType| {
        let (status, reason) = view.condition(kind);
        let severity = Severity::of_condition(status);
        let why = if severity == Severity::Good && reason != ReadyReason::Suspended.name()
            || reason.is_empty()
        {
            String::new()
        } else {
            format!(" {reason}")
        };
        format!(
            "{kind}: {}{why}",
            style.paint(severity, style.symbol(severity))
        )
    };
    format!(
        "Policy:    {}   Mode: {}   {}   {}",
        style.bold(&view.title()),
        view.mode(),
        condition(ConditionType::Ready),
        condition(ConditionType::Healthy),
    )
}

fn secrets(view: &PolicyView, style: Style, now: Option<Timestamp>) -> String {
    let selected = view
        .selected()
        .map_or_else(|| "not counted yet".to_owned(), |number| number.to_string());
    let mut text = format!("Secrets:   {selected}");
    for (severity, count) in state_counts(view, style) {
        let _ = write!(text, "   {}", style.paint(severity, &count));
    }
    if let Some((then, now)) = view.checked().zip(now) {
        let _ = write!(text, "   Checked: {} ago", duration::since(then, now));
    }
    text + &window(view, now)
}

fn window(view: &PolicyView, now: Option<Timestamp>) -> String {
    let status = view.policy.status.as_ref();
    let Some(window) = status.and_then(|status| status.next_window.as_ref()) else {
        return String::new();
    };
    let wait = |time: &Option<Time>| {
        let time = time.as_ref().and_then(Time::timestamp);
        time.zip(now)
            .and_then(|(then, now)| duration::until(then, now))
    };
    match (wait(&window.opens), wait(&window.closes)) {
        (Some(opens), _) => format!("   Window: opens in {opens}"),
        (None, Some(closes)) => format!("   Window: open for {closes}"),
        (None, None) => String::new(),
    }
}

fn cells(
    view: &PolicyView,
    row: &Row,
    last: bool,
    wide: bool,
    style: Style,
    now: Option<Timestamp>,
) -> Vec<Cell> {
    let nothing = || style.empty_cell().to_owned();
    let name = if wide || !view.is_ambiguous(&row.key.secret) {
        row.key.secret.clone()
    } else {
        format!("{} ({})", row.key.secret, row.key.region)
    };
    let versions = [row.current.as_deref(), row.pending.as_deref()];
    let versions = if wide {
        versions.map(|id| id.map(str::to_owned))
    } else {
        version_id::distinguish(versions)
    };
    let [current, pending] = versions.map(|id| id.unwrap_or_else(nothing));
    let since = row.since.zip(now);
    let mut cells = vec![Cell::from(format!("{}{name}", branch(last, style)))];
    if wide {
        cells.push(row.key.region.clone().into());
    }
    cells.extend([
        state(row, style, now),
        current.into(),
        pending.into(),
        row.attempts
            .map_or_else(nothing, |number| number.to_string())
            .into(),
        row.activity.summary(now).unwrap_or_else(nothing).into(),
    ]);
    if wide {
        cells.push(row.message.clone().into());
    }
    cells.push(
        since
            .map_or_else(nothing, |(then, now)| duration::since(then, now))
            .into(),
    );
    cells
}

fn state(row: &Row, style: Style, now: Option<Timestamp>) -> Cell {
    let Some((state, words)) = row.state.as_ref().zip(row.state_text(now)) else {
        return Cell::from(style.empty_cell());
    };
    let severity = Severity::of_state(state);
    Cell::colored(severity, format!("{} {words}", style.symbol(severity)))
}

const fn branch(last: bool, style: Style) -> &'static str {
    match (last, style.unicode) {
        (false, true) => "├── ",
        (true, true) => "└── ",
        (false, false) => "|-- ",
        (true, false) => "`-- ",
    }
}

#[cfg(test)]
mod tests {
    use secret_rotation_core::time::AwsTime;

    use super::*;
    use crate::testing;

    const PLAIN: Style = Style {
        unicode: true,
        color: false,
    };

    #[test]
    fn a_policy_shows_what_its_status_reports() {
        let views = PolicyView::all(&[testing::payments()], &testing::operations());
        insta::assert_snapshot!(render(&views, false, PLAIN, testing::now()));
    }

    #[test]
    fn a_finding_that_cannot_be_confirmed_shows_for_how_long() {
        let mut unseen = testing::payments();
        let status = unseen.status.as_mut().expect("a status");
        status.findings[0].unseen_since = Some(Time::exact(AwsTime::new(
            "2026-11-23T08:00:00Z".parse().expect("a time"),
        )));
        let views = PolicyView::all(&[unseen], &testing::operations());
        let text = render(&views, false, PLAIN, testing::now());
        let line = text.lines().find(|line| line.contains("payments/db/main"));
        assert!(
            line.is_some_and(|line| line.contains("Stuck (unseen 120m)")),
            "{text}"
        );
        let others = text.lines().filter(|line| line.contains("(unseen"));
        assert_eq!(others.count(), 1, "{text}");
    }

    #[test]
    fn wide_adds_region_and_message() {
        let views = PolicyView::all(&[testing::payments()], &testing::operations());
        insta::assert_snapshot!(render(&views, true, PLAIN, testing::now()));
    }

    #[test]
    fn ascii_output_has_only_ascii_characters() {
        let views = PolicyView::all(
            &[testing::search(), testing::payments()],
            &testing::operations(),
        );
        let ascii = Style {
            unicode: false,
            color: false,
        };
        let text = render(&views, false, ascii, testing::now());
        assert!(text.is_ascii(), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_policy_without_a_status_has_unknown_conditions() {
        let mut fresh = testing::search();
        fresh.status = None;
        let views = PolicyView::all(&[fresh], &[]);
        assert_eq!(
            render(&views, false, PLAIN, testing::now()),
            "Policy:    team-search/search   Mode: Observe   Ready: ?   Healthy: ?\nSecrets:   not counted yet\n"
        );
    }
}
