//! `cargo xtask`: commands for contributors, described in `crates/xtask/README.md`.

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

/// Generate files, check the repository, and run the tests, the demo and the servers that they need.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run the product in a terminal, against a simulated AWS with stuck rotations.
    Demo {
        /// Keep everything running until Ctrl-C.
        #[arg(long)]
        keep: bool,
        /// Use the cluster of this kubeconfig context instead of starting an API server.
        #[arg(long, value_name = "NAME")]
        context: Option<String>,
    },
    /// Build everything, run all tests, and print counts and times.
    Test(xtask::testing::Options),
    /// Measure release builds on the simulator. The results are Markdown tables.
    Bench(xtask::bench::Options),
    /// Build the previous release, and test the upgrade from it and the downgrade to it.
    Upgrade {
        /// Commit of the previous release.
        #[arg(long, default_value = xtask::upgrade::PREVIOUS, value_name = "COMMIT")]
        from: String,
    },
    /// Start an API server and a simulated AWS to install the product in, and keep them until Ctrl-C.
    Playground {
        /// Seconds of AWS's clock per real second.
        #[arg(long, default_value = "1", value_name = "RATE")]
        clock_rate: String,
    },
    /// Build the documentation as an HTML book.
    Book,
    /// Take the pictures of the documentation again. Needs tmux and Chromium.
    Screens,
    /// Write the files that are generated from the code and the chart.
    Generate,
    /// Check module and crate dependencies, lint settings and generated files.
    Check,
    /// Start an API server with the CRDs, print its kubeconfig, and keep it until Ctrl-C.
    Cluster,
    /// Build the API server, Helm, Prometheus and their tools, if they are missing.
    Assets,
    /// Write the bill of materials of a program in CycloneDX format.
    Sbom {
        /// Package of the program.
        package: String,
        /// File to write.
        file: PathBuf,
        /// Target triple of the program.
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
    /// Print the krew manifest of the kubectl plugin.
    KrewManifest {
        /// Tag such as v0.1.0.
        tag: String,
        /// File with the checksums of the archives, in the format of sha256sum.
        checksums: PathBuf,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().task {
        Task::Demo { keep, context } => xtask::demo::run(&Wishes { keep, context }),
        Task::Test(options) => xtask::testing::run(&options),
        Task::Bench(options) => xtask::bench::run(&options),
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
    bail!("a server has ended unexpectedly")
}
