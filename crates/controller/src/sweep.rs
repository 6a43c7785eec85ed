//! One sweeper per profile and region lists the secrets for every policy of the profile. The results are kept here
//! for all of them.

mod interval;
mod record;
mod refresh;
mod requests;
pub(crate) mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use secret_rotation_aws::Scope;
use secret_rotation_core::aws_error::AwsError;
use secret_rotation_core::inventory::{Inventory, Unseen};
use secret_rotation_core::names::{Arn, Uid};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::secret::Secret;
use secret_rotation_core::selector::Selector;
use tokio::time::Instant;

use self::record::{RegionRecord, may_look};
use self::requests::SweepTask;
pub(crate) use self::store::{SweepStore, SweepView};
use crate::aws_connections::ProfileRegion;
use crate::clock;
use crate::context::Context;
use crate::error::Error;
use crate::policy::preconditions;

/// Minimum time between the beginnings of two sweeps or looks in one profile and region, whatever requests them.
const SPACING: Duration = Duration::from_secs(2);

/// Maximum number of single looks. Beyond it, or beyond one in a hundred of the known secrets, a whole sweep is
/// cheaper.
const MAX_LOOKS: usize = 100;

/// Sweeps one region of a profile, or carries out the requests for it. Returns the time until the next run, or `None`
/// if no policy needs the region any more.
///
/// # Errors
///
/// Returns an error if another replica may have acted meanwhile.
pub(crate) async fn sweep(
    context: Arc<Context>,
    profile_region: ProfileRegion,
) -> Result<Option<Duration>, Error> {
    let Some(served) = bound_policies(&context, &profile_region) else {
        context.sweeps.remove(&profile_region);
        context
            .metrics
            .forget_sweep(&profile_region.profile, &profile_region.region);
        return Ok(None);
    };
    let (began, epoch) = (clock::now(), context.leadership.epoch());
    let mut record = context.sweeps.record(&profile_region);
    record.check_intervals = check_intervals(&served);
    let spaced = record.active.map_or(began, |last| last + SPACING);
    let is_due = next_sweep_due(&record, &profile_region, &served).is_none_or(|due| due <= began);
    if spaced <= began && is_due {
        context.sweeps.take_covered(&profile_region, began);
        record = sweep_all(&context, &profile_region, &served, &record).await;
        store_result(&context, &profile_region, record, epoch, &served)?;
    } else if spaced <= began {
        let task = context.sweeps.take_task(&profile_region, began);
        let (record, affected) = run_task(&context, &profile_region, &served, record, task).await;
        store_result(&context, &profile_region, record, epoch, &affected)?;
    } else {
        return Ok(Some(spaced - began));
    }
    Ok(Some(time_until_next_run(
        &context,
        &profile_region,
        &served,
    )))
}

/// Carries out the pending requests. Returns the new record, and the policies to evaluate again.
async fn run_task(
    context: &Context,
    profile_region: &ProfileRegion,
    served: &[BoundPolicy],
    record: RegionRecord,
    task: SweepTask,
) -> (RegionRecord, Vec<BoundPolicy>) {
    let is_read = |bound_policy: &BoundPolicy| {
        let selection = preconditions::selection(bound_policy);
        context
            .sweeps
            .covers(profile_region, bound_policy, &selection)
    };
    let is_asked = |bound_policy: &BoundPolicy| {
        let policy = &bound_policy.policy.uid;
        task.policies.contains(policy) || task.unread.contains(policy) && !is_read(bound_policy)
    };
    let asking = served.iter().filter(|bound_policy| is_asked(bound_policy));
    let some: Vec<_> = asking.cloned().collect();
    let known = record
        .inventory
        .as_ref()
        .map_or(0, |known| known.secrets.len());
    let many = task.secrets.len() > MAX_LOOKS.max(known / 100);
    if many || !some.is_empty() && scope(&some) == scope(served) {
        context.sweeps.take_covered(profile_region, clock::now());
        let record = sweep_all(context, profile_region, served, &record).await;
        return (record, served.to_vec());
    }
    let mut record = record;
    if !some.is_empty() {
        record = sweep_some(context, profile_region, &some, record).await;
    }
    let looked = if task.secrets.is_empty() {
        Vec::new()
    } else {
        look_at(context, profile_region, served, &mut record, &task.secrets).await
    };
    let is_affected = |bound_policy: &&BoundPolicy| {
        let is_some = some
            .iter()
            .any(|one| one.policy.uid == bound_policy.policy.uid);
        is_some || looked.iter().any(|secret| may_look(bound_policy, secret))
    };
    (record, served.iter().filter(is_affected).cloned().collect())
}

/// Sweeps everything that the policies select.
async fn sweep_all(
    context: &Context,
    profile_region: &ProfileRegion,
    served: &[BoundPolicy],
    last: &RegionRecord,
) -> RegionRecord {
    let began = clock::now();
    let record = take_inventory(context, profile_region, served, last).await;
    if let Some(inventory) = &record.inventory {
        report_sweep(
            context,
            profile_region,
            inventory,
            &record,
            clock::now() - began,
        );
    }
    record
}

