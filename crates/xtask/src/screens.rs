//! `cargo xtask screens`: the pictures of `docs/screens`, taken while the demo recovers secrets.
//!
//! tmux shows the live view in a terminal, whose text becomes an SVG. Chromium photographs the report of an audit.

mod picture;
mod terminal;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, ensure};
use testenv::project;

use crate::demo::Stage;
use picture::{DARK, LIGHT, picture};
use terminal::{PAUSE, Terminal};

/// Starts the demo and writes the pictures. Needs tmux and Chromium.
pub fn take() -> Result<()> {
    let folder = project::root().join("docs/screens");
    let plugin = ["build", "--locked", "--bin", "kubectl-secret_rotation"];
    project::run(project::cargo().args(plugin))?;
    let stage = Stage::begin()?;
    let terminal = Terminal::open(&stage)?;
    let settles = |text: &str| {
        let secret = text
            .lines()
            .position(|line| line.contains("ClearAndRotate: Settling"));
        secret.filter(|_| text.contains("Broken"))
    };
    let list = terminal.once("a recovery in progress", |text| settles(text).is_some())?;
    // The cursor is on the third line, that of the first policy. Move it to the secret.
    for _ in 2..settles(&list).unwrap_or(2) {
        terminal.press("j")?;
    }
    // The live view shows the effect of a key a moment later.
    thread::sleep(PAUSE);
    let list = terminal.once("a recovery in progress", |text| settles(text).is_some())?;
    write(
        &folder,
        "status",
        "kubectl secret-rotation status --watch --all-namespaces",
        &list,
    )?;
    terminal.press("Enter")?;
    let secret = terminal.once("the page of a secret", |text| text.contains("Pending:"))?;
    write(
        &folder,
        "secret",
        "kubectl secret-rotation status --watch --all-namespaces",
        &secret,
    )?;
    drop(terminal);
    photograph(&stage, &folder)?;
    eprintln!("The pictures are in {}", folder.display());
    Ok(())
}

/// Writes one capture in light and in dark.
fn write(folder: &Path, name: &str, title: &str, capture: &str) -> Result<()> {
    for (suffix, theme) in [("light", &LIGHT), ("dark", &DARK)] {
        let path = folder.join(format!("{name}-{suffix}.svg"));
        fs::write(&path, picture(capture, title, theme))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Photographs the report of an audit in light and in dark.
fn photograph(stage: &Stage, folder: &Path) -> Result<()> {
    let scratch = tempfile::tempdir().context("cannot make a folder")?;
    let report = scratch.path().join("report.html");
    let plugin = project::debug_binaries()?.join("kubectl-secret_rotation");
    let mut audit = Command::new(plugin);
    audit
        .args([
            "audit",
            "--output",
            "html",
            "--regions",
            "eu-west-1",
            "--output-file",
        ])
        .arg(&report)
        .env("AWS_ENDPOINT_URL", stage.aws())
        .env_remove("AWS_PROFILE")
        .envs([
            ("AWS_ACCESS_KEY_ID", "demo"),
            ("AWS_SECRET_ACCESS_KEY", "demo"),
        ]);
    project::output(&mut audit)?;
    // How Chromium counts what people prefer: 0 is dark, 1 is light.
    for (suffix, preferred) in [("light", 1), ("dark", 0)] {
        let picture = folder.join(format!("audit-{suffix}.png"));
        let mut chromium = Command::new("chromium");
        chromium
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
            ])
            .args(["--no-first-run", "--disable-background-networking"])
            .args([
                "--disable-component-update",
                "--disable-sync",
                "--hide-scrollbars",
            ])
            .arg("--window-size=1280,900")
            .arg(format!("--blink-settings=preferredColorScheme={preferred}"))
            .arg(format!(
                "--user-data-dir={}",
                scratch.path().join(suffix).display()
            ))
            .arg(format!("--screenshot={}", picture.display()))
            .arg(format!("file://{}", report.display()));
        project::output(&mut chromium).context("Chromium takes no picture")?;
        ensure!(picture.is_file(), "Chromium wrote no {}", picture.display());
    }
    Ok(())
}
