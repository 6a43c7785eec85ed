//! What people and rotations do to an estate between two sweeps: some secrets change, some are replaced.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::arn::Arn;
use crate::labels::{CURRENT, PENDING};
use crate::model::{Secret, SecretValue};
use crate::quirks::Draw;
use crate::schedule;
use crate::state::{SimulatedAws, suffix};
use crate::trace::Cause;

/// Which part of all secrets changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Changes {
    /// The part that rotates, from 0 to 1. The new version is current at once. Only healthy secrets rotate.
    pub rotate: f64,
    /// The part that is deleted and created again with the same name, from 0 to 1. The ARN is another one.
    pub replace: f64,
}

/// The number of secrets that changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Secrets that rotated.
    pub rotated: usize,
    /// Secrets that were replaced.
    pub replaced: usize,
}

impl Changes {
    pub(crate) fn check(&self) -> Result<()> {
        for part in [self.rotate, self.replace] {
            ensure!(
                (0.0..=1.0).contains(&part),
                "the part {part} of all secrets is not between 0 and 1"
            );
        }
        Ok(())
    }

    /// Changes secrets of all accounts and regions. The seed of the simulator determines which ones.
    pub(crate) fn apply(&self, state: &mut SimulatedAws) -> Changed {
        state.catch_up();
        let healthy = |secret: &&Secret| secret.unfinished().is_none() && !secret.is_replica();
        let primaries = state.secrets.values().filter(healthy);
        let all: Vec<_> = primaries.map(|secret| secret.arn.clone()).collect();
        let rotating = drawn(&all, self.rotate, &mut state.draw);
        let rotated = rotating.iter().filter(|arn| rotate(state, arn)).count();
        let replacing = drawn(&all, self.replace, &mut state.draw);
        let replaced = replacing.iter().filter(|arn| replace(state, arn)).count();
        Changed { rotated, replaced }
    }
}

/// Returns every n-th secret so that the part is met, from a start that is drawn.
fn drawn(all: &[Arn], part: f64, draw: &mut Draw) -> Vec<Arn> {
    let start = draw.fraction();
    let is_drawn = |index: usize| {
        #[expect(
            clippy::cast_precision_loss,
            reason = "the number of secrets fits a double"
        )]
        let (before, after) = (
            index as f64 * part + start,
            (index + 1) as f64 * part + start,
        );
        before.floor() < after.floor()
    };
    let numbered = all.iter().enumerate();
    numbered
        .filter(|(index, _)| is_drawn(*index))
        .map(|(_, arn)| arn.clone())
        .collect()
}

/// Rotates a secret at once, as if its function had just finished.
fn rotate(state: &mut SimulatedAws, arn: &Arn) -> bool {
    let now = state.clock.now();
    let name = format!("{arn} {} {}", now.as_millisecond(), state.draw.next());
    let token = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes()).to_string();
    let changed = state.change(arn, &Cause::Rotation, now, |secret| {
        let version = secret.versions.entry(token.as_str());
        let value = SecretValue::Of(token.as_str().into());
        version.value = Some(value.clone());
        version.created = Some(now);
        secret.promote(&token);
        secret.detach(PENDING);
        secret
            .versions
            .retain(|_, version| !version.labels.is_empty());
        secret.target.accepts = vec![value];
        secret.last_changed = now;
        secret.last_rotated = Some(now);
        secret.next_rotation = schedule::next(&secret.rotation, now);
    });
    state.plan_next(arn, now);
    changed.is_some()
}

/// Deletes a secret and creates it again. AWS adds other characters to the name.
fn replace(state: &mut SimulatedAws, arn: &Arn) -> bool {
    let now = state.clock.now();
    let Some(old) = state.secrets.remove(arn) else {
        return false;
    };
    let mut new = old;
    new.arn = Arn::new(arn.scope(), arn.name(), &suffix(&mut state.draw));
    new.created = now;
    new.last_changed = now;
    let current = new.holder(CURRENT).map(str::to_owned);
    new.versions
        .retain(|id, _| Some(&**id) == current.as_deref());
    new.last_rotated = None;
    let arn = new.arn.clone();
    state.secrets.insert(new);
    state.plan_next(&arn, now);
    true
}
