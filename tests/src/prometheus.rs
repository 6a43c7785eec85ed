//! A real Prometheus on loopback, with the rules of the chart.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use xtask::process::{self, Server};

use crate::controller::fetch;
use crate::objects::text;
use crate::rules;

/// How long an alert must hold in stories, whatever the rule says.
const FOR: &str = "2s";

/// A running Prometheus. Ends when dropped.
#[derive(Debug)]
pub struct Prometheus {
    // Holds the process.
    _server: Server,
    port: u16,
}

impl Prometheus {
    /// Starts it in a folder that is there; it scrapes these ports each second.
    pub fn start(folder: &Path, targets: &[u16]) -> anyhow::Result<Self> {
        let port = process::free_port()?;
        let targets: Vec<_> = targets
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{
                "job_name": "secret-rotation-controller",
                "honor_labels": true,
                "static_configs": [{"targets": targets}],
            }],
        });
        fs::write(folder.join("prometheus.yaml"), config.to_string())?;
        fs::write(folder.join("rules.yaml"), impatient(&rules::rendered()))?;
        let program = xtask::prometheus::Prometheus::locate()?.prometheus;
        let mut command = Command::new(program);
        command
            .arg(format!(
                "--config.file={}",
                folder.join("prometheus.yaml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=warn");
        let log = folder.join("prometheus.log");
        let mut server = Server::start("prometheus", &mut command, &log)?;
        server.wait_until(Duration::from_mins(1), |_| {
            fetch(port, "/-/ready").is_ok_and(|(status, _)| status == 200)
        })?;
        Ok(Self {
            _server: server,
            port,
        })
    }

    /// The secrets of which an alert tells in this state: `pending` or `firing`.
    pub fn secrets(&self, alert: &str, state: &str) -> BTreeSet<String> {
        let alerts = self.get("/api/v1/alerts");
        let alerts = alerts["data"]["alerts"].as_array();
        alerts
            .into_iter()
            .flatten()
            .filter(|one| one["labels"]["alertname"] == alert && one["state"] == state)
            .map(|one| text(&one["labels"]["secret"]))
            .collect()
    }

    /// Names of alerts that fire.
    pub fn firing(&self) -> BTreeSet<String> {
        let alerts = self.get("/api/v1/alerts");
        let alerts = alerts["data"]["alerts"].as_array();
        alerts
            .into_iter()
            .flatten()
            .filter(|one| one["state"] == "firing")
            .map(|one| text(&one["labels"]["alertname"]))
            .collect()
    }

    /// Rules that could not be evaluated, with what was wrong.
    pub fn broken_rules(&self) -> Vec<String> {
        let rules = self.get("/api/v1/rules");
        let groups = rules["data"]["groups"].as_array();
        groups
            .into_iter()
            .flatten()
            .flat_map(|group| group["rules"].as_array().into_iter().flatten())
            .filter(|rule| rule["health"] != "ok")
            .map(|rule| {
                format!(
                    "{} is {}: {}",
                    rule["name"], rule["health"], rule["lastError"]
                )
            })
            .collect()
    }

    fn get(&self, path: &str) -> Value {
        let (status, body) = fetch(self.port, path).expect("Prometheus answers");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("Prometheus speaks JSON")
    }
}

/// The rules as they are, but for how long they wait.
fn impatient(rules: &str) -> String {
    let lines = rules.lines().map(|line| match line.split_once("for: ") {
        Some((key, _)) if matches!(key.trim(), "" | "keep_firing_") => format!("{key}for: {FOR}\n"),
        Some(_) | None => format!("{line}\n"),
    });
    lines.collect()
}

/// What `promtool check metrics` complains about in a scrape; nothing if it is as it should be.
pub fn complaints(scrape: &str) -> anyhow::Result<String> {
    let promtool = xtask::prometheus::Prometheus::locate()?.promtool;
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = check.stdin.take().expect("it is piped");
    input.write_all(scrape.as_bytes())?;
    drop(input);
    let output = check.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Ok(if output.status.success() && said.is_empty() {
        String::new()
    } else {
        format!("{}: {said}", output.status)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_waits_of_the_rules_are_cut_short() {
        assert_eq!(
            impatient("  for: 5m\n  keep_firing_for: 10m\n  summary: wait for: it\n"),
            "  for: 2s\n  keep_firing_for: 2s\n  summary: wait for: it\n"
        );
    }
}
