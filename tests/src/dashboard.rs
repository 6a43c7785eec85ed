//! The Grafana dashboard of the chart, read as Grafana reads it.

use std::fs;

use serde_json::Value;
use testenv::project;

use crate::objects::text;

/// The whole dashboard.
pub fn load() -> Value {
    let path = "charts/secret-rotation-controller/files/dashboard.json";
    let dashboard = fs::read(project::root().join(path)).expect("the dashboard is there");
    serde_json::from_slice(&dashboard).expect("it is JSON")
}

/// Its panels and rows, in their order.
pub fn panels() -> Vec<Value> {
    load()["panels"].as_array().cloned().unwrap_or_default()
}

/// Titles of panels with each expression, variables replaced as Grafana replaces them.
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
