//! Servers that end with us: children with a log file, signals, and a watchdog for the case that we are killed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// How long a server may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(4);

/// A running server.
#[derive(Debug)]
pub struct Server {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts a server with its output in `log`. It ends when this value is dropped, and soon after this process dies.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot open {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name}: {command:?}"))?;
        let server = Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        };
        server.watch_over()?;
        Ok(server)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal by name, such as `TERM`, `KILL`, `STOP` or `CONT`.
    pub fn signal(&self, name: &str) -> Result<()> {
        signal(self.id(), name)
    }

    /// Ends it at once and waits until it is gone.
    pub fn kill(&mut self) {
        // Both fail only where the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, and ends it if it does not.
    pub fn stop(&mut self) {
        // A server that cannot be signalled is gone already.
        let _ = self.signal("TERM");
        if !self.ends_within(PATIENCE) {
            self.kill();
        }
    }

    /// Waits for it to end by itself.
    pub fn ends_within(&mut self, patience: Duration) -> bool {
        let step = Duration::from_millis(20);
        (0..patience.as_millis() / step.as_millis()).any(|_| {
            let running = self.is_running();
            if running {
                thread::sleep(step);
            }
            !running
        })
    }

    /// Waits until `ready` says so; the error carries the end of the log.
    pub fn wait_until(
        &mut self,
        patience: Duration,
        mut ready: impl FnMut(&str) -> bool,
    ) -> Result<()> {
        let step = Duration::from_millis(50);
        for _ in 0..patience.as_millis() / step.as_millis() {
            if ready(&self.log()) {
                return Ok(());
            }
            ensure!(
                self.is_running(),
                "{} ended while it started:\n{}",
                self.name,
                self.last_lines()
            );
            thread::sleep(step);
        }
        bail!(
            "{} is not ready after {} s:\n{}",
            self.name,
            patience.as_secs(),
            self.last_lines()
        )
    }

    fn last_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// A process that is killed drops nothing: a shell waits for its end and ends the server then.
    fn watch_over(&self) -> Result<()> {
        let (own, server) = (std::process::id(), self.id());
        let script =
            format!("while kill -0 {own} && kill -0 {server}; do sleep 1; done; kill -9 {server}");
        let mut watchdog = Command::new("sh");
        watchdog
            .args(["-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        watchdog
            .spawn()
            .map(drop)
            .context("cannot start a watchdog: is there no `sh`?")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A paused process does not see SIGTERM.
        let _ = self.signal("CONT");
        self.stop();
    }
}

/// Sends a signal to a process that we started.
pub fn signal(process: u32, name: &str) -> Result<()> {
    let status = Command::new("sh")
        .args(["-c", &format!("kill -{name} {process}")])
        .stderr(Stdio::null())
        .status()?;
    ensure!(status.success(), "process {process} cannot be sent {name}");
    Ok(())
}

/// A port of the loopback interface that was free a moment ago.
pub fn free_port() -> Result<u16> {
    let listener =
        std::net::TcpListener::bind(("127.0.0.1", 0)).context("no free loopback port")?;
    Ok(listener.local_addr()?.port())
}
