//! `cargo xtask demo`: runs the product in a terminal, against a simulated AWS with stuck rotations.
//!
//! The demo exits with success only if every secret that was stuck has become healthy.

mod screen;
mod state;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use testenv::assets::Assets;
use testenv::cluster::{ADMIN, Cluster};
use testenv::process::{self, Server};
use testenv::{project, simulator};

use self::screen::Screen;
use self::state::State;

/// The time after which the demo fails.
const LIMIT: Duration = Duration::from_secs(170);

/// Seconds of AWS's clock per real second in the demo.
const CLOCK_RATE: &str = "10";

const NAMESPACES: [&str; 2] = ["team-payments", "team-search"];

/// The options of the command.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Whether everything keeps running until Ctrl-C.
    pub keep: bool,
    /// The kubeconfig context of an existing cluster, which is used instead of starting an API server.
    pub context: Option<String>,
}

/// Builds everything, runs the demo and cleans up.
///
/// # Errors
///
/// Returns an error if something does not build or start, or if a secret does not recover in time.
pub fn run(wishes: &Wishes) -> Result<()> {
    let stage = Stage::set(&build()?, wishes)?;
    let outcome = play(&stage);
    if wishes.keep {
        stage.keep();
    }
    stage.clear();
    outcome
}

fn build() -> Result<Assets> {
    eprintln!(
        "1/3 Kubernetes API server, etcd and kubectl (about 7 minutes the first time, later at once)"
    );
    let assets = Assets::locate()?;
    eprintln!(
        "2/3 Building the controller and the AWS simulator (about 5 minutes the first time on two cores)"
    );
    let binaries = [
        "build",
        "--locked",
        "--bin",
        "secret-rotation-controller",
        "--bin",
        "secretsmanager-simulator",
    ];
    project::run(project::cargo().args(binaries))?;
    eprintln!(
        "3/3 Starting API server, AWS simulator and controller; the rest takes about a minute and a half"
    );
    Ok(assets)
}

/// The cluster of the demo.
enum Place {
    Own(Box<Cluster>),
    Existing {
        kubectl: PathBuf,
        kubeconfig: PathBuf,
    },
}

/// Everything that runs. Dropping it stops everything.
pub(crate) struct Stage {
    // Dropped in this order: the controller before the servers that it calls.
    controller: Server,
    simulator: Server,
    simulator_url: String,
    metrics: u16,
    place: Place,
    folder: TempDir,
}

impl Stage {
    /// Builds everything and starts it, without showing anything.
    pub(crate) fn begin() -> Result<Self> {
        Self::set(&build()?, &Wishes::default())
    }

    /// Returns the path of the kubeconfig of an admin.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.place.kubeconfig()
    }

    /// Returns the address of the simulated AWS.
    pub(crate) fn aws(&self) -> &str {
        &self.simulator_url
    }

    fn set(assets: &Assets, wishes: &Wishes) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("secret-rotation-demo-")
            .tempdir()?;
        process::remove_when_killed(folder.path())?;
        let place = match &wishes.context {
            None => Place::Own(Box::new(Cluster::start(&[])?)),
            Some(context) => existing(assets, context, folder.path())?,
        };
        let root = project::root();
        for manifests in [
            "deploy/crds",
            "deploy/controller/namespace.yaml",
            "deploy/controller/rbac.yaml",
            "deploy/admission",
            "crates/xtask/demo/profile.yaml",
        ] {
            project::output(
                place
                    .kubectl()
                    .args(["apply", "--server-side", "-f"])
                    .arg(root.join(manifests)),
            )?;
        }
        let estate = root.join("crates/xtask/demo/estate.yaml");
        let (simulator, simulator_url) = simulator::start(&estate, CLOCK_RATE, folder.path())?;
        let metrics = process::free_port()?;
        let controller = start_controller(&place, &simulator_url, metrics, folder.path())?;
        project::output(
            place
                .kubectl()
                .args(["apply", "-f"])
                .arg(root.join("crates/xtask/demo/policies.yaml")),
        )?;
        Ok(Self {
            controller,
            simulator,
            simulator_url,
            metrics,
            place,
            folder,
        })
    }

    /// Prints how to inspect the demo, and waits for Ctrl-C.
    fn keep(&self) {
        eprintln!("\nEverything keeps running until Ctrl-C.");
        eprintln!("  export KUBECONFIG={}", self.place.kubeconfig().display());
        eprintln!("  kubectl get srp,sro,awsap -A");
        eprintln!(
            "  (AWS's clock runs fast here: LAST-CHECK lies in the future and is shown as <invalid>)"
        );
        eprintln!("  curl http://127.0.0.1:{}/metrics", self.metrics);
        eprintln!("  AWS_ACCESS_KEY_ID=demo AWS_SECRET_ACCESS_KEY=demo AWS_REGION=eu-west-1 \\");
        eprintln!(
            "    aws --endpoint-url {} secretsmanager list-secrets",
            self.simulator_url
        );
        eprintln!("  logs: {}", self.folder.path().display());
        loop {
            thread::sleep(Duration::from_hours(1));
        }
    }

    /// Deletes what the demo created in an existing cluster.
    fn clear(mut self) {
        self.controller.stop();
        self.simulator.stop();
        let Place::Existing { .. } = &self.place else {
            return;
        };
        let root = project::root();
        for manifests in [
            "crates/xtask/demo/policies.yaml",
            "crates/xtask/demo/profile.yaml",
            "deploy/controller/rbac.yaml",
            "deploy/admission",
            "deploy/crds",
        ] {
            let mut delete = self.place.kubectl();
            delete
                .args(["delete", "--ignore-not-found", "--wait=false", "-f"])
                .arg(root.join(manifests));
            if let Err(error) = project::output(&mut delete) {
                eprintln!("not everything could be removed: {error:#}");
            }
        }
    }
}

