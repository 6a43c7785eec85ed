//! Servers that end with us: children with a log file, signals, and watchdogs for the case that we are killed.
//!
//! Not a supervisor: a server that ends is not started again.

use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// How long a server may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(4);

/// Below the ports that Linux gives to outgoing connections: a chosen one stays free until its server, or the next, binds it.
const PORTS: Range<u16> = 12_000..32_000;

/// A running server.
#[derive(Debug)]
pub struct Server {
    name: String,
    child: Child,
    watchdog: Child,
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
        // A group of its own: Ctrl-C is for us, and etcd must not end before the API server does.
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {name}: {command:?}"))?;
        let watchdog = watch_over(child.id()).inspect_err(|_| {
            // It has only just started; that it cannot be watched is the error to tell.
            let _ = child.kill();
            let _ = child.wait();
        })?;
        Ok(Self {
            name: name.to_owned(),
            child,
            watchdog,
            log: log.to_owned(),
        })
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
}

impl Drop for Server {
    fn drop(&mut self) {
        // The id of a process that has been waited for may belong to another one by now.
        if self.is_running() {
            // A paused process does not see SIGTERM.
            let _ = self.signal("CONT");
            self.stop();
        }
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
    }
}

/// A process that is killed drops nothing: a shell waits for its end and ends the server then.
fn watch_over(server: u32) -> Result<Child> {
    let script = r#"
        while kill -0 "$1"; do kill -0 "$2" || exit 0; sleep 1; done
        kill -9 "$2""#;
    watchdog(script, &server.to_string())
}

/// Removes a folder if this process is killed before it does so itself.
pub fn remove_when_killed(folder: &Path) -> Result<()> {
    let script = r#"
        while kill -0 "$1"; do [ -d "$2" ] || exit 0; sleep 1; done
        sleep 2 # the servers that write to it are being ended
        rm -rf -- "$2""#;
    let folder = folder.to_str().context("the folder is not UTF-8")?;
    watchdog(script, folder).map(drop)
}

/// Runs a script with our process id as `$1`, out of the reach of signals that are meant for us.
fn watchdog(script: &str, argument: &str) -> Result<Child> {
    Command::new("sh")
        .args(["-c", script, "watchdog"])
        .args([&std::process::id().to_string(), argument])
        .process_group(0)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start a watchdog: is there no `sh`?")
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

/// Status and body of what a server on loopback answers.
pub fn ask(port: u16, path: &str) -> Result<(u16, String)> {
    exchange(
        port,
        &format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"),
    )
}

/// Status and body of what a server on loopback answers to a body.
pub fn post(port: u16, path: &str, body: &str) -> Result<(u16, String)> {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {length}");
    exchange(port, &format!("{head}\r\n\r\n{body}"))
}

fn exchange(port: u16, request: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an HTTP answer")?;
    let status = head.split(' ').nth(1).context("a status line")?.parse()?;
    Ok((status, body.to_owned()))
}

/// Whether a server on loopback answers well.
pub fn is_ready(port: u16, path: &str) -> bool {
    ask(port, path).is_ok_and(|(status, _)| status == 200)
}

/// A port of the loopback interface that was free a moment ago, drawn at random so that parallel tests rarely meet.
pub fn free_port() -> Result<u16> {
    let width = u64::from(PORTS.end - PORTS.start);
    let draw = || RandomState::new().build_hasher().finish() % width;
    (0..100)
        .filter_map(|_| u16::try_from(draw()).ok())
        .map(|offset| PORTS.start + offset)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .context("no free loopback port in a hundred tries")
}
