//! A real Prometheus on loopback, with the rules of the chart.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use testenv::process;
use testenv::prometheus::Running;

use crate::objects::text;

/// How long the condition of an alert must hold in stories, instead of the time in the rule.
const FOR: &str = "2s";

/// A running Prometheus. Dropping it stops the process.
#[derive(Debug)]
pub struct Prometheus(Running);

impl Prometheus {
    /// Starts Prometheus in an existing folder. It scrapes these ports every second.
    pub fn start(folder: &Path, targets: &[u16]) -> anyhow::Result<Self> {
        Running::start(folder, targets, FOR).map(Self)
    }

    /// Returns the secrets for which an alert is in this state: `pending` or `firing`.
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

    /// Returns the names of the alerts that fire.
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

    /// Returns the rules that could not be evaluated, with their errors.
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

    /// Returns the number of series that an expression has now. Panics if Prometheus refuses it.
    pub fn query(&self, expression: &str) -> usize {
        let encoded: String = expression
            .bytes()
            .map(|byte| match byte {
                b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect();
        let answer = self.get(&format!("/api/v1/query?query={encoded}"));
        let series = answer["data"]["result"].as_array();
        series.expect("a vector").len()
    }

    fn get(&self, path: &str) -> Value {
        let (status, body) = process::ask(self.0.port(), path).expect("Prometheus answers");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("Prometheus speaks JSON")
    }
}

/// Returns the complaints of `promtool check metrics` about a scrape; empty if there are none.
pub fn complaints(scrape: &str) -> anyhow::Result<String> {
    let promtool = testenv::prometheus::Prometheus::locate()?.promtool;
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
