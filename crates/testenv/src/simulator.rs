//! The simulated AWS as a server process.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::Server;
use crate::project;

/// Starts the simulator with a scenario, and returns the server and its URL. The log is written to the folder.
///
/// # Errors
///
/// Returns an error if the simulator is not built, or does not print its URL in time.
pub fn start(estate: &Path, clock_rate: &str, folder: &Path) -> Result<(Server, String)> {
    let program = project::debug_binaries()?.join("secretsmanager-simulator");
    let mut command = Command::new(program);
    command.arg("--scenario").arg(estate);
    command.args(["--clock-rate", clock_rate]);
    start_command(&mut command, folder)
}

/// Starts a simulator by its command on a free port, and returns the server and its URL. The log is written to the folder.
///
/// # Errors
///
/// Returns an error if the program does not exist, or does not print its URL in time.
pub fn start_command(command: &mut Command, folder: &Path) -> Result<(Server, String)> {
    let log = folder.join("simulator.log");
    command.args(["--listen", "127.0.0.1:0"]);
    let mut server = Server::start("secretsmanager-simulator", command, &log)?;
    server.wait_until(Duration::from_mins(1), |log| url_in(log).is_some())?;
    let url = url_in(&server.log()).context("the simulator names its URL")?;
    Ok((server, url))
}

fn url_in(log: &str) -> Option<String> {
    let start = log.find("http://127.0.0.1:")?;
    let url: String = log[start..]
        .chars()
        .take_while(|c| !c.is_whitespace() && *c != '"')
        .collect();
    log[start..].contains('\n').then_some(url)
}
