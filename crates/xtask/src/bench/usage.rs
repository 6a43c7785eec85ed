//! CPU time and memory of processes, as Linux counts them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::timing::now;

/// Linux reports CPU times in these units to every program (`USER_HZ`), whatever the kernel uses itself.
const TICK: Duration = Duration::from_millis(10);

/// The interval at which the memory of a command is read.
const PAUSE: Duration = Duration::from_millis(20);

/// A running process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process(pub(super) u32);

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    pub(super) resident: u64,
    /// The most since the process began.
    pub(super) peak: u64,
}

/// The costs of a command with all its child processes.
#[derive(Clone, Debug)]
pub(super) struct Spent {
    pub(super) wall: Duration,
    pub(super) cpu: Duration,
    /// The most memory of any one of its processes.
    pub(super) peak: u64,
    pub(super) output: String,
    pub(super) succeeded: bool,
}

impl Process {
    /// Returns user and system time of all threads, also of those that have ended.
    pub(super) fn cpu(self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0))
            .context("the process has ended")?;
        cpu_in(&stat, 11)
    }

    pub(super) fn memory(self) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))
            .context("the process has ended")?;
        Ok(Memory {
            resident: kilobytes(&status, "VmRSS:") * 1024,
            peak: kilobytes(&status, "VmHWM:") * 1024,
        })
    }

    /// Waits until the process has used almost no CPU for a second, and returns its CPU time then.
    pub(super) fn settled(self, patience: Duration) -> Result<Duration> {
        let began = now();
        let mut last = self.cpu()?;
        loop {
            thread::sleep(Duration::from_secs(1));
            let used = self.cpu()?;
            if used.saturating_sub(last) <= 3 * TICK || began.elapsed() > patience {
                return Ok(used);
            }
            last = used;
        }
    }

    /// Returns the process and all processes that it has started.
    fn tree(self) -> Vec<Self> {
        let mut tree = vec![self];
        let mut next = 0;
        while let Some(process) = tree.get(next).copied() {
            let path: PathBuf = format!("/proc/{0}/task/{0}/children", process.0).into();
            let children = fs::read_to_string(path).unwrap_or_default();
            let ids = children.split_whitespace().filter_map(|id| id.parse().ok());
            tree.extend(ids.map(Self));
            next += 1;
        }
        tree
    }
}

/// Runs a command to its end. Its standard output is returned, and its standard error is inherited.
pub(super) fn spent(command: &mut Command) -> Result<Spent> {
    let name = format!("{command:?}");
    let (before, began) = (cpu_of_children()?, now());
    let output = tempfile::NamedTempFile::new()?;
    command.stdin(Stdio::null()).stdout(output.reopen()?);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        // A process that ends now has no memory any more.
        let all = Process(child.id()).tree().into_iter();
        let largest = all
            .filter_map(|one| one.memory().ok())
            .map(|memory| memory.peak);
        peak = largest.max().unwrap_or(0).max(peak);
        thread::sleep(PAUSE);
    };
    Ok(Spent {
        wall: began.elapsed(),
        cpu: cpu_of_children()?.saturating_sub(before),
        peak,
        output: fs::read_to_string(output.path())?,
        succeeded: status.success(),
    })
}

/// Returns the CPU time of all child processes of this one that have ended.
fn cpu_of_children() -> Result<Duration> {
    cpu_in(&fs::read_to_string("/proc/self/stat")?, 13)
}

/// Adds two fields of `/proc/ID/stat`, counted from the one after the name, which can contain spaces.
fn cpu_in(stat: &str, field: usize) -> Result<Duration> {
    let (_, rest) = stat.rsplit_once(')').context("no name in /proc/ID/stat")?;
    let fields = rest.split_whitespace().skip(field).take(2);
    let ticks: Option<u32> = fields.map(|field| field.parse::<u32>().ok()).sum();
    Ok(TICK * ticks.context("no CPU times in /proc/ID/stat")?)
}

fn kilobytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Waits until a condition holds, and returns how long that took since `began`.
pub(super) fn wait_until(
    what: &str,
    began: Instant,
    patience: Duration,
    mut holds: impl FnMut() -> Result<bool>,
) -> Result<Duration> {
    while !holds()? {
        anyhow::ensure!(
            began.elapsed() < patience,
            "{what}: not after {} s",
            patience.as_secs()
        );
        thread::sleep(Duration::from_millis(50));
    }
    Ok(began.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_times_are_read_behind_the_name() {
        let stat = "42 (a b) c) S 1 1 1 0 -1 4194560 90 80 0 0 250 50 7 3 20 0 9 0 100";
        assert_eq!(cpu_in(stat, 11).unwrap(), Duration::from_secs(3));
        assert_eq!(cpu_in(stat, 13).unwrap(), Duration::from_millis(100));
    }

    #[test]
    fn a_command_is_measured_with_its_children() {
        let script = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; sh -c 'i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done'; echo done";
        let spent = spent(Command::new("sh").args(["-c", script])).unwrap();
        assert!(spent.succeeded && spent.output == "done\n");
        assert!(spent.cpu > Duration::ZERO && spent.wall >= spent.cpu / 2);
    }

    #[test]
    fn this_process_has_memory() {
        let memory = Process(std::process::id()).memory().unwrap();
        assert!(memory.resident > 0 && memory.peak >= memory.resident);
    }
}
