//! Programs that build the book.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use testenv::project;

/// A program that `cargo install` builds once, into the cache.
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) options: &'static [&'static str],
    /// How long the build takes on two cores.
    pub(super) takes: &'static str,
}

impl Tool {
    /// Returns the folder that has the program in `bin`. Builds the program first if it is not there.
    pub(super) fn folder(&self) -> Result<PathBuf> {
        let Self { name, version, .. } = self;
        let folder = project::cache(&format!("{name}-{version}"))?;
        if !folder.join("bin").join(name).is_file() {
            eprintln!("Building {name} {version} ({}, once) …", self.takes);
            self.install(&folder)?;
        }
        Ok(folder)
    }

    fn install(&self, folder: &Path) -> Result<()> {
        let Self { name, version, .. } = self;
        let lock =
            fs::File::create(folder.join("lock")).context("cannot make the lock of the cache")?;
        lock.lock().context("cannot lock the cache")?;
        let began = started();
        let mut cargo = project::cargo();
        cargo
            .args(["install", "--quiet", "--locked", "--version", version])
            .args(self.options)
            .arg("--root")
            .args([folder.as_os_str(), name.as_ref()]);
        project::run(&mut cargo)?;
        eprintln!("{name} took {} s to build", began.elapsed().as_secs());
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a stopwatch for people, outside the product"
)]
pub(super) fn started() -> Instant {
    Instant::now()
}
