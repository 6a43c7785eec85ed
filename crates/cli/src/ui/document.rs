//! A document: named facts and sections, for standard output (`describe`) and for the live view (`status --watch`).

use jiff::Timestamp;
use unicode_width::UnicodeWidthStr as _;

use crate::ui::duration;
use crate::ui::style::{Severity, Style, printable};

/// The column in which values start.
const INDENT: usize = 15;

/// The emphasis of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emphasis {
    /// None.
    Plain,
    /// As a title.
    Title,
    /// In the color of a severity.
    Severity(Severity),
}

/// A part of a line with one emphasis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) emphasis: Emphasis,
    pub(crate) text: String,
}

/// The lines of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) lines: Vec<Vec<Span>>,
}

/// Returns a span without emphasis.
pub(crate) fn plain(text: impl AsRef<str>) -> Span {
    Span {
        emphasis: Emphasis::Plain,
        text: printable(text.as_ref()),
    }
}

/// Returns a span in the color of a severity.
pub(crate) fn colored(severity: Severity, text: impl AsRef<str>) -> Span {
    Span {
        emphasis: Emphasis::Severity(severity),
        text: printable(text.as_ref()),
    }
}

impl Document {
    /// Adds a title, with an empty line before it.
    pub(crate) fn title(&mut self, title: &str) {
        if !self.lines.is_empty() {
            self.lines.push(Vec::new());
        }
        self.lines.push(vec![Span {
            emphasis: Emphasis::Title,
            text: title.to_owned(),
        }]);
    }

    /// Adds a fact with its name.
    pub(crate) fn fact(&mut self, name: &str, value: impl AsRef<str>) {
        self.spans(name, vec![plain(value)]);
    }

    /// Adds a fact with its name, if it has a value.
    pub(crate) fn optional_fact(&mut self, name: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.fact(name, value);
        }
    }

    /// Adds a fact of several spans.
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

    /// Adds a line below a title.
    pub(crate) fn line(&mut self, spans: Vec<Span>) {
        self.lines.push([vec![plain("  ")], spans].concat());
    }

    /// Renders the document for standard output.
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

/// Formats a time with its age, such as `2026-11-23T02:14:09Z (7h45m ago)`.
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

/// Formats a time without its fraction of a second.
pub(crate) fn whole_seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second())
        .unwrap_or(time)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_aligned_text() {
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
    fn a_time_is_shown_with_its_age() {
        let now = "2026-11-23T10:00:00Z".parse().ok();
        let at = |text: &str| time_with_age(text.parse().expect("a time"), now);
        assert_eq!(
            at("2026-11-23T09:59:00.5Z"),
            "2026-11-23T09:59:00Z (59s ago)"
        );
        assert_eq!(at("2026-11-23T10:30:00Z"), "2026-11-23T10:30:00Z (in 30m)");
    }
}
