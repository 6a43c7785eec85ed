//! `UpdateSecretVersionStage`: moves a label, with `RemoveFromVersionId` as compare-and-swap.

use super::{Answer, Call, named};
use crate::failure::Failure;
use crate::model::{CURRENT, PENDING, Secret};
use crate::world::{LabelOnEmpty, World};

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
        judge(secret, label, from, to, &self.estate.world)?;
        let (arn, now) = (secret.arn.clone(), self.now);
        let World {
            promote_drops_pending,
            label_moves_date,
            ..
        } = self.estate.world;
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
fn judge(
    secret: &Secret,
    label: &str,
    from: Option<&str>,
    to: Option<&str>,
    world: &World,
) -> Result<(), Failure> {
    if label.len() > 256 {
        return Err(Failure::invalid_parameter(
            "VersionStage must be at most 256 characters long.",
        ));
    }
    let holder = secret.holder(label);
    if let Some(version) = to.filter(|version| !secret.versions.contains_key(*version)) {
        return Err(Failure::new(
            "ResourceNotFoundException",
            format!("Secrets Manager can't find the specified secret version: {version}."),
        ));
    }
    if to.is_some() && holder == to {
        return already_there(label, world);
    }
    compare(holder, label, from)?;
    match to {
        None if label == CURRENT => Err(Failure::current_cannot_go()),
        None => Ok(()),
        Some(version) => attachable(secret, label, version, world),
    }
}

/// Checks whether a label may be attached to an existing version.
fn attachable(secret: &Secret, label: &str, to: &str, world: &World) -> Result<(), Failure> {
    let holder = secret.holder(label);
    if holder.is_none() && secret.label_count() >= MAX_LABELS {
        return Err(Failure::new(
            "LimitExceededException",
            "You have reached the limit of 20 staging labels for this secret.",
        ));
    }
    let version = secret.versions.get(to);
    let empty = version.is_some_and(|version| version.value.is_none());
    if empty && label != PENDING {
        on_empty(world)
    } else {
        Ok(())
    }
}

fn already_there(label: &str, world: &World) -> Result<(), Failure> {
    let message = format!("Staging label {label} is already attached to this version.");
    if world.already_attached_fails {
        Err(Failure::invalid_parameter(message))
    } else {
        Ok(())
    }
}

fn compare(holder: Option<&str>, label: &str, from: Option<&str>) -> Result<(), Failure> {
    match (holder, from) {
        (None, None) => Ok(()),
        (Some(holder), Some(from)) if holder == from => Ok(()),
        (Some(holder), _) => Err(Failure::label_elsewhere(label, holder)),
        (None, Some(from)) => Err(Failure::invalid_parameter(format!(
            "Staging label {label} is not attached to version {from}."
        ))),
    }
}

fn on_empty(world: &World) -> Result<(), Failure> {
    match world.label_on_empty {
        LabelOnEmpty::Accepted => Ok(()),
        LabelOnEmpty::InvalidParameter => Err(Failure::invalid_parameter(
            "You can't attach a staging label to a version without a value.",
        )),
        LabelOnEmpty::NotFound => Err(Failure::not_found()),
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
