//! The findings as a table that the script makes sortable and filterable.

use maud::{Markup, html};

use super::super::report::{FindingReport, Report, count};
use crate::view::version_id::distinguish_or_dash;

/// Renders the findings, or that there are none.
pub(super) fn section(report: &Report) -> Markup {
    html! {
        section #findings aria-labelledby="findings-title" {
            h2 #findings-title { "Findings" }
            @if report.findings.is_empty() {
                p { "No secret that could be read needs attention." }
            } @else {
                (controls(report))
                div.scroll tabindex="0" role="region" aria-labelledby="findings-title" {
                    (table(report))
                }
            }
        }
    }
}

/// Renders the controls. They are hidden until the script shows them: without it they would do nothing.
fn controls(report: &Report) -> Markup {
    let states = report
        .present()
        .map(|(state, _)| state.name())
        .filter(|name| report.findings.iter().any(|one| one.state == *name));
    html! {
        div.controls #controls hidden {
            label { "Search " input #search type="search" autocomplete="off" spellcheck="false"; }
            label { "State "
                select #state {
                    option value="" { "all" }
                    @for state in states { option { (state) } }
                }
            }
            p #shown role="status" { (count(report.findings.len(), "finding")) }
        }
    }
}

fn table(report: &Report) -> Markup {
    html! {
        table.findings #table {
            caption { "Every secret that is not healthy, worst first" }
            thead { tr {
                th scope="col" data-sort="text" { "Secret" }
                th scope="col" data-sort="text" { "Region" }
                th scope="col" data-sort="rank" { "State" }
                th scope="col" { "Why" }
                th scope="col" data-sort="text" { "Since" }
                th scope="col" data-sort="text" { "Last rotated" }
                th scope="col" data-sort="text" { "Next rotation" }
            } }
            tbody {
                @for (rank, finding) in report.findings.iter().enumerate() { (row(finding, rank)) }
            }
        }
    }
}

fn row(finding: &FindingReport, rank: usize) -> Markup {
    html! {
        tr data-state=(finding.state) data-rank=(rank) {
            th scope="row" {
                span.name { (finding.name) }
                @if let Some(arn) = &finding.arn { span.detail { (arn) } }
            }
            td { (finding.region) }
            td { a class={ "state " (finding.level.name()) } href=(finding.help) { (finding.state) } }
            td { (finding.message) (versions(finding)) }
            td { (date(finding.since.as_deref())) }
            td { (date(finding.last_rotated.as_deref())) }
            td { (date(finding.next_rotation.as_deref())) }
        }
    }
}

fn versions(finding: &FindingReport) -> Markup {
    let value = match finding.pending_value {
        "Empty" => " (no value)",
        "Present" => " (has a value)",
        _ => "",
    };
    let [short_current, short_pending] = distinguish_or_dash(
        finding.current_version_id.as_deref(),
        finding.pending_version_id.as_deref(),
    );
    html! {
        @if let Some(pending) = finding.pending_version_id.as_deref() {
            span.detail {
                "pending " code title=(pending) { (short_pending) } (value)
                ", current "
                @match finding.current_version_id.as_deref() {
                    Some(current) => code title=(current) { (short_current) },
                    None => "none",
                }
            }
        }
    }
}

/// Renders a date without seconds, with the full time as the machine-readable value that sorting uses.
fn date(time: Option<&str>) -> Markup {
    let shown = |time: &str| time.get(..16).unwrap_or(time).replace('T', " ");
    html! {
        @match time {
            Some(time) => time datetime=(time) { (shown(time)) },
            None => span aria-label="unknown" { "–" },
        }
    }
}
