//! A terminal of tmux in which the live view runs.

use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use testenv::project;

use crate::demo::Stage;

/// The size of the terminal.
const COLUMNS: &str = "116";
const ROWS: &str = "18";

/// How long a program may take to show something.
const PATIENCE: Duration = Duration::from_mins(2);

/// Between two looks, and until the live view shows the effect of a key.
pub(super) const PAUSE: Duration = Duration::from_millis(500);

/// A tmux server with one terminal, in which the live view runs. It ends with this value.
pub(super) struct Terminal {
    socket: String,
}

impl Terminal {
    pub(super) fn open(stage: &Stage) -> Result<Self> {
        let terminal = Self {
            socket: format!("secret-rotation-screens-{}", std::process::id()),
        };
        let plugin = project::debug_binaries()?.join("kubectl-secret_rotation");
        let mut open = terminal.tmux();
        open.args([
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            COLUMNS,
            "-y",
            ROWS,
        ])
        .arg("-e")
        .arg(format!("KUBECONFIG={}", stage.kubeconfig().display()))
        .arg(plugin)
        .args(["status", "--watch", "--all-namespaces"]);
        project::output(&mut open).context("tmux cannot start the live view")?;
        Ok(terminal)
    }

    fn tmux(&self) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.socket]);
        command
    }

    pub(super) fn press(&self, key: &str) -> Result<()> {
        project::output(self.tmux().args(["send-keys", key])).map(drop)
    }

    /// Returns what the terminal shows, with its colors, once it shows the right thing.
    pub(super) fn once(&self, what: &str, shows: impl Fn(&str) -> bool) -> Result<String> {
        let mut waited = Duration::ZERO;
        while waited < PATIENCE {
            let text = project::output(self.tmux().args(["capture-pane", "-p"]))?;
            if shows(&text) {
                return project::output(self.tmux().args(["capture-pane", "-e", "-p"]));
            }
            thread::sleep(PAUSE);
            waited += PAUSE;
        }
        let text = project::output(self.tmux().args(["capture-pane", "-p"]))?;
        bail!("the terminal did not show {what}:\n{text}")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Err(error) = project::output(self.tmux().arg("kill-server")) {
            eprintln!("tmux does not stop: {error:#}");
        }
    }
}
