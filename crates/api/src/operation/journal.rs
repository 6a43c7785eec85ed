//! Converts the journal between status and core without loss: reading returns exactly what was written.

use std::collections::{BTreeMap, BTreeSet};

use secret_rotation_core::action::Step;
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::journal::{Baseline, Journal, JournalEntry, ResultKind, StepResult, Try};
use secret_rotation_core::names::{FunctionArn, StageLabel, VersionId};
use secret_rotation_core::secret::{LabelMap, PendingValue};
use secret_rotation_core::time::AwsTime;

use super::names::{OFF, ON, parse_result, result_name};
use super::status::{BaselineStatus, SecretRotationOperationStatus, StepStatus, TryStatus};
use crate::{Invalid, count::Count, invalid::named, text::Text, time::Time};

/// The error code next to a refusal that means that Secrets Manager cannot invoke the function. Other refusals have
/// other codes.
const CANNOT_INVOKE: &str = "AccessDeniedException";

/// The result that replaces one that only a newer release knows.
const UNKNOWN_RESULT: ErrorClass = ErrorClass::Unexpected;

impl SecretRotationOperationStatus {
    /// Reads what the first look saw. Half a baseline is an error, because no decision may rest on it.
    pub(super) fn read_baseline(&self) -> Result<Option<Baseline>, Invalid> {
        let Some(baseline) = &self.baseline else {
            let orphan = Invalid::contradiction(
                "status.before",
                "labels without status.baseline; create another operation",
            );
            return if self.before.is_some() {
                Err(orphan)
            } else {
                Ok(None)
            };
        };
        let pending = PendingValue::parse(&baseline.pending_value);
        let function = baseline
            .function_arn
            .as_ref()
            .map(|arn| named("status.baseline.functionArn", arn, FunctionArn::parse));
        let changed = baseline
            .last_changed_time
            .as_ref()
            .map(|time| time.parse("status.baseline.lastChangedTime"));
        Ok(Some(Baseline {
            labels: self.before.as_ref().map_or_else(
                || Ok(LabelMap::new()),
                |labels| read_labels("status.before", labels),
            )?,
            last_changed: changed.transpose()?,
            function: function.transpose()?,
            pending_value: pending.ok_or_else(|| {
                Invalid::unreadable(
                    "status.baseline.pendingValue",
                    &baseline.pending_value,
                    "None, Empty, Present or Unknown",
                )
            })?,
            rotates: baseline.rotation.as_ref().map(|rotation| *rotation == ON),
        }))
    }

    /// Removes or replaces what only a newer release knows. The result is good enough to count what a finished
    /// operation did, but an operation must never continue from it.
    pub(super) fn into_known(mut self) -> Self {
        let known = |step: &StepStatus| Step::parse(&step.name).is_some();
        self.steps.retain(known);
        for step in &mut self.steps {
            let earlier = step.earlier_tries.iter_mut();
            let results = earlier.filter_map(|one| one.result.as_mut());
            for result in results.chain(step.result.as_mut()) {
                if parse_result(result).is_none() {
                    *result = result_name(ResultKind::Refused(UNKNOWN_RESULT)).into();
                }
            }
        }
        let value = self
            .baseline
            .as_mut()
            .map(|baseline| &mut baseline.pending_value);
        if let Some(value) = value
            && PendingValue::parse(value).is_none()
        {
            *value = PendingValue::Unknown.name().into();
        }
        self
    }

    /// Reads the whole journal, or returns an error.
    pub(super) fn read_journal(&self) -> Result<Journal, Invalid> {
        let read =
            |(index, step): (usize, &StepStatus)| step.read(&format!("status.steps[{index}]"));
        let entries: Vec<_> = self
            .steps
            .iter()
            .enumerate()
            .map(read)
            .collect::<Result<_, _>>()?;
        let distinct: BTreeSet<_> = entries.iter().map(|entry| entry.step).collect();
        if distinct.len() == entries.len() {
            return Ok(Journal(entries));
        }
        Err(Invalid::contradiction(
            "status.steps",
            "a step appears twice; create another operation",
        ))
    }
}

impl BaselineStatus {
    pub(super) fn of(baseline: &Baseline) -> Self {
        let holder = |label| baseline.holder(&label).map(|id| id.as_str().into());
        Self {
            current_version_id: holder(StageLabel::current()),
            pending_version_id: holder(StageLabel::pending()),
            last_changed_time: baseline.last_changed.map(Time::exact),
            pending_value: baseline.pending_value.name().into(),
            rotation: baseline.rotates.map(|on| if on { ON } else { OFF }.into()),
            function_arn: baseline
                .function
                .as_ref()
                .map(|arn| arn.to_string().as_str().into()),
        }
    }
}

