//! Locates Prometheus and promtool on the `PATH`, or builds them from their Go module into the cache.
//!
//! The Debian package `prometheus` contains both. Nothing prebuilt is downloaded.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use crate::assets::patiently;
use crate::process::{self, Server};
use crate::project;

/// The version of the module that is built. It is release 3.16.0.
const VERSION: &str = "v0.316.0";

/// The rules as the chart renders them.
const RULES: &str = "deploy/prometheus/alerts.yaml";

/// Paths of the programs.
#[derive(Clone, Debug)]
pub struct Prometheus {
    /// The server.
    pub prometheus: PathBuf,
    /// The tool that checks rules, rule tests and metrics.
    pub promtool: PathBuf,
}

impl Prometheus {
    /// Finds the programs, and builds those that are missing. Reports progress on standard error.
    ///
    /// # Errors
    ///
    /// Returns an error if a program cannot be built.
    pub fn locate() -> Result<Self> {
        Ok(Self {
            prometheus: find("prometheus")?,
            promtool: find("promtool")?,
        })
    }
}

/// A Prometheus on loopback that scrapes the controller every second and evaluates its rules with shorter times. Dropping
/// it stops the process.
#[derive(Debug)]
pub struct Running {
    // Keeps the process running.
    _server: Server,
    port: u16,
}

impl Running {
    /// Starts Prometheus in an existing folder. `ports` are the ports of the controllers' metrics on loopback. `patience`
    /// replaces the times `for` and `keep_firing_for` of all rules.
    ///
    /// # Errors
    ///
    /// Returns an error if Prometheus cannot be built, or does not become ready in time.
    pub fn start(folder: &Path, ports: &[u16], patience: &str) -> Result<Self> {
        let port = process::free_port()?;
        let targets: Vec<_> = ports
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{
                "job_name": "secret-rotation-controller",
                "honor_labels": true,
                "static_configs": [{"targets": targets}],
            }],
        });
        let rules =
            fs::read_to_string(project::root().join(RULES)).context("cannot read the rules")?;
        fs::write(folder.join("prometheus.yaml"), config.to_string())?;
        fs::write(folder.join("rules.yaml"), impatient(&rules, patience))?;
        let mut command = Command::new(Prometheus::locate()?.prometheus);
        command
            .arg(format!(
                "--config.file={}",
                folder.join("prometheus.yaml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=warn");
        let mut server = Server::start("prometheus", &mut command, &folder.join("prometheus.log"))?;
        server.wait_until(Duration::from_mins(1), |_| {
            process::is_ready(port, "/-/ready")
        })?;
        Ok(Self {
            _server: server,
            port,
        })
    }

    /// Returns the port on which it listens.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

/// Returns the rules with other times `for` and `keep_firing_for`.
fn impatient(rules: &str, patience: &str) -> String {
    let lines = rules.lines().map(|line| match line.split_once("for: ") {
        Some((key, _)) if matches!(key.trim(), "" | "keep_firing_") => {
            format!("{key}for: {patience}\n")
        }
        Some(_) | None => format!("{line}\n"),
    });
    lines.collect()
}

fn find(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file());
    installed.map_or_else(|| built(name), Ok)
}

/// Returns the path of the program in the cache, and builds it first if it is missing. A lock file prevents two processes
/// from building it at the same time.
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

/// Builds the program without service discovery, which is most of its code and which no test needs.
fn build(cache: &Path, name: &str) -> Result<()> {
    eprintln!("Building {name} {VERSION} from its Go module (about 4 minutes, once) …");
    let unfinished = cache.join(format!("{name}.unfinished"));
    let mut command = Command::new("go");
    command
        .args(["build", "-trimpath", "-tags", "remove_all_sd", "-o"])
        .arg(&unfinished)
        .arg(format!("github.com/prometheus/prometheus/cmd/{name}"))
        .current_dir(project::root().join("crates/testenv/prometheus"))
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null());
    patiently(&mut command, name).context(
        "Go 1.26 or later is needed to build Prometheus: install it and put `go` on the PATH, \
         or install Prometheus itself",
    )?;
    fs::rename(&unfinished, cache.join(name)).context("cannot put the built program into the cache")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_waits_of_the_rules_are_cut_short() {
        assert_eq!(
            impatient(
                "  for: 5m\n  keep_firing_for: 10m\n  summary: wait for: it\n",
                "2s"
            ),
            "  for: 2s\n  keep_firing_for: 2s\n  summary: wait for: it\n"
        );
    }
}
