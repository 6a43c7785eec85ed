//! One generated file: its path and its content.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

/// A generated file.
#[derive(Debug)]
pub(crate) struct Generated {
    pub(crate) path: PathBuf,
    pub(crate) content: String,
}

impl Generated {
    /// Writes the file.
    pub(crate) fn write(&self) -> Result<()> {
        fs::create_dir_all(
            self.path
                .parent()
                .context("a generated file lies in a folder")?,
        )?;
        fs::write(&self.path, &self.content)
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        eprintln!("wrote {}", self.path.display());
        Ok(())
    }

    /// Checks that the file is up to date.
    pub(crate) fn check(&self) -> Result<()> {
        let there = fs::read_to_string(&self.path).unwrap_or_default();
        ensure!(
            there == self.content,
            "{} is not fresh: run `cargo xtask generate`",
            self.path.display()
        );
        Ok(())
    }
}
