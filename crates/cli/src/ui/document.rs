//! A document: titled facts in lines, for a terminal's paper (`describe`) and for its screen (`status --watch`) alike.

use jiff::Timestamp;
use unicode_width::UnicodeWidthStr as _;

use crate::ui::duration;
use crate::ui::style::{Severity, Style, printable};

/// Where values begin.
const INDENT: usize = 15;

/// How a span of a line is dressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emphasis {
    /// As it is.
    Plain,
    /// As a title.
    Title,
    /// In the color of a severity.
    Severity(Severity),
}

/// A span of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) emphasis: Emphasis,
    pub(crate) text: String,
}

/// Lines of spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) lines: Vec<Vec<Span>>,
}

/// A span without a style.
pub(crate) fn plain(text: impl AsRef<str>) -> Span {
    Span {
        emphasis: Emphasis::Plain,
        text: printable(text.as_ref()),
    }
}

/// A span in the color of a severity.
pub(crate) fn colored(severity: Severity, text: impl AsRef<str>) -> Span {
    Span {
        emphasis: Emphasis::Severity(severity),
        text: printable(text.as_ref()),
    }
}

impl Document {
    /// A title on a line of its own, with an empty line before it.
    pub(crate) fn title(&mut self, title: &str) {
        if !self.lines.is_empty() {
            self.lines.push(Vec::new());
        }
        self.lines.push(vec![Span {
            emphasis: Emphasis::Title,
            text: title.to_owned(),
        }]);
    }

    /// A fact with its name.
    pub(crate) fn fact(&mut self, name: &str, value: impl AsRef<str>) {
        self.spans(name, vec![plain(value)]);
    }

    /// A fact with its name, if there is one.
    pub(crate) fn optional_fact(&mut self, name: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.fact(name, value);
        }
    }

    /// A fact of several spans with its name.
    pub(crate) fn spans(&mut self, name: &str, spans: Vec<Span>) {
        let mut label = if name.is_empty() {
            String::new()
        } else {
            format!("{name}:")
        };
        let gap = INDENT.saturating_sub(label.width()).max(1);
        label.push_str(&" ".repeat(gap));
        self.lines.push([vec![plain(label)], spans].concat());
    }

    /// A line below a title.
    pub(crate) fn line(&mut self, spans: Vec<Span>) {
        self.lines.push([vec![plain("  ")], spans].concat());
    }

    /// As text for standard output.
    pub(crate) fn render(&self, style: Style) -> String {
        let lines = self.lines.iter().map(|line| {
            let line: String = line
                .iter()
                .map(|span| match span.emphasis {
                    Emphasis::Plain => span.text.clone(),
                    Emphasis::Title => style.bold(&span.text),
                    Emphasis::Severity(severity) => style.paint(severity, &span.text),
                })
                .collect();
            format!("{}\n", line.trim_end())
        });
        lines.collect()
    }
}

/// A time with its age, such as `2026-11-23T02:14:09Z (7h45m ago)`.
pub(crate) fn time_with_age(time: Timestamp, now: Option<Timestamp>) -> String {
    let text = whole_seconds(time);
    match now {
        Some(now) => match duration::until(time, now) {
            Some(wait) => format!("{text} (in {wait})"),
            None => format!("{text} ({} ago)", duration::since(time, now)),
        },
        None => text,
    }
}

/// A time without its fraction of a second.
pub(crate) fn whole_seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second())
        .unwrap_or(time)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_is_aligned_text() {
        let mut document = Document::default();
        document.fact("Name", "app/db");
        document.optional_fact("Nothing", None::<String>);
        document.title("Events");
        document.line(vec![colored(Severity::Bad, "x"), plain(" y")]);
        let style = Style {
            unicode: true,
            color: false,
        };
        assert_eq!(
            document.render(style),
            "Name:          app/db\n\nEvents\n  x y\n"
        );
    }

    #[test]
    fn a_moment_says_how_far_away_it_is() {
        let now = "2026-11-23T10:00:00Z".parse().ok();
        let at = |text: &str| time_with_age(text.parse().expect("a time"), now);
        assert_eq!(
            at("2026-11-23T09:59:00.5Z"),
            "2026-11-23T09:59:00Z (59s ago)"
        );
        assert_eq!(at("2026-11-23T10:30:00Z"), "2026-11-23T10:30:00Z (in 30m)");
    }
}
