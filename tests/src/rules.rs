//! The alert rules of the chart as Prometheus loads them, and their tests in `tests/prometheus`.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use testenv::project;

use crate::objects::text;

/// The rules as the chart renders them with its defaults. `cargo xtask check` checks that the file is up to date.
pub const FILE: &str = "deploy/prometheus/alerts.yaml";

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The name of the alert, or of the recorded metric.
    pub name: String,
    /// The parsed expression.
    pub expr: String,
    /// The rule as written.
    pub text: Value,
}

impl Rule {
    /// Returns whether it is an alert.
    pub fn is_alert(&self) -> bool {
        self.text["alert"].is_string()
    }
}

/// Reads the text of the rules.
pub fn rendered() -> String {
    fs::read_to_string(project::root().join(FILE)).expect("the rules are rendered")
}

/// Returns all rules.
pub fn all() -> Vec<Rule> {
    let rules: Value = serde_saphyr::from_str(&rendered()).expect("the rules are YAML");
    let groups = rules["groups"].as_array().expect("rules come in groups");
    groups
        .iter()
        .flat_map(|group| group["rules"].as_array().into_iter().flatten())
        .map(|rule| Rule {
            name: text(&rule["alert"]) + &text(&rule["record"]),
            expr: text(&rule["expr"]),
            text: rule.clone(),
        })
        .collect()
}

/// Returns the alerts.
pub fn alerts() -> Vec<Rule> {
    all().into_iter().filter(Rule::is_alert).collect()
}

/// Returns the files of `tests/prometheus`, with paths from the top of the project.
pub fn test_files() -> Vec<String> {
    let folder = project::root().join("tests/prometheus");
    let entries = fs::read_dir(folder).expect("there are tests of the rules");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.into_string().expect("a name in UTF-8"))
        .map(|name| format!("tests/prometheus/{name}"))
        .collect();
    names.sort();
    names
}

/// Returns the alerts for which a test asserts that they fire (`true`), or that they do not fire (`false`).
pub fn tested(firing: bool) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in test_files() {
        let path = project::root().join(file);
        let text_of_file = fs::read_to_string(path).expect("a test");
        let file: Value = serde_saphyr::from_str(&text_of_file).expect("tests are YAML");
        let tests = file["tests"].as_array().expect("a list of tests");
        let cases = tests
            .iter()
            .flat_map(|test| test["alert_rule_test"].as_array().into_iter().flatten());
        let wanted = cases.filter(|case| {
            let expected = case["exp_alerts"].as_array();
            expected.is_none_or(Vec::is_empty) != firing
        });
        names.extend(wanted.map(|case| text(&case["alertname"])));
    }
    names
}
