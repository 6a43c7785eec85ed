//! The notes of a release: its section of the changelog.

use std::fs;

use anyhow::{Context, Result};
use testenv::project;

/// Returns the section of `CHANGELOG.md` for a version such as `0.1.0`.
///
/// # Errors
///
/// Returns an error if the file cannot be read, or if it has no text for the version.
pub fn of(version: &str) -> Result<String> {
    let changelog = fs::read_to_string(project::root().join("CHANGELOG.md"))
        .context("cannot read CHANGELOG.md")?;
    section(&changelog, version)
        .with_context(|| format!("CHANGELOG.md has nothing below `## [{version}]`"))
}

/// Returns the text between the heading of the version and the next heading or the list of links; `None` if there is none.
fn section(changelog: &str, version: &str) -> Option<String> {
    let heading = format!("## [{version}]");
    let body: Vec<_> = changelog
        .lines()
        .skip_while(|line| !line.starts_with(&heading))
        .skip(1)
        .take_while(|line| !line.starts_with("## ") && !is_link(line))
        .collect();
    let text = body.join("\n").trim().to_owned();
    (!text.is_empty()).then(|| text + "\n")
}

/// Returns whether the line is the address of a link, such as `[0.1.0]: https://…`.
fn is_link(line: &str) -> bool {
    line.starts_with('[') && line.contains("]: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGELOG: &str = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2027-01-05\n\n### Added\n\n- This.\n\n\
                             ## [0.1.0] - 2026-12-01\n\n### Added\n\n- That.\n\n[0.2.0]: https://example.com\n";

    #[test]
    fn a_section_ends_at_the_next_heading_or_at_the_links() {
        assert_eq!(
            (section(CHANGELOG, "0.2.0"), section(CHANGELOG, "0.1.0")),
            (
                Some("### Added\n\n- This.\n".to_owned()),
                Some("### Added\n\n- That.\n".to_owned())
            )
        );
    }

    #[test]
    fn a_version_without_a_word_about_it_has_no_section() {
        assert_eq!(
            (
                section(CHANGELOG, "Unreleased"),
                section(CHANGELOG, "0.3.0")
            ),
            (None, None)
        );
    }
}
