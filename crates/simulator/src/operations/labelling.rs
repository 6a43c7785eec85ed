//! `UpdateSecretVersionStage`: moves a label, with `RemoveFromVersionId` as compare-and-swap.

use super::{Answer, Call, named};
use crate::errors::ApiError;
use crate::labels::{CURRENT, PENDING};
use crate::model::Secret;
use crate::quirks::{LabelOnEmpty, Quirks};

/// The maximum number of labels on one secret.
const MAX_LABELS: usize = 20;

impl Call<'_> {
    pub(super) fn update_secret_version_stage(&mut self) -> Answer {
        let label = self.parameters.required("VersionStage")?;
        let (from, to) = (
            self.parameters.version_id("RemoveFromVersionId")?,
            self.parameters.version_id("MoveToVersionId")?,
        );
        let secret = self.writable()?;
        let answer = named(secret);
        check(secret, label, from, to, &self.state.quirks)?;
        let (arn, now) = (secret.arn.clone(), self.now);
        let Quirks {
            promote_drops_pending,
            label_moves_date,
            ..
        } = self.state.quirks;
        let already = to.is_some() && secret.holder(label) == to;
        if !already {
            self.change(&arn, |secret| {
                apply(secret, label, to, promote_drops_pending);
                if label_moves_date {
                    secret.last_changed = now;
                }
                secret.collect(now);
            })?;
        }
        Ok(answer)
    }
}

/// Checks the whole request before any label moves.
fn check(
    secret: &Secret,
    label: &str,
    from: Option<&str>,
    to: Option<&str>,
    quirks: &Quirks,
) -> Result<(), ApiError> {
    if label.len() > 256 {
        return Err(ApiError::invalid_parameter(
            "VersionStage must be at most 256 characters long.",
        ));
    }
    let holder = secret.holder(label);
    if let Some(version) = to.filter(|version| !secret.versions.contains_key(*version)) {
        return Err(ApiError::new(
            "ResourceNotFoundException",
            format!("Secrets Manager can't find the specified secret version: {version}."),
        ));
    }
    if to.is_some() && holder == to {
        return already_there(label, quirks);
    }
    compare(holder, label, from)?;
    match to {
        None if label == CURRENT => Err(ApiError::current_label_required()),
        None => Ok(()),
        Some(version) => attachable(secret, label, version, quirks),
    }
}

/// Checks whether a label may be attached to an existing version.
fn attachable(secret: &Secret, label: &str, to: &str, quirks: &Quirks) -> Result<(), ApiError> {
    let holder = secret.holder(label);
    if holder.is_none() && secret.label_count() >= MAX_LABELS {
        return Err(ApiError::new(
            "LimitExceededException",
            "You have reached the limit of 20 staging labels for this secret.",
        ));
    }
    let version = secret.versions.get(to);
    let empty = version.is_some_and(|version| version.value.is_none());
    if empty && label != PENDING {
        on_empty(quirks)
    } else {
        Ok(())
    }
}

fn already_there(label: &str, quirks: &Quirks) -> Result<(), ApiError> {
    let message = format!("Staging label {label} is already attached to this version.");
    if quirks.already_attached_fails {
        Err(ApiError::invalid_parameter(message))
    } else {
        Ok(())
    }
}

fn compare(holder: Option<&str>, label: &str, from: Option<&str>) -> Result<(), ApiError> {
    match (holder, from) {
        (None, None) => Ok(()),
        (Some(holder), Some(from)) if holder == from => Ok(()),
        (Some(holder), _) => Err(ApiError::label_elsewhere(label, holder)),
        (None, Some(from)) => Err(ApiError::invalid_parameter(format!(
            "Staging label {label} is not attached to version {from}."
        ))),
    }
}

fn on_empty(quirks: &Quirks) -> Result<(), ApiError> {
    match quirks.label_on_empty {
        LabelOnEmpty::Accepted => Ok(()),
        LabelOnEmpty::InvalidParameter => Err(ApiError::invalid_parameter(
            "You can't attach a staging label to a version without a value.",
        )),
        LabelOnEmpty::NotFound => Err(ApiError::secret_not_found()),
    }
}

fn apply(secret: &mut Secret, label: &str, to: Option<&str>, drop_pending: bool) {
    match to {
        None => secret.detach(label),
        Some(version) if label == CURRENT => {
            secret.promote(version);
            if drop_pending && secret.holder(PENDING) == Some(version) {
                secret.detach(PENDING);
            }
        }
        Some(version) => secret.attach(label, version),
    }
    // AWS drops a version without labels that never had a value.
    secret
        .versions
        .retain(|_, version| version.value.is_some() || !version.labels.is_empty());
}
