//! Bars as inline SVG, each with its numbers in a table for screen readers.

use maud::{Markup, html};
use secret_rotation_core::survey::State;

use super::super::report::{Level, Report};

/// The height of a bar, with and without the space around it, in units of the picture.
const STEP: usize = 28;
const BAR: usize = 18;

/// The start of the bars, and the length of the longest.
const LEFT: usize = 178;
const LONGEST: usize = 150;

/// The width of the picture, with room for the number after a bar.
const WIDTH: usize = LEFT + LONGEST + 62;

struct Bar {
    label: String,
    value: usize,
    class: &'static str,
}

/// Renders the number of secrets in each state that occurs.
pub(super) fn states(report: &Report) -> Markup {
    let bar = |(state, value): (State, usize)| Bar {
        label: state.to_string(),
        value,
        class: class(state),
    };
    let bars: Vec<_> = report.present().map(bar).collect();
    figure("states", "Secrets by state", "State", &bars)
}

/// Renders the number of secrets by the age of their last rotation.
pub(super) fn ages(report: &Report) -> Markup {
    let bars: Vec<_> = report
        .ages
        .iter()
        .map(|age| Bar {
            label: age.label.clone(),
            value: age.secrets,
            class: "age",
        })
        .collect();
    figure(
        "ages",
        "Secrets by their last rotation",
        "Last rotation",
        &bars,
    )
}

const fn class(state: State) -> &'static str {
    match (state, Level::of(state)) {
        (State::Healthy, _) => "healthy",
        (_, Level::Error) => "error",
        (_, Level::Warning) => "warning",
        (_, Level::Note) => "note",
    }
}

fn figure(id: &str, title: &str, what: &str, bars: &[Bar]) -> Markup {
    let longest = bars.iter().map(|bar| bar.value).max().unwrap_or(0).max(1);
    let height = STEP * bars.len().max(1);
    let (title_id, text_id) = (format!("{id}-title"), format!("{id}-text"));
    html! {
        figure {
            figcaption { h2 { (title) } }
            @if bars.is_empty() { p { "No secret was evaluated." } } @else {
                svg role="img" aria-labelledby={ (title_id) " " (text_id) }
                    viewBox={ "0 0 " (WIDTH) " " (height) } {
                    title id=(title_id) { (title) }
                    desc id=(text_id) { (words(bars)) }
                    @for (row, bar) in bars.iter().enumerate() {
                        (one(bar, row * STEP, longest))
                    }
                }
                details {
                    summary { "The numbers" }
                    table {
                        thead { tr { th scope="col" { (what) } th.number scope="col" { "Secrets" } } }
                        tbody {
                            @for bar in bars {
                                tr { th scope="row" { (bar.label) } td.number { (bar.value) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn one(bar: &Bar, top: usize, longest: usize) -> Markup {
    // A bar of a value above zero stays visible.
    let drawn = (bar.value * LONGEST / longest).max(usize::from(bar.value > 0) * 2);
    let base = top + BAR - 3;
    html! {
        text.label x=(LEFT - 10) y=(base) text-anchor="end" { (bar.label) }
        rect class=(bar.class) x=(LEFT) y=(top) width=(drawn) height=(BAR) rx="3" {}
        text.value x=(LEFT + drawn + 8) y=(base) { (bar.value) }
    }
}

fn words(bars: &[Bar]) -> String {
    let pairs: Vec<_> = bars
        .iter()
        .map(|bar| format!("{}: {}", bar.label, bar.value))
        .collect();
    pairs.join(", ")
}
