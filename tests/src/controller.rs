//! One replica of the controller as a process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Result;
use testenv::process::{self, Server};
use testenv::project;

/// The variable with the path of a binary to run instead of the one that is built here, such as that of a release.
const BINARY: &str = "SECRET_ROTATION_CONTROLLER";

/// A running replica. Dropping it stops the process.
#[derive(Debug)]
pub struct Controller {
    server: Server,
    metrics: u16,
    health: u16,
}

impl Controller {
    /// Starts a replica of a binary, with what `adjust` adds to its command. It does not wait until the replica is ready.
    pub fn start(
        program: &Path,
        kubeconfig: &Path,
        aws: &str,
        log: &Path,
        adjust: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let (metrics, health) = (process::free_port()?, process::free_port()?);
        let mut command = command_of(program, kubeconfig, aws);
        command
            .args(["--log-format", "json"])
            .args(["--metrics-address", &format!("127.0.0.1:{metrics}")])
            .args(["--health-address", &format!("127.0.0.1:{health}")]);
        adjust(&mut command);
        Ok(Self {
            server: Server::start("secret-rotation-controller", &mut command, log)?,
            metrics,
            health,
        })
    }

    /// Returns the log.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// Kills the process, as `kill -9` does.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Sends SIGTERM, and returns whether the process ended within ten seconds.
    pub fn terminate(&mut self) -> bool {
        // It may have ended already.
        let _ = self.server.signal("TERM");
        self.server.ends_within(Duration::from_secs(10))
    }

    /// Sends SIGTERM and waits until the process has ended; an error means that it did not end in time.
    pub fn terminate_within(&mut self, patience: Duration) -> Result<()> {
        self.server.signal("TERM")?;
        anyhow::ensure!(
            self.server.ends_within(patience),
            "it did not end within {patience:?}"
        );
        Ok(())
    }

    /// Pauses the process, or lets it continue.
    pub fn pause(&self, paused: bool) -> Result<()> {
        self.server.signal(if paused { "STOP" } else { "CONT" })
    }

    /// Returns whether the process is still running.
    pub fn is_running(&mut self) -> bool {
        self.server.is_running()
    }

    /// Returns the port of the health endpoints.
    pub const fn health_port(&self) -> u16 {
        self.health
    }

    /// Returns the metrics as Prometheus scrapes them.
    pub fn metrics(&self) -> Result<String> {
        process::ask(self.metrics, "/metrics").map(|(_, body)| body)
    }

    /// Returns the port of `/metrics`.
    pub const fn metrics_port(&self) -> u16 {
        self.metrics
    }

    /// Returns the value of a series, such as `name{label="value"}`.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = self.metrics().ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(series))?;
        line.trim().parse().ok()
    }

    /// Returns status and body of `/livez` or `/readyz`.
    pub fn health(&self, path: &str) -> Result<(u16, String)> {
        process::ask(self.health, path)
    }
}

/// Returns the command of the controller with the environment of a story, to which flags or a subcommand are added.
pub fn command(kubeconfig: &Path, aws: &str) -> Command {
    command_of(binary(), kubeconfig, aws)
}

fn command_of(program: &Path, kubeconfig: &Path, aws: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("KUBECONFIG", kubeconfig)
        .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", aws)
        .env("AWS_ENDPOINT_URL_SQS", aws)
        .env_remove("AWS_PROFILE")
        .env_remove("RUST_LOG")
        .env("AWS_ACCESS_KEY_ID", "story")
        .env("AWS_SECRET_ACCESS_KEY", "story")
        .env("AWS_REGION", "eu-west-1")
        .args(["--lease-namespace", "secret-rotation-system"]);
    command
}

/// Returns the controller's binary: the one that the environment names, or one that is built once per process, so that an
/// outdated binary is never tested.
pub(crate) fn binary() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(named) = std::env::var_os(BINARY) {
            return PathBuf::from(named);
        }
        let build = [
            "build",
            "--quiet",
            "--locked",
            "--bin",
            "secret-rotation-controller",
        ];
        project::run(project::cargo().args(build)).expect("the controller builds");
        let folder = project::debug_binaries().expect("cargo names its target folder");
        folder.join("secret-rotation-controller")
    })
}
