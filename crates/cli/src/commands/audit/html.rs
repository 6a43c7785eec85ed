//! A report as one HTML page that loads nothing. It contains its style, script and charts, and is complete without the
//! script.
//!
//! maud escapes all text from outside. The page's content security policy allows its own style and script by their
//! hashes and nothing else, so a name that was not escaped could not run.

mod chart;
mod findings;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::report::Report;
use crate::ui::duration::length;

const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/script.js");

/// Renders the page.
pub(super) fn render(report: &Report) -> String {
    page(report).into_string()
}

fn page(report: &Report) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { "Secret rotations: " (report.headline()) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#findings" { "Skip to the findings" }
                header { (heading(report)) }
                main {
                    (warnings(report))
                    section.charts {
                        (chart::states(report))
                        (chart::ages(report))
                    }
                    (findings::section(report))
                    (regions(report))
                }
                footer { (footer(report)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// Returns the content security policy: the page may load and run only itself.
fn policy() -> String {
    format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

fn hash(text: &str) -> String {
    format!(
        "sha256-{}",
        STANDARD.encode(Sha256::digest(text.as_bytes()))
    )
}

fn heading(report: &Report) -> Markup {
    let time = report.time.as_deref();
    html! {
        h1 { "Secret rotations" }
        p.verdict.bad[report.unhealthy() > 0].unsure[!report.complete] { (report.headline()) }
        p.facts {
            @if let Some(time) = time { "As of " time datetime=(time) { (time) } }
            @else { "AWS did not respond" }
            " · "
            @match &report.policy {
                Some(policy) => { "evaluated with policy " strong { (policy) } }
                None => "evaluated with defaults"
            }
            " · stuck after " (span(report.stuck_after_seconds))
        }
    }
}

fn span(seconds: u64) -> String {
    length(jiff::SignedDuration::from_secs(
        i64::try_from(seconds).unwrap_or(i64::MAX),
    ))
}

fn warnings(report: &Report) -> Markup {
    html! {
        @if !report.complete {
            section.incomplete aria-labelledby="incomplete" {
                h2 #incomplete { "This report is incomplete" }
                p { "Secrets that are not in it may exist and may be unhealthy." }
                ul {
                    @for (region, problem) in report.problems() {
                        li { strong { (region) } ": " (problem.message) ". " span.hint { (problem.hint) } }
                    }
                }
            }
        }
    }
}

fn regions(report: &Report) -> Markup {
    html! {
        section aria-labelledby="regions" {
            h2 #regions { "Regions" }
            div.scroll tabindex="0" role="region" aria-labelledby="regions" {
                table {
                    thead { tr {
                        th scope="col" { "Region" }
                        th.number scope="col" { "Secrets seen" }
                        th scope="col" { "Read" }
                    } }
                    tbody {
                        @for region in &report.regions {
                            tr {
                                th scope="row" { (region.name) }
                                td.number { (region.secrets) }
                                td { @if region.complete { "completely" } @else { "not completely" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn footer(report: &Report) -> Markup {
    html! {
        p {
            "Created by kubectl secret-rotation " (report.tool_version)
            " from metadata only: no secret value was read. Ages are as of the time of the report."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::audit::testing;

    #[test]
    fn html_matches_the_golden_files() {
        let body = |report| {
            let page = render(&report);
            page.replace(STYLE, "…").replace(SCRIPT, "…")
        };
        testing::golden("report.html", &body(testing::report()));
        testing::golden("nothing-read.html", &body(testing::nothing_read()));
    }

    #[test]
    fn text_from_outside_is_never_markup() {
        let page = render(&testing::report());
        assert!(!page.contains("<script>alert"));
        assert!(page.contains("web/&lt;script&gt;alert"));
    }

    #[test]
    fn the_page_loads_nothing_and_runs_only_its_own_script() {
        let page = render(&testing::report());
        assert!(page.contains("default-src 'none'"));
        for address in ["src=", "url(", "@import", "fetch(", "style=", "onclick="] {
            assert!(!page.contains(address), "{address}");
        }
        let tags = page.matches("<script>").count() + page.matches("<style>").count();
        assert_eq!(tags, 2);
        assert!(!SCRIPT.contains("innerHTML") && !SCRIPT.contains("</script"));
    }
}
