//! Prometheus and promtool: found on the `PATH`, or built from their Go module into the cache.
//!
//! Debian's package `prometheus` holds both. Nothing prebuilt is downloaded.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::assets::patiently;
use crate::project;

/// The version that is built; 3.16.0 in the module's own numbers.
const VERSION: &str = "v0.316.0";

/// Paths of the programs.
#[derive(Clone, Debug)]
pub struct Prometheus {
    /// The server.
    pub prometheus: PathBuf,
    /// The checker of rules, tests and scrapes.
    pub promtool: PathBuf,
}

impl Prometheus {
    /// Finds the programs, or builds what is missing. Says on standard error what it does and how long it takes.
    pub fn locate() -> Result<Self> {
        Ok(Self {
            prometheus: find("prometheus")?,
            promtool: find("promtool")?,
        })
    }
}

fn find(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file());
    installed.map_or_else(|| built(name), Ok)
}

/// The program in the cache, built first if need be. A lock file keeps two builds from doing the same work.
fn built(name: &str) -> Result<PathBuf> {
    let cache = project::cache(&format!("prometheus-{VERSION}"))?;
    let path = cache.join(name);
    if path.is_file() {
        return Ok(path);
    }
    let lock = File::create(cache.join("lock")).context("cannot make the lock of the cache")?;
    lock.lock().context("cannot lock the cache")?;
    if !path.is_file() {
        build(&cache, name)?;
    }
    Ok(path)
}

/// Without the discovery of cloud machines, which is most of the program and which no test needs.
fn build(cache: &Path, name: &str) -> Result<()> {
    eprintln!("Building {name} {VERSION} from its Go module (about 4 minutes, once) …");
    let unfinished = cache.join(format!("{name}.unfinished"));
    let mut command = Command::new("go");
    command
        .args(["build", "-trimpath", "-tags", "remove_all_sd", "-o"])
        .arg(&unfinished)
        .arg(format!("github.com/prometheus/prometheus/cmd/{name}"))
        .current_dir(project::root().join("crates/xtask/prometheus"))
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null());
    patiently(&mut command, name).context(
        "Go 1.26 or later is needed to build Prometheus: install it and put `go` on the PATH, \
         or install Prometheus itself",
    )?;
    fs::rename(&unfinished, cache.join(name)).context("cannot put the built program into the cache")
}
