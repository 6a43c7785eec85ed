//! Paths of the checkout and of the cache outside it, and commands that run in the checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Returns the top level of the checkout.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_owned()
}

/// Returns a folder of the cache, which is created if it does not exist: `$XDG_CACHE_HOME/secret-rotation/<name>`, or
/// `~/.cache/secret-rotation/<name>`.
///
/// # Errors
///
/// Returns an error if neither `XDG_CACHE_HOME` nor `HOME` is set, or if the folder cannot be created.
pub fn cache(name: &str) -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = base.or_else(home).context(
        "neither XDG_CACHE_HOME nor HOME is set; set one, the built tools are kept there",
    )?;
    let folder = base.join("secret-rotation").join(name);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// Returns a `cargo` command that runs in the checkout.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command and waits until it ends.
///
/// # Errors
///
/// Returns an error that names the command if it does not start or fails.
pub fn run(command: &mut Command) -> Result<()> {
    let name = format!("{command:?}");
    let status = command
        .status()
        .with_context(|| format!("cannot start {name}"))?;
    ensure!(status.success(), "{name} ended with {status}");
    Ok(())
}

/// Runs a command, waits until it ends, and returns its standard output.
///
/// # Errors
///
/// Returns an error with its standard error if the command does not start or fails.
pub fn output(command: &mut Command) -> Result<String> {
    let name = format!("{command:?}");
    let output = command
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{name} ended with {}: {}",
        output.status,
        complaint.trim()
    );
    String::from_utf8(output.stdout)
        .with_context(|| format!("{name} printed something that is not UTF-8"))
}

/// Returns the folder of debug binaries.
///
/// # Errors
///
/// Returns an error if cargo does not report its target folder.
pub fn debug_binaries() -> Result<PathBuf> {
    target().map(|target| target.join("debug"))
}

/// Returns the folder of release binaries.
///
/// # Errors
///
/// Returns an error if cargo does not report its target folder.
pub fn release_binaries() -> Result<PathBuf> {
    target().map(|target| target.join("release"))
}

/// Returns the target folder of cargo.
///
/// # Errors
///
/// Returns an error if cargo does not report its target folder.
pub fn target() -> Result<PathBuf> {
    let metadata =
        output(cargo().args(["metadata", "--format-version=1", "--no-deps", "--locked"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let target = metadata["target_directory"]
        .as_str()
        .context("cargo metadata names no target directory")?;
    Ok(PathBuf::from(target))
}
