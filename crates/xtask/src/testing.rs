//! `cargo xtask test`: everything that the tests need, then the tests, then the counts.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use testenv::assets::{self, Assets};
use testenv::project;
use testenv::prometheus::Prometheus;

/// Sums over all test binaries.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Builds what is needed and runs all tests, or those whose names contain the filter.
pub fn run(filter: Option<&str>) -> Result<()> {
    eprintln!(
        "1/3 Kubernetes API server, etcd, kubectl and Helm (about 10 minutes the first time, then at once), \
         Prometheus where it is not installed (about 8 minutes)"
    );
    let assets = Assets::locate()?;
    assets::helm()?;
    Prometheus::locate()?;
    eprintln!("2/3 Building everything (about 5 minutes the first time on two cores)");
    let targets = ["build", "--workspace", "--all-targets", "--locked"];
    project::run(project::cargo().args(targets))?;
    eprintln!("3/3 Tests (about 20 minutes; the stories each start an API server of their own)");
    let counts = test(&assets, filter)?;
    report(counts);
    ensure!(counts.failed == 0, "{} tests failed", counts.failed);
    ensure!(
        counts.passed > 0,
        "no test ran: does any name contain {filter:?}?"
    );
    Ok(())
}

fn test(assets: &Assets, filter: Option<&str>) -> Result<Counts> {
    let began = started();
    let mut command = project::cargo();
    command
        .args(["test", "--workspace", "--locked", "--no-fail-fast"])
        .args(filter);
    let folder = assets.kube_apiserver.parent().unwrap_or(Path::new("."));
    command
        .env("KUBEBUILDER_ASSETS", folder)
        .stdout(Stdio::piped())
        .stdin(Stdio::null());
    let mut child = command.spawn().context("cannot start cargo test")?;
    let output = child.stdout.take().context("standard output is piped")?;
    let mut counts = Counts::default();
    for line in BufReader::new(output).lines() {
        let line = line?;
        show(&line);
        counts.add(&line);
    }
    let status = child.wait()?;
    ensure!(
        status.success() || counts.failed > 0,
        "cargo test ended with {status}"
    );
    eprintln!("tests took {} s", began.elapsed().as_secs());
    Ok(counts)
}

impl Counts {
    /// Adds a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let count = |word: &str| {
            let before = result.split(word).next()?;
            before.split_whitespace().next_back()?.parse::<u64>().ok()
        };
        self.passed += count(" passed").unwrap_or(0);
        self.failed += count(" failed").unwrap_or(0);
        self.ignored += count(" ignored").unwrap_or(0);
    }
}

#[expect(
    clippy::print_stdout,
    reason = "the output of the tests and their counts are what this command is for"
)]
fn show(line: &str) {
    println!("{line}");
}

fn report(counts: Counts) {
    show(&format!(
        "{} passed, {} failed, {} skipped",
        counts.passed, counts.failed, counts.ignored
    ));
}

#[expect(
    clippy::disallowed_methods,
    reason = "a stopwatch for people, outside the product"
)]
fn started() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_binaries_are_summed() {
        let mut counts = Counts::default();
        counts.add("running 3 tests");
        counts.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        counts.add("test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        assert_eq!((counts.passed, counts.failed, counts.ignored), (5, 4, 1));
    }
}
