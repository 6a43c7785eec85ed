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

use self::record::{Record, may_look};
use self::requests::SweepTask;
pub(crate) use self::store::{SweepStore, View};
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
        context.sweeps.abandon(&profile_region);
        context
            .metrics
            .forget_sweep(&profile_region.profile, &profile_region.region);
        return Ok(None);
    };
    let (began, epoch) = (clock::now(), context.leadership.epoch());
    let mut record = context.sweeps.record(&profile_region);
    record.paces = paces(&served);
    let spaced = record.active.map_or(began, |last| last + SPACING);
    let is_due = due(&record, &profile_region, &served).is_none_or(|due| due <= began);
    if spaced <= began && is_due {
        context.sweeps.grant(&profile_region, began);
        record = whole(&context, &profile_region, &served, &record).await;
        settle(&context, &profile_region, record, epoch, &served)?;
    } else if spaced <= began {
        let errand = context.sweeps.errand(&profile_region, began);
        let (record, told) = run(&context, &profile_region, &served, record, errand).await;
        settle(&context, &profile_region, record, epoch, &told)?;
    } else {
        return Ok(Some(spaced - began));
    }
    Ok(Some(pause(&context, &profile_region, &served)))
}

/// Carries out the pending requests. Returns the new record, and the policies to evaluate again.
async fn run(
    context: &Context,
    profile_region: &ProfileRegion,
    served: &[BoundPolicy],
    record: Record,
    errand: SweepTask,
) -> (Record, Vec<BoundPolicy>) {
    let is_read = |bound_policy: &BoundPolicy| {
        let reach = preconditions::selection(bound_policy);
        context.sweeps.serves(profile_region, bound_policy, &reach)
    };
    let is_asked = |bound_policy: &BoundPolicy| {
        let policy = &bound_policy.policy.uid;
        errand.policies.contains(policy) || errand.unread.contains(policy) && !is_read(bound_policy)
    };
    let asking = served.iter().filter(|bound_policy| is_asked(bound_policy));
    let some: Vec<_> = asking.cloned().collect();
    let known = record
        .inventory
        .as_ref()
        .map_or(0, |known| known.secrets.len());
    let many = errand.secrets.len() > MAX_LOOKS.max(known / 100);
    if many || !some.is_empty() && scope(&some) == scope(served) {
        context.sweeps.grant(profile_region, clock::now());
        let record = whole(context, profile_region, served, &record).await;
        return (record, served.to_vec());
    }
    let mut record = record;
    if !some.is_empty() {
        record = read(context, profile_region, &some, record).await;
    }
    let looked = if errand.secrets.is_empty() {
        Vec::new()
    } else {
        look(
            context,
            profile_region,
            served,
            &mut record,
            &errand.secrets,
        )
        .await
    };
    let is_told = |bound_policy: &&BoundPolicy| {
        let is_some = some
            .iter()
            .any(|one| one.policy.uid == bound_policy.policy.uid);
        is_some || looked.iter().any(|secret| may_look(bound_policy, secret))
    };
    (record, served.iter().filter(is_told).cloned().collect())
}

