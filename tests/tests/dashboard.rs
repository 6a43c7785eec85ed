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
fn every_metric_is_in_the_reference_or_recorded_by_the_rules() {
    let reference = fs::read_to_string(project::root().join("docs/reference/metrics.md"))
        .expect("the reference page");
    let recorded: BTreeSet<_> = rules::all().into_iter().map(|rule| rule.name).collect();
    for (panel, expression) in dashboard::expressions() {
        let metrics = Expression::parse(&expression).expect("PromQL").metrics();
        assert!(!metrics.is_empty(), "{panel}");
        for metric in metrics {
            let family = metric.trim_end_matches("_bucket");
            let known =
                reference.contains(&format!("| `{family}` |")) || recorded.contains(&metric);
            assert!(known, "{panel}: {metric}");
        }
    }
}

/// Every recording rule is used.
#[test]
fn every_recorded_metric_is_shown() {
    let shown: BTreeSet<_> = dashboard::expressions()
        .iter()
        .flat_map(|(_, text)| Expression::parse(text).expect("PromQL").metrics())
        .collect();
    for rule in rules::all().iter().filter(|rule| !rule.is_alert()) {
        assert!(shown.contains(&rule.name), "{}", rule.name);
    }
}
