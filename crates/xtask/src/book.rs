//! `cargo xtask book`: the documentation as a web site, by mdBook.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use testenv::project;

/// The version of mdBook that builds the book.
const MDBOOK: &str = "0.5.4";

/// Builds the book into `target/book`, and mdBook first if it is not in the cache.
pub fn build() -> Result<()> {
    let mdbook = mdbook()?;
    let began = started();
    let target = project::target()?.join("book");
    let mut command = std::process::Command::new(mdbook);
    command
        .arg("build")
        .arg(project::root().join("docs"))
        .arg("--dest-dir")
        .arg(&target);
    project::output(&mut command)?;
    eprintln!(
        "{} was built in {:.1} s",
        target.join("index.html").display(),
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

/// The program in the cache, compiled first if need be.
fn mdbook() -> Result<PathBuf> {
    let folder = project::cache(&format!("mdbook-{MDBOOK}"))?;
    let program = folder.join("bin/mdbook");
    if !program.is_file() {
        eprintln!("Building mdBook {MDBOOK} (one and a half to six minutes, once) …");
        install(&folder)?;
    }
    Ok(program)
}

/// Without the parts that serve and watch: they are most of what would be compiled.
fn install(folder: &Path) -> Result<()> {
    let lock =
        fs::File::create(folder.join("lock")).context("cannot make the lock of the cache")?;
    lock.lock().context("cannot lock the cache")?;
    let began = started();
    let mut cargo = project::cargo();
    cargo
        .args(["install", "--quiet", "--locked", "--version", MDBOOK])
        .args(["--no-default-features", "--features", "search", "--root"])
        .args([folder.as_os_str(), "mdbook".as_ref()]);
    project::run(&mut cargo)?;
    eprintln!("mdBook took {} s to build", began.elapsed().as_secs());
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a stopwatch for people, outside the product"
)]
fn started() -> Instant {
    Instant::now()
}
