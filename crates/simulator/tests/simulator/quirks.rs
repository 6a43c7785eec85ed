//! The switches for behavior that AWS does not document.

use secret_rotation_simulator::{LabelOnEmpty, Options, Quirks, Simulator};
use serde_json::{Value, json};

use crate::client::{ask, control, quiet, simulator};

fn quirks_of(aws: &Simulator) -> Value {
    control(aws, "GET", "world", "").json()
}

#[test]
fn a_seed_always_gives_the_same_quirks_and_seeds_differ() {
    assert_eq!(Quirks::from_seed(7), Quirks::from_seed(7));
    let all = (0..64).map(Quirks::from_seed);
    let mut different: Vec<Quirks> = Vec::new();
    for quirks in all {
        if !different.contains(&quirks) {
            different.push(quirks);
        }
    }
    assert!(different.len() > 50, "{}", different.len());
}

#[test]
fn seeds_reach_every_setting_of_every_switch() {
    let mut seen: std::collections::BTreeSet<String> = std::collections::BTreeSet::new();
    for seed in 0..64 {
        let quirks = json!(Quirks::from_seed(seed));
        let switches = quirks.as_object().unwrap().iter();
        seen.extend(switches.map(|(name, value)| format!("{name}={value}")));
    }
    assert_eq!(seen.len(), 9 * 2 + 5 * 3);
}

#[test]
fn the_options_select_a_world() {
    let quirks = Quirks::from_seed(7);
    let aws = Simulator::start(Options {
        quirks: quirks.clone(),
        ..Options::default()
    })
    .unwrap();
    assert_eq!(quirks_of(&aws), json!(quirks));
}

#[test]
fn a_scenario_selects_a_world_by_its_seed() {
    let aws = simulator("world: {seed: 7}");
    assert_eq!(quirks_of(&aws), json!(Quirks::from_seed(7)));
}

#[test]
fn single_switches_take_precedence_over_the_seed() {
    let aws = simulator("world: {seed: 7, own_retries: 5}");
    let expected = Quirks {
        own_retries: 5,
        ..Quirks::from_seed(7)
    };
    assert_eq!(quirks_of(&aws), json!(expected));
}

#[test]
fn other_switches_keep_their_values() {
    let aws = quiet("{}");
    aws.add("world: {label_on_empty: not_found}").unwrap();
    let set = control(&aws, "POST", "world", r#"{"finish_delay": 30}"#);
    let expected = Quirks {
        own_retries: 0,
        retry_on_rotate: false,
        schedules_run: false,
        label_on_empty: LabelOnEmpty::NotFound,
        finish_delay: 30,
        ..Quirks::default()
    };
    assert_eq!(set.json(), json!(expected));
    assert_eq!(quirks_of(&aws), json!(expected));
}

#[test]
fn an_unknown_switch_is_refused_with_the_known_switches() {
    let aws = quiet("{}");
    let before = quirks_of(&aws);
    for wrong in [
        r#"{"ownRetries": 1}"#,
        r#"{"own_retries": "many"}"#,
        r#"{"seed": -1}"#,
    ] {
        assert_eq!(control(&aws, "POST", "world", wrong).status, 400, "{wrong}");
    }
    let refused = control(&aws, "POST", "world", r#"{"ownRetries": 1}"#).body;
    assert!(
        refused.contains("ownRetries") && refused.contains("own_retries"),
        "{refused}"
    );
    assert_eq!(quirks_of(&aws), before);
}

#[test]
fn replicas_follow_after_a_delay_or_fail() {
    let aws = quiet("generate: [{count: 1, name: app, state: healthy, function: ok}]");
    let regions = json!({"SecretId": "app", "AddReplicaRegions": [{"Region": "us-east-1"}]});
    assert_eq!(ask(&aws, "ReplicateSecretToRegions", &regions).code(), "OK");
    let status = |aws: &Simulator| {
        let answer = ask(aws, "DescribeSecret", &json!({"SecretId": "app"})).json();
        answer["ReplicationStatus"][0]["Status"].clone()
    };
    assert_eq!(status(&aws), "InSync");
    control(&aws, "POST", "world", r#"{"replication_delay": 60}"#);
    let tags = json!({"SecretId": "app", "Tags": [{"Key": "a", "Value": "b"}]});
    assert_eq!(ask(&aws, "TagResource", &tags).code(), "OK");
    assert_eq!(status(&aws), "InProgress");
    control(&aws, "POST", "clock", r#"{"jump": 60}"#);
    assert_eq!(status(&aws), "InSync");
    control(&aws, "POST", "world", r#"{"replication_fails": true}"#);
    assert_eq!(status(&aws), "Failed");
}
