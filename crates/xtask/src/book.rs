//! `cargo xtask book`: the documentation as a web site, by mdBook.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use testenv::project;

/// Builds the pages.
const MDBOOK: Tool = Tool {
    name: "mdbook",
    version: "0.5.4",
    // Without the parts that serve and watch: they are most of what would be compiled.
    options: &["--no-default-features", "--features", "search"],
    takes: "one and a half to six minutes",
};

/// Prepares the Mermaid blocks of the pages, and contains the library that draws them.
const MERMAID: Tool = Tool {
    name: "mdbook-mermaid",
    version: "0.17.1",
    options: &[],
    takes: "one to four minutes",
};

/// The library that draws diagrams, as `docs/diagrams.js` loads it.
const LIBRARY: &str = "mermaid.min.js";

/// Builds the book into `target/book`, and the tools first that are not in the cache.
pub fn build() -> Result<()> {
    let (mdbook, mermaid) = (MDBOOK.folder()?, MERMAID.folder()?);
    let library = library(&mermaid)?;
    let began = started();
    let target = project::target()?.join("book");
    let mut command = Command::new(mdbook.join("bin/mdbook"));
    command
        .arg("build")
        .arg(project::root().join("docs"))
        .arg("--dest-dir")
        .arg(&target)
        .env("PATH", with_first(&mermaid.join("bin"))?);
    project::output(&mut command)?;
    // Not as a source of the book: every page would then load all of it, and the file would get another name.
    fs::copy(library, target.join(LIBRARY)).context("cannot copy the library for diagrams")?;
    eprintln!(
        "{} was built in {:.1} s",
        target.join("index.html").display(),
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

/// A program that `cargo install` builds once, into the cache.
struct Tool {
    name: &'static str,
    version: &'static str,
    options: &'static [&'static str],
    /// How long the build takes on two cores.
    takes: &'static str,
}

impl Tool {
    /// Returns the folder that has the program in `bin`. Builds the program first if it is not there.
    fn folder(&self) -> Result<PathBuf> {
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

/// Returns the library that draws diagrams. The program contains it, and writes it beside the settings of a book.
fn library(mermaid: &Path) -> Result<PathBuf> {
    let folder = mermaid.join("library");
    let library = folder.join(LIBRARY);
    if !library.is_file() {
        fs::create_dir_all(&folder).context("cannot make a folder in the cache")?;
        fs::write(folder.join("book.toml"), "").context("cannot write into the cache")?;
        let mut command = Command::new(mermaid.join("bin/mdbook-mermaid"));
        project::output(command.arg("install").arg(&folder))?;
    }
    Ok(library)
}

/// Returns the search path of programs with another folder in front.
fn with_first(folder: &Path) -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let all = iter::once(folder.to_owned()).chain(env::split_paths(&path));
    env::join_paths(all).context("a folder cannot be part of the PATH")
}

#[expect(
    clippy::disallowed_methods,
    reason = "a stopwatch for people, outside the product"
)]
fn started() -> Instant {
    Instant::now()
}