impl StepStatus {
    pub(super) fn of(entry: &JournalEntry) -> Self {
        let result = entry.result.as_ref();
        Self {
            name: entry.step.name().into(),
            version_id: entry.version.as_ref().map(|id| id.as_str().into()),
            tries: Count::new(entry.tries.into()),
            intent_time: Time::exact(entry.intent),
            foreign_change_time: entry.foreign_change.map(Time::exact),
            earlier_tries: entry.earlier.iter().map(TryStatus::of).collect(),
            result_time: result.map(|result| Time::exact(result.at)),
            result: result.map(|result| result_name(result.kind).into()),
            request_id: result
                .and_then(|result| result.request_id.as_deref())
                .map(Into::into),
            code: result
                .and_then(|result| result.code.as_deref())
                .map(Into::into),
        }
    }

    fn read(&self, path: &str) -> Result<JournalEntry, Invalid> {
        let step = Step::parse(&self.name);
        let version = self
            .version_id
            .as_ref()
            .map(|id| named(&format!("{path}.versionId"), id, VersionId::parse));
        Ok(JournalEntry {
            step: step.ok_or_else(|| {
                Invalid::unreadable(&format!("{path}.name"), &self.name, "the name of a step")
            })?,
            version: version.transpose()?,
            tries: self.tries.parse(&format!("{path}.tries"))?,
            intent: self.intent_time.parse(&format!("{path}.intentTime"))?,
            foreign_change: read_time(self.foreign_change_time.as_ref(), || {
                format!("{path}.foreignChangeTime")
            })?,
            earlier: self.read_earlier(path)?,
            result: self.read_result(path)?,
        })
    }

    fn read_earlier(&self, path: &str) -> Result<Vec<Try>, Invalid> {
        let tries = self.earlier_tries.iter().enumerate();
        tries
            .map(|(index, one)| one.read(&format!("{path}.earlierTries[{index}]")))
            .collect()
    }

    fn read_result(&self, path: &str) -> Result<Option<StepResult>, Invalid> {
        let (at, name) = match (&self.result_time, &self.result) {
            (None, None) => return Ok(None),
            (Some(at), Some(name)) => (at, name),
            (None, Some(_)) | (Some(_), None) => {
                let advice = "result and resultTime belong together; create another operation";
                return Err(Invalid::contradiction(path, advice));
            }
        };
        let kind = match read_kind(path, name)? {
            ResultKind::Refused(ErrorClass::Refused)
                if self.code.as_deref() == Some(CANNOT_INVOKE) =>
            {
                ResultKind::Refused(ErrorClass::CannotInvoke)
            }
            kind @ (ResultKind::Applied | ResultKind::Refused(_)) => kind,
        };
        Ok(Some(StepResult {
            kind,
            at: at.parse(&format!("{path}.resultTime"))?,
            request_id: self.request_id.as_ref().map(ToString::to_string),
            code: self.code.as_ref().map(ToString::to_string),
        }))
    }
}

impl TryStatus {
    fn of(one: &Try) -> Self {
        Self {
            intent_time: Time::exact(one.intent),
            foreign_change_time: one.foreign_change.map(Time::exact),
            result: one.result.map(|kind| result_name(kind).into()),
        }
    }

    fn read(&self, path: &str) -> Result<Try, Invalid> {
        let result = self.result.as_ref();
        Ok(Try {
            intent: self.intent_time.parse(&format!("{path}.intentTime"))?,
            foreign_change: read_time(self.foreign_change_time.as_ref(), || {
                format!("{path}.foreignChangeTime")
            })?,
            result: result.map(|name| read_kind(path, name)).transpose()?,
        })
    }
}

fn read_time(time: Option<&Time>, path: impl Fn() -> String) -> Result<Option<AwsTime>, Invalid> {
    time.map(|time| time.parse(&path())).transpose()
}

fn read_kind(path: &str, name: &Text<1, 64>) -> Result<ResultKind, Invalid> {
    parse_result(name).ok_or_else(|| {
        Invalid::unreadable(
            &format!("{path}.result"),
            name,
            "Applied or the class of an error",
        )
    })
}

/// Converts labels to the form that the status stores.
pub(super) fn written_labels(labels: &LabelMap) -> BTreeMap<String, Vec<Text<1, 256>>> {
    let texts =
        |labels: &BTreeSet<StageLabel>| labels.iter().map(|label| label.as_str().into()).collect();
    labels
        .iter()
        .map(|(version, labels)| (version.as_str().to_owned(), texts(labels)))
        .collect()
}

fn read_labels(
    path: &str,
    written: &BTreeMap<String, Vec<Text<1, 256>>>,
) -> Result<LabelMap, Invalid> {
    let label = |text: &Text<1, 256>| named(path, text, StageLabel::parse);
    let version = |(id, labels): (&String, &Vec<Text<1, 256>>)| {
        let labels = labels.iter().map(label).collect::<Result<_, _>>()?;
        Ok((named(path, id, VersionId::parse)?, labels))
    };
    written.iter().map(version).collect()
}
