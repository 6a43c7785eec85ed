//! A report as a table for a terminal.

use std::fmt::Write as _;

use secret_rotation_core::survey::State;

use super::report::Report;
use crate::ui::duration::dash;
use crate::ui::style::Style;
use crate::ui::table::Table;
use crate::view::version_id::distinguish_or_dash;

/// Renders the findings worst first, then the counts, then what could not be read.
pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    if !report.findings.is_empty() {
        text += &findings(report).render(Style::PLAIN);
        text.push('\n');
    }
    text += &report.headline();
    text.push('\n');
    let counts: Vec<_> = report
        .present()
        .map(|(state, count)| format!("{state}: {count}"))
        .collect();
    if !counts.is_empty() {
        text += &counts.join("  ");
        text.push('\n');
    }
    note_limits(report, &mut text);
    text
}

fn findings(report: &Report) -> Table {
    let mut table = Table::new(&[
        "NAME", "REGION", "STATE", "CURRENT", "PENDING", "MESSAGE", "AGE",
    ]);
    for finding in &report.findings {
        let [current, pending] = distinguish_or_dash(
            finding.current_version_id.as_deref(),
            finding.pending_version_id.as_deref(),
        );
        table.push(vec![
            (&finding.name).into(),
            (&finding.region).into(),
            finding.state.into(),
            current.into(),
            pending.into(),
            (&finding.message).into(),
            finding.age.clone().unwrap_or_else(dash).into(),
        ]);
    }
    table
}

fn note_limits(report: &Report, text: &mut String) {
    for (region, problem) in report.problems() {
        let _ = writeln!(text, "Could not read in {region}: {}", problem.message);
    }
    if !report.complete {
        text.push_str("This report is incomplete: a secret that is not in it may still exist.\n");
    }
    if report.count(State::Stuck) > 0 {
        text.push_str(
            "To learn what to do about stuck secrets, run: kubectl secret-rotation explain Stuck\n",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::audit::testing;

    #[test]
    fn tables_match_the_golden_files() {
        let table = |report| render(&report);
        testing::golden("report.txt", &table(testing::report()));
        testing::golden("healthy.txt", &table(testing::healthy()));
        testing::golden("nothing-read.txt", &table(testing::nothing_read()));
    }
}
