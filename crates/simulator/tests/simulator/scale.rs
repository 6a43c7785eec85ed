//! Pages of `ListSecrets` over many secrets, and the changes of an estate between two sweeps.

use std::collections::{BTreeMap, BTreeSet};

use secret_rotation_simulator::{Changed, Changes, Options, Simulator};
use serde_json::{Value, json};

use crate::client::{START, ask, control, simulator};

const ESTATE: &str = "
generate:
- count: 600
  name: 'team-{n%7}/app-{n:04}'
  state: healthy
  function: 'rotate-{n%3}'
  tags: {team: 'team-{n%7}', number: '{n}'}
  exception: {every: 50, state: stuck-valued}
";

/// Returns the names of all pages. Does `between` after each page.
fn pages(aws: &Simulator, parameters: &Value, mut between: impl FnMut(usize)) -> Vec<String> {
    let (mut names, mut parameters) = (Vec::new(), parameters.clone());
    for number in 0.. {
        let page: Value =
            serde_json::from_str(&aws.answer("ListSecrets", &parameters).unwrap()).unwrap();
        let found = page["SecretList"].as_array().unwrap();
        names.extend(
            found
                .iter()
                .map(|one| one["Name"].as_str().unwrap().to_owned()),
        );
        let Some(token) = page.get("NextToken") else {
            break;
        };
        parameters["NextToken"] = token.clone();
        between(number);
    }
    names
}

fn all(aws: &Simulator, parameters: &Value) -> Vec<String> {
    pages(aws, parameters, |_| {})
}

/// Returns the truth about secrets, by ARN: labels and time of the last change.
fn truth(aws: &Simulator) -> BTreeMap<String, Value> {
    let names = aws.names().into_iter();
    let snapshots = names.map(|name| aws.inspect(&name).unwrap());
    let entry = |snapshot: secret_rotation_simulator::SecretSnapshot| {
        (snapshot.arn.clone(), json!(snapshot))
    };
    snapshots.map(entry).collect()
}

#[test]
fn pages_contain_each_secret_once_in_every_order_and_with_every_filter() {
    let aws = simulator(ESTATE);
    let names: BTreeSet<_> = aws.names().into_iter().collect();
    for order in ["created-date", "last-changed-date", "name"] {
        for filter in [
            "",
            "team-3/",
            "team-",
            "team-3/app-0003",
            "absent",
            "!team-3/",
        ] {
            let filters = json!([{"Key": "name", "Values": [filter, filter]}]);
            let filters = if filter.is_empty() {
                json!([])
            } else {
                filters
            };
            let parameters = |direction: &str| json!({"SortBy": order, "SortOrder": direction, "MaxResults": 17, "Filters": filters});
            let listed = all(&aws, &parameters("asc"));
            let matches = |name: &&String| match filter.strip_prefix('!') {
                Some(prefix) => !name.starts_with(prefix),
                None => name.starts_with(filter),
            };
            let expected: BTreeSet<_> = names.iter().filter(matches).cloned().collect();
            assert_eq!(listed.len(), expected.len(), "{order} {filter}");
            assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), expected);
            let backwards: Vec<_> = all(&aws, &parameters("desc")).into_iter().rev().collect();
            assert_eq!(listed, backwards, "{order} {filter}");
        }
    }
}

#[test]
fn secrets_created_and_deleted_while_pages_are_read_neither_hide_nor_repeat_others() {
    for order in ["created-date", "name"] {
        let aws = simulator(ESTATE);
        let stable = |name: &String| !name.ends_with('9') && !name.starts_with("new");
        let before: Vec<_> = aws.names().into_iter().filter(stable).collect();
        let doomed: Vec<_> = aws
            .names()
            .into_iter()
            .filter(|name| !stable(name))
            .collect();
        let listed = pages(&aws, &json!({"SortBy": order, "MaxResults": 10}), |page| {
            if let Some(name) = doomed.get(page) {
                let delete = json!({"SecretId": name, "ForceDeleteWithoutRecovery": true});
                aws.answer("DeleteSecret", &delete).unwrap();
            }
            let name = format!("new-{page}/{}", 100 - page);
            aws.answer("CreateSecret", &json!({"Name": name})).unwrap();
        });
        let mut found: Vec<_> = listed.iter().filter(|name| stable(name)).cloned().collect();
        found.sort_by_key(|name| aws.inspect(name).unwrap().arn);
        assert_eq!(found, before, "{order}");
        let distinct: BTreeSet<_> = listed.iter().collect();
        assert_eq!(distinct.len(), listed.len(), "{order}");
    }
}

