//! The servers of `cargo xtask cluster` end with it.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

#[test]
fn a_killed_process_leaves_neither_servers_nor_files() -> Result<()> {
    let mut process = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("cluster")
        .stderr(Stdio::piped())
        .spawn()?;
    let kubeconfig = announced_kubeconfig(&mut process)?;
    let folder = kubeconfig
        .parent()
        .context("a file lies in a folder")?
        .to_owned();
    let address = address_in(&std::fs::read_to_string(&kubeconfig)?)?;
    assert!(TcpStream::connect(&address).is_ok());

    process.kill()?;
    process.wait()?;
    let gone = || !folder.exists() && TcpStream::connect(&address).is_err();
    let is_gone = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(200));
        gone()
    });
    assert!(is_gone, "{} or {address} is still there", folder.display());
    Ok(())
}

fn announced_kubeconfig(process: &mut Child) -> Result<PathBuf> {
    let output = process.stderr.take().context("standard error is piped")?;
    for line in BufReader::new(output).lines() {
        if let Some(path) = line?.strip_prefix("export KUBECONFIG=") {
            return Ok(path.into());
        }
    }
    anyhow::bail!("no kubeconfig was announced")
}

fn address_in(kubeconfig: &str) -> Result<String> {
    let config: serde_json::Value = serde_json::from_str(kubeconfig)?;
    let url = config["clusters"][0]["cluster"]["server"].as_str();
    url.and_then(|url| url.strip_prefix("https://"))
        .map(str::to_owned)
        .context("the kubeconfig names a server")
}
