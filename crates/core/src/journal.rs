//! The journal of an operation: the intent and the result of each step.

use std::time::Duration;

use crate::action::Step;
use crate::aws_error::ErrorClass;
use crate::names::VersionId;
use crate::names::{FunctionArn, StageLabel};
use crate::secret::{LabelMap, PendingValue, holder_in};
use crate::time::AwsTime;

/// The `LastChangedDate` of a write is at most this long before the time of its intent.
const MAX_DATE_BEFORE_INTENT: Duration = Duration::from_secs(5);

/// The `LastChangedDate` of a write is at most this long after the time of its intent.
const MAX_DATE_AFTER_INTENT: Duration = Duration::from_secs(15);

/// The number of earlier tries that an entry keeps. The oldest is dropped first, and the change that it made then
/// counts as a foreign change.
pub const MAX_EARLIER: usize = 12;

/// The journal: one entry per step, in the order in which the steps began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal(pub Vec<JournalEntry>);

impl Journal {
    /// Returns whether the journal has no entry.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the entry of a step.
    pub fn entry(&self, step: Step) -> Option<&JournalEntry> {
        self.0.iter().find(|entry| entry.step == step)
    }

    /// Records an intent: the first try, or another try of a step that did not succeed.
    pub fn intend(&mut self, intent: &Intent) {
        let last = self.entry(intent.step);
        let mut earlier: Vec<_> = last.map_or_else(Vec::new, |last| last.earlier.clone());
        earlier.extend(last.map(JournalEntry::last_try));
        let too_many = earlier.len().saturating_sub(MAX_EARLIER);
        let entry = JournalEntry {
            step: intent.step,
            version: intent.version.clone(),
            tries: last.map_or(0, |last| last.tries).saturating_add(1),
            intent: intent.at,
            foreign_change: intent.foreign_change,
            earlier: earlier.split_off(too_many),
            result: None,
        };
        match self.0.iter_mut().find(|old| old.step == intent.step) {
            Some(old) => *old = entry,
            None => self.0.push(entry),
        }
    }

    /// Records the result of the last intent of a step.
    pub fn conclude(&mut self, step: Step, result: StepResult) {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.step == step) {
            entry.result = Some(result);
        }
    }

    /// Returns when an intent of one of the steps was last journaled.
    pub fn last_intent(&self, steps: &[Step]) -> Option<AwsTime> {
        self.0
            .iter()
            .filter(|entry| steps.contains(&entry.step))
            .map(|entry| entry.intent)
            .max()
    }
}

/// One step of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// The step.
    pub step: Step,
    /// The version it is about.
    pub version: Option<VersionId>,
    /// How many intents were journaled.
    pub tries: u32,
    /// AWS time of the last intent.
    pub intent: AwsTime,
    /// The last change before the last intent, other than the controller's own pinning.
    pub foreign_change: Option<AwsTime>,
    /// The tries before the last one, the oldest first.
    pub earlier: Vec<Try>,
    /// The result. Absent if the process ended before it could record it.
    pub result: Option<StepResult>,
}

impl JournalEntry {
    /// Returns whether AWS accepted the request.
    pub fn is_applied(&self) -> bool {
        self.result
            .as_ref()
            .is_some_and(|result| result.kind == ResultKind::Applied)
    }

    /// Returns why AWS refused the request, if it did.
    pub fn refusal(&self) -> Option<ErrorClass> {
        match self.result.as_ref()?.kind {
            ResultKind::Applied => None,
            ResultKind::Refused(class) => Some(class),
        }
    }

    /// Returns whether one of its requests may have been applied: any try for which the journal does not show a
    /// refusal.
    pub fn may_have_applied(&self) -> bool {
        let known = self.earlier.len() + 1 == usize::try_from(self.tries).unwrap_or(usize::MAX);
        let mut tries = self.earlier.iter().copied().chain([self.last_try()]);
        !known || tries.any(|one| one.may_have_applied())
    }

    /// Returns whether AWS certainly received the request: it accepted it, or reported that the pending rotation runs
    /// again.
    pub fn was_received(&self) -> bool {
        self.result.as_ref().is_some_and(StepResult::was_received)
    }

