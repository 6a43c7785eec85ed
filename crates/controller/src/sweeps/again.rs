//! A second look at secrets to which something may have happened since the last sweep.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use secret_rotation_aws::Scope;
use secret_rotation_core::identity::{Arn, SecretName};
use secret_rotation_core::inventory::{Inventory, Observation};
use secret_rotation_core::ownership::Claimant;

use super::{Record, may_look};
use crate::accounts::Place;
use crate::context::Context;

/// Looks at these secrets, as far as the last sweep knew them and a policy wants them.
///
/// What cannot be read now stays as it was known: the sweep that follows tells whether that lasts.
pub(super) async fn look(
    context: &Context,
    place: &Place,
    served: &[Claimant],
    last: &Record,
    secrets: &BTreeSet<Arn>,
) -> Option<Arc<Inventory>> {
    let known = last.inventory.as_ref()?;
    let profile = &served.first()?.profile;
    let wanted = |seen: &&Observation| {
        served
            .iter()
            .any(|claimant| may_look(claimant, &seen.secret))
    };
    let names: BTreeSet<SecretName> = secrets
        .iter()
        .filter_map(|arn| known.secrets.get(arn))
        .filter(wanted)
        .map(|seen| seen.secret.name.clone())
        .collect();
    if names.is_empty() {
        return None;
    }
    let account = context.accounts.of(profile, &place.region).await.account;
    let scope = Scope::Names(names);
    let seen = account
        .inventory(&scope, &known.secrets, &|_| true, None)
        .await;
    Some(Arc::new(renewed(known, seen.secrets)))
}

/// The inventory with what was seen now. Its time stays that of the sweep: nothing in it is older.
fn renewed(known: &Inventory, seen: BTreeMap<Arn, Observation>) -> Inventory {
    let mut secrets = known.secrets.clone();
    for (arn, fresh) in seen {
        if fresh.unreadable.is_none() {
            let versions = secrets
                .get(&arn)
                .and_then(|before| still_valid(before, &fresh));
            let fresh = Observation {
                versions: fresh.versions.or(versions),
                ..fresh
            };
            secrets.insert(arn, fresh);
        }
    }
    Inventory {
        secrets,
        ..known.clone()
    }
}

/// The versions that were listed before, if they are about the same ones.
fn still_valid(
    before: &Observation,
    fresh: &Observation,
) -> Option<secret_rotation_core::secret::VersionListing> {
    let subject = |seen: &Observation| {
        (
            seen.secret.unfinished().cloned(),
            seen.secret.current().cloned(),
        )
    };
    before
        .versions
        .clone()
        .filter(|_| subject(before) == subject(fresh))
}
