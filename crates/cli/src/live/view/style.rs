//! The colors of the live view.

use ratatui::style::{Color, Style};

use crate::live::model::Model;
use crate::ui::style::Severity;

/// Returns the color of a severity, if colors are on.
pub(super) fn severity_style(model: &Model, severity: Severity) -> Style {
    let color = severity.color().filter(|_| model.style.color);
    color.map_or_else(Style::new, |color| Style::new().fg(terminal(color)))
}

fn terminal(color: anstyle::AnsiColor) -> Color {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a severity has one of these four colors"
    )]
    match color {
        anstyle::AnsiColor::Green => Color::Green,
        anstyle::AnsiColor::Red => Color::Red,
        anstyle::AnsiColor::Yellow => Color::Yellow,
        anstyle::AnsiColor::Cyan => Color::Cyan,
        _ => Color::Reset,
    }
}
