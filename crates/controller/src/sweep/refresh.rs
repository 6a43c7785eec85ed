//! A second look at secrets to which something may have happened since the last sweep.

use std::collections::{BTreeMap, BTreeSet};

use secret_rotation_aws::Scope;
use secret_rotation_core::inventory::{Inventory, Observation};
use secret_rotation_core::names::{Arn, SecretName};
use secret_rotation_core::ownership::BoundPolicy;

use super::{Record, may_look};
use crate::aws_connections::Place;
use crate::context::Context;

/// What was seen of some secrets.
pub(super) struct Seen {
    /// Nothing but them.
    pub(super) inventory: Inventory,
    /// Those that are to be looked at again, for AWS did not answer.
    pub(super) unanswered: BTreeSet<Arn>,
}

/// Looks at these secrets, as far as the last sweep knew them and a policy wants them.
///
/// What cannot be read now stays as it was known: the sweep that follows tells whether that lasts.
pub(super) async fn look(
    context: &Context,
    place: &Place,
    served: &[BoundPolicy],
    last: &Record,
    secrets: &BTreeSet<Arn>,
) -> Option<Seen> {
    let known = last.inventory.as_ref()?;
    let profile = &served.first()?.profile;
    let wanted = |seen: &&Observation| {
        served
            .iter()
            .any(|claimant| may_look(claimant, &seen.secret))
    };
    let asked: BTreeMap<&Arn, &SecretName> = secrets
        .iter()
        .filter_map(|arn| known.secrets.get(arn))
        .filter(wanted)
        .map(|seen| (&seen.secret.arn, &seen.secret.name))
        .collect();
    if asked.is_empty() {
        return None;
    }
    let account = context.accounts.of(profile, &place.region).await.account;
    let scope = Scope::Names(asked.values().copied().cloned().collect());
    let inventory = account
        .inventory(&scope, &known.secrets, &|_| true, None)
        .await;
    context.watching.swept(&inventory);
    let readable = |arn: &&Arn| {
        let row = inventory.secrets.get(*arn);
        row.is_some_and(|row| row.unreadable.is_none())
    };
    // A gap is a question without an answer.
    let unanswered = asked
        .into_keys()
        .filter(|arn| inventory.gap.is_some() && !readable(arn));
    Some(Seen {
        unanswered: unanswered.cloned().collect(),
        inventory,
    })
}
