//! Child processes with a log file, which end with this process. A watchdog ends them if this process is killed.
//!
//! This is not a supervisor: a server that ends is not restarted.

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

/// How long a server may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(4);

/// Ports below those that Linux assigns to outgoing connections, so that a chosen port stays free until a server binds it.
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
    /// Starts a server with its output in `log`. It ends when this value is dropped, or soon after this process dies.
    ///
    /// # Errors
    ///
    /// Returns an error if the log cannot be created, or if the process or its watchdog does not start.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot open {}", log.display()))?;
        // Its own process group, so that it does not receive Ctrl-C: etcd must not end before the API server.
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {name}: {command:?}"))?;
        let watchdog = watch_over(child.id()).inspect_err(|_| {
            // An error of the kill would hide the error to report: that there is no watchdog.
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

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads the log.
    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Returns whether the process is still running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal by name, such as `TERM`, `KILL`, `STOP` or `CONT`.
    ///
    /// # Errors
    ///
    /// Returns an error if the process does not exist.
    pub fn signal(&self, name: &str) -> Result<()> {
        signal(self.id(), name)
    }

    /// Kills the process and waits until it has ended.
    pub fn kill(&mut self) {
        // Both fail only if the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends SIGTERM, and kills the process if it does not end.
    pub fn stop(&mut self) {
        // A process that cannot be signaled has already ended.
        let _ = self.signal("TERM");
        if !self.ends_within(PATIENCE) {
            self.kill();
        }
    }

    /// Waits for the process to end, and returns whether it ended in time.
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

    /// Waits until `ready` returns `true`.
    ///
    /// # Errors
    ///
    /// Returns an error with the end of the log if the process ends, or if the time is up.
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
        // The id of a process that has been waited for may belong to another process now.
        if self.is_running() {
            // A paused process does not handle SIGTERM.
            let _ = self.signal("CONT");
            self.stop();
        }
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
    }
}

/// Starts a shell that ends the server after this process has ended. It is needed because a killed process drops nothing.
fn watch_over(server: u32) -> Result<Child> {
    let script = r#"
        while kill -0 "$1"; do kill -0 "$2" || exit 0; sleep 1; done
        kill -9 "$2""#;
    watchdog(script, &server.to_string())
}

/// Starts a shell that removes a folder after this process has ended, in case it is killed before it removes the folder.
///
/// # Errors
///
/// Returns an error if the shell does not start.
pub fn remove_when_killed(folder: &Path) -> Result<()> {
    let script = r#"
        while kill -0 "$1"; do [ -d "$2" ] || exit 0; sleep 1; done
        sleep 2 # the servers that write to it are being ended
        rm -rf -- "$2""#;
    let folder = folder.to_str().context("the folder is not UTF-8")?;
    watchdog(script, folder).map(drop)
}

/// Runs a script with the id of this process as `$1`, in a process group of its own, which receives no Ctrl-C.
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

/// Sends a signal to a process that this process started.
///
/// # Errors
///
/// Returns an error if the process does not exist.
pub fn signal(process: u32, name: &str) -> Result<()> {
    let status = Command::new("sh")
        .args(["-c", &format!("kill -{name} {process}")])
        .stderr(Stdio::null())
        .status()?;
    ensure!(status.success(), "process {process} cannot be sent {name}");
    Ok(())
}

/// Sends a GET request to a server on loopback, and returns status and body of the response.
///
/// # Errors
///
/// Returns an error if the server does not respond in HTTP within five seconds.
pub fn ask(port: u16, path: &str) -> Result<(u16, String)> {
    Request::new("GET", path).send(port)
}

/// Sends a POST request to a server on loopback, and returns status and body of the response.
///
/// # Errors
///
/// Returns an error if the server does not respond in HTTP within five seconds.
pub fn post(port: u16, path: &str, body: &str) -> Result<(u16, String)> {
    Request::new("POST", path).body(body).send(port)
}

/// A request to a server on loopback.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    method: &'a str,
    path: &'a str,
    headers: String,
    body: &'a str,
    patience: Duration,
}

impl<'a> Request<'a> {
    /// Creates a request without a body that waits five seconds for a response.
    pub fn new(method: &'a str, path: &'a str) -> Self {
        Self {
            method,
            path,
            headers: String::new(),
            body: "",
            patience: Duration::from_secs(5),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let header = format!("{name}: {value}\r\n");
        self.headers.push_str(&header);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(self, body: &'a str) -> Self {
        Self { body, ..self }
    }

    /// Sets the maximum time without any byte of the response.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Sends the request, and returns status and body of the response.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not respond in HTTP within the time.
    pub fn send(&self, port: u16) -> Result<(u16, String)> {
        let Self {
            method,
            path,
            headers,
            body,
            ..
        } = self;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {length}\r\n{headers}"
        );
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an HTTP answer")?;
        let status = head.split(' ').nth(1).context("a status line")?.parse()?;
        Ok((status, body.to_owned()))
    }
}

/// Returns whether a server on loopback responds with status 200.
pub fn is_ready(port: u16, path: &str) -> bool {
    ask(port, path).is_ok_and(|(status, _)| status == 200)
}

/// Finds a free port of the loopback interface. It is chosen at random, so that parallel tests rarely choose the same one.
///
/// # Errors
///
/// Returns an error if none of a hundred ports is free.
pub fn free_port() -> Result<u16> {
    let width = u64::from(PORTS.end - PORTS.start);
    let draw = || RandomState::new().build_hasher().finish() % width;
    (0..100)
        .filter_map(|_| u16::try_from(draw()).ok())
        .map(|offset| PORTS.start + offset)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .context("no free loopback port in a hundred tries")
}
