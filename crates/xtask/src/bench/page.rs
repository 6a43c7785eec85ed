//! The regions of `docs/performance.md` that this command writes.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use testenv::project;

use super::machine::Machine;

/// Returns the path of the page.
fn path() -> PathBuf {
    project::root().join("docs/performance.md")
}

/// Writes the results of one benchmark into its region of the page, if it has one.
pub(super) fn write(name: &str, results: &str, machine: &Machine) -> Result<()> {
    let path = path();
    let page =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let content = format!("{results}\n{}\n", machine.sentence());
    let Some(page) = replaced(&page, name, &content) else {
        eprintln!("{} does not show {name}", path.display());
        return Ok(());
    };
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))
}

fn marks(name: &str) -> (String, String) {
    (
        format!("<!-- begin results of {name} -->"),
        format!("<!-- end results of {name} -->"),
    )
}

/// Returns the page with another content of a region. `None` if it has no such region.
fn replaced(page: &str, name: &str, content: &str) -> Option<String> {
    let (start, end) = marks(name);
    let (before, rest) = page.split_once(&start)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!(
        "{before}{start}\n\n{}\n\n{end}{after}",
        content.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        "# Page\n\n<!-- begin results of sweep -->\nold\n<!-- end results of sweep -->\n\nEnd.\n";

    #[test]
    fn only_the_region_of_the_benchmark_changes() {
        let page = replaced(PAGE, "sweep", "new\n").unwrap();
        assert_eq!(
            page,
            "# Page\n\n<!-- begin results of sweep -->\n\nnew\n\n<!-- end results of sweep -->\n\nEnd.\n"
        );
        assert_eq!(replaced(&page, "sweep", "new").unwrap(), page);
        assert_eq!(replaced(PAGE, "audit", "new"), None);
    }
}
