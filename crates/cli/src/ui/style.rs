//! How text is dressed for a terminal: colours and signs where it can show them, plain letters where it cannot.

use std::env;
use std::io::{self, IsTerminal as _};

use anstyle::{AnsiColor, Style};
use secret_rotation_core::survey::State;

/// What standard output can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dress {
    /// Signs beyond ASCII.
    pub(crate) unicode: bool,
    /// Colours.
    pub(crate) colour: bool,
}

/// What a reader should feel, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mood {
    /// Needs attention.
    Bad,
    /// Nobody can tell.
    Unsure,
    /// Under way.
    Busy,
    /// Fine.
    Good,
    /// Not worth a colour.
    Quiet,
}

impl Mood {
    /// What a state of a secret deserves.
    pub(crate) fn of_state(state: &str) -> Self {
        let state = State::ALL.into_iter().find(|one| one.name() == state);
        match state {
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

    /// What a condition deserves that is good when True.
    pub(crate) fn of_condition(status: &str) -> Self {
        match status {
            "True" => Self::Good,
            "False" => Self::Bad,
            _ => Self::Unsure,
        }
    }

    /// Its colour on a terminal.
    pub(crate) const fn colour(self) -> Option<AnsiColor> {
        match self {
            Self::Good => Some(AnsiColor::Green),
            Self::Bad => Some(AnsiColor::Red),
            Self::Busy => Some(AnsiColor::Cyan),
            Self::Unsure => Some(AnsiColor::Yellow),
            Self::Quiet => None,
        }
    }
}

impl Dress {
    /// By the environment, and by whether standard output is a terminal.
    pub(crate) fn of_stdout(ascii: bool) -> Self {
        Self::judge(ascii, io::stdout().is_terminal(), |name| {
            env::var(name).ok()
        })
    }

    /// `NO_COLOR` set to anything but nothing switches colours off (no-color.org). Signs need a UTF-8 locale.
    fn judge(ascii: bool, terminal: bool, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let utf8 = locale.map_or(cfg!(windows), |locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        Self {
            unicode: utf8 && !ascii && !dumb,
            colour: terminal && !dumb && set("NO_COLOR").is_none(),
        }
    }

    /// The sign of a mood.
    pub(crate) const fn sign(self, mood: Mood) -> &'static str {
        match (mood, self.unicode) {
            (Mood::Good, true) => "✔",
            (Mood::Good, false) => "+",
            (Mood::Bad, true) => "✖",
            (Mood::Bad, false) => "x",
            (Mood::Busy, true) => "◌",
            (Mood::Busy, false) => "o",
            (Mood::Unsure, _) => "?",
            (Mood::Quiet, true) => "·",
            (Mood::Quiet, false) => "-",
        }
    }

    /// Nothing to say in a cell.
    pub(crate) const fn nothing(self) -> &'static str {
        if self.unicode { "–" } else { "-" }
    }

    /// Text in the colour of a mood.
    pub(crate) fn paint(self, mood: Mood, text: &str) -> String {
        let style = mood.colour().map(anstyle::AnsiColor::on_default);
        self.styled(style.unwrap_or_default(), text)
    }

    /// A title.
    pub(crate) fn bold(self, text: &str) -> String {
        self.styled(Style::new().bold(), text)
    }

    fn styled(self, style: Style, text: &str) -> String {
        if self.colour && style != Style::new() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

/// Text of others without control characters: a terminal obeys some.
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

/// Letters that reorder or hide what stands beside them: an approver must see what the text says.
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

    fn dress(ascii: bool, terminal: bool, variables: &[(&str, &str)]) -> (bool, bool) {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name);
        let dress = Dress::judge(ascii, terminal, |name| {
            find(name).map(|(_, value)| (*value).to_owned())
        });
        (dress.unicode, dress.colour)
    }

    #[test]
    fn signs_need_a_locale_that_knows_them() {
        assert_eq!(dress(false, true, &[UTF8]), (true, true));
        assert_eq!(dress(false, true, &[]), (false, true));
        assert_eq!(dress(false, true, &[("LC_ALL", "C"), UTF8]), (false, true));
        assert_eq!(dress(true, true, &[UTF8]), (false, true));
    }

    #[test]
    fn colours_are_for_terminals_without_objections() {
        assert_eq!(dress(false, false, &[UTF8]), (true, false));
        assert_eq!(
            dress(false, true, &[UTF8, ("NO_COLOR", "1")]),
            (true, false)
        );
        assert_eq!(dress(false, true, &[UTF8, ("NO_COLOR", "")]), (true, true));
        assert_eq!(
            dress(false, true, &[UTF8, ("TERM", "dumb")]),
            (false, false)
        );
    }

    #[test]
    fn text_of_others_gives_no_orders_to_a_terminal() {
        assert_eq!(printable("a\u{1b}[2J\nb ✔"), "a.[2J.b ✔");
        assert_eq!(printable("\u{202e}evah\u{2066}\u{200b}"), ".evah..");
    }

    #[test]
    fn paint_is_left_away_where_it_would_be_noise() {
        let plain = Dress {
            unicode: true,
            colour: false,
        };
        assert_eq!(plain.paint(Mood::Bad, "x"), "x");
        let coloured = Dress {
            colour: true,
            ..plain
        };
        assert_eq!(coloured.paint(Mood::Bad, "x"), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(coloured.paint(Mood::Quiet, "x"), "x");
    }
}
