//! Text in columns, as kubectl prints it.

use std::io::Write as _;

use tabwriter::TabWriter;

use crate::Failure;

/// Between two columns.
const GAP: usize = 3;

/// Characters of a version id that are shown: git shows as many of a commit.
const SHORT: usize = 8;

/// Pads every column to its widest cell. Control characters of names are shown as dots: a terminal obeys some.
pub(crate) fn aligned(rows: &[Vec<String>]) -> Result<String, Failure> {
    let mut writer = TabWriter::new(Vec::new()).padding(GAP).minwidth(0);
    for row in rows {
        let cells: Vec<_> = row.iter().map(|cell| printable(cell)).collect();
        writeln!(writer, "{}", cells.join("\t"))?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| Failure::new(format!("the table cannot be laid out: {error}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The beginning of a version id, or a dash.
pub(crate) fn short(id: Option<&str>) -> String {
    id.map_or_else(crate::aws::age::dash, |id| id.chars().take(SHORT).collect())
}

fn printable(cell: &str) -> String {
    let shown = |c: char| if c.is_control() { '.' } else { c };
    cell.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows =
            [["NAME", "AGE"], ["a\tb\u{1b}", "3d"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(aligned(&rows).expect("a table"), "NAME   AGE\na.b.   3d\n");
    }

    #[test]
    fn version_ids_are_cut_like_commits() {
        assert_eq!(short(Some("6f1c2d3e-0000")), "6f1c2d3e");
        assert_eq!(short(None), "-");
    }
}
