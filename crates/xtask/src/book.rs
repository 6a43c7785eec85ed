//! `cargo xtask book`: builds the documentation as a website with mdBook.

mod tool;
mod whole;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use testenv::project;

use tool::{Tool, started};

/// The program that builds the pages.
const MDBOOK: Tool = Tool {
    name: "mdbook",
    version: "0.5.4",
    // Without the web server and the file watcher, which are most of its code.
    options: &["--no-default-features", "--features", "search"],
    takes: "one and a half to six minutes",
};

/// The program that prepares the Mermaid blocks of the pages. It contains the library that draws them.
const MERMAID: Tool = Tool {
    name: "mdbook-mermaid",
    version: "0.17.1",
    options: &[],
    takes: "one to four minutes",
};

/// The library that draws diagrams, as `crates/xtask/book/diagrams.js` loads it.
const LIBRARY: &str = "mermaid.min.js";

/// Where the book is published, as `site-url` in `book.toml`.
const SITE: &str = "/secret-rotation-controller/";

/// Builds the book into `target/book`, and first the tools that are missing in the cache.
///
/// # Errors
///
/// Returns an error if a tool cannot be compiled or fails, or if the book is not complete.
pub fn build() -> Result<()> {
    let (mdbook, mermaid) = (MDBOOK.folder()?, MERMAID.folder()?);
    let library = library(&mermaid)?;
    let began = started();
    let target = project::target()?.join("book");
    let mut command = Command::new(mdbook.join("bin/mdbook"));
    command
        .arg("build")
        .arg(project::root().join("crates/xtask/book"))
        .arg("--dest-dir")
        .arg(&target)
        .env("PATH", with_first(&mermaid.join("bin"))?);
    project::output(&mut command)?;
    // Not as a source of the book: every page would then load all of it, and the file would get another name.
    fs::copy(library, target.join(LIBRARY)).context("cannot copy the library for diagrams")?;
    whole::check(&target, SITE)?;
    eprintln!(
        "{} was built in {:.1} s",
        target.join("index.html").display(),
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Returns the path of the library that draws diagrams. The program contains it, and writes it next to a `book.toml`.
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
