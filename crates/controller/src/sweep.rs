//! One sweeper per profile and region lists the secrets for every policy of the profile. The results are kept here
//! for all of them.

mod interval;
mod record;
mod refresh;
mod requests;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use secret_rotation_aws::Scope;
use secret_rotation_core::authorise::under_ceiling;
use secret_rotation_core::aws_error::AwsError;
use secret_rotation_core::inventory::{Inventory, Unseen};
use secret_rotation_core::names::{Arn, Uid};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::secret::Secret;
use secret_rotation_core::selector::Selector;
use tokio::time::Instant;

use self::record::Record;
use self::requests::Errand;
pub(crate) use self::store::{Sweeps, View};
use crate::aws_connections::Place;
use crate::clock;
use crate::context::Context;
use crate::error::Error;
use crate::policy::preconditions;

/// Minimum time between the beginnings of two sweeps or looks in one profile and region, whoever requests them.
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
pub(crate) async fn sweep(context: Arc<Context>, place: Place) -> Result<Option<Duration>, Error> {
    let Some(served) = claimants(&context, &place) else {
        context.sweeps.abandon(&place);
        context.metrics.forget_sweep(&place.profile, &place.region);
        return Ok(None);
    };
    let (began, reign) = (clock::now(), context.standing.reign());
    let mut record = context.sweeps.record(&place);
    record.paces = paces(&served);
    let spaced = record.active.map_or(began, |last| last + SPACING);
    let is_due = due(&record, &place, &served).is_none_or(|due| due <= began);
    if spaced <= began && is_due {
        context.sweeps.grant(&place, began);
        record = whole(&context, &place, &served, &record).await;
        settle(&context, &place, record, reign, &served)?;
    } else if spaced <= began {
        let errand = context.sweeps.errand(&place, began);
        let (record, told) = run(&context, &place, &served, record, errand).await;
        settle(&context, &place, record, reign, &told)?;
    } else {
        return Ok(Some(spaced - began));
    }
    Ok(Some(pause(&context, &place, &served)))
}

/// Carries out the pending requests. Returns the new record, and the policies to evaluate again.
async fn run(
    context: &Context,
    place: &Place,
    served: &[BoundPolicy],
    record: Record,
    errand: Errand,
) -> (Record, Vec<BoundPolicy>) {
    let is_read = |claimant: &BoundPolicy| {
        let reach = preconditions::selection(claimant);
        context.sweeps.serves(place, claimant, &reach)
    };
    let is_asked = |claimant: &BoundPolicy| {
        let policy = &claimant.policy.uid;
        errand.policies.contains(policy) || errand.unread.contains(policy) && !is_read(claimant)
    };
    let asking = served.iter().filter(|claimant| is_asked(claimant));
    let some: Vec<_> = asking.cloned().collect();
    let known = record
        .inventory
        .as_ref()
        .map_or(0, |known| known.secrets.len());
    let many = errand.secrets.len() > MAX_LOOKS.max(known / 100);
    if many || !some.is_empty() && scope(&some) == scope(served) {
        context.sweeps.grant(place, clock::now());
        let record = whole(context, place, served, &record).await;
        return (record, served.to_vec());
    }
    let mut record = record;
    if !some.is_empty() {
        record = read(context, place, &some, record).await;
    }
    let looked = if errand.secrets.is_empty() {
        Vec::new()
    } else {
        look(context, place, served, &mut record, &errand.secrets).await
    };
    let is_told = |claimant: &&BoundPolicy| {
        let is_some = some.iter().any(|one| one.policy.uid == claimant.policy.uid);
        is_some || looked.iter().any(|secret| may_look(claimant, secret))
    };
    (record, served.iter().filter(is_told).cloned().collect())
}

/// Sweeps everything that the policies select.
async fn whole(context: &Context, place: &Place, served: &[BoundPolicy], last: &Record) -> Record {
    let began = clock::now();
    let record = look_around(context, place, served, last).await;
    if let Some(inventory) = &record.inventory {
        report(context, place, inventory, &record, clock::now() - began);
    }
    record
}

/// Reads what some policies select, and nothing else.
async fn read(
    context: &Context,
    place: &Place,
    some: &[BoundPolicy],
    mut record: Record,
) -> Record {
    let reaches = reaches(some);
    let look = look_around(context, place, some, &record.before(&reaches)).await;
    tracing::debug!(%place, policies = some.len(), gap = ?look.gap, "selections of policies read");
    let retry = (look.failures > 0).then(|| retry(place, some, look.failures));
    if let Some(pause) = retry.into_iter().chain(look.proof).min() {
        for policy in reaches.keys() {
            context.sweeps.want(place, policy, clock::now() + pause);
        }
    }
    record.active = look.began;
    record.take_in(look, some);
    record
}

/// Looks at single secrets, and returns those that were seen.
async fn look(
    context: &Context,
    place: &Place,
    served: &[BoundPolicy],
    record: &mut Record,
    secrets: &BTreeSet<Arn>,
) -> Vec<Secret> {
    let began = clock::now();
    let Some(seen) = refresh::look(context, place, served, record, secrets).await else {
        return Vec::new();
    };
    record.active = Some(began);
    record.renew(&seen.inventory, Some(began));
    record.misses = if seen.unanswered.is_empty() {
        0
    } else {
        record.misses.saturating_add(1)
    };
    let again = clock::now() + retry(place, served, record.misses);
    for secret in seen.unanswered {
        context.sweeps.look_again(place, secret, again);
    }
    let rows = seen.inventory.secrets.into_values();
    rows.map(|row| row.secret).collect()
}

