//! A report as columns for a terminal.

use std::fmt::Write as _;

use secret_rotation_core::survey::State;

use super::report::Report;
use crate::ui::columns::{self, shortened};

/// The findings worst first, then the counts, then what could not be read.
pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    if !report.findings.is_empty() {
        text += &columns::aligned(&rows(report));
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

fn rows(report: &Report) -> Vec<Vec<String>> {
    let title = [
        "NAME", "REGION", "STATE", "CURRENT", "PENDING", "MESSAGE", "AGE",
    ];
    let findings = report.findings.iter().map(|finding| {
        let [current, pending] = shortened(
            finding.current_version_id.as_deref(),
            finding.pending_version_id.as_deref(),
        );
        vec![
            finding.name.clone(),
            finding.region.clone(),
            finding.state.to_owned(),
            current,
            pending,
            finding.message.clone(),
            finding.age.clone().unwrap_or_else(crate::ui::aws_age::dash),
        ]
    });
    let title = title.map(str::to_owned).to_vec();
    std::iter::once(title).chain(findings).collect()
}

fn note_limits(report: &Report, text: &mut String) {
    for (region, trouble) in report.trouble() {
        let _ = writeln!(text, "Not read in {region}: {}", trouble.message);
    }
    if !report.complete {
        text.push_str("This report is incomplete: a secret that is not in it may still exist.\n");
    }
    if report.count(State::Stuck) > 0 {
        text.push_str("What stuck means and what to do: kubectl secret-rotation explain Stuck\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::audit::testing;

    #[test]
    fn tables_are_as_they_were() {
        let table = |report| render(&report);
        testing::golden("report.txt", &table(testing::report()));
        testing::golden("healthy.txt", &table(testing::healthy()));
        testing::golden("nothing-read.txt", &table(testing::nothing_read()));
    }
}
