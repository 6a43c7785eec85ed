//! The report of an audit. All formats print this structure; its JSON schema is part of the interface.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use secret_rotation_core::survey::{Finding, State, Survey};
use secret_rotation_core::time::AwsTime;
use serde::Serialize;

use super::age_buckets::{self, AgeBucket};
use crate::CommandError;
use crate::aws::{Criteria, Problem, RegionSweep};
use crate::ui::duration;

/// Increases by one when a field changes its meaning or is removed. New fields can appear at any time.
pub(crate) const SCHEMA_VERSION: &str = "1";

/// The documentation page that findings link to.
const REASONS: &str = "https://secretrotation.github.io/secret-rotation-controller/reasons.html";

/// The report of one audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// The version of this schema.
    pub schema_version: &'static str,
    /// The version of the plugin that made the report.
    pub tool_version: &'static str,
    /// The time of the oldest response in it, by the clock of AWS; absent if AWS did not respond.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Whether everything that was requested could be read. If not, what is absent here may still exist.
    pub complete: bool,
    /// The policy, as namespace/name; absent if no file provided one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// How long a pending version without progress must exist to be stuck, in seconds.
    pub stuck_after_seconds: u64,
    /// What was read in each region.
    pub regions: Vec<RegionReport>,
    /// The number of evaluated secrets.
    pub selected: usize,
    /// Deprecated: always 0. Secrets outside the limits of the profile are neither read nor counted.
    pub outside_ceiling: usize,
    /// The number of evaluated secrets in each state.
    pub states: BTreeMap<&'static str, usize>,
    /// The number of evaluated secrets by the age of their last rotation.
    pub ages: Vec<AgeBucket>,
    /// Every secret that is not healthy, worst first.
    pub findings: Vec<FindingReport>,
}

/// What was read in one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegionReport {
    /// Its name.
    pub name: String,
    /// The number of secrets found in it, selected or not.
    pub secrets: usize,
    /// Whether everything in it could be read.
    pub complete: bool,
    /// What could not be read, and why.
    #[serde(rename = "trouble")]
    pub problems: Vec<Problem>,
}

/// One secret that is not healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FindingReport {
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Its ARN; absent if it does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// Its account; absent if it does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Its state.
    pub state: &'static str,
    /// The severity of the state: error, warning or note.
    pub level: Level,
    /// The time since which it is in this state, if AWS reports it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The time in this state at the time of the report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<String>,
    /// Why it is in this state.
    pub message: String,
    /// The version with AWSCURRENT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_version_id: Option<String>,
    /// The version of the unfinished rotation, with AWSPENDING.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_version_id: Option<String>,
    /// Whether the pending version has a value: None, Empty, Present or Unknown.
    pub pending_value: &'static str,
    /// The time of the last successful rotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_rotated: Option<String>,
    /// The time of the next rotation according to AWS; in the past if AWS could not rotate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_rotation: Option<String>,
    /// The documentation of the state.
    pub help: String,
}

/// The severity of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Level {
    /// Something does not work, or will soon not work.
    Error,
    /// Something needs attention.
    Warning,
    /// No action is needed yet.
    Note,
}

impl Report {
    /// Builds the report from what was read and what core found in it.
    pub(crate) fn of(criteria: &Criteria, swept: &[RegionSweep], survey: &Survey) -> Self {
        let answered = swept.iter().any(|swept| swept.is_answered);
        let is_read = swept.iter().all(|swept| swept.problems.is_empty());
        Self {
            schema_version: SCHEMA_VERSION,
            tool_version: env!("CARGO_PKG_VERSION"),
            time: answered.then(|| survey.time.to_string()),
            complete: survey.is_complete() && is_read,
            policy: criteria.is_given.then(|| criteria.policy.key.to_string()),
            stuck_after_seconds: criteria.policy.detection.stuck_after.as_secs(),
            regions: swept.iter().map(RegionReport::of).collect(),
            selected: survey.selected,
            outside_ceiling: 0,
            states: counts(survey),
            ages: age_buckets::count(criteria, swept, survey),
            findings: survey
                .findings
                .iter()
                .map(|finding| FindingReport::of(finding, survey.time))
                .collect(),
        }
    }

    /// Returns the number of evaluated secrets in a state.
    pub(crate) fn count(&self, state: State) -> usize {
        self.states.get(state.name()).copied().unwrap_or(0)
    }

    /// Returns the number of evaluated secrets that need attention.
    pub(crate) fn unhealthy(&self) -> usize {
        let unhealthy = State::ALL.into_iter().filter(|state| state.is_unhealthy());
        unhealthy.map(|state| self.count(state)).sum()
    }

    /// Returns the states with secrets in them, worst first.
    pub(crate) fn present(&self) -> impl Iterator<Item = (State, usize)> {
        let counted = State::ALL.map(|state| (state, self.count(state)));
        counted.into_iter().filter(|(_, count)| *count > 0)
    }

