//! The manual runbook, command by command as the page has it, through an unmodified AWS CLI.

use std::thread;
use std::time::Duration;

use secret_rotation_simulator::{Options, Script, Simulator};
use secret_rotation_tests::aws_cli::{AwsCli, Printed};
use serde_json::{Value, json};
use testenv::project;

const CURRENT: &str = "1b6d1a9e-0000-4000-8000-000000000001";
const STALE: &str = "0a2e7c55-0000-4000-8000-000000000002";

/// A secret whose function has stopped before it put a value, beside one at rest.
fn stuck(pending: &str) -> Simulator {
    let options = Options {
        clock_rate: 10.0,
        ..Options::default()
    };
    let simulator = Simulator::start(options).unwrap();
    let scenario = format!(
        "functions: {{main: {{noop: true}}}}
generate: [{{count: 1, name: web/at-rest, state: healthy}}]
secrets:
- name: payments/db/main
  lastChanged: -26h
  versions:
  - {{id: {CURRENT}, labels: [AWSCURRENT], created: -40d}}
  - {{id: {STALE}, labels: [AWSPENDING], {pending}}}
  rotation: {{function: main, everyDays: 30, lastRotated: -40d, next: -10d}}
"
    );
    simulator.add(&scenario).unwrap();
    simulator
}

/// The commands of the document, each on one line.
fn commands() -> Vec<String> {
    let path = project::root().join("docs/manual-runbook.md");
    let text = std::fs::read_to_string(path).unwrap().replace("\\\n", "");
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| line.starts_with("aws "))
        .map(str::to_owned)
        .collect()
}

fn output(aws: &AwsCli, command: &str) -> Value {
    match aws.shell(command).unwrap() {
        Printed::Output(output) => output,
        Printed::Complaint(complaint) => panic!("{command}: {complaint}"),
    }
}

fn complaint(aws: &AwsCli, command: &str) -> String {
    match aws.shell(command).unwrap() {
        Printed::Complaint(complaint) => complaint,
        Printed::Output(output) => panic!("{command} was accepted: {output}"),
    }
}

/// The CLI, or nothing where it cannot be had.
fn cli(simulator: &Simulator) -> Option<AwsCli> {
    let located = AwsCli::locate(&simulator.url());
    if let Err(why) = &located {
        println!("SKIPPED: {why:#}");
    }
    located.ok()
}

/// Looks until AWSPENDING is nowhere but on the current version, or the patience is at its end.
fn labels_at_rest(aws: &AwsCli, describe: &str) -> Value {
    for _ in 0..60 {
        let stages = output(aws, describe)["VersionIdsToStages"].clone();
        let pending = |labels: &Value| *labels == json!(["AWSPENDING"]);
        if !stages.as_object().unwrap().values().any(pending) {
            return stages;
        }
        thread::sleep(Duration::from_millis(200));
    }
    panic!("the rotation did not end");
}

/// PCS User Guide and User Guide, troubleshoot_rotation: "clear the AWSPENDING staging label and retry rotation".
/// AWS does not get there first: the switch for that is off.
#[test]
fn the_runbook_brings_a_stuck_secret_back() {
    let simulator = stuck("empty: true");
    simulator.set_quirks(|quirks| quirks.retry_on_rotate = false);
    let Some(aws) = cli(&simulator) else { return };
    let commands = commands();
    let [list, describe, versions, refused, clear, rotate, look] = commands.as_slice() else {
        panic!("the document has other commands: {commands:#?}")
    };
    let stages = json!({CURRENT: ["AWSCURRENT"], STALE: ["AWSPENDING"]});
    let listed = output(&aws, list);
    assert!(
        listed
            .as_array()
            .unwrap()
            .contains(&json!(["payments/db/main", stages]))
    );
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(output(&aws, describe)["VersionIdsToStages"], stages);
    let versions = output(&aws, versions)["Versions"].clone();
    assert!(
        !versions.to_string().contains(STALE),
        "it has no value: {versions}"
    );
    let words = "(InvalidRequestException) when calling the RotateSecret operation: A previous rotation isn't complete. That rotation will be reattempted.";
    let answer = complaint(&aws, refused);
    assert!(answer.contains(words), "{answer}");
    simulator.script("main", Script::default());
    let cleared = output(&aws, &clear.replace("0a2e…", STALE));
    assert_eq!(cleared["Name"], "payments/db/main");
    assert_eq!(
        output(&aws, describe)["VersionIdsToStages"],
        json!({CURRENT: ["AWSCURRENT"]})
    );
    let fresh = output(&aws, rotate)["VersionId"]
        .as_str()
        .unwrap()
        .to_owned();
    let after = labels_at_rest(&aws, look);
    assert_eq!(after[CURRENT], json!(["AWSPREVIOUS"]));
    assert!(
        after[&fresh]
            .as_array()
            .unwrap()
            .contains(&json!("AWSCURRENT"))
    );
    assert!(
        simulator
            .inspect("payments/db/main")
            .unwrap()
            .accepted
            .contains(&fresh)
    );
}

/// The same document: a version with a value is brought through by AWS once its function is mended, and a removal that names
/// another version than the one with the label is refused.
#[test]
fn a_pending_version_with_a_value_is_brought_through_after_the_refusal() {
    let simulator = stuck("created: -26h");
    let Some(aws) = cli(&simulator) else { return };
    let commands = commands();
    assert!(
        output(&aws, &commands[2])["Versions"]
            .to_string()
            .contains(STALE)
    );
    let answer = complaint(&aws, &commands[4].replace("0a2e…", CURRENT));
    assert!(
        answer.contains("(InvalidParameterException)") && answer.contains(STALE),
        "{answer}"
    );
    simulator.script("main", Script::default());
    assert!(complaint(&aws, &commands[3]).contains("A previous rotation isn't complete."));
    let after = labels_at_rest(&aws, &commands[1]);
    assert!(
        after[STALE]
            .as_array()
            .unwrap()
            .contains(&json!("AWSCURRENT"))
    );
    assert_eq!(after[CURRENT], json!(["AWSPREVIOUS"]));
}
