//! A report as SARIF 2.1.0: a rule per state, a result per finding, a notification for everything that could not be
//! read.
//!
//! A secret is in no file. Its artifact is `ACCOUNT/REGION/NAME` relative to the base `SECRETSMANAGER`, because code
//! scanning accepts only relative URIs. The logical location has the complete ARN.

use std::fmt::Write as _;

use secret_rotation_core::survey::State;
use serde_json::{Value, json};
use uuid::Uuid;

use super::report::{FindingReport, Level, Report, help};
use crate::CommandError;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The website of the tool.
const HOME: &str = "https://secretrotation.github.io/secret-rotation-controller";

/// The base of the artifacts of results.
const BASE: &str = "SECRETSMANAGER";

/// The states that have results; the others are only counted in the properties of the run.
const REPORTED: [State; 10] = [
    State::Broken,
    State::Stuck,
    State::Expiring,
    State::Overdue,
    State::TooOld,
    State::ScheduledForDeletion,
    State::NotFound,
    State::Disabled,
    State::Unknown,
    State::Rotating,
];

/// Renders one log with one run.
pub(super) fn render(report: &Report) -> Result<String, CommandError> {
    let text = serde_json::to_string_pretty(&log(report));
    let failed = |error| CommandError::new(format!("cannot format the report as SARIF: {error}"));
    text.map(|text| text + "\n").map_err(failed)
}

fn log(report: &Report) -> Value {
    json!({"$schema": SCHEMA, "version": "2.1.0", "runs": [run(report)]})
}

fn run(report: &Report) -> Value {
    let notifications: Vec<_> = report.problems().map(notification).collect();
    let mut invocation = json!({
        "executionSuccessful": report.complete,
        "toolExecutionNotifications": notifications,
    });
    if let Some(time) = &report.time {
        invocation["endTimeUtc"] = json!(time);
    }
    json!({
        "tool": {"driver": {
            "name": "kubectl-secret_rotation",
            "informationUri": HOME,
            "version": report.tool_version,
            "semanticVersion": report.tool_version,
            "rules": REPORTED.map(rule),
        }},
        "invocations": [invocation],
        "originalUriBaseIds": {(BASE): {
            "description": {"text": "AWS Secrets Manager: ACCOUNT/REGION/NAME of a secret"},
        }},
        "columnKind": "unicodeCodePoints",
        "results": report.findings.iter().map(result).collect::<Vec<_>>(),
        "properties": {"selected": report.selected, "complete": report.complete, "states": report.states},
    })
}

fn rule(state: State) -> Value {
    let uri = help(state);
    json!({
        "id": state.name(),
        "name": state.name(),
        "shortDescription": {"text": description(state)},
        "helpUri": uri,
        "help": {
            "text": format!("What it means and what to do: {uri}"),
            "markdown": format!("[What it means and what to do]({uri})"),
        },
        "defaultConfiguration": {"level": Level::of(state).name()},
        "properties": {"tags": ["security", "secret-rotation"]},
    })
}

const fn description(state: State) -> &'static str {
    match state {
        State::Broken => "No version of the secret has AWSCURRENT.",
        State::Stuck => "The rotation stopped halfway, and AWS refuses to start another.",
        State::Expiring => "The value of the secret expires soon according to its tag.",
        State::Overdue => "AWS did not rotate the secret when it was due.",
        State::TooOld => "The current version is older than the policy allows.",
        State::ScheduledForDeletion => "The secret will be deleted.",
        State::NotFound => "The policy names a secret that does not exist.",
        State::Disabled => "The rotation of the secret is turned off.",
        State::Unknown => "The secret or its expiry tag could not be read.",
        State::Rotating => "A rotation is in progress.",
        State::Ineligible => "The secret is a replica.",
        State::Healthy => "The rotation of the secret is healthy.",
    }
}

fn result(finding: &FindingReport) -> Value {
    let index = REPORTED
        .iter()
        .position(|state| state.name() == finding.state);
    let identity = identity(finding);
    let mut properties = json!({"region": finding.region});
    let dates = [
        ("since", &finding.since),
        ("lastRotated", &finding.last_rotated),
        ("nextRotation", &finding.next_rotation),
        ("currentVersionId", &finding.current_version_id),
        ("pendingVersionId", &finding.pending_version_id),
    ];
    for (name, value) in dates {
        if let Some(value) = value {
            properties[name] = json!(value);
        }
    }
    json!({
        "ruleId": finding.state,
        "ruleIndex": index,
        "level": finding.level.name(),
        "message": {"text": format!("{} in {}: {}", finding.name, finding.region, finding.message)},
        "locations": [{
            "physicalLocation": {"artifactLocation": {"uri": path(finding), "uriBaseId": BASE}},
            "logicalLocations": [{
                "name": finding.name,
                "fullyQualifiedName": identity,
                "kind": "resource",
            }],
        }],
        "partialFingerprints": {"secretAndState/v1": fingerprint(&identity, finding.state)},
        "properties": properties,
    })
}

