//! Reference pages that the crates print from their own definitions.

use std::path::PathBuf;

use anyhow::Result;
use testenv::project;

/// The path of each page, and the example that prints it.
const PAGES: [Page; 3] = [
    Page {
        path: "docs/reference/cli.md",
        example: "reference",
    },
    Page {
        path: "docs/reference/flags.md",
        example: "flags",
    },
    Page {
        path: "docs/reference/metrics.md",
        example: "metrics",
    },
];

struct Page {
    path: &'static str,
    example: &'static str,
}

/// Returns the paths and contents of all pages.
pub(crate) fn printed() -> Result<Vec<(PathBuf, String)>> {
    PAGES.iter().map(Page::printed).collect()
}

impl Page {
    fn printed(&self) -> Result<(PathBuf, String)> {
        // Without `--package`, cargo selects the same features of dependencies as for the workspace, and recompiles none.
        let run = ["run", "--quiet", "--locked", "--example", self.example];
        let text = project::output(project::cargo().args(run))?;
        Ok((project::root().join(self.path), text))
    }
}