/// Sweeps everything that the policies select.
async fn whole(
    context: &Context,
    profile_region: &ProfileRegion,
    served: &[BoundPolicy],
    last: &Record,
) -> Record {
    let began = clock::now();
    let record = look_around(context, profile_region, served, last).await;
    if let Some(inventory) = &record.inventory {
        report(
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
async fn read(
    context: &Context,
    profile_region: &ProfileRegion,
    some: &[BoundPolicy],
    mut record: Record,
) -> Record {
    let reaches = reaches(some);
    let look = look_around(context, profile_region, some, &record.before(&reaches)).await;
    tracing::debug!(%profile_region, policies = some.len(), gap = ?look.gap, "selections of policies read");
    let retry = (look.failures > 0).then(|| retry(profile_region, some, look.failures));
    if let Some(pause) = retry.into_iter().chain(look.proof).min() {
        for policy in reaches.keys() {
            context
                .sweeps
                .want(profile_region, policy, clock::now() + pause);
        }
    }
    record.active = look.began;
    record.take_in(look, some);
    record
}

/// Looks at single secrets, and returns those that were seen.
async fn look(
    context: &Context,
    profile_region: &ProfileRegion,
    served: &[BoundPolicy],
    record: &mut Record,
    secrets: &BTreeSet<Arn>,
) -> Vec<Secret> {
    let began = clock::now();
    let Some(seen) = refresh::look(context, profile_region, served, record, secrets).await else {
        return Vec::new();
    };
    record.active = Some(began);
    record.renew(&seen.inventory, Some(began));
    record.misses = if seen.unanswered.is_empty() {
        0
    } else {
        record.misses.saturating_add(1)
    };
    let again = clock::now() + retry(profile_region, served, record.misses);
    for secret in seen.unanswered {
        context.sweeps.look_again(profile_region, secret, again);
    }
    let rows = seen.inventory.secrets.into_values();
    rows.map(|row| row.secret).collect()
}

/// Stores what was seen, and queues the policies for evaluation.
fn settle(
    context: &Context,
    profile_region: &ProfileRegion,
    record: Record,
    epoch: u64,
    told: &[BoundPolicy],
) -> Result<(), Error> {
    // Check before storing: after another replica held the lease, this result may be older than its actions.
    if context.leadership.epoch() != epoch {
        return Err(Error::Stale("another replica may have acted meanwhile"));
    }
    context.sweeps.keep(profile_region, record);
    if !told.is_empty() {
        let profile = profile_region.profile.clone();
        context.queues.profiles.push(profile, clock::now());
    }
    for bound_policy in told {
        let key = bound_policy.policy.key.clone();
        context.queues.policies.push(key, clock::now());
    }
    Ok(())
}

/// Returns the time until the next sweep or the next request is due.
fn pause(context: &Context, profile_region: &ProfileRegion, served: &[BoundPolicy]) -> Duration {
    let record = context.sweeps.record(profile_region);
    let wish = context.sweeps.next_wish(profile_region);
    let next = wish
        .into_iter()
        .chain(due(&record, profile_region, served))
        .min();
    next.map_or(Duration::ZERO, |next| {
        next.saturating_duration_since(clock::now())
    })
}

/// Returns when the next sweep is due, or `None` if it is the first. It uses the interval that the policies ask for
/// now, not the one they asked for at the last sweep.
fn due(record: &Record, profile_region: &ProfileRegion, served: &[BoundPolicy]) -> Option<Instant> {
    let ended = record.ended?;
    let pause = if record.failures > 0 {
        retry(profile_region, served, record.failures)
    } else {
        pace(served)
    };
    Some(ended + record.proof.map_or(pause, |proof| proof.min(pause)))
}

/// Returns how long to leave a region alone after this number of consecutive failures.
fn retry(profile_region: &ProfileRegion, served: &[BoundPolicy], failures: u32) -> Duration {
    interval::next(
        pace(served),
        failures,
        (seed(served), profile_region.region.as_str()),
    )
}

/// Returns the time between two sweeps.
fn pace(served: &[BoundPolicy]) -> Duration {
    let shortest = served
        .iter()
        .map(|bound_policy| bound_policy.profile.min_check_interval);
    let shortest = shortest.max().unwrap_or_default();
    let intervals = served
        .iter()
        .map(|bound_policy| bound_policy.policy.check_interval);
    interval::pace(intervals, shortest, seed(served)).unwrap_or(shortest)
}

fn paces(served: &[BoundPolicy]) -> BTreeMap<Uid, Duration> {
    let paces = served.iter();
    paces
        .map(|bound_policy| {
            (
                bound_policy.policy.uid.clone(),
                interval::interval(bound_policy),
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

fn reaches(served: &[BoundPolicy]) -> BTreeMap<Uid, Selector> {
    let reaches = served.iter();
    reaches
        .map(|bound_policy| {
            (
                bound_policy.policy.uid.clone(),
                preconditions::selection(bound_policy),
            )
        })
        .collect()
}

fn scope(served: &[BoundPolicy]) -> Scope {
    Scope::covering(&reaches(served).values().collect::<Vec<_>>())
}

/// Returns the policies that the sweeper serves, or `None` if there are none.
fn bound_policies(context: &Context, profile_region: &ProfileRegion) -> Option<Vec<BoundPolicy>> {
    let snapshot = context.store.snapshot();
    let wants = |bound_policy: &&BoundPolicy| {
        let profile = preconditions::ProfileState::Valid(&bound_policy.profile);
        let within =
            preconditions::bound_policy(&bound_policy.policy, profile, bound_policy.tenant.clone())
                .is_ok();
        within
            && bound_policy.profile.name == profile_region.profile
            && preconditions::regions(bound_policy).contains(&profile_region.region)
    };
    let served: Vec<_> = snapshot
        .bound_policies
        .iter()
        .filter(wants)
        .cloned()
        .collect();
    (!served.is_empty()).then_some(served)
}

async fn look_around(
    context: &Context,
    profile_region: &ProfileRegion,
    served: &[BoundPolicy],
    last: &Record,
) -> Record {
    let began = clock::now();
    let Some(profile) = served.first().map(|bound_policy| &bound_policy.profile) else {
        return last.clone();
    };
    let account = context
        .connections
        .of(profile, &profile_region.region)
        .await
        .account;
    let reaches = reaches(served);
    let scope = Scope::covering(&reaches.values().collect::<Vec<_>>());
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
    context.stability.swept(&inventory);
    let failures = if inventory.is_complete() {
        0
    } else {
        last.failures.saturating_add(1)
    };
    let gap = inventory.gap.clone();
    let mut settled = last.settled.clone();
    settled.retain(|policy, reach| reaches.get(policy) == Some(reach));
    if inventory.is_complete() {
        settled.clone_from(&reaches);
    }
    // Until AWS has answered once since the process started, there is no AWS time, and so no inventory.
    let seen = account.now().is_some().then_some(inventory);
    let before = last.inventory.as_deref();
    let inventory = seen.map(|seen| Arc::new(seen.after(before, &wanted)));
    let kept = || Some(Arc::new(blind(last.inventory.as_deref()?, gap.clone())));
    let proof = inventory.as_deref().and_then(Record::unproved);
    Record {
        inventory: inventory.or_else(kept),
        gap,
        failures,
        began: Some(began),
        ended: Some(clock::now()),
        proof,
        time: account.now().map(|time| (time, clock::now())),
        served: reaches,
        settled,
        max_age,
        paces: paces(served),
        active: Some(began),
        ..Record::default()
    }
}

/// Marks every secret as not visible, because AWS returned nothing at all: no automatic action may rest on it.
fn blind(known: &Inventory, gap: Option<AwsError>) -> Inventory {
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

fn report(
    context: &Context,
    profile_region: &ProfileRegion,
    inventory: &Inventory,
    record: &Record,
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
