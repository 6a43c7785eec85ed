//! The picture of a model.

mod list;
mod page;
mod style;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use self::style::severity_style;
use super::connections::LostSource;
use super::model::{Model, Page};
use super::update::Message;
use crate::ui::document::whole_seconds;
use crate::ui::style::Severity;

const KEYS_OF_PAGE: &str = "q quit  ? help  esc back  j/k scroll  r check";
const KEYS_OF_HELP: &str = "q quit  any key back";

/// Draws a model. Returns what fitted on the screen.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) -> Message {
    let banner = u16::from(model.connections.loss().is_some());
    let [title, lost, body, bottom] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(banner),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(title_line(model)), title);
    if let Some(LostSource { since, why }) = model.connections.loss() {
        let since = since.map_or_else(String::new, |since| {
            format!(" since {}", whole_seconds(since))
        });
        let text = format!("CONNECTION LOST{since}, the data may be outdated: {why}");
        let style = Style::new().add_modifier(Modifier::REVERSED);
        frame.render_widget(
            Paragraph::new(text).style(severity_style(model, Severity::Bad).patch(style)),
            lost,
        );
    }
    let max_scroll = draw_body(frame, model, body);
    frame.render_widget(Paragraph::new(bottom_line(model)), bottom);
    Message::Drawn {
        height: usize::from(body.height),
        max_scroll,
    }
}

/// Draws the main area. Returns by how many lines it can be scrolled.
fn draw_body(frame: &mut Frame<'_>, model: &Model, area: Rect) -> usize {
    match &model.page {
        Page::List => {
            list::draw(frame, model, area);
            0
        }
        Page::Open(_) => page::draw_document(frame, model, area),
        Page::Help => page::draw_help(frame, area),
    }
}

fn title_line(model: &Model) -> Line<'static> {
    let place = match (&model.scope.namespace, &model.scope.name) {
        (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
        (Some(namespace), None) => namespace.clone(),
        (None, _) => "all namespaces".to_owned(),
    };
    let place = format!(" {place} ");
    let mut spans = vec![
        Span::styled("secret-rotation", Style::new().add_modifier(Modifier::BOLD)),
        Span::styled(place, Style::new().add_modifier(Modifier::REVERSED)),
        Span::raw(format!(" {}", model.cluster)),
    ];
    // On a short line the most important part comes first.
    spans.splice(2..2, totals(model));
    Line::from(spans)
}

/// Returns the number of secrets per severity, over all policies.
fn totals(model: &Model) -> Vec<Span<'static>> {
    let views = crate::view::policy::PolicyView::all(&model.policies, &model.operations);
    let mut totals: Vec<(Severity, i64)> = Vec::new();
    for (state, count) in views
        .iter()
        .flat_map(crate::view::policy::PolicyView::counts)
    {
        let severity = Severity::of_state(state);
        match totals.iter_mut().find(|(known, _)| *known == severity) {
            Some((_, total)) => *total += count,
            None => totals.push((severity, count)),
        }
    }
    totals.sort_by_key(|(severity, _)| *severity);
    let spans = totals.into_iter().map(|(severity, total)| {
        let text = format!(" {} {total}", model.style.symbol(severity));
        Span::styled(text, severity_style(model, severity))
    });
    spans.chain([Span::raw(" ")]).collect()
}

fn bottom_line(model: &Model) -> Line<'static> {
    let quiet = Style::new().add_modifier(Modifier::DIM);
    if model.typing {
        return Line::from(format!("/{}_   enter keep, esc clear", model.filter));
    }
    if let Some(notice) = &model.notice {
        return Line::from(notice.clone());
    }
    let keys = format!(
        "q quit  ? help  enter open  / filter  s {}  a namespaces  r check",
        model.sort.name()
    );
    match model.page {
        Page::List if !model.filter.is_empty() => Line::from(vec![
            Span::raw(format!("/{} ", model.filter)),
            Span::styled("esc clear  ", quiet),
            Span::styled(keys, quiet),
        ]),
        Page::List => Line::styled(keys, quiet),
        Page::Open(_) => Line::styled(KEYS_OF_PAGE, quiet),
        Page::Help => Line::styled(KEYS_OF_HELP, quiet),
    }
}
