//! What AWS tells, in columns without colours.

use crate::dress::Dress;
use crate::table::{Cell, Table};

/// Characters of a version id that are shown: git shows as many of a commit.
const SHORT: usize = 8;

const PLAIN: Dress = Dress {
    unicode: false,
    colour: false,
};

/// Pads every column to its widest cell.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let mut table = Table::default();
    for row in rows {
        table.push(row.iter().map(Cell::from).collect());
    }
    table.render(PLAIN)
}

/// The beginning of a version id, or a dash.
pub(crate) fn short(id: Option<&str>) -> String {
    id.map_or_else(crate::aws::age::dash, |id| id.chars().take(SHORT).collect())
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
    fn version_ids_are_cut_like_commits() {
        assert_eq!(short(Some("6f1c2d3e-0000")), "6f1c2d3e");
        assert_eq!(short(None), "-");
    }
}
