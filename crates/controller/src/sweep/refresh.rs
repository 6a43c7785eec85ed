//! Looks at single secrets that may have changed since the last sweep.

use std::collections::{BTreeMap, BTreeSet};

use secret_rotation_aws::Scope;
use secret_rotation_core::inventory::{Inventory, Observation};
use secret_rotation_core::names::{Arn, SecretName};
use secret_rotation_core::ownership::BoundPolicy;

use super::record::{RegionRecord, may_look};
use crate::aws_connections::ProfileRegion;
use crate::context::Context;

/// What a look at some secrets saw.
pub(super) struct Refreshed {
    /// Only the secrets that were looked at.
    pub(super) inventory: Inventory,
    /// Secrets for which AWS did not answer, to look at again.
    pub(super) unanswered: BTreeSet<Arn>,
}

/// Looks at those of the secrets that the last sweep knew and that a policy selects.
///
/// A secret that cannot be read now stays as it was known: the next sweep shows whether the failure lasts.
pub(super) async fn refresh(
    context: &Context,
    profile_region: &ProfileRegion,
    served: &[BoundPolicy],
    last: &RegionRecord,
    secrets: &BTreeSet<Arn>,
) -> Option<Refreshed> {
    let known = last.inventory.as_ref()?;
    let profile = &served.first()?.profile;
    let wanted = |seen: &&Observation| {
        served
            .iter()
            .any(|bound_policy| may_look(bound_policy, &seen.secret))
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
    let account = context
        .connections
        .of(profile, &profile_region.region)
        .await
        .account;
    let scope = Scope::Names(asked.values().copied().cloned().collect());
    let inventory = account
        .inventory(&scope, &known.secrets, &|_| true, None)
        .await;
    context.stability.record_sweep(&inventory);
    let readable = |arn: &&Arn| {
        let row = inventory.secrets.get(*arn);
        row.is_some_and(|row| row.unreadable.is_none())
    };
    // A gap means that AWS did not answer, so unreadable secrets are looked at again.
    let unanswered = asked
        .into_keys()
        .filter(|arn| inventory.gap.is_some() && !readable(arn));
    Some(Refreshed {
        unanswered: unanswered.cloned().collect(),
        inventory,
    })
}
