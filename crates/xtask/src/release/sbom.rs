//! The bill of materials of a program in CycloneDX format, created by cargo-cyclonedx.
//!
//! cargo-cyclonedx writes a file next to each manifest of the workspace. The requested one is kept and the others are
//! deleted. Paths of this machine are removed. The result is checked: it must contain everything that `cargo tree` lists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testenv::project;

const VERSION: &str = "0.5.9";

/// A package by name and version.
type Named = (String, String);

/// Writes the bill of materials of a package for a target to a file.
///
/// # Errors
///
/// Returns an error if cargo-cyclonedx fails, or if the bill lacks a dependency.
pub fn write(package: &str, target: &str, file: &Path) -> Result<()> {
    let bill = clean(&made(package, target)?);
    let parsed: Value = serde_json::from_str(&bill).context("cargo-cyclonedx wrote no JSON")?;
    let listed = listed(&parsed);
    let missing: Vec<_> = needed(package, target)?
        .into_iter()
        .filter(|needed| !listed.contains(needed))
        .collect();
    ensure!(
        missing.is_empty(),
        "the bill of materials of {package} lacks {missing:?}"
    );
    let described = &parsed["metadata"]["component"]["name"];
    ensure!(
        described == package,
        "the bill of materials is of {described} instead of {package}"
    );
    fs::write(file, bill).with_context(|| format!("cannot write {}", file.display()))?;
    eprintln!("{} lists {} packages", file.display(), listed.len());
    Ok(())
}

/// Runs cargo-cyclonedx, and returns what it wrote for the package.
fn made(package: &str, target: &str) -> Result<String> {
    let name = format!("sbom-{}", std::process::id());
    let mut command = Command::new(tool()?);
    command
        .args(["cyclonedx", "--quiet", "--no-build-deps", "--format=json"])
        .args(["--spec-version=1.5", "--target", target])
        .args(["--override-filename", &name])
        .current_dir(project::root())
        .env("SOURCE_DATE_EPOCH", time_of_commit()?);
    let outcome = project::run(&mut command);
    let written: Vec<_> = folders()?
        .into_iter()
        .map(|(package, folder)| (package, folder.join(format!("{name}.json"))))
        .collect();
    let bill = written
        .iter()
        .find(|(name, _)| name == package)
        .with_context(|| format!("there is no package {package}"))
        .and_then(|(_, file)| {
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
        });
    for (_, file) in written {
        let _ = fs::remove_file(file);
    }
    outcome.and(bill)
}

/// Removes paths of this machine, so that every machine writes the same bill.
fn clean(bill: &str) -> String {
    let root = format!("path+file://{}/", project::root().display());
    bill.replace(&root, "path+file:///")
}

/// Returns everything that the bill lists, including the program itself.
fn listed(bill: &Value) -> BTreeSet<Named> {
    let components = bill["components"].as_array().into_iter().flatten();
    components
        .chain([&bill["metadata"]["component"]])
        .filter_map(|component| {
            let text = |key: &str| component[key].as_str().map(str::to_owned);
            Some((text("name")?, text("version")?))
        })
        .collect()
}

/// Returns the packages that cargo builds for the program.
fn needed(package: &str, target: &str) -> Result<BTreeSet<Named>> {
    let tree = project::output(project::cargo().args([
        "tree", "--locked", "-e", "normal", "--prefix", "none", "--format", "{p}", "--target",
        target, "-p", package,
    ]))?;
    Ok(tree.lines().filter_map(named).collect())
}

/// Reads a line such as `kube v5.0.0` or `secret-rotation-core v0.1.0 (/path)`.
fn named(line: &str) -> Option<Named> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    let version = words.next()?.strip_prefix('v')?;
    Some((name.to_owned(), version.to_owned()))
}

/// Returns the packages of the workspace with the folders of their manifests.
fn folders() -> Result<Vec<(String, PathBuf)>> {
    let metadata = project::output(project::cargo().args([
        "metadata",
        "--format-version=1",
        "--no-deps",
        "--locked",
    ]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists packages")?;
    Ok(packages
        .iter()
        .filter_map(|package| {
            let manifest = Path::new(package["manifest_path"].as_str()?);
            let name = package["name"].as_str()?;
            Some((name.to_owned(), manifest.parent()?.to_owned()))
        })
        .collect())
}

/// Returns the date of the commit in seconds, so that one commit always has the same bill.
fn time_of_commit() -> Result<String> {
    let mut command = Command::new("git");
    command
        .args(["log", "-1", "--format=%ct"])
        .current_dir(project::root())
        .stdin(Stdio::null());
    Ok(project::output(&mut command)?.trim().to_owned())
}

/// Returns the path of cargo-cyclonedx in the cache, and compiles it first if it is missing.
fn tool() -> Result<PathBuf> {
    let folder = project::cache(&format!("cargo-cyclonedx-{VERSION}"))?;
    let program = folder.join("bin/cargo-cyclonedx");
    if !program.is_file() {
        eprintln!("Building cargo-cyclonedx {VERSION} (about a minute, once) …");
        let mut command = project::cargo();
        command
            .args(["install", "--quiet", "--locked", "--version", VERSION])
            .args(["cargo-cyclonedx", "--root"])
            .arg(&folder);
        project::run(&mut command)?;
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn packages_are_read_from_the_tree_with_and_without_a_path() {
        let line = |text| named(text).expect("the line names a package");
        assert_eq!(
            (line("kube v5.0.0"), line("core v0.1.0 (/src/crates/core)")),
            (
                ("kube".to_owned(), "5.0.0".to_owned()),
                ("core".to_owned(), "0.1.0".to_owned())
            )
        );
        assert_eq!(named(""), None);
    }

    #[test]
    fn the_program_itself_counts_as_listed() {
        let bill = json!({
            "metadata": {"component": {"name": "controller", "version": "0.1.0"}},
            "components": [{"name": "kube", "version": "5.0.0"}, {"name": "no version"}],
        });
        assert_eq!(
            listed(&bill),
            BTreeSet::from([
                ("controller".to_owned(), "0.1.0".to_owned()),
                ("kube".to_owned(), "5.0.0".to_owned())
            ])
        );
    }

    #[test]
    fn the_path_of_the_checkout_is_taken_out() {
        let path = format!(
            "\"path+file://{}/crates/api#x@1\"",
            project::root().display()
        );
        assert_eq!(clean(&path), "\"path+file:///crates/api#x@1\"");
    }
}
