//! Commands for people who work on the project; see `crates/xtask/README.md`.

use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use xtask::cluster::{ADMIN, Cluster};
use xtask::demo::Wishes;
use xtask::project;
use xtask::prometheus::Prometheus;

/// Generates what is generated, checks what is promised, starts what tests and demo need.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Show the whole product on one screen, against a simulated AWS with stuck rotations.
    Demo {
        /// Leave everything running at the end.
        #[arg(long)]
        keep: bool,
        /// Use an existing cluster instead of an API server of our own.
        #[arg(long, value_name = "NAME")]
        context: Option<String>,
    },
    /// Build everything, run all tests and print the counts.
    Test {
        /// Only tests whose names contain this.
        filter: Option<String>,
    },
    /// Write the files that are generated from the code.
    Generate,
    /// Check crate edges, lints and generated files.
    Check,
    /// Start an API server with the CRDs, print its kubeconfig, and keep it until Ctrl-C.
    Cluster,
    /// Build the API server, Prometheus and their tools if they are not there yet.
    Assets,
}

fn main() -> Result<()> {
    match Arguments::parse().task {
        Task::Demo { keep, context } => xtask::demo::run(&Wishes { keep, context }),
        Task::Test { filter } => xtask::testing::run(filter.as_deref()),
        Task::Generate => xtask::generate::write(),
        Task::Check => xtask::check::all(),
        Task::Cluster => cluster(),
        Task::Assets => assets(),
    }
}

fn assets() -> Result<()> {
    xtask::assets::Assets::locate()?;
    Prometheus::locate().map(drop)
}

fn cluster() -> Result<()> {
    let mut cluster = Cluster::start(&[])?;
    cluster.apply(&project::root().join("deploy/crds"))?;
    eprintln!(
        "export KUBECONFIG={}\nCtrl-C ends it",
        cluster.kubeconfig(ADMIN).display()
    );
    while cluster.is_running() {
        thread::sleep(Duration::from_secs(1));
    }
    bail!("a server has ended by itself")
}
