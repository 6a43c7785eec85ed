//! A report as Markdown for a comment on a pull request.

use std::fmt::Write as _;

use super::report::{FindingReport, Report};
use crate::view::version_id::distinguish_or_dash;

/// Findings to list; more are only counted, because a comment holds 65,536 characters.
const MOST: usize = 100;

/// Renders a headline, the counts, the findings worst first, and what could not be read.
pub(super) fn render(report: &Report) -> String {
    let mut text = format!("## Secret rotations\n\n**{}**\n", report.headline());
    limits(report, &mut text);
    states(report, &mut text);
    findings(report, &mut text);
    let time = report
        .time
        .as_deref()
        .unwrap_or("never: AWS did not respond");
    let _ = write!(
        text,
        "\n<sub>As of {time}. kubectl secret-rotation {}; no secret value was read.</sub>\n",
        report.tool_version
    );
    text
}

fn limits(report: &Report, text: &mut String) {
    if !report.complete {
        text.push_str(
            "\n> [!WARNING]\n> This report is incomplete: a secret that is not in it may still exist.\n",
        );
    }
    for (region, problem) in report.problems() {
        let _ = writeln!(text, "> - {}: {}", plain(region), plain(&problem.message));
    }
}

fn states(report: &Report, text: &mut String) {
    if report.selected == 0 {
        return;
    }
    text.push_str("\n| State | Secrets |\n|---|---:|\n");
    for (state, count) in report.present() {
        let _ = writeln!(
            text,
            "| [{state}]({}) | {count} |",
            super::report::help(state)
        );
    }
}

fn findings(report: &Report, text: &mut String) {
    if report.findings.is_empty() {
        return;
    }
    text.push_str(
        "\n| Secret | Region | State | Pending | Why | Age |\n|---|---|---|---|---|---|\n",
    );
    for finding in report.findings.iter().take(MOST) {
        text.push_str(&row(finding));
    }
    let more = report.findings.len().saturating_sub(MOST);
    if more > 0 {
        let _ = writeln!(text, "\nMore findings: {more}");
    }
}

fn row(finding: &FindingReport) -> String {
    let [_, pending] = distinguish_or_dash(
        finding.current_version_id.as_deref(),
        finding.pending_version_id.as_deref(),
    );
    format!(
        "| <code>{}</code> | {} | {} | {} | {} | {} |\n",
        plain(&finding.name),
        plain(&finding.region),
        finding.state,
        plain(&pending),
        plain(&finding.message),
        finding.age.as_deref().unwrap_or("-"),
    )
}

/// Escapes every character that could be markup in Markdown or HTML, or mention a user.
fn plain(text: &str) -> String {
    text.chars().fold(String::new(), |mut safe, c| {
        let harmless = c.is_alphanumeric() || " /-.,:;()=+".contains(c);
        if harmless {
            safe.push(c);
        } else if c.is_control() {
            safe.push('.');
        } else {
            let _ = write!(safe, "&#{};", u32::from(c));
        }
        safe
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::audit::testing;

    #[test]
    fn markdown_matches_the_golden_files() {
        testing::golden("report.md", &render(&testing::report()));
        testing::golden("nothing-read.md", &render(&testing::nothing_read()));
    }

    #[test]
    fn a_name_is_never_markup() {
        assert_eq!(
            plain("a|`b`<i>@team [x](y)\n"),
            "a&#124;&#96;b&#96;&#60;i&#62;&#64;team &#91;x&#93;(y)."
        );
    }

    #[test]
    fn a_comment_stays_within_the_size_limit() {
        let mut report = testing::report();
        let one = report.findings[0].clone();
        report.findings = vec![one; 5000];
        let text = render(&report);
        assert!(text.len() < 65_536 && text.contains("More findings: 4900"));
    }
}