/// Reads what some policies select, and nothing else.
async fn sweep_some(
    context: &Context,
    profile_region: &ProfileRegion,
    some: &[BoundPolicy],
    mut record: RegionRecord,
) -> RegionRecord {
    let selections = selections(some);
    let look = take_inventory(context, profile_region, some, &record.base_for(&selections)).await;
    tracing::debug!(%profile_region, policies = some.len(), gap = ?look.gap, "selections of policies read");
    let retry = (look.failures > 0).then(|| retry_delay(profile_region, some, look.failures));
    if let Some(pause) = retry.into_iter().chain(look.confirm_after).min() {
        for policy in selections.keys() {
            context
                .sweeps
                .request_read(profile_region, policy, clock::now() + pause);
        }
    }
    record.active = look.began;
    record.merge_read(look, some);
    record
}

/// Looks at single secrets, and returns those that were seen.
async fn look_at(
    context: &Context,
    profile_region: &ProfileRegion,
    served: &[BoundPolicy],
    record: &mut RegionRecord,
    secrets: &BTreeSet<Arn>,
) -> Vec<Secret> {
    let began = clock::now();
    let Some(seen) = refresh::refresh(context, profile_region, served, record, secrets).await
    else {
        return Vec::new();
    };
    record.active = Some(began);
    record.merge_seen(&seen.inventory, Some(began));
    record.misses = if seen.unanswered.is_empty() {
        0
    } else {
        record.misses.saturating_add(1)
    };
    let again = clock::now() + retry_delay(profile_region, served, record.misses);
    for secret in seen.unanswered {
        context
            .sweeps
            .request_another_look(profile_region, secret, again);
    }
    let rows = seen.inventory.secrets.into_values();
    rows.map(|row| row.secret).collect()
}

/// Stores what was seen, and queues the policies for evaluation.
fn store_result(
    context: &Context,
    profile_region: &ProfileRegion,
    record: RegionRecord,
    epoch: u64,
    affected: &[BoundPolicy],
) -> Result<(), Error> {
    // Check before storing: after another replica held the lease, this result may be older than its actions.
    if context.leadership.epoch() != epoch {
        return Err(Error::Stale("another replica may have acted meanwhile"));
    }
    context.sweeps.store(profile_region, record);
    let function = |arn: &Arn| context.sweeps.function(arn);
    context
        .store
        .record_functions(&profile_region.region, function);
    if !affected.is_empty() {
        let profile = profile_region.profile.clone();
        context.queues.profiles.push(profile, clock::now());
    }
    for bound_policy in affected {
        let key = bound_policy.policy.key.clone();
        context.queues.policies.push(key, clock::now());
    }
    Ok(())
}

/// Returns the time until the next sweep or the next request is due.
fn time_until_next_run(
    context: &Context,
    profile_region: &ProfileRegion,
    served: &[BoundPolicy],
) -> Duration {
    let record = context.sweeps.record(profile_region);
    let request = context.sweeps.next_request(profile_region);
    let next = request
        .into_iter()
        .chain(next_sweep_due(&record, profile_region, served))
        .min();
    next.map_or(Duration::ZERO, |next| {
        next.saturating_duration_since(clock::now())
    })
}

/// Returns when the next sweep is due, or `None` if it is the first. It uses the interval that the policies ask for
/// now, not the one they asked for at the last sweep.
fn next_sweep_due(
    record: &RegionRecord,
    profile_region: &ProfileRegion,
    served: &[BoundPolicy],
) -> Option<Instant> {
    let ended = record.ended?;
    let pause = if record.failures > 0 {
        retry_delay(profile_region, served, record.failures)
    } else {
        sweep_interval(served)
    };
    Some(ended + record.confirm_after.map_or(pause, |proof| proof.min(pause)))
}

/// Returns how long to leave a region alone after this number of consecutive failures.
fn retry_delay(profile_region: &ProfileRegion, served: &[BoundPolicy], failures: u32) -> Duration {
    interval::next_delay(
        sweep_interval(served),
        failures,
        (seed(served), profile_region.region.as_str()),
    )
}

/// Returns the time between two sweeps.
fn sweep_interval(served: &[BoundPolicy]) -> Duration {
    let shortest = served
        .iter()
        .map(|bound_policy| bound_policy.profile.min_check_interval);
    let shortest = shortest.max().unwrap_or_default();
    let intervals = served
        .iter()
        .map(|bound_policy| bound_policy.policy.check_interval);
    interval::sweep_interval(intervals, shortest, seed(served)).unwrap_or(shortest)
}

fn check_intervals(served: &[BoundPolicy]) -> BTreeMap<Uid, Duration> {
    let intervals = served.iter();
    intervals
        .map(|bound_policy| {
            (
                bound_policy.policy.uid.clone(),
                interval::check_interval(bound_policy),
            )
        })
        .collect()
}

fn seed(served: &[BoundPolicy]) -> &str {
    let uids = served
        .iter()
        .map(|bound_policy| bound_policy.policy.uid.as_str());
    uids.min().unwrap_or_default()
}

