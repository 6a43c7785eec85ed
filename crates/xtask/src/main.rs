//! Commands for people who work on the project; see `crates/xtask/README.md`.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use testenv::cluster::{ADMIN, Cluster};
use testenv::project;
use testenv::prometheus::Prometheus;
use xtask::demo::Wishes;
use xtask::release;

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
    /// Build everything, run all tests, and print times and counts.
    Test(xtask::testing::Options),
    /// Build the release before this one, and tell the stories of an upgrade to this one and of the way back.
    Upgrade {
        /// Commit of the release before this one.
        #[arg(long, default_value = xtask::upgrade::PREVIOUS, value_name = "COMMIT")]
        from: String,
    },
    /// Start a cluster and a simulated AWS to install the product in, and keep them until Ctrl-C.
    Playground {
        /// How much faster than ours AWS's clock runs.
        #[arg(long, default_value = "1", value_name = "RATE")]
        clock_rate: String,
    },
    /// Build the documentation as a book.
    Book,
    /// Take the pictures of the documentation again. Needs tmux and Chromium.
    Screens,
    /// Write the files that are generated from the code and the chart.
    Generate,
    /// Check crate edges, lints and generated files.
    Check,
    /// Start an API server with the CRDs, print its kubeconfig, and keep it until Ctrl-C.
    Cluster,
    /// Build the API server, Helm, Prometheus and their tools if they are not there yet.
    Assets,
    /// Write the bill of materials of a program, in CycloneDX.
    Sbom {
        /// Package of the program.
        package: String,
        /// Where to write it.
        file: PathBuf,
        /// Platform of the program, as rustc names it.
        #[arg(
            long,
            default_value = "x86_64-unknown-linux-gnu",
            value_name = "TRIPLE"
        )]
        target: String,
    },
    /// Print the section of the changelog for a version.
    ReleaseNotes {
        /// Version such as 0.1.0.
        version: String,
    },
    /// Print the manifest with which krew installs the kubectl plugin.
    KrewManifest {
        /// Tag such as v0.1.0.
        tag: String,
        /// Checksums of the archives, as sha256sum writes them.
        checksums: PathBuf,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().task {
        Task::Demo { keep, context } => xtask::demo::run(&Wishes { keep, context }),
        Task::Test(options) => xtask::testing::run(&options),
        Task::Upgrade { from } => xtask::upgrade::run(&from),
        Task::Playground { clock_rate } => testenv::playground::run(&clock_rate),
        Task::Book => xtask::book::build(),
        Task::Screens => xtask::screens::take(),
        Task::Generate => xtask::generate::write(),
        Task::Check => xtask::check::all(),
        Task::Cluster => cluster(),
        Task::Assets => assets(),
        Task::Sbom {
            package,
            file,
            target,
        } => release::sbom::write(&package, &target, &file),
        Task::ReleaseNotes { version } => release::notes::of(&version).map(|text| print(&text)),
        Task::KrewManifest { tag, checksums } => {
            release::krew::manifest(&tag, &checksums).map(|text| print(&text))
        }
    }
}

#[expect(
    clippy::print_stdout,
    reason = "what was asked for is to be redirected"
)]
fn print(text: &str) {
    print!("{text}");
}

fn assets() -> Result<()> {
    testenv::assets::Assets::locate()?;
    testenv::assets::helm()?;
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
