//! The Grafana dashboard of the chart, parsed as Grafana parses it.

use std::fs;

use serde_json::Value;
use testenv::project;

use crate::objects::text;

/// Reads the dashboard.
pub fn load() -> Value {
    let path = "charts/secret-rotation-controller/files/dashboard.json";
    let dashboard = fs::read(project::root().join(path)).expect("the dashboard is there");
    serde_json::from_slice(&dashboard).expect("it is JSON")
}

/// Returns its panels and rows, in order.
pub fn panels() -> Vec<Value> {
    load()["panels"].as_array().cloned().unwrap_or_default()
}

/// Returns each expression with the title of its panel. Variables are replaced as Grafana does.
pub fn expressions() -> Vec<(String, String)> {
    let mut expressions = Vec::new();
    for panel in panels() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = text(&target["expr"])
                .replace("$__rate_interval", "5m")
                .replace("$__range", "1d");
            let expression = ["job", "instance", "namespace", "policy"]
                .iter()
                .fold(expression, |text, name| {
                    text.replace(&format!("${name}"), ".*")
                });
            expressions.push((text(&panel["title"]), expression));
        }
    }
    expressions
}