/// Returns an id that is the same in every run as long as the secret exists: it depends on neither dates nor versions.
fn fingerprint(identity: &str, state: &str) -> String {
    Uuid::new_v5(
        &Uuid::NAMESPACE_URL,
        format!("{HOME}/{state}/{identity}").as_bytes(),
    )
    .to_string()
}

/// Returns the ARN, or region and name if there is none.
fn identity(finding: &FindingReport) -> String {
    let place = || format!("{}/{}", finding.region, finding.name);
    finding.arn.clone().unwrap_or_else(place)
}

fn path(finding: &FindingReport) -> String {
    let account = finding.account.as_deref().unwrap_or("unknown");
    let name = finding.name.split('/').map(encoded).collect::<Vec<_>>();
    format!("{account}/{}/{}", finding.region, name.join("/"))
}

/// Encodes a segment of a path (RFC 3986, section 3.3). A segment of dots would leave the folder.
fn encoded(segment: &str) -> String {
    let dots = matches!(segment, "." | "..");
    segment.bytes().fold(String::new(), |mut text, byte| {
        let kept =
            byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) || (byte == b'.' && !dots);
        if kept {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

fn notification((region, problem): (&str, &crate::aws::Problem)) -> Value {
    json!({
        "level": "error",
        "descriptor": {"id": problem.reason},
        "message": {"text": format!("{region}: {}. {}", problem.message, problem.hint)},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::audit::testing;

    /// The schema of OASIS; see tests/schemas/README.md. One of its patterns has a bracket that ECMA-262 requires to be
    /// escaped.
    fn official() -> Value {
        let text = include_str!("../../../tests/schemas/sarif-2.1.0.json");
        let text = text.replace("[a-zA-Z]{2}]?$", r"[a-zA-Z]{2}\\]?$");
        serde_json::from_str(&text).expect("a schema")
    }

    #[test]
    fn sarif_is_valid_according_to_the_official_schema() {
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&official())
            .expect("a valid schema");
        for report in [
            testing::report(),
            testing::healthy(),
            testing::nothing_read(),
        ] {
            let log = log(&report);
            let errors: Vec<_> = validator
                .iter_errors(&log)
                .map(|error| error.to_string())
                .collect();
            assert!(errors.is_empty(), "{errors:?}");
        }
        let mut torn = log(&testing::report());
        torn["runs"][0]["results"][0]["level"] = json!("terrible");
        assert!(!validator.is_valid(&torn), "the schema refuses something");
    }

    #[test]
    fn sarif_matches_the_golden_file() {
        testing::golden("report.sarif", &render(&testing::report()).expect("SARIF"));
    }

    #[test]
    fn fingerprints_depend_on_the_state_and_not_on_versions_or_dates() {
        let finding = testing::report().findings[0].clone();
        let later = FindingReport {
            since: None,
            pending_version_id: Some("another".to_owned()),
            message: "otherwise".to_owned(),
            ..finding.clone()
        };
        let other = FindingReport {
            state: "Overdue",
            ..finding.clone()
        };
        let print = |finding: &FindingReport| result(finding)["partialFingerprints"].clone();
        assert_eq!(print(&finding), print(&later));
        assert_ne!(print(&finding), print(&other));
    }

    #[test]
    fn results_refer_to_rules_by_name_and_by_index() {
        let log = log(&testing::report());
        let run = &log["runs"][0];
        for result in run["results"].as_array().expect("results") {
            let index = result["ruleIndex"]
                .as_u64()
                .and_then(|index| usize::try_from(index).ok());
            let rule = &run["tool"]["driver"]["rules"][index.expect("a rule")];
            assert_eq!(rule["id"], result["ruleId"]);
        }
    }

    #[test]
    fn a_path_cannot_leave_its_folder() {
        assert_eq!(
            ["a b", "..", "x.y", "<é>"].map(encoded),
            ["a%20b", "%2E%2E", "x.y", "%3C%C3%A9%3E"]
        );
    }
}
