//! The list of policies and their secrets.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};
use secret_rotation_api::conditions::ConditionType;

use super::style::severity_style;
use unicode_width::UnicodeWidthStr as _;

use crate::live::model::{Entry, Model, entries};
use crate::ui::duration;
use crate::ui::style::Severity;
use crate::view::policy::{self, PolicyView};
use crate::view::version_id;

/// A column: its title, its width, and the screen width from which it is shown.
struct Column {
    title: &'static str,
    width: Width,
    from: u16,
}

/// The width of a column.
enum Width {
    /// The longest cell, within a minimum and a maximum in percent of the screen.
    Fitting(u16, u16),
    /// A fixed width.
    Fixed(u16),
    /// The remaining width.
    Rest,
}

const fn column(title: &'static str, width: Width, from: u16) -> Column {
    Column { title, width, from }
}

const COLUMNS: [Column; 8] = [
    column("NAME", Width::Fitting(16, 50), 0),
    column("REGION", Width::Fixed(14), 150),
    column("STATE", Width::Fitting(10, 30), 0),
    column("CURRENT", Width::Fitting(8, 25), 110),
    column("PENDING", Width::Fitting(8, 25), 96),
    column("ATTEMPTS", Width::Fixed(8), 130),
    column("ACTION", Width::Rest, 60),
    column("SINCE", Width::Fixed(6), 40),
];

impl Column {
    fn constraint(&self, longest: usize, screen: u16) -> Constraint {
        match self.width {
            Width::Fixed(width) => Constraint::Length(width),
            Width::Rest => Constraint::Fill(1),
            Width::Fitting(least, percent) => {
                let most = (screen.saturating_mul(percent) / 100).max(least);
                let longest = u16::try_from(longest).unwrap_or(u16::MAX);
                Constraint::Length(longest.clamp(least, most))
            }
        }
    }
}

/// The visible columns and their widths.
struct Grid {
    titles: Vec<&'static str>,
    widths: Vec<Constraint>,
}

impl Grid {
    fn new(model: &Model, entries: &[Entry<'_>], screen: u16) -> Self {
        let shown = || COLUMNS.iter().filter(|column| screen >= column.from);
        let width =
            |column: &Column| column.constraint(longest(model, entries, column.title), screen);
        Self {
            titles: shown().map(|column| column.title).collect(),
            widths: shown().map(width).collect(),
        }
    }

    fn table<'a>(&self, row: Row<'a>) -> Table<'a> {
        Table::new([row], self.widths.clone()).column_spacing(2)
    }
}

/// Draws the list so that the selected line is visible.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let [titles, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    let views = model.views();
    let entries = entries(&views);
    let grid = Grid::new(model, &entries, area.width);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    frame.render_widget(
        grid.table(Row::new(grid.titles.clone()).style(bold)),
        titles,
    );
    if entries.is_empty() {
        frame.render_widget(Paragraph::new(nothing(model)), body);
        return;
    }
    let selected = model.position(&entries);
    let height = usize::from(body.height);
    let first = first_line(selected, entries.len(), height);
    let shown = entries.iter().enumerate().skip(first).take(height);
    for (line, (index, entry)) in body.rows().zip(shown) {
        let style = if index == selected {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        match entry {
            Entry::Policy(view) => {
                frame.render_widget(Paragraph::new(heading(model, view)).style(style), line);
            }
            Entry::Secret(view, row) => {
                let cells = grid.titles.iter().map(|title| {
                    let (severity, text) = cell(model, view, row, title);
                    Cell::from(Span::styled(text, severity_style(model, severity)))
                });
                frame.render_widget(grid.table(Row::new(cells)).style(style), line);
            }
        }
    }
}

fn nothing(model: &Model) -> String {
    if !model.filter.is_empty() {
        return format!(
            "Nothing contains {:?}; esc clears the filter.",
            model.filter
        );
    }
    match &model.scope.namespace {
        Some(namespace) => {
            format!("No policies in namespace {namespace}; a shows all namespaces.")
        }
        None => "No policies in any namespace.".to_owned(),
    }
}

/// Returns the first line to show, so that the selected one is near the middle.
fn first_line(selected: usize, lines: usize, height: usize) -> usize {
    selected
        .saturating_sub(height / 2)
        .min(lines.saturating_sub(height))
}

fn heading(model: &Model, view: &PolicyView) -> Line<'static> {
    let (healthy, reason) = view.condition(ConditionType::Healthy);
    let (ready, obstacle) = view.condition(ConditionType::Ready);
    let severity = Severity::of_condition(healthy);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut spans = vec![
        Span::styled(
            model.style.symbol(severity),
            severity_style(model, severity),
        ),
        Span::styled(format!(" {}", view.title()), bold),
        Span::raw(format!("  {}", view.mode())),
    ];
    if Severity::of_condition(ready) != Severity::Good {
        let style = severity_style(model, Severity::of_condition(ready));
        spans.push(Span::styled(format!("  not ready: {obstacle}"), style));
    } else if severity == Severity::Unsure {
        spans.push(Span::raw(format!("  {reason}")));
    }
    // The line may be cut: healthy secrets come last.
    let mut counts = policy::state_counts(view, model.style);
    counts.sort_by_key(|(severity, _)| *severity);
    for (severity, text) in counts {
        spans.push(Span::styled(
            format!("  {text}"),
            severity_style(model, severity),
        ));
    }
    if view.omitted() > 0 {
        spans.push(Span::raw(format!("  ({} not listed)", view.omitted())));
    }
    if let Some((then, now)) = view.checked().zip(model.now) {
        spans.push(Span::raw(format!(
            "  checked {} ago",
            duration::since(then, now)
        )));
    }
    Line::from(spans)
}

/// Returns the width of the longest cell of a column.
fn longest(model: &Model, entries: &[Entry<'_>], title: &str) -> usize {
    let widths = entries.iter().map(|entry| match entry {
        Entry::Policy(_) => 0,
        Entry::Secret(view, row) => cell(model, view, row, title).1.width(),
    });
    widths.max().unwrap_or(0)
}

/// Returns the severity and the text of a cell.
fn cell(model: &Model, view: &PolicyView, row: &policy::Row, title: &str) -> (Severity, String) {
    let nothing = || model.style.empty_cell().to_owned();
    let [current, pending] =
        version_id::distinguish([row.current.as_deref(), row.pending.as_deref()])
            .map(|id| id.unwrap_or_else(nothing));
    let text = match title {
        "NAME" if view.is_ambiguous(&row.key.secret) => {
            format!("  {} ({})", row.key.secret, row.key.region)
        }
        "NAME" => format!("  {}", row.key.secret),
        "REGION" => row.key.region.clone(),
        "STATE" => {
            let Some(state) = &row.state else {
                return (Severity::Quiet, nothing());
            };
            let severity = Severity::of_state(state);
            let words = row.state_text(model.now).unwrap_or_default();
            return (
                severity,
                format!("{} {words}", model.style.symbol(severity)),
            );
        }
        "CURRENT" => current,
        "PENDING" => pending,
        "ATTEMPTS" => row
            .attempts
            .map_or_else(nothing, |number| number.to_string()),
        "ACTION" => row.activity.summary(model.now).unwrap_or_else(nothing),
        _ => {
            let since = row.since.zip(model.now);
            since.map_or_else(nothing, |(then, now)| duration::since(then, now))
        }
    };
    (Severity::Quiet, text)
}