impl Place {
    fn kubectl(&self) -> Command {
        match self {
            Self::Own(cluster) => cluster.kubectl(),
            Self::Existing {
                kubectl,
                kubeconfig,
            } => {
                let mut command = Command::new(kubectl);
                command.env("KUBECONFIG", kubeconfig);
                command
            }
        }
    }

    fn kubeconfig(&self) -> PathBuf {
        match self {
            Self::Own(cluster) => cluster.kubeconfig(ADMIN),
            Self::Existing { kubeconfig, .. } => kubeconfig.clone(),
        }
    }

    /// Returns the kubeconfig of the controller. In a cluster that the demo started, the controller has exactly the
    /// permissions of `deploy/`.
    fn controller_kubeconfig(&self) -> Result<PathBuf> {
        match self {
            Self::Own(cluster) => {
                cluster.service_account("secret-rotation-system", "secret-rotation-controller")
            }
            Self::Existing { kubeconfig, .. } => Ok(kubeconfig.clone()),
        }
    }
}

fn existing(assets: &Assets, context: &str, folder: &Path) -> Result<Place> {
    let mut view = Command::new(&assets.kubectl);
    view.args([
        "config",
        "view",
        "--minify",
        "--flatten",
        "--context",
        context,
    ]);
    let config = project::output(&mut view).with_context(|| {
        format!("there is no usable context {context}; see `kubectl config get-contexts`")
    })?;
    let kubeconfig = folder.join("kubeconfig");
    fs::write(&kubeconfig, config)?;
    Ok(Place::Existing {
        kubectl: assets.kubectl.clone(),
        kubeconfig,
    })
}

fn start_controller(place: &Place, aws: &str, metrics: u16, folder: &Path) -> Result<Server> {
    let health = process::free_port()?;
    let mut command = Command::new(project::debug_binaries()?.join("secret-rotation-controller"));
    command.env("KUBECONFIG", place.controller_kubeconfig()?);
    command
        .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", aws)
        .env_remove("AWS_PROFILE");
    command.envs([
        ("AWS_ACCESS_KEY_ID", "demo"),
        ("AWS_SECRET_ACCESS_KEY", "demo"),
        ("AWS_REGION", "eu-west-1"),
    ]);
    command.args([
        "--lease-namespace",
        "secret-rotation-system",
        "--log-format",
        "json",
    ]);
    command.args([
        "--metrics-address",
        &format!("127.0.0.1:{metrics}"),
        "--health-address",
        &format!("127.0.0.1:{health}"),
    ]);
    Server::start(
        "secret-rotation-controller",
        &mut command,
        &folder.join("controller.log"),
    )
}

/// Shows the state until every recoverable secret is healthy, or the time is up.
fn play(stage: &Stage) -> Result<()> {
    let began = now();
    let mut screen = Screen::new();
    let mut stuck_seen = 0;
    while began.elapsed() < LIMIT {
        let seen = State::read(&|| stage.place.kubectl(), &NAMESPACES)?;
        stuck_seen = stuck_seen.max(seen.stuck_in_remediate());
        screen.show(&seen, began.elapsed());
        if stuck_seen > 0 && seen.recovered() {
            return finish(&seen, stuck_seen, began.elapsed());
        }
        thread::sleep(Duration::from_secs(1));
    }
    let log = stage.controller.log();
    let lines: Vec<_> = log.lines().collect();
    eprintln!("{}", lines[lines.len().saturating_sub(15)..].join("\n"));
    bail!(
        "not every stuck secret has recovered within {} s; the controller's last words are above",
        LIMIT.as_secs()
    )
}

fn finish(state: &State, stuck_seen: u64, took: Duration) -> Result<()> {
    let operations = state.operations_succeeded();
    ensure!(
        operations > 0,
        "the secrets are healthy, but no operation reports that it recovered them"
    );
    eprintln!(
        "\n{stuck_seen} stuck rotations were found and recovered by {operations} operations in {} s.",
        took.as_secs()
    );
    eprintln!(
        "The policy of team-search only observes: its stuck secrets stay as they are, and are reported."
    );
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a stopwatch for people, outside the product"
)]
fn now() -> Instant {
    Instant::now()
}