    /// Returns whether it is unknown if the request was applied: no response, or one that does not show it.
    pub fn is_unanswered(&self) -> bool {
        match &self.result {
            None => true,
            Some(StepResult {
                kind: ResultKind::Refused(class),
                ..
            }) => class.may_have_applied(),
            Some(StepResult {
                kind: ResultKind::Applied,
                ..
            }) => false,
        }
    }

    /// Returns whether `changed` can be the `LastChangedDate` that one of its tries left. AWS shows a change late, and
    /// a try whose response was lost may appear only after the next one.
    pub fn explains(&self, changed: AwsTime) -> bool {
        self.tries_that_explain(changed).next().is_some()
    }

    /// Returns the tries that may have been applied, and whose `LastChangedDate` `changed` can be.
    pub fn tries_that_explain(&self, changed: AwsTime) -> impl Iterator<Item = Try> {
        let tries = self.earlier.iter().copied().chain([self.last_try()]);
        tries.filter(move |one| one.may_have_applied() && one.range_holds(changed))
    }

    /// Returns the oldest try that the journal still has.
    pub fn first_try(&self) -> Try {
        self.earlier
            .first()
            .copied()
            .unwrap_or_else(|| self.last_try())
    }

    fn last_try(&self) -> Try {
        Try {
            intent: self.intent,
            foreign_change: self.foreign_change,
            result: self.result.as_ref().map(|result| result.kind),
        }
    }
}

/// One try of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    /// AWS time of its intent.
    pub intent: AwsTime,
    /// The last change before it, other than the controller's own pinning.
    pub foreign_change: Option<AwsTime>,
    /// The result, if it is known.
    pub result: Option<ResultKind>,
}

impl Try {
    const fn may_have_applied(&self) -> bool {
        match self.result {
            None | Some(ResultKind::Applied) => true,
            Some(ResultKind::Refused(class)) => class.may_have_applied(),
        }
    }

    fn range_holds(&self, changed: AwsTime) -> bool {
        (self.intent.minus(MAX_DATE_BEFORE_INTENT)..=self.intent.plus(MAX_DATE_AFTER_INTENT))
            .contains(&changed)
    }
}

/// The result of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepResult {
    /// Whether AWS accepted the request.
    pub kind: ResultKind,
    /// AWS time of the response, or of the next look if there was none.
    pub at: AwsTime,
    /// AWS's request id.
    pub request_id: Option<String>,
    /// AWS's error code, if AWS refused the request.
    pub code: Option<String>,
}

impl StepResult {
    /// Returns whether AWS received the request: it accepted it, or reported that the pending rotation runs again.
    pub const fn was_received(&self) -> bool {
        matches!(
            self.kind,
            ResultKind::Applied | ResultKind::Refused(ErrorClass::RotationPending)
        )
    }
}

/// Acceptance, or a classified refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultKind {
    /// AWS responded with success.
    Applied,
    /// AWS responded with an error, or did not respond.
    Refused(ErrorClass),
}

/// What must be in the journal before a request is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The step.
    pub step: Step,
    /// The version it is about.
    pub version: Option<VersionId>,
    /// AWS time of the look that it is based on.
    pub at: AwsTime,
    /// The last change that the look saw, other than the controller's own pinning.
    pub foreign_change: Option<AwsTime>,
    /// The baseline, with the first intent.
    pub baseline: Option<Baseline>,
}

/// What the first look saw. It distinguishes the controller's own pins from foreign changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// The labels.
    pub labels: LabelMap,
    /// `LastChangedDate` at that time.
    pub last_changed: Option<AwsTime>,
    /// Whether the pending version had a value, if AWS showed it.
    pub pending_value: PendingValue,
    /// Whether rotation was on; `None` in journals of earlier releases.
    pub rotates: Option<bool>,
    /// The rotation function at that time, if there was one. It counts against the limit even if no sweep sees the
    /// secret.
    pub function: Option<FunctionArn>,
}

impl Baseline {
    /// Returns the version that held the label at the first look.
    pub fn holder(&self, label: &StageLabel) -> Option<&VersionId> {
        holder_in(&self.labels, label)
    }
}
