//! A sheet: titled facts in lines, for a terminal's paper (`describe`) and for its screen (`status --watch`) alike.

use jiff::Timestamp;
use unicode_width::UnicodeWidthStr as _;

use crate::ui::duration;
use crate::ui::style::{Dress, Mood, printable};

/// Where values begin.
const INDENT: usize = 15;

/// How a piece of a line is dressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it is.
    Plain,
    /// As a title.
    Title,
    /// In the colour of a mood.
    Mood(Mood),
}

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) tone: Tone,
    pub(crate) text: String,
}

/// Lines of pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sheet {
    pub(crate) lines: Vec<Vec<Piece>>,
}

/// A piece without a dress.
pub(crate) fn plain(text: impl AsRef<str>) -> Piece {
    Piece {
        tone: Tone::Plain,
        text: printable(text.as_ref()),
    }
}

/// A piece in the colour of a mood.
pub(crate) fn painted(mood: Mood, text: impl AsRef<str>) -> Piece {
    Piece {
        tone: Tone::Mood(mood),
        text: printable(text.as_ref()),
    }
}

impl Sheet {
    /// A title on a line of its own, with an empty line before it.
    pub(crate) fn title(&mut self, title: &str) {
        if !self.lines.is_empty() {
            self.lines.push(Vec::new());
        }
        self.lines.push(vec![Piece {
            tone: Tone::Title,
            text: title.to_owned(),
        }]);
    }

    /// A fact with its name.
    pub(crate) fn fact(&mut self, name: &str, value: impl AsRef<str>) {
        self.pieces(name, vec![plain(value)]);
    }

    /// A fact with its name, if there is one.
    pub(crate) fn some(&mut self, name: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.fact(name, value);
        }
    }

    /// A fact of several pieces with its name.
    pub(crate) fn pieces(&mut self, name: &str, pieces: Vec<Piece>) {
        let mut label = if name.is_empty() {
            String::new()
        } else {
            format!("{name}:")
        };
        let gap = INDENT.saturating_sub(label.width()).max(1);
        label.push_str(&" ".repeat(gap));
        self.lines.push([vec![plain(label)], pieces].concat());
    }

    /// A line below a title.
    pub(crate) fn line(&mut self, pieces: Vec<Piece>) {
        self.lines.push([vec![plain("  ")], pieces].concat());
    }

    /// As text for standard output.
    pub(crate) fn render(&self, dress: Dress) -> String {
        let lines = self.lines.iter().map(|line| {
            let line: String = line
                .iter()
                .map(|piece| match piece.tone {
                    Tone::Plain => piece.text.clone(),
                    Tone::Title => dress.bold(&piece.text),
                    Tone::Mood(mood) => dress.paint(mood, &piece.text),
                })
                .collect();
            format!("{}\n", line.trim_end())
        });
        lines.collect()
    }
}

/// A time with its age, such as `2026-11-23T02:14:09Z (7h45m ago)`.
pub(crate) fn moment(time: Timestamp, now: Option<Timestamp>) -> String {
    let text = whole(time);
    match now {
        Some(now) => match duration::until(time, now) {
            Some(wait) => format!("{text} (in {wait})"),
            None => format!("{text} ({} ago)", duration::since(time, now)),
        },
        None => text,
    }
}

/// A time without its fraction of a second.
pub(crate) fn whole(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second())
        .unwrap_or(time)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_is_aligned_text() {
        let mut sheet = Sheet::default();
        sheet.fact("Name", "app/db");
        sheet.some("Nothing", None::<String>);
        sheet.title("Events");
        sheet.line(vec![painted(Mood::Bad, "x"), plain(" y")]);
        let dress = Dress {
            unicode: true,
            colour: false,
        };
        assert_eq!(
            sheet.render(dress),
            "Name:          app/db\n\nEvents\n  x y\n"
        );
    }

    #[test]
    fn a_moment_says_how_far_away_it_is() {
        let now = "2026-11-23T10:00:00Z".parse().ok();
        let at = |text: &str| moment(text.parse().expect("a time"), now);
        assert_eq!(
            at("2026-11-23T09:59:00.5Z"),
            "2026-11-23T09:59:00Z (59s ago)"
        );
        assert_eq!(at("2026-11-23T10:30:00Z"), "2026-11-23T10:30:00Z (in 30m)");
    }
}
