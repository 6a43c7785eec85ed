//! Alerts from end to end: a stuck secret, the controller and a real Prometheus.

use std::collections::BTreeSet;

use secret_rotation_tests::credentials::{self, Endpoint};
use secret_rotation_tests::expression::Expression;
use secret_rotation_tests::objects::count;
use secret_rotation_tests::prometheus::{self, Prometheus};
use secret_rotation_tests::story::TEAM;
use secret_rotation_tests::{Policy, Story, dashboard, rules};
use serde_json::json;

/// Three policies: the secret of one recovers, those of another stay as they are, and one waits for an approval.
const ESTATE: &str = "
generate:
- {count: 1, name: app/db, state: stuck-empty}
- {count: 1, name: partner/gone, state: deleted}
- {count: 1, name: partner/empty, state: broken}
- {count: 1, name: held/db, state: stuck-empty}
secrets:
- name: partner/key
  created: -400d
  lastChanged: -26h
  tags: {expires-at: '2040-01-01'}
  versions:
  - {id: 11111111-1111-1111-1111-111111111111, labels: [AWSCURRENT], created: -40d}
  - {id: 22222222-2222-2222-2222-222222222222, labels: [AWSPENDING], created: -26h}
  rotation: {function: ok, everyDays: 30, lastRotated: -40d, next: -10d}
- name: partner/rds
  owningService: rds
  created: -400d
  lastChanged: -40d
  versions: [{id: 33333333-3333-3333-3333-333333333333, labels: [AWSCURRENT], created: -40d}]
  rotation: {everyDays: 30, lastRotated: -40d, next: -10d}
";

fn expiring(name: &str) -> Policy {
    let tag = json!({"detection": {"expiry": {"tagKey": "expires-at", "rotateBefore": "168h"}}});
    Policy::observing(name).selecting("partner/").but(&tag)
}

fn names(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|&one| one.to_owned()).collect()
}

#[test]
fn prometheus_tells_of_a_stuck_secret_until_it_recovers() {
    let endpoint = Endpoint::start().expect("a free port");
    let asks = json!({"remediation": {"approval": "Required"}});
    let mut story = Story::arranged(ESTATE)
        .policy(&Policy::observing("apps"))
        .policy(&expiring("partners"))
        .policy(&Policy::acting("held").selecting("held/").but(&asks))
        .ready();
    let port = story
        .start_controller_as(|command| endpoint.serve(command))
        .metrics_port();
    let folder = story.cluster.folder().join("prometheus");
    std::fs::create_dir(&folder).expect("a folder");
    let prometheus = Prometheus::start(&folder, &[port]).expect("Prometheus starts");

    story.eventually("the alert fires for each stuck secret", || {
        prometheus.secrets("SecretRotationStuck", "firing")
            == names(&["app/db", "held/db", "partner/key"])
    });
    for (alert, secret) in [
        ("SecretRotationBroken", "partner/empty"),
        ("SecretRotationScheduledForDeletion", "partner/gone"),
    ] {
        story.eventually(alert, || {
            prometheus.secrets(alert, "firing") == names(&[secret])
        });
    }
    let waiting = "secretrotation_policy_approval_waiting_since_timestamp_seconds";
    let waiting = format!(r#"{waiting}{{policy="held",policy_namespace="{TEAM}"}}"#);
    story.eventually("an operation waits for an approver", || {
        story.controllers[0].metric(&waiting).is_some()
    });
    story.apply_policy(&Policy::acting("apps"));
    story.while_time_flies("the secret recovers", 60.0, || {
        count(&story.get("srp", "apps"), "healthy") == 1
    });
    story.eventually(
        "the alert resolves for that secret, and for it alone",
        || {
            prometheus.secrets("SecretRotationStuck", "firing")
                == names(&["held/db", "partner/key"])
        },
    );
    let late = prometheus.secrets("SecretRotationOverdue", "firing");
    assert!(!late.contains("partner/rds"), "only RDS can rotate it");
    let recovered = "secretrotation_time_to_recover_seconds_count";
    let recovered = format!(r#"{recovered}{{policy="apps",policy_namespace="{TEAM}"}}"#);
    assert_eq!(story.controllers[0].metric(&recovered), Some(1.0));
    assert_eq!(prometheus.broken_rules(), Vec::<String>::new());
    assert_eq!(empty_panels(&prometheus), names(EMPTY));
    let firing = prometheus.firing();
    for quiet in [
        "SecretRotationControllerDown",
        "SecretRotationNoLeader",
        "SecretRotationPolicyNotReady",
        "SecretRotationReconcileErrors",
        "SecretRotationAWSAccessDenied",
        "SecretRotationCredentialsExpiring",
    ] {
        assert!(!firing.contains(quiet), "{firing:?}");
    }

    let scrape = story.controllers[0].metrics().expect("a scrape");
    assert_eq!(prometheus::complaints(&scrape).expect("promtool"), "");
    assert_eq!(missing(&scrape), BTreeSet::new());
    let end: jiff::Timestamp = credentials::END.parse().expect("a time");
    let series = "secretrotation_aws_credentials_expiry_timestamp_seconds";
    let line = format!("{series} {}\n", end.as_second());
    assert!(scrape.contains(&line), "{line} is not in\n{scrape}");
    drop(prometheus);
    story.end();
}

/// Panels and annotations without data in this story: no call fails.
const EMPTY: &[&str] = &["Failed calls"];

/// Returns the panels and annotations of the dashboard without an answer to any query.
fn empty_panels(prometheus: &Prometheus) -> BTreeSet<String> {
    let (mut empty, mut full) = (BTreeSet::new(), BTreeSet::new());
    for (title, query) in dashboard::expressions() {
        let series = prometheus.query(&query);
        let list = if series == 0 { &mut empty } else { &mut full };
        list.insert(title);
    }
    empty.difference(&full).cloned().collect()
}

/// Returns the metrics of rules and dashboard that the scrape does not have.
fn missing(scrape: &str) -> BTreeSet<String> {
    let there: BTreeSet<_> = scrape
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let rules = rules::all();
    let asked = rules.iter().map(|rule| rule.expr.clone());
    let shown = dashboard::expressions().into_iter().map(|(_, text)| text);
    asked
        .chain(shown)
        .flat_map(|text| Expression::parse(&text).expect("PromQL").metrics())
        .filter(|metric| {
            let recorded = rules.iter().any(|rule| rule.name == *metric);
            !recorded
                && !["up", "ALERTS"].contains(&metric.as_str())
                && !there.contains(metric.as_str())
        })
        .collect()
}

/// A standby must not export metrics of policies, because it does not check them.
#[test]
fn only_the_holder_of_the_lease_tells_of_policies_and_secrets() {
    let mut story = Story::observing(ESTATE);
    story.eventually("the first replica tells of the secret", || {
        story.controllers[0]
            .metrics()
            .is_ok_and(|text| text.contains("app/db"))
    });
    story.start_controller();
    story.eventually("the second is ready", || {
        story.controllers[1]
            .health("/readyz")
            .is_ok_and(|(status, _)| status == 200)
    });
    story.check("apps");
    let standby = story.controllers[1].metrics().expect("a scrape");
    let told: Vec<_> = standby
        .lines()
        .filter(|line| line.contains("policy=\"") || line.contains("profile=\""))
        .collect();
    assert_eq!(told, Vec::<&str>::new());
    assert_eq!(prometheus::complaints(&standby).expect("promtool"), "");
    assert!(story.controllers[0].terminate());
    story.eventually("the second takes over", || {
        story.controllers[1]
            .metrics()
            .is_ok_and(|text| text.contains("app/db"))
    });
    story.end();
}
