//! What an operation intended, step by step, and what came of it.

use std::time::Duration;

use crate::action::Step;
use crate::aws_error::ErrorClass;
use crate::names::VersionId;
use crate::names::{FunctionArn, StageLabel};
use crate::secret::{LabelMap, PendingValue, holder_in};
use crate::time::AwsTime;

/// `LastChangedDate` of a write lies between the time of its intent less this …
const MAX_DATE_BEFORE_INTENT: Duration = Duration::from_secs(5);

/// … and the same time plus this.
const MAX_DATE_AFTER_INTENT: Duration = Duration::from_secs(15);

/// Earlier tries that an entry keeps; the oldest is dropped first, and what it changed then counts as somebody else's.
pub const MAX_EARLIER: usize = 12;

/// The journal: one entry per step, in the order in which the steps began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal(pub Vec<JournalEntry>);

impl Journal {
    /// Whether nothing was ever intended.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entry of a step.
    pub fn entry(&self, step: Step) -> Option<&JournalEntry> {
        self.0.iter().find(|entry| entry.step == step)
    }

    /// Records an intent: a first try, or one more of a step that did not come through.
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

    /// Records what came of the last intent of a step.
    pub fn conclude(&mut self, step: Step, result: StepResult) {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.step == step) {
            entry.result = Some(result);
        }
    }

    /// When an intent of one of the steps was last journaled.
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
    /// Which step.
    pub step: Step,
    /// The version it is about.
    pub version: Option<VersionId>,
    /// How many intents were journaled.
    pub tries: u32,
    /// AWS time of the last intent.
    pub intent: AwsTime,
    /// The last change before the last intent that was not our own pinning.
    pub foreign_change: Option<AwsTime>,
    /// The tries before the last one, the oldest first.
    pub earlier: Vec<Try>,
    /// What came of it; absent if the process did not live to write it down.
    pub result: Option<StepResult>,
}

impl JournalEntry {
    /// Whether AWS said yes.
    pub fn is_applied(&self) -> bool {
        self.result
            .as_ref()
            .is_some_and(|result| result.kind == ResultKind::Applied)
    }

    /// Why AWS said no, if it did.
    pub fn refusal(&self) -> Option<ErrorClass> {
        match self.result.as_ref()?.kind {
            ResultKind::Applied => None,
            ResultKind::Refused(class) => Some(class),
        }
    }

    /// Whether one of its requests may have been applied: any whose refusal the journal does not show.
    pub fn may_have_applied(&self) -> bool {
        let known = self.earlier.len() + 1 == usize::try_from(self.tries).unwrap_or(usize::MAX);
        let mut tries = self.earlier.iter().copied().chain([self.last_try()]);
        !known || tries.any(|one| one.may_have_applied())
    }

    /// Returns whether AWS has surely received the request: it said yes, or that it runs the pending rotation again.
    pub fn was_received(&self) -> bool {
        self.result.as_ref().is_some_and(StepResult::was_received)
    }

    /// Whether the request may have been applied although nobody knows: no answer, or none that says.
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

    /// Whether `changed` can be the `LastChangedDate` that one of its tries left; AWS confirms a change late, and a try
    /// whose answer was lost may be seen only after the next one.
    pub fn explains(&self, changed: AwsTime) -> bool {
        self.tries_that_explain(changed).next().is_some()
    }

    /// The tries that may have been applied and whose date `changed` can be.
    pub fn tries_that_explain(&self, changed: AwsTime) -> impl Iterator<Item = Try> {
        let tries = self.earlier.iter().copied().chain([self.last_try()]);
        tries.filter(move |one| one.may_have_applied() && one.range_holds(changed))
    }

    /// The first try, as far back as the journal goes.
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
    /// The last change before it that was not our own pinning.
    pub foreign_change: Option<AwsTime>,
    /// What came of it, if that is known.
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

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepResult {
    /// Yes or no.
    pub kind: ResultKind,
    /// AWS time of the answer, or of the next look if there was none.
    pub at: AwsTime,
    /// AWS's request id.
    pub request_id: Option<String>,
    /// AWS's error code, if it refused.
    pub code: Option<String>,
}

impl StepResult {
    /// Returns whether AWS has received the request: it said yes, or that it runs the pending rotation again.
    pub const fn was_received(&self) -> bool {
        matches!(
            self.kind,
            ResultKind::Applied | ResultKind::Refused(ErrorClass::RotationPending)
        )
    }
}

/// Yes, or a classified no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultKind {
    /// AWS answered with success.
    Applied,
    /// AWS answered with an error, or did not answer.
    Refused(ErrorClass),
}

/// What must be in the journal before a request goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Which step.
    pub step: Step,
    /// The version it is about.
    pub version: Option<VersionId>,
    /// AWS time of the look it rests on.
    pub at: AwsTime,
    /// The last change which that look saw and which was not our own pinning.
    pub foreign_change: Option<AwsTime>,
    /// The baseline, with the first intent.
    pub baseline: Option<Baseline>,
}

/// What the first look saw, so that our own pin is told from a foreign change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// The labels.
    pub labels: LabelMap,
    /// `LastChangedDate` then.
    pub last_changed: Option<AwsTime>,
    /// Whether the pending version had a value, as far as AWS tells.
    pub pending_value: PendingValue,
    /// Whether rotation was on; `None` in what earlier releases stored.
    pub rotates: Option<bool>,
    /// The rotation function then, if there was one: it counts against the limit also where no sweep sees the secret.
    pub function: Option<FunctionArn>,
}

impl Baseline {
    /// The version that held the label at the first look.
    pub fn holder(&self, label: &StageLabel) -> Option<&VersionId> {
        holder_in(&self.labels, label)
    }
}
