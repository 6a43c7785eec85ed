//! A cluster, a simulated AWS, a Prometheus, and whoever starts containers: the product is installed here as anywhere else.
//!
//! No container is started. A Deployment of the controller gets one process with its arguments, under its
//! `ServiceAccount`, and is reported ready when that process is.

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

/// How long an alert must hold before it fires: nobody tries anything for five minutes.
const PATIENCE: &str = "15s";

/// Between two looks at what Deployments ask for.
const PAUSE: Duration = Duration::from_millis(500);

/// A running playground. Everything ends with it.
#[derive(Debug)]
pub struct Playground {
    // Dropped in this order: first those who ask, last those who answer.
    running: Option<Running>,
    prometheus: prometheus::Running,
    simulator: Server,
    aws: String,
    metrics: u16,
    cluster: Cluster,
}

/// Starts a playground, tells how to use it, and keeps it until Ctrl-C.
pub fn run(clock_rate: &str) -> Result<()> {
    let mut playground = Playground::start(clock_rate)?;
    playground.explain()?;
    while playground.cluster.is_running() && playground.simulator.is_running() {
        playground.tend()?;
        thread::sleep(PAUSE);
    }
    bail!("a server has ended by itself")
}

impl Playground {
    /// Builds what runs in it, and starts an API server and a simulated AWS whose clock runs so fast.
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

    /// What a shell needs to work in it.
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

    /// Starts the controller that a Deployment asks for, ends the one that none asks for, and reports on it.
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

    /// The end of the controller's log, for when something does not come true.
    pub fn log(&self) -> String {
        self.running.as_ref().map(Running::log).unwrap_or_default()
    }

    /// Prints the environment as a shell takes it, on standard output, and everything else on standard error.
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