/// Stores what was seen, and queues the policies for evaluation.
fn settle(
    context: &Context,
    place: &Place,
    record: Record,
    reign: u64,
    told: &[BoundPolicy],
) -> Result<(), Error> {
    // Check before storing: after another replica held the lease, this result may be older than its actions.
    if context.standing.reign() != reign {
        return Err(Error::Stale("another replica may have acted meanwhile"));
    }
    context.sweeps.keep(place, record);
    if !told.is_empty() {
        let profile = place.profile.clone();
        context.queues.profiles.push(profile, clock::now());
    }
    for claimant in told {
        let key = claimant.policy.key.clone();
        context.queues.policies.push(key, clock::now());
    }
    Ok(())
}

/// Returns the time until the next sweep or the next request is due.
fn pause(context: &Context, place: &Place, served: &[BoundPolicy]) -> Duration {
    let record = context.sweeps.record(place);
    let wish = context.sweeps.next_wish(place);
    let next = wish.into_iter().chain(due(&record, place, served)).min();
    next.map_or(Duration::ZERO, |next| {
        next.saturating_duration_since(clock::now())
    })
}

/// Returns when the next sweep is due, or `None` if it is the first. It uses the interval that the policies ask for
/// now, not the one they asked for at the last sweep.
fn due(record: &Record, place: &Place, served: &[BoundPolicy]) -> Option<Instant> {
    let ended = record.ended?;
    let pause = if record.failures > 0 {
        retry(place, served, record.failures)
    } else {
        pace(served)
    };
    Some(ended + record.proof.map_or(pause, |proof| proof.min(pause)))
}

/// Returns how long to leave a region alone after this number of consecutive failures.
fn retry(place: &Place, served: &[BoundPolicy], failures: u32) -> Duration {
    interval::next(
        pace(served),
        failures,
        (seed(served), place.region.as_str()),
    )
}

/// Returns the time between two sweeps.
fn pace(served: &[BoundPolicy]) -> Duration {
    let shortest = served
        .iter()
        .map(|claimant| claimant.profile.min_check_interval);
    let shortest = shortest.max().unwrap_or_default();
    let intervals = served.iter().map(|claimant| claimant.policy.check_interval);
    interval::pace(intervals, shortest, seed(served)).unwrap_or(shortest)
}

fn paces(served: &[BoundPolicy]) -> BTreeMap<Uid, Duration> {
    let paces = served.iter();
    paces
        .map(|claimant| (claimant.policy.uid.clone(), interval::interval(claimant)))
        .collect()
}

fn seed(served: &[BoundPolicy]) -> &str {
    let uids = served.iter().map(|claimant| claimant.policy.uid.as_str());
    uids.min().unwrap_or_default()
}

fn reaches(served: &[BoundPolicy]) -> BTreeMap<Uid, Selector> {
    let reaches = served.iter();
    reaches
        .map(|claimant| {
            (
                claimant.policy.uid.clone(),
                preconditions::selection(claimant),
            )
        })
        .collect()
}

fn scope(served: &[BoundPolicy]) -> Scope {
    Scope::covering(&reaches(served).values().collect::<Vec<_>>())
}

/// Returns the policies that the sweeper serves, or `None` if there are none.
fn claimants(context: &Context, place: &Place) -> Option<Vec<BoundPolicy>> {
    let facts = context.world.facts();
    let wants = |claimant: &&BoundPolicy| {
        let profile = preconditions::ProfileState::Valid(&claimant.profile);
        let within =
            preconditions::claimant(&claimant.policy, profile, claimant.tenant.clone()).is_ok();
        within
            && claimant.profile.name == place.profile
            && preconditions::regions(claimant).contains(&place.region)
    };
    let served: Vec<_> = facts.claimants.iter().filter(wants).cloned().collect();
    (!served.is_empty()).then_some(served)
}

async fn look_around(
    context: &Context,
    place: &Place,
    served: &[BoundPolicy],
    last: &Record,
) -> Record {
    let began = clock::now();
    let Some(profile) = served.first().map(|claimant| &claimant.profile) else {
        return last.clone();
    };
    let account = context.accounts.of(profile, &place.region).await.account;
    let reaches = reaches(served);
    let scope = Scope::covering(&reaches.values().collect::<Vec<_>>());
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

fn may_look(claimant: &BoundPolicy, secret: &Secret) -> bool {
    let BoundPolicy {
        tenant,
        profile,
        policy,
    } = claimant;
    policy.selector.selects(secret)
        && under_ceiling(&tenant.namespace, profile, &secret.name).is_ok()
}

fn report(
    context: &Context,
    place: &Place,
    inventory: &Inventory,
    record: &Record,
    took: Duration,
) {
    let (secrets, milliseconds) = (inventory.secrets.len(), took.as_millis());
    match &record.gap {
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

/// Returns the regions of a policy, each with its profile.
pub(crate) fn places(claimant: &BoundPolicy) -> Vec<Place> {
    let regions: BTreeSet<_> = preconditions::regions(claimant);
    regions
        .into_iter()
        .map(|region| Place {
            profile: claimant.profile.name.clone(),
            region,
        })
        .collect()
}
