//! The API server that the stories run against is the real one, and it can be hurt.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use testenv::assets::KUBERNETES;
use testenv::cluster::Cluster;
use testenv::project::output;

#[test]
fn a_real_api_server_answers_forbids_and_survives_a_crash() -> Result<()> {
    let mut cluster = Cluster::start(&["alice"])?;
    let version = output(cluster.kubectl().args(["version", "-o", "json"]))?;
    assert!(
        version.contains(&format!("\"gitVersion\": \"{KUBERNETES}\"")),
        "{version}"
    );

    output(cluster.kubectl().args(["create", "namespace", "team"]))?;
    let refused = output(
        cluster
            .kubectl_as("alice")
            .args(["get", "pods", "-n", "team"]),
    )
    .expect_err("alice has no rights");
    assert!(refused.to_string().contains("Forbidden"), "{refused}");

    output(
        cluster
            .kubectl()
            .args(["create", "serviceaccount", "robot", "-n", "team"]),
    )?;
    cluster.service_account("team", "robot")?;
    let whoami = output(cluster.kubectl_as("robot").args(["auth", "whoami"]))?;
    assert!(
        whoami.contains("system:serviceaccount:team:robot"),
        "{whoami}"
    );

    cluster.kill_apiserver();
    assert!(!cluster.is_running());
    cluster.restart_apiserver()?;
    output(cluster.kubectl().args(["get", "namespace", "team"]))?;
    Ok(())
}

#[test]
fn a_paused_api_server_hangs_and_goes_on() -> Result<()> {
    let cluster = Cluster::start(&[])?;
    let ask = || {
        output(
            cluster
                .kubectl()
                .args(["get", "--raw=/readyz", "--request-timeout=1s"]),
        )
    };
    cluster.pause_apiserver(true)?;
    ask().expect_err("a paused server does not answer");
    cluster.pause_apiserver(false)?;
    assert_eq!(ask()?, "ok");
    Ok(())
}

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
