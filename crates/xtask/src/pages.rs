//! Reference pages that crates print of themselves.

use std::path::PathBuf;

use anyhow::Result;
use testenv::project;

/// Where each page lies, and which example prints it.
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

/// Paths and contents of all of them.
pub(crate) fn printed() -> Result<Vec<(PathBuf, String)>> {
    PAGES.iter().map(Page::printed).collect()
}

impl Page {
    fn printed(&self) -> Result<(PathBuf, String)> {
        // Without a package: cargo then chooses the features of dependencies as for everything else, and compiles none anew.
        let run = ["run", "--quiet", "--locked", "--example", self.example];
        let text = project::output(project::cargo().args(run))?;
        Ok((project::root().join(self.path), text))
    }
}
