//! The open item in full, and the help.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr as _;

use super::style::severity_style;
use crate::live::model::Model;
use crate::ui::document::{self, Document, Emphasis};

const HELP: &str = "\
arrows, j, k      select, or scroll
page up, down     half a screen
g, G              first, last
enter             open a secret or a policy
esc               back; in the list: clear the filter
s                 sort: worst first, by name, longest first
/                 filter by a text, such as a name or a state
a                 all namespaces, and back
r                 ask for a check of the policy
?                 this help
q, ctrl-c         quit

Healthy secrets are counted, not listed: the status of a policy
does not name them.";

/// Draws the open item. Returns by how many lines it can be scrolled.
pub(super) fn draw_document(frame: &mut Frame<'_>, model: &Model, area: Rect) -> usize {
    let Some(document) = model.document() else {
        let text = "It is no longer reported: it is healthy or deleted. esc goes back.";
        frame.render_widget(Paragraph::new(text), area);
        return 0;
    };
    let lines = wrapped(&document, usize::from(area.width), model);
    let max_scroll = lines.len().saturating_sub(usize::from(area.height));
    let first = model.scroll.min(max_scroll);
    let shown: Vec<_> = lines
        .into_iter()
        .skip(first)
        .take(usize::from(area.height))
        .collect();
    frame.render_widget(Paragraph::new(shown), area);
    max_scroll
}

/// Draws the help.
pub(super) fn draw_help(frame: &mut Frame<'_>, area: Rect) -> usize {
    frame.render_widget(Paragraph::new(HELP), area);
    0
}

/// Wraps lines between words. A continued line starts below the value of a fact, or below the text of a section.
fn wrapped(document: &Document, width: usize, model: &Model) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for spans in &document.lines {
        let label = spans.first().map_or(0, |span| span.text.width());
        let text = spans.get(1).map_or("", |span| &span.text);
        let indent = label + text.len() - text.trim_start().len();
        let indent = if width > 2 * indent { indent } else { 2 };
        lines.extend(wrap(spans, width, indent, model));
    }
    lines
}

fn wrap(
    spans: &[document::Span],
    width: usize,
    indent: usize,
    model: &Model,
) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let (mut line, mut used) = (Vec::new(), 0);
    for span in spans {
        let style = emphasized(span.emphasis, model);
        for word in span.text.split_inclusive(' ') {
            if used + word.trim_end().width() > width && used > indent {
                lines.push(Line::from(std::mem::take(&mut line)));
                line.push(Span::raw(" ".repeat(indent)));
                used = indent;
            }
            used += word.width();
            line.push(Span::styled(word.to_owned(), style));
        }
    }
    lines.push(Line::from(line));
    lines
}

fn emphasized(emphasis: Emphasis, model: &Model) -> Style {
    match emphasis {
        Emphasis::Plain => Style::new(),
        Emphasis::Title => Style::new().add_modifier(Modifier::BOLD),
        Emphasis::Severity(severity) => severity_style(model, severity),
    }
}
