//! `cargo xtask check`: checks crate dependencies, the size of core, lint settings, modules and generated files.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use testenv::project;

use crate::generate;

mod edges;
mod modules;

/// Runs every check and stops at the first that fails.
///
/// # Errors
///
/// Returns the error of the first check that fails.
pub fn all() -> Result<()> {
    edges::check()?;
    lints_everywhere()?;
    modules::check(&roots()?)?;
    generate::check()?;
    eprintln!(
        "crate edges, the size of core, lints, modules and generated files are as they should be"
    );
    Ok(())
}

fn lints_everywhere() -> Result<()> {
    let metadata = project::output(project::cargo().args([
        "metadata",
        "--format-version=1",
        "--no-deps",
        "--locked",
    ]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    for package in metadata["packages"]
        .as_array()
        .context("cargo metadata lists packages")?
    {
        let manifest = package["manifest_path"]
            .as_str()
            .context("a package has a manifest")?;
        let inherits = fs::read_to_string(manifest)?.contains("[lints]\nworkspace = true");
        ensure!(
            inherits,
            "{manifest} does not set `[lints] workspace = true`"
        );
    }
    Ok(())
}

/// Returns the root files of every crate.
fn roots() -> Result<Vec<PathBuf>> {
    let crates = fs::read_dir(project::root().join("crates"))?;
    let mut folders = vec![project::root().join("tests/src")];
    for entry in crates {
        folders.push(entry?.path().join("src"));
    }
    let files = folders
        .iter()
        .flat_map(|folder| [folder.join("lib.rs"), folder.join("main.rs")]);
    Ok(files.filter(|file| file.is_file()).collect())
}
