//! The Grafana dashboard: complete, in order, and with queries for metrics that exist.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use secret_rotation_tests::expression::Expression;
use secret_rotation_tests::objects::text;
use secret_rotation_tests::{dashboard, rules};
use serde_json::{Value, json};
use testenv::project;
use testenv::prometheus::Prometheus;

/// Columns of Grafana's grid.
const WIDTH: u64 = 24;

fn is_row(panel: &Value) -> bool {
    panel["type"] == "row"
}

#[test]
fn it_has_the_variables_that_people_look_for() {
    let dashboard = dashboard::load();
    let variables: Vec<_> = dashboard["templating"]["list"]
        .as_array()
        .expect("variables")
        .iter()
        .map(|one| (text(&one["name"]), text(&one["type"])))
        .collect();
    let query = |name: &str| (name.to_owned(), "query".to_owned());
    assert_eq!(
        variables,
        [
            ("datasource".to_owned(), "datasource".to_owned()),
            query("cluster"),
            query("job"),
            query("instance"),
            query("namespace"),
            query("policy"),
        ]
    );
}

#[test]
fn its_rows_are_in_this_order() {
    let panels = dashboard::panels();
    let rows: Vec<_> = panels
        .iter()
        .filter(|panel| is_row(panel))
        .map(|row| text(&row["title"]))
        .collect();
    assert_eq!(
        rows,
        [
            "Overview",
            "Rotation age",
            "Stuck timeline",
            "Operations",
            "AWS API",
            "Controller"
        ]
    );
    assert!(panels.first().is_some_and(is_row));
}

#[test]
fn every_panel_has_a_title_a_description_a_unit_and_the_chosen_data_source() {
    for panel in dashboard::panels().iter().filter(|panel| !is_row(panel)) {
        let title = text(&panel["title"]);
        assert!(!title.is_empty(), "{panel:#}");
        assert!(text(&panel["description"]).ends_with('.'), "{title}");
        let unit = text(&panel["fieldConfig"]["defaults"]["unit"]);
        assert!(!unit.is_empty(), "{title}");
        let source = json!({"type": "prometheus", "uid": "${datasource}"});
        assert_eq!(panel["datasource"], source, "{title}");
        let targets = panel["targets"].as_array().expect("a list of targets");
        assert!(!targets.is_empty(), "{title}");
        for target in targets {
            assert_eq!(target["datasource"], source, "{title}");
        }
    }
}

#[test]
fn ids_are_unique_and_so_are_titles() {
    let panels = dashboard::panels();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len());
    assert!(!ids.contains(&None));
    let titles: BTreeSet<_> = panels.iter().map(|panel| text(&panel["title"])).collect();
    assert_eq!(titles.len(), panels.len());
}

#[test]
fn no_panel_lies_over_another_or_beyond_the_grid() {
    let panels = dashboard::panels();
    let mut taken = BTreeSet::new();
    for panel in &panels {
        let side = |name: &str| panel["gridPos"][name].as_u64().expect("a number");
        let (x, y, width, height) = (side("x"), side("y"), side("w"), side("h"));
        assert!(
            width > 0 && height > 0 && x + width <= WIDTH,
            "{}",
            panel["title"]
        );
        for cell in (y..y + height).flat_map(|y| (x..x + width).map(move |x| (x, y))) {
            assert!(taken.insert(cell), "{} lies over another", panel["title"]);
        }
    }
}

/// With a fixed range, a panel shows nothing or too much after a zoom.
#[test]
fn ranges_follow_the_chosen_time() {
    for panel in dashboard::panels() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = text(&target["expr"]);
            for range in expression.split('[').skip(1) {
                let range = range.split(']').next().unwrap_or_default();
                assert!(
                    ["$__rate_interval", "$__range"].contains(&range),
                    "{}: {range}",
                    panel["title"]
                );
            }
        }
    }
}

