//! One sweeper per (profile, region) serves every policy; what it saw last is kept here for all of them.

mod again;
mod pace;
mod records;
mod wishes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use secret_rotation_aws::Scope;
use secret_rotation_core::authorise::under_ceiling;
use secret_rotation_core::inventory::Inventory;
use secret_rotation_core::ownership::Claimant;
use secret_rotation_core::secret::Secret;

use self::records::Record;
pub(crate) use self::records::{Sweeps, View};
use self::wishes::Wishes;
use crate::accounts::Place;
use crate::clock;
use crate::context::Context;
use crate::error::Error;
use crate::policy::reach;

/// Two sweeps of one place never begin closer together, whoever asks.
const SPACING: Duration = Duration::from_secs(2);

/// Sweeps one place, and answers when to do it again.
pub(crate) async fn sweep(context: Arc<Context>, place: Place) -> Result<Option<Duration>, Error> {
    let Some(served) = claimants(&context, &place) else {
        context.sweeps.records().remove(&place);
        context.metrics.forget_sweep(&place.profile, &place.region);
        return Ok(None);
    };
    let (began, reign) = (clock::now(), context.standing.reign());
    let last = context
        .sweeps
        .records()
        .get(&place)
        .cloned()
        .unwrap_or_default();
    if let Some(wait) = last
        .began
        .map(|last| (last + SPACING).saturating_duration_since(began))
        .filter(|wait| !wait.is_zero())
    {
        return Ok(Some(wait));
    }
    let wishes = context.sweeps.lock_wishes().remove(&place);
    let rest = last.due.and_then(|due| due.checked_duration_since(began));
    if let (Some(secrets), Some(rest)) = (wishes.and_then(Wishes::secrets_only), rest) {
        let seen = again::look(&context, &place, &served, &last, &secrets).await;
        if let Some(inventory) = seen {
            context.sweeps.renew(&place, inventory);
            tell(&context, &served);
        }
        return Ok(Some(rest));
    }
    let mut record = look_around(&context, &place, &served, &last).await;
    if context.standing.reign() != reign {
        return Err(Error::Stale("another replica may have acted meanwhile"));
    }
    let pause = pace(&served).map(|pace| {
        let next = pace::next(pace, record.failures);
        record.unproved().map_or(next, |again| again.min(next))
    });
    record.due = pause.map(|pause| clock::now() + pause);
    context.sweeps.records().insert(place.clone(), record);
    tell(&context, &served);
    context
        .queues
        .profiles
        .push(place.profile.clone(), clock::now());
    Ok(pause)
}

/// The policies are judged anew.
fn tell(context: &Context, served: &[Claimant]) {
    for claimant in served {
        let key = claimant.policy.key.clone();
        context.queues.policies.push(key, clock::now());
    }
}

/// How often a place is swept.
fn pace(served: &[Claimant]) -> Option<Duration> {
    let shortest = served
        .iter()
        .map(|claimant| claimant.profile.min_check_interval)
        .max()
        .unwrap_or_default();
    let seed = served
        .iter()
        .map(|claimant| claimant.policy.uid.as_str())
        .min()
        .unwrap_or_default();
    pace::pace(
        served.iter().map(|claimant| claimant.policy.check_interval),
        shortest,
        seed,
    )
}

/// The policies that the sweeper of a place serves; `None` = there are none.
fn claimants(context: &Context, place: &Place) -> Option<Vec<Claimant>> {
    let facts = context.world.facts();
    let wants = |claimant: &&Claimant| {
        let profile = reach::ProfileState::Valid(&claimant.profile);
        let within = reach::claimant(&claimant.policy, profile, claimant.tenant.clone()).is_ok();
        within
            && claimant.profile.name == place.profile
            && reach::regions(claimant).contains(&place.region)
    };
    let served: Vec<_> = facts.claimants.iter().filter(wants).cloned().collect();
    (!served.is_empty()).then_some(served)
}

async fn look_around(
    context: &Context,
    place: &Place,
    served: &[Claimant],
    last: &Record,
) -> Record {
    let began = clock::now();
    let Some(profile) = served.first().map(|claimant| &claimant.profile) else {
        return last.clone();
    };
    let account = context.accounts.of(profile, &place.region).await.account;
    let reaches: Vec<_> = served.iter().map(reach::selection).collect();
    let scope = Scope::covering(&reaches.iter().collect::<Vec<_>>());
    let nothing = BTreeMap::new();
    let known = last
        .inventory
        .as_ref()
        .map_or(&nothing, |inventory| &inventory.secrets);
    let wanted = |secret: &Secret| served.iter().any(|claimant| may_look(claimant, secret));
    let max_age = served
        .iter()
        .filter_map(|claimant| claimant.policy.detection.max_age)
        .min();
    let inventory = account.inventory(&scope, known, &wanted, max_age).await;
    context.watching.swept(&inventory);
    let took = clock::now() - began;
    report(context, place, &inventory, took);
    let failures = if inventory.is_complete() {
        0
    } else {
        last.failures.saturating_add(1)
    };
    let gap = inventory.gap.clone();
    let served: BTreeMap<_, _> = served
        .iter()
        .map(|claimant| claimant.policy.uid.clone())
        .zip(reaches)
        .collect();
    let mut settled = last.settled.clone();
    settled.retain(|policy, reach| served.get(policy) == Some(reach));
    if inventory.is_complete() {
        settled.clone_from(&served);
    }
    // Without any answer since the process started there is no time, and nothing was seen.
    let seen = account.now().is_some().then_some(inventory);
    let before = last.inventory.as_deref();
    let inventory = seen.map(|seen| Arc::new(seen.after(before, &wanted)));
    // What is kept of the last sweep is not complete any more: nothing automatic may rest on it.
    let kept = || {
        let old = last.inventory.as_deref()?;
        Some(Arc::new(Inventory {
            gap: gap.clone(),
            ..old.clone()
        }))
    };
    Record {
        inventory: inventory.or_else(kept),
        gap,
        failures,
        began: Some(began),
        due: None,
        time: account.now().map(|time| (time, clock::now())),
        served,
        settled,
    }
}

fn may_look(claimant: &Claimant, secret: &Secret) -> bool {
    let Claimant {
        tenant,
        profile,
        policy,
    } = claimant;
    policy.selector.selects(secret)
        && under_ceiling(&tenant.namespace, profile, &secret.name).is_ok()
}

fn report(context: &Context, place: &Place, inventory: &Inventory, took: Duration) {
    let (secrets, milliseconds) = (inventory.secrets.len(), took.as_millis());
    match &inventory.gap {
        None => {
            context
                .metrics
                .swept(&place.profile, &place.region, took, inventory.time);
            tracing::debug!(%place, secrets, milliseconds, "sweep complete");
        }
        Some(gap) => {
            tracing::warn!(%place, secrets, milliseconds, error = %gap, "sweep incomplete");
        }
    }
}

/// All places of a claimant.
pub(crate) fn places(claimant: &Claimant) -> Vec<Place> {
    let regions: BTreeSet<_> = reach::regions(claimant);
    regions
        .into_iter()
        .map(|region| Place {
            profile: claimant.profile.name.clone(),
            region,
        })
        .collect()
}