    /// Returns the result in one sentence.
    pub(crate) fn headline(&self) -> String {
        let evaluated = count(self.selected, "secret");
        let result = match (self.unhealthy(), self.complete) {
            (0, false) if self.selected == 0 => "nothing could be evaluated".to_owned(),
            (0, true) => "none needs attention".to_owned(),
            (0, false) => "none of those that could be read needs attention".to_owned(),
            (1, _) => "1 needs attention".to_owned(),
            (many, _) => format!("{many} need attention"),
        };
        format!(
            "{evaluated} in {}: {result}",
            count(self.regions.len(), "region")
        )
    }

    /// Returns everything that could not be read, by region.
    pub(crate) fn problems(&self) -> impl Iterator<Item = (&str, &Problem)> {
        self.regions.iter().flat_map(|region| {
            region
                .problems
                .iter()
                .map(|one| (region.name.as_str(), one))
        })
    }
}

fn counts(survey: &Survey) -> BTreeMap<&'static str, usize> {
    let count = |state: State| (state.name(), survey.count(state));
    State::ALL.into_iter().map(count).collect()
}

/// Formats a number with its noun: `1 secret`, `2 secrets`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

impl RegionReport {
    fn of(swept: &RegionSweep) -> Self {
        Self {
            name: swept.region.to_string(),
            secrets: swept.shown,
            complete: swept.problems.is_empty(),
            problems: swept.problems.clone(),
        }
    }
}

impl FindingReport {
    fn of(finding: &Finding, now: AwsTime) -> Self {
        let secret = finding.secret.as_ref();
        let time = |time: AwsTime| time.to_string();
        // Where AWS reports no date, core uses the time at which it found the state: for an audit, which has no memory,
        // that is no date.
        let since = finding.since.filter(|since| *since < now);
        Self {
            name: finding.name.to_string(),
            region: finding.region.to_string(),
            arn: finding.arn.as_ref().map(ToString::to_string),
            account: finding.arn.as_ref().map(|arn| arn.account().to_string()),
            state: finding.state.name(),
            level: Level::of(finding.state),
            since: since.map(time),
            age: since.map(|since| duration::age_or_dash(Some(since), now)),
            message: finding.message.clone(),
            current_version_id: finding.current.as_ref().map(ToString::to_string),
            pending_version_id: finding.pending.as_ref().map(ToString::to_string),
            pending_value: finding.pending_value.name(),
            last_rotated: secret.and_then(|secret| secret.last_rotated).map(time),
            next_rotation: secret.and_then(|secret| secret.next_rotation).map(time),
            help: help(finding.state),
        }
    }
}

impl Level {
    pub(super) const fn of(state: State) -> Self {
        match state {
            State::Broken | State::Stuck | State::Expiring => Self::Error,
            State::Overdue
            | State::TooOld
            | State::ScheduledForDeletion
            | State::NotFound
            | State::Disabled
            | State::Unknown => Self::Warning,
            State::Rotating | State::Ineligible | State::Healthy => Self::Note,
        }
    }

    /// Returns the name in SARIF and JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// Returns the link to the documentation of a state.
pub(super) fn help(state: State) -> String {
    format!("{REASONS}#{}", state.name().to_ascii_lowercase())
}

/// Renders the report as indented JSON.
pub(super) fn json(report: &Report) -> Result<String, CommandError> {
    let text = serde_json::to_string_pretty(report);
    let failed = |error| CommandError::new(format!("cannot format the report as JSON: {error}"));
    text.map(|text| text + "\n").map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::audit::testing;

    #[test]
    fn a_report_is_valid_according_to_its_schema() {
        let schema = serde_json::to_value(crate::commands::audit::schema()).expect("a schema");
        let validator = jsonschema::validator_for(&schema).expect("a valid schema");
        for report in [
            testing::report(),
            testing::healthy(),
            testing::nothing_read(),
        ] {
            let report = serde_json::to_value(&report).expect("JSON");
            let errors: Vec<_> = validator
                .iter_errors(&report)
                .map(|error| error.to_string())
                .collect();
            assert!(errors.is_empty(), "{errors:?}");
        }
    }

    #[test]
    fn json_matches_the_golden_file() {
        testing::golden("report.json", &json(&testing::report()).expect("JSON"));
    }

    #[test]
    fn secrets_that_could_not_be_read_are_not_counted_as_healthy() {
        let headline = |report: Report| (report.headline(), report.complete);
        assert_eq!(
            headline(testing::healthy()),
            (
                "2 secrets in 1 region: none needs attention".to_owned(),
                true
            )
        );
        assert_eq!(
            headline(testing::nothing_read()),
            (
                "0 secrets in 1 region: nothing could be evaluated".to_owned(),
                false
            )
        );
    }
}