/// Several clusters in one Prometheus must not be added up unless someone asks for it.
#[test]
fn every_query_asks_for_the_chosen_clusters_and_jobs() {
    let dashboard = dashboard::load();
    let variables = dashboard["templating"]["list"].as_array();
    let variables = variables.into_iter().flatten();
    let variables =
        variables.filter(|one| !["datasource", "cluster"].contains(&&*text(&one["name"])));
    let variables = variables.map(|one| (text(&one["name"]), text(&one["query"]["query"])));
    for (title, query) in dashboard::templates().into_iter().chain(variables) {
        let selectors: Vec<_> = query.split('{').skip(1).collect();
        let is_first = title == "job";
        for selector in &selectors {
            assert!(
                selector.contains(r#"cluster=~"$cluster""#),
                "{title}: {query}"
            );
            // Alerts about a release or a policy have no job.
            let needs_job = !is_first && !query.contains("ALERTS{");
            assert!(
                !needs_job || selector.contains(r#"job=~"$job""#),
                "{title}: {query}"
            );
        }
        assert!(!selectors.is_empty(), "{title}: {query}");
    }
}

/// A policy of the same name in another cluster, release or namespace is another one.
#[test]
fn no_query_merges_policies_of_one_name() {
    for (title, query) in dashboard::templates() {
        for labels in query
            .split("by (")
            .skip(1)
            .chain(query.split("on (").skip(1))
        {
            let labels = labels.split(')').next().unwrap_or_default();
            let labels: Vec<_> = labels.split(", ").collect();
            if labels.contains(&"policy") {
                assert_eq!(
                    labels[..3],
                    ["cluster", "namespace", "policy_namespace"],
                    "{title}: {query}"
                );
            }
        }
    }
}

/// Every state has its number, so that no secret is missing from the overview.
#[test]
fn every_state_is_shown() {
    let path = "deploy/crds/secretrotationpolicies.secretrotation.dev.yaml";
    let definition = fs::read_to_string(project::root().join(path)).expect("the CRD");
    let definition: Value = serde_saphyr::from_str(&definition).expect("it is YAML");
    let states = definition
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/findings/items/properties/state/enum")
        .and_then(Value::as_array)
        .expect("the states of a finding");
    let templates = dashboard::templates();
    for state in states
        .iter()
        .chain(&[json!("Healthy"), json!("Ineligible")])
    {
        let selector = format!("state={state}");
        let is_shown = templates.iter().any(|(_, query)| query.contains(&selector));
        assert!(is_shown, "{state}");
    }
}

/// The page of an alert is its name in small letters, which neither `PromQL` nor Grafana can make.
#[test]
fn every_firing_alert_links_to_its_runbook() {
    let templates = dashboard::templates();
    let firing = templates.iter().find(|(title, _)| title == "Firing alerts");
    let (_, query) = firing.expect("there is a list of alerts");
    for alert in rules::alerts() {
        let name = alert.name;
        let replaced = format!(
            r#""runbook", "{}", "alertname", "{name}""#,
            name.to_lowercase()
        );
        assert!(query.contains(&replaced), "{name}");
    }
    let panels = dashboard::panels();
    let panel = panels
        .iter()
        .find(|panel| panel["title"] == "Firing alerts");
    let links = panel.expect("it exists")["fieldConfig"]["overrides"].to_string();
    assert!(
        links.contains("/runbooks/${__data.fields.runbook}.html"),
        "{links}"
    );
}

/// A counter falls to 0 with each restart, and `increase` makes fractions of whole operations.
#[test]
fn counters_are_shown_as_increases_and_without_fractions() {
    for panel in dashboard::panels() {
        let title = text(&panel["title"]);
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = text(&target["expr"]);
            let is_counted = query.contains("rate(") || query.contains("increase(");
            assert!(is_counted || !query.contains("_total{"), "{title}: {query}");
            if query.contains("increase(") && !query.contains("_bucket") {
                let decimals = &panel["fieldConfig"]["defaults"]["decimals"];
                assert_eq!(decimals, 0, "{title}");
            }
        }
    }
}

#[test]
fn every_expression_is_right_by_promtool() {
    let expressions = dashboard::expressions();
    let rules: Vec<_> = expressions
        .iter()
        .enumerate()
        .map(|(number, (_, expr))| json!({"record": format!("panel:expression:{number}"), "expr": expr}))
        .collect();
    let file = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("dashboard.yaml");
    fs::write(&path, file.to_string()).expect("JSON is YAML");
    let mut check = Command::new(Prometheus::locate().expect("promtool").promtool);
    let said = project::output(check.args(["check", "rules"]).arg(&path)).expect("all are right");
    assert!(
        said.contains(&format!("SUCCESS: {} rules found", expressions.len())),
        "{said}"
    );
}

#[test]
fn every_metric_is_in_the_reference() {
    let reference = fs::read_to_string(project::root().join("docs/reference/metrics.md"))
        .expect("the reference page");
    for (panel, expression) in dashboard::expressions() {
        let metrics = Expression::parse(&expression).expect("PromQL").metrics();
        assert!(!metrics.is_empty(), "{panel}");
        for metric in metrics {
            let family = metric
                .trim_end_matches("_bucket")
                .trim_end_matches("_count");
            let known = reference.contains(&format!("| `{family}` |"));
            assert!(known || metric == "ALERTS", "{panel}: {metric}");
        }
    }
}

/// The dashboard also works where the rules are not installed.
#[test]
fn no_panel_needs_a_recording_rule() {
    for (panel, expression) in dashboard::expressions() {
        for metric in Expression::parse(&expression).expect("PromQL").metrics() {
            assert!(!metric.contains(':'), "{panel}: {metric}");
        }
    }
}
