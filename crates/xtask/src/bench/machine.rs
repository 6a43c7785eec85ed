//! The machine and the code that were measured.

use std::fs;
use std::process::Command;
use std::thread;

use anyhow::Result;
use serde_json::{Value, json};
use testenv::project;

use super::results::mebibytes;

/// The machine, the revision of the code, and the day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    processor: String,
    cores: usize,
    memory: String,
    kernel: String,
    revision: String,
    day: String,
}

impl Machine {
    /// Reads the machine, and the revision of the checkout unless it is given.
    pub(super) fn read(revision: Option<String>) -> Result<Self> {
        let revision = revision.map_or_else(checked_out, Ok)?;
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
        Ok(Self {
            processor: field("/proc/cpuinfo", "model name")?,
            cores: thread::available_parallelism()?.get(),
            memory: memory(&field("/proc/meminfo", "MemTotal")?),
            // What follows the version is the name of a build.
            kernel: kernel
                .split('-')
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned(),
            revision,
            day: project::output(Command::new("date").args(["-u", "+%F"]))?
                .trim()
                .to_owned(),
        })
    }

    /// Returns one sentence for the page.
    pub(super) fn sentence(&self) -> String {
        let Self {
            processor,
            cores,
            memory,
            kernel,
            revision,
            day,
        } = self;
        format!(
            "Measured on {day} at revision {revision}, on {cores} cores ({processor}) with {memory} of memory and Linux {kernel}."
        )
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "processor": self.processor,
            "cores": self.cores,
            "memory": self.memory,
            "kernel": self.kernel,
            "revision": self.revision,
            "day": self.day,
        })
    }
}

/// Returns the revision of the checkout, and whether the code differs from it.
fn checked_out() -> Result<String> {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        project::output(git.current_dir(project::root()).args(arguments))
    };
    let mut revision = git(&["rev-parse", "--short", "HEAD"])?.trim().to_owned();
    if !git(&["status", "--porcelain", "--", "crates", "Cargo.lock"])?.is_empty() {
        revision += " with changes";
    }
    Ok(revision)
}

fn field(path: &str, name: &str) -> Result<String> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_once(':'));
    Ok(value
        .map_or("unknown", |(_, value)| value.trim())
        .to_owned())
}

/// Returns a size such as `24074 MiB` from `24651232 kB`.
fn memory(text: &str) -> String {
    let kilobytes = text
        .split_whitespace()
        .next()
        .and_then(|number| number.parse::<u64>().ok());
    kilobytes.map_or_else(|| text.to_owned(), |kilobytes| mebibytes(kilobytes * 1024))
}