fn selections(served: &[BoundPolicy]) -> BTreeMap<Uid, Selector> {
    let selections = served.iter();
    selections
        .map(|bound_policy| {
            (
                bound_policy.policy.uid.clone(),
                preconditions::selection(bound_policy),
            )
        })
        .collect()
}

fn scope(served: &[BoundPolicy]) -> Scope {
    Scope::covering(&selections(served).values().collect::<Vec<_>>())
}

/// Returns the policies that the sweeper serves, or `None` if there are none.
fn bound_policies(context: &Context, profile_region: &ProfileRegion) -> Option<Vec<BoundPolicy>> {
    let snapshot = context.store.snapshot();
    let wants = |bound_policy: &&BoundPolicy| {
        let profile = preconditions::ProfileState::Valid(&bound_policy.profile);
        let within =
            preconditions::bound_policy(&bound_policy.policy, profile, bound_policy.tenant.clone())
                .is_ok();
        within && preconditions::regions(bound_policy).contains(&profile_region.region)
    };
    let served: Vec<_> = snapshot
        .bound_policies
        .of_profile(&profile_region.profile)
        .filter(wants)
        .cloned()
        .collect();
    (!served.is_empty()).then_some(served)
}

async fn take_inventory(
    context: &Context,
    profile_region: &ProfileRegion,
    served: &[BoundPolicy],
    last: &RegionRecord,
) -> RegionRecord {
    let began = clock::now();
    let Some(profile) = served.first().map(|bound_policy| &bound_policy.profile) else {
        return last.clone();
    };
    let account = context
        .connections
        .of(profile, &profile_region.region)
        .await
        .account;
    let selections = selections(served);
    let scope = Scope::covering(&selections.values().collect::<Vec<_>>());
    let nothing = BTreeMap::new();
    let known = last
        .inventory
        .as_ref()
        .map_or(&nothing, |inventory| &inventory.secrets);
    let wanted = |secret: &Secret| {
        served
            .iter()
            .any(|bound_policy| may_look(bound_policy, secret))
    };
    let max_age = served
        .iter()
        .filter_map(|bound_policy| bound_policy.policy.detection.max_age)
        .min();
    let inventory = account.inventory(&scope, known, &wanted, max_age).await;
    context.stability.record_sweep(&inventory);
    let failures = if inventory.is_complete() {
        0
    } else {
        last.failures.saturating_add(1)
    };
    let gap = inventory.gap.clone();
    let mut complete_for = last.complete_for.clone();
    complete_for.retain(|policy, selection| selections.get(policy) == Some(selection));
    if inventory.is_complete() {
        complete_for.clone_from(&selections);
    }
    // Until AWS has answered once since the process started, there is no AWS time, and so no inventory.
    let seen = account.now().is_some().then_some(inventory);
    let before = last.inventory.as_deref();
    let inventory = seen.map(|seen| Arc::new(seen.after(before, &wanted)));
    let kept = || {
        Some(Arc::new(all_unseen(
            last.inventory.as_deref()?,
            gap.clone(),
        )))
    };
    let proof = inventory
        .as_deref()
        .and_then(RegionRecord::confirmation_delay);
    RegionRecord {
        inventory: inventory.or_else(kept),
        gap,
        failures,
        began: Some(began),
        ended: Some(clock::now()),
        confirm_after: proof,
        time: account.now().map(|time| (time, clock::now())),
        served: selections,
        complete_for,
        max_age,
        check_intervals: check_intervals(served),
        active: Some(began),
        ..RegionRecord::default()
    }
}

/// Marks every secret as not visible, because AWS returned nothing at all: no automatic action may rest on it.
fn all_unseen(known: &Inventory, gap: Option<AwsError>) -> Inventory {
    let mut kept = Inventory {
        gap,
        ..known.clone()
    };
    for (arn, row) in &known.secrets {
        let since = known.seen_at(arn, row);
        let missed = row.unseen.and_then(|unseen| unseen.missed);
        if let Some(row) = kept.secrets.get_mut(arn) {
            row.unseen = Some(Unseen { since, missed });
        }
    }
    kept
}

fn report_sweep(
    context: &Context,
    profile_region: &ProfileRegion,
    inventory: &Inventory,
    record: &RegionRecord,
    took: Duration,
) {
    let (secrets, milliseconds) = (inventory.secrets.len(), took.as_millis());
    match &record.gap {
        None => {
            context.metrics.swept(
                &profile_region.profile,
                &profile_region.region,
                took,
                inventory.time,
            );
            tracing::debug!(%profile_region, secrets, milliseconds, "sweep complete");
        }
        Some(gap) => {
            tracing::warn!(%profile_region, secrets, milliseconds, error = %gap, "sweep incomplete");
        }
    }
}

/// Returns the regions of a policy, each with its profile.
pub(crate) fn profile_regions(bound_policy: &BoundPolicy) -> Vec<ProfileRegion> {
    let regions: BTreeSet<_> = preconditions::regions(bound_policy);
    regions
        .into_iter()
        .map(|region| ProfileRegion {
            profile: bound_policy.profile.name.clone(),
            region,
        })
        .collect()
}
