//! What AWS tells, in columns without colors.

use crate::ui::aws_age::dash;
use crate::ui::style::Style;
use crate::ui::table::{Cell, Table};
use crate::view::version_id;

const PLAIN: Style = Style {
    unicode: false,
    color: false,
};

/// Pads every column to its widest cell.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let mut table = Table::default();
    for row in rows {
        table.push(row.iter().map(Cell::from).collect());
    }
    table.render(PLAIN)
}

/// Current and pending version of a secret in short, a dash where there is none.
pub(crate) fn shortened(current: Option<&str>, pending: Option<&str>) -> [String; 2] {
    version_id::apart([current, pending]).map(|id| id.unwrap_or_else(dash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_command_no_terminal() {
        let rows =
            [["NAME", "AGE"], ["a\tb\u{1b}", "3d"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(aligned(&rows), "NAME   AGE\na.b.   3d\n");
    }

    #[test]
    fn a_version_that_is_not_there_is_a_dash() {
        let id = "6f1c2d3e-0000-4000-8000-000000000001";
        assert_eq!(shortened(Some(id), None), ["6f1c2d3e", "-"]);
    }
}