#[test]
fn a_token_without_a_position_is_refused() {
    let aws = simulator(ESTATE);
    let parameters = json!({"MaxResults": 1, "NextToken": "3a3a"});
    let refused = aws.answer("ListSecrets", &parameters).unwrap_err();
    assert!(refused.contains("InvalidNextTokenException"), "{refused}");
}

#[test]
fn a_generated_estate_has_tags_functions_and_exceptions_by_number() {
    let aws = simulator(ESTATE);
    let filter = json!([{"Key": "name", "Values": ["team-2/app-0100"]}]);
    let page = ask(&aws, "ListSecrets", &json!({"Filters": filter})).json();
    let secret = &page["SecretList"][0];
    assert_eq!(
        secret["Tags"],
        json!([{"Key": "number", "Value": "100"}, {"Key": "team", "Value": "team-2"}])
    );
    let function = secret["RotationLambdaARN"].as_str().unwrap();
    assert!(function.ends_with(":rotate-1"), "{function}");
    let stuck = aws.names().into_iter().filter(|name| {
        let labels = aws.inspect(name).unwrap().labels;
        labels.values().any(|labels| labels.contains("AWSPENDING"))
    });
    assert_eq!(stuck.count(), 12);
}

#[test]
fn changes_rotate_and_replace_the_wanted_part_of_the_healthy_secrets() {
    let aws = simulator(ESTATE);
    let before = truth(&aws);
    aws.jump(60.0);
    let changes = Changes {
        rotate: 0.05,
        replace: 0.1,
    };
    let Changed { rotated, replaced } = aws.change(&changes).unwrap();
    assert!((29..=30).contains(&rotated), "{rotated}");
    assert!((58..=59).contains(&replaced), "{replaced}");
    let after = truth(&aws);
    assert_eq!(after.len(), before.len());
    let gone = before
        .keys()
        .filter(|arn| !after.contains_key(*arn))
        .count();
    assert_eq!(gone, replaced);
    let same = before
        .iter()
        .filter(|(arn, value)| after.get(*arn) == Some(*value));
    let touched = before.len() - same.count();
    assert!(
        (replaced..=replaced + rotated).contains(&touched),
        "{touched}"
    );
    let sound = |snapshot: &Value| {
        snapshot["rotating"] == false && snapshot["live_value_is_labelled"] == true
    };
    let sound = after.values().filter(|snapshot| sound(snapshot)).count();
    assert_eq!(sound, 600);
    assert_eq!(all(&aws, &json!({})).len(), 600);
}

#[test]
fn the_same_seed_makes_the_same_changes() {
    let run = || {
        let aws = simulator(ESTATE);
        let changes = r#"{"rotate": 0.01, "replace": 0.01}"#;
        let answer = control(&aws, "POST", "changes", changes).json();
        assert!(answer["replaced"].as_u64() > Some(0), "{answer}");
        truth(&aws)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_part_beyond_the_whole_is_refused() {
    let aws = simulator("{}");
    for wrong in [
        r#"{"rotate": 1.5}"#,
        r#"{"replace": -1}"#,
        r#"{"create": 1}"#,
    ] {
        assert_eq!(
            control(&aws, "POST", "changes", wrong).status,
            400,
            "{wrong}"
        );
    }
}

/// Starts a simulator with a limited trace, and asks three requests.
fn traced(limit: usize) -> Simulator {
    let options = Options {
        clock_rate: 0.0,
        start_time: Some(START.parse().unwrap()),
        trace_limit: Some(limit),
        ..Options::default()
    };
    let aws = Simulator::start(options).unwrap();
    for operation in ["ListSecrets", "DescribeSecret", "ListSecrets"] {
        ask(&aws, operation, &json!({}));
    }
    aws
}

#[test]
fn a_limited_trace_keeps_its_newest_entries_and_counts_all_requests() {
    let aws = traced(2);
    let operations = aws.requests().into_iter().map(|request| {
        assert!(request.code.is_some());
        request.operation
    });
    assert_eq!(
        operations.collect::<Vec<_>>(),
        ["DescribeSecret", "ListSecrets"]
    );
    assert_eq!(aws.calls()["ListSecrets"], 2);
}

#[test]
fn a_trace_without_entries_still_counts() {
    let aws = traced(0);
    assert_eq!(aws.trace(), []);
    assert_eq!(control(&aws, "GET", "calls", "").json()["ListSecrets"], 2);
    control(&aws, "DELETE", "trace", "");
    assert!(aws.calls().is_empty());
}
