//! Tables in the format of kubectl: columns as wide as their widest cell, three spaces apart, without lines.

use unicode_width::UnicodeWidthStr as _;

use crate::ui::style::{Severity, Style, printable};

/// The space between two columns.
const GAP: usize = 3;

/// One cell and its color.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) severity: Severity,
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::colored(Severity::Quiet, text)
    }
}

impl Cell {
    /// Returns a cell in the color of a severity.
    pub(crate) fn colored(severity: Severity, text: impl AsRef<str>) -> Self {
        Self {
            text: printable(text.as_ref()),
            severity,
        }
    }
}

/// Titles and rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Returns a table with these titles and no rows.
    pub(crate) fn new(titles: &[&str]) -> Self {
        Self {
            rows: vec![titles.iter().map(|title| Cell::from(*title)).collect()],
        }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// Renders one line per row, without trailing spaces.
    pub(crate) fn render(&self, style: Style) -> String {
        let widths = self.widths();
        let lines = self.rows.iter().map(|row| {
            let mut line = String::new();
            let mut behind = 0;
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&" ".repeat(behind));
                line.push_str(&style.paint(cell.severity, &cell.text));
                behind = width.saturating_sub(cell.text.width()) + GAP;
            }
            format!("{}\n", line.trim_end())
        });
        lines.collect()
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.text.width()).max().unwrap_or(0)
        };
        (0..columns).map(width).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style {
        unicode: true,
        color: false,
    };

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["NAME", "STATE", "AGE"]);
        table.push(vec!["├── app/db".into(), "✖ Stuck".into(), "2h".into()]);
        table.push(vec!["└── x".into(), "".into(), "".into()]);
        let expected = "NAME         STATE     AGE\n├── app/db   ✖ Stuck   2h\n└── x\n";
        assert_eq!(table.render(PLAIN), expected);
    }

    #[test]
    fn a_cell_cannot_control_the_terminal() {
        let mut table = Table::new(&["NAME", "AGE"]);
        table.push(vec!["a\tb\u{1b}".into(), "3d".into()]);
        assert_eq!(table.render(Style::PLAIN), "NAME   AGE\na.b.   3d\n");
    }

    #[test]
    fn colors_do_not_count_as_width() {
        let mut table = Table::new(&["A", "B"]);
        table.push(vec![Cell::colored(Severity::Good, "yes"), "b".into()]);
        let colored = Style {
            color: true,
            ..PLAIN
        };
        assert_eq!(
            table.render(colored),
            "A     B\n\u{1b}[32myes\u{1b}[0m   b\n"
        );
    }
}
