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

/// Returns each expression as in the file, with the title of its panel or the name of its annotation.
pub fn templates() -> Vec<(String, String)> {
    let panels = panels();
    let queries = panels.iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(|target| (text(&panel["title"]), text(&target["expr"])))
    });
    let dashboard = load();
    let annotations = dashboard["annotations"]["list"].as_array();
    let annotations = annotations.into_iter().flatten();
    let annotations = annotations.map(|one| (text(&one["name"]), text(&one["expr"])));
    queries.chain(annotations).collect()
}

/// Returns each expression with the title of its panel or the name of its annotation. Variables are replaced as Grafana
/// does.
pub fn expressions() -> Vec<(String, String)> {
    let replaced = |template: String| {
        let template = template
            .replace("$__rate_interval", "5m")
            .replace("$__range", "1d");
        let variables = ["cluster", "job", "instance", "namespace", "policy"];
        variables.iter().fold(template, |text, name| {
            text.replace(&format!("${name}"), ".*")
        })
    };
    templates()
        .into_iter()
        .map(|(title, template)| (title, replaced(template)))
        .collect()
}
