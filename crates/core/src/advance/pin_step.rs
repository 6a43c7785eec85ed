//! The pin: our own label on a version, attached before another label moves and kept as the way back.

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
    /// Stops if the secret has no room for one more label.
    pub(super) fn room_for_a_pin(&self) -> Result<(), Stop> {
        match pin::check_room(self.secret, self.input.cluster) {
            Ok(()) => Ok(()),
            Err(full) => Err(failed(Failure::PinExhausted, full.to_string())),
        }
    }

    /// Attaches our pin to a version.
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

    /// Stops if anything but the pin has changed since the first look.
    ///
    /// A date that did not move is the strongest evidence: AWS does not document that attaching a label moves it.
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

    /// Returns whether the pin was there at the first look, left by an operation of the same minute. Attaching it again
    /// changes nothing.
    pub(super) fn pinned_before(&self, version: &VersionId, label: &StageLabel) -> bool {
        let before = self.operation.baseline.as_ref();
        before.is_some_and(|before| before.holder(label) == Some(version))
    }

    /// Stops until it is certain that the version has no value: AWS refuses to label it, and two complete lists of versions,
    /// `confirmAfter` apart, omit it.
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
        // A refusal for another reason says nothing about the value, so the pin is tried again.
        if !(was_empty && cannot_be_labelled) {
            return Err(self.send_pin(pending)?.into());
        }
        let earliest = pin.intent.plus(self.operation.confirm_after);
        if self.now < earliest {
            let message = format!(
                "AWS does not allow the version to be pinned; whether it has a value is checked again at {earliest}"
            );
            return Err(self.wait_until(earliest, Phase::Settling, message).into());
        }
        match &self.input.look.versions {
            None => Err(Next::LookAtVersions.into()),
            Some(versions) if versions.lists(pending) => Err(self.send_pin(pending)?.into()),
            Some(_) => Ok(()),
        }
    }

    /// Returns the labels of the first look together with our pin.
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

    /// Returns the label with which this operation pins a version.
    pub(super) fn own_pin(&self, version: &VersionId) -> Result<StageLabel, Stop> {
        let label = self.operation.pin(self.input.cluster, version).label();
        label.map_err(|_| failed(Failure::Refused, "the version id is too long for a pin"))
    }

    /// Returns whether the pin of this operation is seen on the version that it names.
    pub(super) fn is_pinned(&self) -> bool {
        let pending = self.operation.expect.pending.as_ref();
        let own = pending.and_then(|pending| self.own_pin(pending).ok());
        own.is_some_and(|label| self.secret.holder(&label).is_some())
    }

    /// Returns the pins of this cluster, each with the version that carries it.
    pub(super) fn our_pins(&self) -> impl Iterator<Item = (&'a VersionId, &'a StageLabel, Pin)> {
        let cluster = self.input.cluster;
        pin::on(self.secret).filter(move |(_, _, pin)| pin.cluster == *cluster)
    }
}
