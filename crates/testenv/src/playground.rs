//! The playground: a cluster, a simulated AWS and a Prometheus, in which the product is installed as in any cluster.
//!
//! No container is started. For a Deployment of the controller, the playground starts one process with the arguments of
//! the Deployment and the permissions of its `ServiceAccount`, and reports the Deployment ready when the process is ready.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cluster::{ADMIN, Cluster};
use crate::pod::{Pod, Running};
use crate::process::{self, Server};
use crate::prometheus::{self, Prometheus};
use crate::{assets, project, simulator};

const BINARIES: [&str; 3] = [
    "secret-rotation-controller",
    "secretsmanager-simulator",
    "kubectl-secret_rotation",
];

/// How long the condition of an alert must hold before the alert fires. In the rules it is minutes, which is too long to
/// wait for in a trial.
const PATIENCE: &str = "15s";

/// The interval between two reads of the Deployments.
const PAUSE: Duration = Duration::from_millis(500);

/// A running playground. Dropping it stops everything.
#[derive(Debug)]
pub struct Playground {
    // Dropped in this order: clients before the servers that they call.
    running: Option<Running>,
    prometheus: prometheus::Running,
    simulator: Server,
    aws: String,
    metrics: u16,
    cluster: Cluster,
}

/// Starts a playground, prints how to use it, and keeps it until Ctrl-C.
///
/// # Errors
///
/// Returns an error if a server does not start, or ends before Ctrl-C.
pub fn run(clock_rate: &str) -> Result<()> {
    let mut playground = Playground::start(clock_rate)?;
    playground.explain()?;
    while playground.cluster.is_running() && playground.simulator.is_running() {
        playground.tend()?;
        thread::sleep(PAUSE);
    }
    bail!("a server has ended unexpectedly")
}

impl Playground {
    /// Builds the programs, and starts an API server and a simulated AWS. `clock_rate` is the number of seconds of AWS's
    /// clock per real second.
    ///
    /// # Errors
    ///
    /// Returns an error if a program cannot be built, or if a server does not start.
    pub fn start(clock_rate: &str) -> Result<Self> {
        let mut build = project::cargo();
        build.args(["build", "--quiet", "--locked"]);
        for binary in BINARIES {
            build.args(["--bin", binary]);
        }
        project::run(&mut build)?;
        let cluster = Cluster::start(&[])?;
        let estate = project::root().join("crates/testenv/playground/estate.yaml");
        let (simulator, aws) = simulator::start(&estate, clock_rate, cluster.folder())?;
        let metrics = process::free_port()?;
        let folder = cluster.folder().join("prometheus");
        fs::create_dir(&folder)?;
        let prometheus = prometheus::Running::start(&folder, &[metrics], PATIENCE)?;
        Ok(Self {
            running: None,
            prometheus,
            simulator,
            aws,
            metrics,
            cluster,
        })
    }

    /// Returns the environment variables with which a shell uses the playground.
    ///
    /// # Errors
    ///
    /// Returns an error if cargo does not report its target folder.
    pub fn environment(&self) -> Result<Vec<(&'static str, OsString)>> {
        let kubectl = self.cluster.kubectl().get_program().to_owned();
        let promtool = Prometheus::locate()?.promtool;
        let tools = [kubectl.into(), assets::helm()?, promtool];
        let mut path: Vec<PathBuf> = tools
            .iter()
            .filter_map(|tool: &PathBuf| tool.parent().map(Into::into))
            .collect();
        path.push(project::debug_binaries()?);
        path.extend(std::env::split_paths(
            &std::env::var_os("PATH").unwrap_or_default(),
        ));
        Ok(vec![
            ("PATH", std::env::join_paths(path)?),
            ("KUBECONFIG", self.cluster.kubeconfig(ADMIN).into()),
            ("KUBECACHEDIR", self.cluster.folder().join("kubectl").into()),
            (
                "PROMETHEUS",
                format!("http://127.0.0.1:{}", self.prometheus.port()).into(),
            ),
            ("AWS_ENDPOINT_URL", self.aws.clone().into()),
            ("AWS_ACCESS_KEY_ID", "playground".into()),
            ("AWS_SECRET_ACCESS_KEY", "playground".into()),
            ("AWS_REGION", "eu-west-1".into()),
        ])
    }

    /// Starts the controller that a Deployment requests, stops one that no Deployment requests, and writes the status of
    /// the Deployment.
    ///
    /// # Errors
    ///
    /// Returns an error if the API server cannot be read or written, or if the controller does not start.
    pub fn tend(&mut self) -> Result<()> {
        let wanted = Pod::wanted(&self.cluster)?;
        if self.running.as_ref().map(|running| &running.pod) != wanted.as_ref() {
            self.running = None;
            let start = |pod| Running::start(pod, &self.cluster, &self.aws, self.metrics);
            self.running = wanted.map(start).transpose()?;
        }
        match &mut self.running {
            Some(running) => running.report(&self.cluster),
            None => Ok(()),
        }
    }

    /// Returns the last lines of the controller's log, for the message of a failed test.
    pub fn log(&self) -> String {
        self.running.as_ref().map(Running::log).unwrap_or_default()
    }

    /// Prints the environment variables as shell commands on standard output, and everything else on standard error.
    fn explain(&self) -> Result<()> {
        let mut out = std::io::stdout().lock();
        for (name, value) in self.environment()? {
            let value = value.into_string().ok().context("paths are UTF-8")?;
            writeln!(out, "export {name}='{value}'")?;
        }
        eprintln!(
            "Paste the lines above into another shell. A Deployment of the controller runs as a process here; Ctrl-C ends everything."
        );
        Ok(())
    }
}
