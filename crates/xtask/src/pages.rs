//! Reference pages that crates print of themselves.

use std::path::PathBuf;

use anyhow::Result;

use crate::project;

/// Where each page lies, and which example of which crate prints it.
const PAGES: [Page; 3] = [
    Page {
        path: "docs/reference/cli.md",
        package: "secret-rotation-cli",
        example: "reference",
    },
    Page {
        path: "docs/reference/flags.md",
        package: "secret-rotation-controller",
        example: "flags",
    },
    Page {
        path: "docs/reference/metrics.md",
        package: "secret-rotation-controller",
        example: "metrics",
    },
];

struct Page {
    path: &'static str,
    package: &'static str,
    example: &'static str,
}

/// Paths and contents of all of them.
pub(crate) fn printed() -> Result<Vec<(PathBuf, String)>> {
    PAGES.iter().map(Page::printed).collect()
}

impl Page {
    fn printed(&self) -> Result<(PathBuf, String)> {
        let run = ["run", "--quiet", "--locked", "--package", self.package];
        let text = project::output(project::cargo().args(run).args(["--example", self.example]))?;
        Ok((project::root().join(self.path), text))
    }
}
