//! The alert rules: correct according to promtool, with all information that an on-call person needs.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use secret_rotation_tests::expression::Expression;
use secret_rotation_tests::objects::text;
use secret_rotation_tests::rules;
use testenv::project;
use testenv::prometheus::Prometheus;

const RUNBOOKS: &str = "https://secretrotation.github.io/secret-rotation-controller/runbooks";

#[test]
fn promtool_accepts_the_rules_and_every_test_of_them_passes() {
    let promtool = Prometheus::locate().expect("promtool").promtool;
    let mut check = Command::new(&promtool);
    check
        .current_dir(project::root())
        .args(["check", "rules", rules::FILE]);
    project::output(&mut check).expect("the rules are right");
    let mut test = Command::new(&promtool);
    test.current_dir(project::root())
        .args(["test", "rules"])
        .args(rules::test_files());
    let output = test.output().expect("promtool runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn every_alert_is_tested_firing_and_quiet() {
    let alerts: BTreeSet<_> = rules::alerts()
        .into_iter()
        .map(|alert| alert.name)
        .collect();
    assert_eq!(alerts.len(), 25);
    assert_eq!(rules::tested(true), alerts);
    assert_eq!(rules::tested(false), alerts);
}

#[test]
fn every_alert_says_what_it_is_how_bad_it_is_and_where_to_read_on() {
    for alert in rules::alerts() {
        let annotations = &alert.text["annotations"];
        let summary = text(&annotations["summary"]);
        assert!(
            summary.ends_with('.') && !summary.contains("{{"),
            "{summary}"
        );
        assert!(
            text(&annotations["description"]).ends_with('.'),
            "{}",
            alert.name
        );
        let severity = text(&alert.text["labels"]["severity"]);
        assert!(
            ["critical", "warning", "info"].contains(&severity.as_str()),
            "{}",
            alert.name
        );
        let page = alert.name.to_lowercase();
        assert_eq!(
            text(&annotations["runbook_url"]),
            format!("{RUNBOOKS}/{page}.html#{page}")
        );
    }
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let folder = project::root().join("docs/runbooks");
    let there: BTreeSet<_> = fs::read_dir(&folder)
        .expect("there are runbooks")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    let alerts = rules::alerts();
    let wanted: BTreeSet<_> = alerts
        .iter()
        .map(|alert| format!("{}.md", alert.name.to_lowercase()))
        .collect();
    assert_eq!(there, wanted);
}

#[test]
fn the_page_of_alerts_lists_each_with_its_severity() {
    let page = fs::read_to_string(project::root().join("docs/alerts.md")).expect("the page");
    let listed: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("| [SecretRotation"))
        .filter_map(|line| line.rsplit_once(" | ").map(|(cells, _)| cells.to_owned()))
        .collect();
    let wanted: Vec<_> = rules::alerts()
        .iter()
        .map(|alert| {
            let (name, page) = (&alert.name, alert.name.to_lowercase());
            let severity = text(&alert.text["labels"]["severity"]);
            format!("| [{name}](runbooks/{page}.md) | {severity}")
        })
        .collect();
    assert_eq!(listed, wanted);
}

/// A central Prometheus holds several clusters and releases. One must not hide the alerts of another.
#[test]
fn every_rule_keeps_clusters_and_releases_apart() {
    for rule in rules::all() {
        let expression = Expression::parse(&rule.expr).expect("it is PromQL");
        for label in ["cluster", "namespace"] {
            assert!(
                expression.groups_by(label),
                "{} merges series with another {label}",
                rule.name
            );
        }
    }
}

/// `namespace` belongs to the pod, whatever a scrape does with labels that collide.
#[test]
fn a_rule_about_a_policy_names_the_namespace_of_the_policy() {
    for rule in rules::all() {
        let expression = Expression::parse(&rule.expr).expect("it is PromQL");
        assert_eq!(
            expression.groups_by("policy"),
            expression.groups_by("policy_namespace"),
            "{}",
            rule.name
        );
        let namespace = text(&rule.text["labels"]["namespace"]);
        if rule.is_alert() && expression.groups_by("policy") {
            assert_eq!(namespace, "{{ $labels.policy_namespace }}", "{}", rule.name);
        } else {
            assert_eq!(namespace, "", "{}", rule.name);
        }
    }
}

/// Another holder of the lease is another pod: an alert that keeps pods separate would start to wait again.
#[test]
fn no_rule_keeps_pods_or_instances_apart() {
    for rule in rules::all() {
        let expression = Expression::parse(&rule.expr).expect("it is PromQL");
        for label in ["pod", "instance"] {
            assert!(!expression.keeps(label), "{} keeps {label}", rule.name);
        }
    }
}

/// A recording rule that no alert uses and no page explains has no user.
#[test]
fn every_recorded_metric_is_used_by_an_alert_or_offered_by_the_page() {
    let page = fs::read_to_string(project::root().join("docs/alerts.md")).expect("the page");
    let alerts = rules::alerts();
    let used: BTreeSet<_> = alerts
        .iter()
        .flat_map(|alert| Expression::parse(&alert.expr).expect("PromQL").metrics())
        .collect();
    for rule in rules::all().iter().filter(|rule| !rule.is_alert()) {
        assert!(
            page.contains(&format!("| `{}` |", rule.name)),
            "{}",
            rule.name
        );
        let is_kept_per_policy = rule.name.starts_with("cluster_namespace_policy:");
        assert_ne!(
            used.contains(&rule.name),
            is_kept_per_policy,
            "{}",
            rule.name
        );
    }
}

#[test]
fn rules_rest_on_stable_metrics_only() {
    let reference = fs::read_to_string(project::root().join("docs/reference/metrics.md"))
        .expect("the reference page");
    let recorded: BTreeSet<_> = rules::all().into_iter().map(|rule| rule.name).collect();
    for rule in rules::all() {
        for metric in Expression::parse(&rule.expr).expect("PromQL").metrics() {
            let row = format!("| `{metric}` |");
            let stable = reference
                .lines()
                .any(|line| line.starts_with(&row) && line.ends_with("| stable |"));
            assert!(
                stable || metric == "up" || recorded.contains(&metric),
                "{} rests on {metric}",
                rule.name
            );
        }
    }
}
