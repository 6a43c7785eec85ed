//! `cargo xtask test`: builds everything that the tests need, runs them, and prints counts and times.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testenv::assets::{self, Assets, OLDEST};
use testenv::project;
use testenv::prometheus::Prometheus;

use crate::timing::{self, Program, now};

/// The targets of `--quick`: unit tests, and test programs that start no server.
const QUICK: [&str; 8] = [
    "--lib",
    "--bins",
    "--test",
    "api",
    "--test",
    "core",
    "--test",
    "simulator",
];

/// The number of slowest tests that are listed at the end.
const SLOWEST: usize = 10;

/// The options of the command.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Run only tests whose names contain this.
    filter: Option<String>,
    /// Run only tests that start no server: unit and property tests.
    #[arg(long)]
    quick: bool,
    /// Run the tests on the oldest Kubernetes that the chart accepts, instead of the newest.
    #[arg(long, conflicts_with = "quick")]
    oldest_kubernetes: bool,
    /// Run this many tests at once [default: twice the number of cores, because stories mostly wait].
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
}

/// Sums over all test programs.
#[derive(Clone, Debug, Default)]
struct Summary {
    passed: u64,
    failed: u64,
    ignored: u64,
    times: Vec<(Duration, String)>,
}

/// Builds what is needed and runs all tests, or those that the options select.
///
/// # Errors
///
/// Returns an error if something does not build, a test fails, or no test runs.
pub fn run(options: &Options) -> Result<()> {
    let assets = if options.quick {
        None
    } else {
        eprintln!(
            "1/3 Kubernetes API server, etcd, kubectl and Helm (about 10 minutes the first time, then at once), \
             Prometheus where it is not installed (about 8 minutes)"
        );
        assets::helm()?;
        Prometheus::locate()?;
        Some(if options.oldest_kubernetes {
            Assets::build(OLDEST)?
        } else {
            Assets::locate()?
        })
    };
    eprintln!("2/3 Building everything (about 5 minutes the first time on two cores)");
    let mut build = project::cargo();
    if options.quick {
        build.args(["test", "--no-run"]).args(selection(options));
    } else {
        build.args(["build", "--workspace", "--all-targets", "--locked"]);
    }
    project::run(&mut build)?;
    eprintln!("3/3 Tests");
    let summary = test(options, assets.as_ref())?;
    summary.report();
    ensure!(summary.failed == 0, "{} tests failed", summary.failed);
    ensure!(
        summary.passed > 0,
        "no test ran: does any name contain {:?}?",
        options.filter
    );
    Ok(())
}

fn selection(options: &Options) -> Vec<&str> {
    let targets: &[&str] = if options.quick { &QUICK } else { &[] };
    ["--workspace", "--locked"]
        .into_iter()
        .chain(targets.iter().copied())
        .chain(options.filter.as_deref())
        .collect()
}

fn cargo_test(options: &Options) -> Command {
    let mut command = project::cargo();
    command
        .args(["test", "--no-fail-fast"])
        .args(selection(options))
        .stdin(Stdio::null());
    command
}

fn test(options: &Options, assets: Option<&Assets>) -> Result<Summary> {
    let cores = thread::available_parallelism().map_or(2, usize::from);
    let threads = options.threads.unwrap_or(2 * cores);
    let list = project::output(cargo_test(options).args(["--", "--list"]))?;
    let mut programs = timing::listed(&list).into_iter();
    let began = now();
    let mut command = cargo_test(options);
    command
        .args(["--", "--test-threads", &threads.to_string()])
        .stdout(Stdio::piped());
    if let Some(folder) = assets.and_then(|assets| assets.kube_apiserver.parent()) {
        command.env("KUBEBUILDER_ASSETS", folder);
    }
    let mut child = command.spawn().context("cannot start cargo test")?;
    let output = child.stdout.take().context("standard output is piped")?;
    let mut summary = Summary::default();
    let mut program = Program::new(Vec::new(), threads, began);
    for line in BufReader::new(output).lines() {
        let line = line?;
        if is_start(&line) {
            program = Program::new(programs.next().unwrap_or_default(), threads, now());
        }
        let took = timing::ended(&line).and_then(|name| {
            let took = program.end(name, now())?;
            summary.times.push((took, name.to_owned()));
            Some(took)
        });
        show(&took.map_or_else(
            || line.clone(),
            |took| format!("{line} ({})", seconds(took)),
        ));
        summary.add(&line);
    }
    let status = child.wait()?;
    ensure!(
        status.success() || summary.failed > 0,
        "cargo test ended with {status}"
    );
    eprintln!("tests took {} s", began.elapsed().as_secs());
    Ok(summary)
}

/// Returns whether a line is the first one of a test program, such as `running 3 tests`.
fn is_start(line: &str) -> bool {
    let count = line.strip_prefix("running ");
    count.is_some_and(|rest| rest.ends_with(" tests") || rest.ends_with(" test"))
}

impl Summary {
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

    fn slowest(&self) -> Vec<&(Duration, String)> {
        let mut times: Vec<_> = self.times.iter().collect();
        times.sort_by_key(|(took, _)| std::cmp::Reverse(*took));
        times.truncate(SLOWEST);
        times
    }

    /// Prints the slowest tests and the counts. CI reads the last line.
    fn report(&self) {
        show("the slowest tests:");
        for (took, name) in self.slowest() {
            show(&format!("{:>9}  {name}", seconds(*took)));
        }
        show(&format!(
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.ignored
        ));
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[expect(
    clippy::print_stdout,
    reason = "the output of the tests and their counts are what this command is for"
)]
fn show(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_programs_are_summed() {
        let mut summary = Summary::default();
        summary.add("running 3 tests");
        summary.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        summary.add("test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        assert_eq!((summary.passed, summary.failed, summary.ignored), (5, 4, 1));
    }

    #[test]
    fn the_slowest_tests_come_first() {
        let time = |seconds: u64| (Duration::from_secs(seconds), format!("of {seconds} s"));
        let summary = Summary {
            times: (1..=12).map(time).collect(),
            ..Summary::default()
        };
        let slowest: Vec<_> = summary.slowest().into_iter().cloned().collect();
        assert_eq!(slowest, (3..=12).rev().map(time).collect::<Vec<_>>());
    }
}
