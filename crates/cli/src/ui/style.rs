//! Colors and symbols, if the terminal supports them.

use std::env;
use std::io::{self, IsTerminal as _};

use anstyle::AnsiColor;
use secret_rotation_api::conditions::ConditionStatus;
use secret_rotation_core::survey::State;

/// What standard output supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    /// Symbols beyond ASCII.
    pub(crate) unicode: bool,
    /// Colors.
    pub(crate) color: bool,
}

/// Severity, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Needs attention.
    Bad,
    /// Unknown.
    Unsure,
    /// In progress.
    Busy,
    /// Healthy.
    Good,
    /// Without a color.
    Quiet,
}

impl Severity {
    /// Returns the severity of a state.
    pub(crate) fn of_state(state: &str) -> Self {
        match State::parse(state) {
            Some(State::Healthy) => Self::Good,
            Some(State::Rotating) => Self::Busy,
            Some(State::Unknown) | None => Self::Unsure,
            Some(State::Ineligible) => Self::Quiet,
            Some(
                State::Broken
                | State::Stuck
                | State::Expiring
                | State::Overdue
                | State::TooOld
                | State::ScheduledForDeletion
                | State::NotFound
                | State::Disabled,
            ) => Self::Bad,
        }
    }

    /// Returns the severity of a condition for which True is good.
    pub(crate) const fn of_condition(status: ConditionStatus) -> Self {
        match status {
            ConditionStatus::True => Self::Good,
            ConditionStatus::False => Self::Bad,
            ConditionStatus::Unknown => Self::Unsure,
        }
    }

    /// Returns its color.
    pub(crate) const fn color(self) -> Option<AnsiColor> {
        match self {
            Self::Good => Some(AnsiColor::Green),
            Self::Bad => Some(AnsiColor::Red),
            Self::Busy => Some(AnsiColor::Cyan),
            Self::Unsure => Some(AnsiColor::Yellow),
            Self::Quiet => None,
        }
    }
}

impl Style {
    /// Neither colors nor symbols beyond ASCII.
    pub(crate) const PLAIN: Self = Self {
        unicode: false,
        color: false,
    };

    /// Detects the style from the environment, and from whether standard output is a terminal.
    pub(crate) fn of_stdout(ascii: bool) -> Self {
        Self::detect(ascii, io::stdout().is_terminal(), |name| {
            env::var(name).ok()
        })
    }

    /// Detects the style. A non-empty `NO_COLOR` turns colors off (no-color.org). Symbols need a UTF-8 locale.
    fn detect(ascii: bool, terminal: bool, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let utf8 = locale.map_or(cfg!(windows), |locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        Self {
            unicode: utf8 && !ascii && !dumb,
            color: terminal && !dumb && set("NO_COLOR").is_none(),
        }
    }

    /// Returns the symbol of a severity.
    pub(crate) const fn symbol(self, severity: Severity) -> &'static str {
        match (severity, self.unicode) {
            (Severity::Good, true) => "✔",
            (Severity::Good, false) => "+",
            (Severity::Bad, true) => "✖",
            (Severity::Bad, false) => "x",
            (Severity::Busy, true) => "◌",
            (Severity::Busy, false) => "o",
            (Severity::Unsure, _) => "?",
            (Severity::Quiet, true) => "·",
            (Severity::Quiet, false) => "-",
        }
    }

    /// Returns the text of an empty cell.
    pub(crate) const fn empty_cell(self) -> &'static str {
        if self.unicode { "–" } else { "-" }
    }

    /// Formats text in the color of a severity.
    pub(crate) fn paint(self, severity: Severity, text: &str) -> String {
        let style = severity.color().map(AnsiColor::on_default);
        self.styled(style.unwrap_or_default(), text)
    }

    /// Formats a title.
    pub(crate) fn bold(self, text: &str) -> String {
        self.styled(anstyle::Style::new().bold(), text)
    }

    fn styled(self, style: anstyle::Style, text: &str) -> String {
        if self.color && style != anstyle::Style::new() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

/// Replaces control characters in text from elsewhere: a terminal would obey them.
pub(crate) fn printable(text: &str) -> String {
    let shown = |letter: char| {
        if letter.is_control() || is_invisible(letter) {
            '.'
        } else {
            letter
        }
    };
    text.chars().map(shown).collect()
}

/// Returns whether a character reorders or hides its neighbors: an approver must see what the text really contains.
const fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const UTF8: (&str, &str) = ("LANG", "en_GB.UTF-8");

    fn detected(ascii: bool, terminal: bool, variables: &[(&str, &str)]) -> (bool, bool) {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name);
        let style = Style::detect(ascii, terminal, |name| {
            find(name).map(|(_, value)| (*value).to_owned())
        });
        (style.unicode, style.color)
    }

    #[test]
    fn symbols_need_a_utf8_locale() {
        assert_eq!(detected(false, true, &[UTF8]), (true, true));
        assert_eq!(detected(false, true, &[]), (false, true));
        assert_eq!(
            detected(false, true, &[("LC_ALL", "C"), UTF8]),
            (false, true)
        );
        assert_eq!(detected(true, true, &[UTF8]), (false, true));
    }

    #[test]
    fn colors_need_a_terminal_and_can_be_turned_off() {
        assert_eq!(detected(false, false, &[UTF8]), (true, false));
        assert_eq!(
            detected(false, true, &[UTF8, ("NO_COLOR", "1")]),
            (true, false)
        );
        assert_eq!(
            detected(false, true, &[UTF8, ("NO_COLOR", "")]),
            (true, true)
        );
        assert_eq!(
            detected(false, true, &[UTF8, ("TERM", "dumb")]),
            (false, false)
        );
    }

    #[test]
    fn text_cannot_control_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\nb ✔"), "a.[2J.b ✔");
        assert_eq!(printable("\u{202e}evah\u{2066}\u{200b}"), ".evah..");
    }

    #[test]
    fn paint_changes_nothing_without_colors() {
        let plain = Style {
            unicode: true,
            color: false,
        };
        assert_eq!(plain.paint(Severity::Bad, "x"), "x");
        let colored = Style {
            color: true,
            ..plain
        };
        assert_eq!(colored.paint(Severity::Bad, "x"), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(colored.paint(Severity::Quiet, "x"), "x");
    }
}
