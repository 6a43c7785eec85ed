//! `cargo xtask bench`: measures release builds of the product on the simulator, and writes `docs/performance.md`.
//!
//! A benchmark is no test: it fails only if something does not work, never because it is slow.

mod audit;
mod change;
mod estate;
mod idle;
mod latency;
mod machine;
mod micro;
mod operations;
mod page;
mod policies;
mod results;
mod simulator;
mod start;
mod sweep;
mod tools;
mod usage;
mod world;

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use serde_json::{Value, json};
use testenv::{assets::Assets, project};

use self::machine::Machine;
use self::results::Results;

/// The programs that are measured.
const BINARIES: [&str; 3] = [
    "secret-rotation-controller",
    "secretsmanager-simulator",
    "kubectl-secret_rotation",
];

/// The options of the command.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Run these benchmarks [default: those that take about ten minutes together].
    #[arg(value_enum, value_name = "NAME")]
    names: Vec<Name>,
    /// Run every benchmark in every size, which takes about an hour.
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Run with these numbers of secrets, separated by commas, instead of those of each benchmark.
    #[arg(long, value_delimiter = ',', value_name = "COUNT")]
    secrets: Vec<usize>,
    /// Write the results into docs/performance.md.
    #[arg(long)]
    write: bool,
    /// Write everything that was measured to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
    /// Measure the programs in this folder instead of building them.
    #[arg(long, value_name = "FOLDER", requires = "revision")]
    programs: Option<PathBuf>,
    /// Name this revision in the results: the one of the programs in that folder.
    #[arg(long, value_name = "COMMIT", requires = "programs")]
    revision: Option<String>,
}

/// A benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// The simulator itself: pages per second, memory of a secret.
    Simulator,
    /// Start of the process to the first complete status.
    Start,
    /// First, unchanged and changed sweeps.
    Sweep,
    /// A change of a policy while many secrets are known.
    Change,
    /// An event in the queue to the status.
    Latency,
    /// An audit without a cluster.
    Audit,
    /// What people use today, side by side.
    Tools,
    /// A thousand policies over the same secrets.
    Policies,
    /// 20,000 ended and 1,000 waiting operations.
    Operations,
    /// Five minutes without anything to do.
    Idle,
    /// Single steps of the engine, without I/O.
    Micro,
}

impl Name {
    /// The benchmarks that run if none is named.
    const DEFAULT: [Self; 7] = [
        Self::Simulator,
        Self::Start,
        Self::Sweep,
        Self::Change,
        Self::Latency,
        Self::Audit,
        Self::Tools,
    ];

    fn text(self) -> String {
        let value = self.to_possible_value();
        value.expect("no benchmark is hidden").get_name().to_owned()
    }

    /// Returns the numbers of secrets: the usual ones, and those that take long.
    const fn sizes(self) -> (&'static [usize], &'static [usize]) {
        match self {
            Self::Simulator | Self::Audit => (&[100_000], &[500_000]),
            Self::Sweep => (&[2_000, 20_000, 100_000], &[500_000]),
            Self::Start | Self::Latency | Self::Tools => (&[2_000], &[]),
            Self::Change | Self::Policies => (&[100_000], &[]),
            Self::Operations => (&[1_000], &[]),
            Self::Idle => (&[500], &[]),
            Self::Micro => (&[0], &[]),
        }
    }

    fn run(self, secrets: usize) -> Result<Results> {
        match self {
            Self::Simulator => simulator::run(secrets),
            Self::Start => start::run(secrets),
            Self::Sweep => sweep::run(secrets),
            Self::Change => change::run(secrets),
            Self::Latency => latency::run(secrets),
            Self::Audit => audit::run(secrets),
            Self::Tools => tools::run(secrets),
            Self::Policies => policies::run(secrets),
            Self::Operations => operations::run(secrets),
            Self::Idle => idle::run(secrets),
            Self::Micro => micro::run(),
        }
    }
}

/// Returns the names of all benchmarks, in the order in which they run.
pub fn names() -> Vec<String> {
    let all = Name::value_variants().iter();
    all.map(|name| name.text()).collect()
}

/// Runs benchmarks, and prints their results as Markdown.
///
/// # Errors
///
/// Returns an error if something does not build, start or work. The results of the other benchmarks are still written.
pub fn run(options: &Options) -> Result<()> {
    let names = options.names();
    match &options.programs {
        Some(folder) => world::use_programs(folder.canonicalize()?),
        None => build()?,
    }
    Assets::locate()?;
    let machine = Machine::read(options.revision.clone())?;
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for name in names {
        let mut all: Option<Results> = None;
        for secrets in options.sizes(name) {
            eprintln!("{}, {secrets} secrets", name.text());
            match name.run(secrets) {
                Ok(results) => match &mut all {
                    Some(all) => all.append(results),
                    None => all = Some(results),
                },
                Err(error) => {
                    eprintln!("{}, {secrets} secrets: {error:#}", name.text());
                    failed.push(format!("{} with {secrets} secrets", name.text()));
                }
            }
        }
        if let Some(results) = all {
            show(&format!("\n## {}\n\n{}", name.text(), results.markdown()));
            done.push((name, results));
            // Written after each benchmark, because the next one can take long or fail.
            options.save(&machine, &done)?;
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

impl Options {
    fn names(&self) -> Vec<Name> {
        if self.all {
            Name::value_variants().to_vec()
        } else if self.names.is_empty() {
            Name::DEFAULT.to_vec()
        } else {
            self.names.clone()
        }
    }

    fn sizes(&self, name: Name) -> Vec<usize> {
        let (usual, long) = name.sizes();
        if !self.secrets.is_empty() && name != Name::Micro {
            self.secrets.clone()
        } else if self.all {
            [usual, long].concat()
        } else {
            usual.to_vec()
        }
    }

    fn save(&self, machine: &Machine, done: &[(Name, Results)]) -> Result<()> {
        if let Some(path) = &self.output_file {
            let results = done.iter();
            let results = results.map(|(name, results)| (name.text(), results.json()));
            let results: serde_json::Map<String, Value> = results.collect();
            let text = json!({"machine": machine.json(), "benchmarks": results});
            fs::write(path, format!("{text:#}\n"))?;
        }
        if self.write {
            for (name, results) in done {
                page::write(&name.text(), &results.markdown(), machine)?;
            }
        }
        Ok(())
    }
}

fn build() -> Result<()> {
    eprintln!("building the release, which takes about 20 minutes the first time on two cores");
    let mut build = project::cargo();
    build.args(["build", "--release", "--locked", "--workspace"]);
    for binary in BINARIES {
        build.args(["--bin", binary]);
    }
    project::run(&mut build)
}

#[expect(
    clippy::print_stdout,
    reason = "the results are the output of this command"
)]
fn show(text: &str) {
    println!("{text}");
}
