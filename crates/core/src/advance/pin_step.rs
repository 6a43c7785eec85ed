//! The pin: our own label on a version, set before a label moves and kept as the way back.

use super::next::{Next, Request, Stop, failed};
use super::preconditions::Evaluation;
use crate::action::Step;
use crate::aws_error::ErrorClass;
use crate::journal::JournalEntry;
use crate::names::{StageLabel, VersionId};
use crate::operation::Failure;
use crate::permit::Phase;
use crate::pin::{self, Pin};
use crate::secret::{LabelMap, PendingValue};

impl<'a> Evaluation<'a> {
    pub(super) fn room_for_a_pin(&self) -> Result<(), Stop> {
        match pin::room(self.secret, self.input.cluster) {
            Ok(()) => Ok(()),
            Err(full) => Err(failed(Failure::PinExhausted, full.to_string())),
        }
    }

    pub(super) fn send_pin(&self, pending: &VersionId) -> Result<Next, Stop> {
        let label = self.own_pin(pending)?;
        Ok(self.send(
            Step::Pin,
            Some(pending),
            Request::Attach {
                label,
                version: pending.clone(),
            },
        ))
    }

    /// The pin is there, and nothing but the pin has happened since the first look.
    ///
    /// A date that did not move at all is the strongest evidence: AWS does not document that a label moves it.
    pub(super) fn undisturbed_since_pin(
        &self,
        pending: &VersionId,
        label: &StageLabel,
        pin: &JournalEntry,
    ) -> Result<(), Stop> {
        let changed = self.secret.last_changed;
        let before = self.operation.baseline.as_ref();
        let unmoved =
            changed.is_some() && before.is_some_and(|before| before.last_changed == changed);
        let only_pin = unmoved || changed.is_some_and(|changed| pin.explains(changed));
        let labels_kept = self.secret.labels == self.baseline_with_pin(pending, label);
        if only_pin && labels_kept {
            Ok(())
        } else {
            Err(self.withdraw().into())
        }
    }

    /// Whether an operation of the same minute has left the very pin that this one sets: then nothing moves when it is set.
    pub(super) fn pinned_before(&self, version: &VersionId, label: &StageLabel) -> bool {
        let before = self.operation.baseline.as_ref();
        before.is_some_and(|before| before.holder(label) == Some(version))
    }

    /// Two complete lists of versions, `confirmAfter` apart, omit the version, and AWS does not let us label it.
    pub(super) fn surely_empty(&self, pending: &VersionId, pin: &JournalEntry) -> Result<(), Stop> {
        if let Some(wait) = self.not_seen_yet(Step::Pin) {
            return Err(wait.into());
        }
        let was_empty = self
            .operation
            .baseline
            .as_ref()
            .is_some_and(|before| before.pending_value == PendingValue::Empty);
        let cannot_be_labelled =
            matches!(pin.refusal(), Some(ErrorClass::Mismatch | ErrorClass::Gone));
        if !(was_empty && cannot_be_labelled) {
            return Err(self.send_pin(pending)?.into());
        }
        let earliest = pin.intent.plus(self.operation.confirm_after);
        if self.now < earliest {
            let message = format!(
                "AWS does not let the version be pinned; whether it has a value is looked at again at {earliest}"
            );
            return Err(self.wait_until(earliest, Phase::Settling, message).into());
        }
        match &self.input.look.versions {
            None => Err(Next::LookAtVersions.into()),
            Some(versions) if versions.lists(pending) => Err(self.send_pin(pending)?.into()),
            Some(_) => Ok(()),
        }
    }

    /// The labels of the first look, with our own pin where it belongs.
    pub(super) fn baseline_with_pin(&self, pinned: &VersionId, label: &StageLabel) -> LabelMap {
        let mut labels = self
            .operation
            .baseline
            .as_ref()
            .map(|baseline| baseline.labels.clone())
            .unwrap_or_default();
        labels
            .entry(pinned.clone())
            .or_default()
            .insert(label.clone());
        labels
    }

    /// This operation's own pin on a version.
    pub(super) fn own_pin(&self, version: &VersionId) -> Result<StageLabel, Stop> {
        let label = self.operation.pin(self.input.cluster, version).label();
        label.map_err(|_| failed(Failure::Refused, "the version id is too long for a pin"))
    }

    /// Whether this operation's own pin is seen on the version that it is to set it on.
    pub(super) fn is_pinned(&self) -> bool {
        let pending = self.operation.expect.pending.as_ref();
        let own = pending.and_then(|pending| self.own_pin(pending).ok());
        own.is_some_and(|label| self.secret.holder(&label).is_some())
    }

    /// Our cluster's pins, each with the version that carries it.
    pub(super) fn our_pins(&self) -> impl Iterator<Item = (&'a VersionId, &'a StageLabel, Pin)> {
        let cluster = self.input.cluster;
        pin::on(self.secret).filter(move |(_, _, pin)| pin.cluster == *cluster)
    }
}
