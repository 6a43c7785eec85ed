//! What an audit found, in the shape that every output prints: the schema is part of the interface.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use secret_rotation_core::secret::PendingValue;
use secret_rotation_core::survey::{Finding, State, Survey};
use secret_rotation_core::time::AwsTime;
use serde::Serialize;

use super::age_buckets::{self, AgeBucket};
use crate::CommandError;
use crate::aws::{Criteria, Problem, RegionSweep};
use crate::ui::duration;

/// Grows by one when a field changes its meaning or goes away; new fields may come at any time.
pub(crate) const SCHEMA_VERSION: &str = "1";

/// The documentation that findings point to.
const REASONS: &str = "https://secretrotation.github.io/secret-rotation-controller/reasons.html";

/// The report of one audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// The version of this schema.
    pub schema_version: &'static str,
    /// The version of the plugin that made the report.
    pub tool_version: &'static str,
    /// When the oldest answer in it was given, by the clock of AWS; absent if AWS did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Whether everything that was asked for could be read. If not, what is absent here may still exist.
    pub complete: bool,
    /// The policy that was judged by, as namespace/name; absent if it was made for the occasion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// How old a pending version without progress must be to be stuck, in seconds.
    pub stuck_after_seconds: u64,
    /// What was read of each region.
    pub regions: Vec<RegionReport>,
    /// The number of secrets that were judged.
    pub selected: usize,
    /// Deprecated: always 0. What lies beyond the bounds of the profile is neither read nor counted.
    pub outside_ceiling: usize,
    /// The number of judged secrets in each state.
    pub states: BTreeMap<&'static str, usize>,
    /// How long ago the judged secrets were rotated.
    pub ages: Vec<AgeBucket>,
    /// Every secret that is not healthy, worst first.
    pub findings: Vec<FindingReport>,
}

/// What was read of one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegionReport {
    /// Its name.
    pub name: String,
    /// The number of secrets that were seen there, selected or not.
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
    /// How grave the state is: error, warning or note.
    pub level: Level,
    /// Since when it is in this state, as far as AWS tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// How long that was at the time of the report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<String>,
    /// Why it is in this state, in a sentence.
    pub message: String,
    /// The version with AWSCURRENT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_version_id: Option<String>,
    /// The version of the unfinished rotation, which holds AWSPENDING.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_version_id: Option<String>,
    /// Whether the pending version has a value: None, Empty, Present or Unknown.
    pub pending_value: &'static str,
    /// When a rotation last succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_rotated: Option<String>,
    /// When AWS means to rotate next; in the past where it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_rotation: Option<String>,
    /// The page that says what to do.
    pub help: String,
}

/// How grave a state is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Level {
    /// Something does not work, or soon will not.
    Error,
    /// Something will not go on as it should.
    Warning,
    /// Nothing to do yet.
    Note,
}

impl Report {
    /// Puts together what was read and what core says of it.
    pub(crate) fn of(criteria: &Criteria, swept: &[RegionSweep], survey: &Survey) -> Self {
        let answered = swept.iter().any(RegionSweep::answered);
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
            ages: age_buckets::count(survey),
            findings: survey
                .findings
                .iter()
                .map(|finding| FindingReport::of(finding, survey.time))
                .collect(),
        }
    }

    /// The number of judged secrets in a state.
    pub(crate) fn count(&self, state: State) -> usize {
        self.states.get(state.name()).copied().unwrap_or(0)
    }

    /// The number of judged secrets that need attention.
    pub(crate) fn unhealthy(&self) -> usize {
        let unhealthy = State::ALL.into_iter().filter(|state| state.is_unhealthy());
        unhealthy.map(|state| self.count(state)).sum()
    }

    /// States with secrets in them, worst first.
    pub(crate) fn present(&self) -> impl Iterator<Item = (State, usize)> {
        let counted = State::ALL.map(|state| (state, self.count(state)));
        counted.into_iter().filter(|(_, count)| *count > 0)
    }

    /// The verdict in a sentence.
    pub(crate) fn headline(&self) -> String {
        let judged = count(self.selected, "secret");
        let verdict = match (self.unhealthy(), self.complete) {
            (0, false) if self.selected == 0 => "nothing could be judged".to_owned(),
            (0, true) => "none needs attention".to_owned(),
            (0, false) => "none of those that could be read needs attention".to_owned(),
            (1, _) => "1 needs attention".to_owned(),
            (many, _) => format!("{many} need attention"),
        };
        format!(
            "{judged} in {}: {verdict}",
            count(self.regions.len(), "region")
        )
    }

    /// Everything that could not be read, by region.
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

/// `1 secret`, `2 secrets`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

impl RegionReport {
    fn of(swept: &RegionSweep) -> Self {
        Self {
            name: swept.inventory.region.to_string(),
            secrets: swept.inventory.secrets.len(),
            complete: swept.problems.is_empty(),
            problems: swept.problems.clone(),
        }
    }
}

impl FindingReport {
    fn of(finding: &Finding, now: AwsTime) -> Self {
        let secret = finding.secret.as_ref();
        let time = |time: AwsTime| time.to_string();
        // Where AWS names no date, core says since it was found: for an audit, which remembers nothing, that is no date.
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
            pending_value: pending_value(finding.pending_value),
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

    /// As SARIF and JSON write it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// The paragraph on a state.
pub(super) fn help(state: State) -> String {
    format!("{REASONS}#{}", state.name().to_ascii_lowercase())
}

const fn pending_value(value: PendingValue) -> &'static str {
    match value {
        PendingValue::None => "None",
        PendingValue::Empty => "Empty",
        PendingValue::Present => "Present",
        PendingValue::Unknown => "Unknown",
    }
}

/// The report as JSON, for people too.
pub(super) fn json(report: &Report) -> Result<String, CommandError> {
    let text = serde_json::to_string_pretty(report);
    let failed = |error| CommandError::new(format!("the report does not print as JSON: {error}"));
    text.map(|text| text + "\n").map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::audit::testing;

    #[test]
    fn a_report_is_valid_by_its_own_schema() {
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
    fn json_is_as_it_was() {
        testing::golden("report.json", &json(&testing::report()).expect("JSON"));
    }

    #[test]
    fn what_could_not_be_read_is_not_taken_for_healthy() {
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
                "0 secrets in 1 region: nothing could be judged".to_owned(),
                false
            )
        );
    }
}
