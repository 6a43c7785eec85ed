//! One sweeper per profile and region lists the secrets for every policy of the profile. What it reads goes into the
//! engine of the region, page by page, and the policies whose result differs are queued.

mod interval;
mod record;
mod requests;
pub(crate) mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use secret_rotation_aws::{Account, Scope, SweepPlan};
use secret_rotation_core::engine::{SharedEngine, Sights};
use secret_rotation_core::inventory::Observation;
use secret_rotation_core::names::{Arn, ObjectKey, Uid};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::selector::Selector;
use secret_rotation_core::survey::PreviousFindings;
use tokio::time::Instant;

use self::record::{LastSweep, PolicyRead, RegionRecord};
use self::requests::SweepTask;
pub(crate) use self::store::{SweepStore, SweepView};
use crate::clock;
use crate::context::Context;
use crate::error::Error;
use crate::policy::preconditions;
use crate::profile_region::ProfileRegion;

/// The maximum number of version ages that one sweep looks up, so that it stays short. The next sweeps look up the
/// others.
const MAX_VERSION_AGES: usize = 50;

/// Minimum time between the beginnings of two sweeps or looks in one profile and region, whatever requests them.
const SPACING: Duration = Duration::from_secs(2);

/// Maximum number of single looks. Beyond it, or beyond one in a hundred of the known secrets, a whole sweep is
/// cheaper.
const MAX_LOOKS: usize = 100;

/// Lends the engine of one region to the sweep that fills it.
struct SweptEngine<'a> {
    context: &'a Context,
    record: &'a RegionRecord,
}

impl SharedEngine for SweptEngine<'_> {
    fn with<T>(&self, change: impl FnOnce(&mut Sights<'_>) -> T) -> T {
        let snapshot = self.context.store.snapshot();
        // Order matters: the engine is always locked before the stability.
        let mut engine = self.record.engine();
        let mut stability = self.context.stability.lock();
        change(&mut Sights {
            engine: &mut engine,
            stability: &mut stability,
            operations: &snapshot.operations,
        })
    }
}

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
    let served = bound_policies(&context, &profile_region);
    if served.is_empty() {
        rest(&context, &profile_region);
        return Ok(None);
    }
    let (began, epoch) = (clock::now(), context.leadership.epoch());
    let mut record = context.sweeps.record(&profile_region);
    record.check_intervals = check_intervals(&served);
    let spaced = record.active.map_or(began, |last| last + SPACING);
    if spaced > began {
        return Ok(Some(spaced - began));
    }
    let is_due = next_sweep_due(&record, &profile_region, &served).is_none_or(|due| due <= began);
    // What the sweep reads stays known even if the sweep is canceled.
    context.sweeps.store(&profile_region, record.clone());
    let (record, affected) = if is_due {
        context.sweeps.take_covered(&profile_region, began);
        sweep_all(&context, &profile_region, &served, record).await
    } else {
        let task = context.sweeps.take_task(&profile_region, began);
        run_task(&context, &profile_region, &served, record, task).await
    };
    store_result(&context, &profile_region, record, epoch, affected)?;
    Ok(Some(time_until_next_run(
        &context,
        &profile_region,
        &served,
    )))
}

/// Carries out the pending requests. Returns the new record, and the policies to evaluate again whether or not their
/// result differs.
async fn run_task(
    context: &Context,
    profile_region: &ProfileRegion,
    served: &[Arc<BoundPolicy>],
    record: RegionRecord,
    task: SweepTask,
) -> (RegionRecord, BTreeSet<ObjectKey>) {
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
    let known = record.engine().len();
    let many = task.secrets.len() > MAX_LOOKS.max(known / 100);
    if many || !some.is_empty() && scope(&some) == scope(served) {
        context.sweeps.take_covered(profile_region, clock::now());
        return sweep_all(context, profile_region, served, record).await;
    }
    let mut record = record;
    if !some.is_empty() {
        record = sweep_some(context, profile_region, &some, record).await;
    }
    let mut affected: BTreeSet<_> = some.iter().map(|one| one.policy.key.clone()).collect();
    if !task.secrets.is_empty() {
        affected.append(
            &mut look_at(context, profile_region, served, &mut record, &task.secrets).await,
        );
    }
    (record, affected)
}

/// Sweeps everything that the policies select. Returns the new record, and the policies for which a check was
/// requested: they report that it is done.
async fn sweep_all(
    context: &Context,
    profile_region: &ProfileRegion,
    served: &[Arc<BoundPolicy>],
    record: RegionRecord,
) -> (RegionRecord, BTreeSet<ObjectKey>) {
    let began = clock::now();
    let (mut record, sweep) = read(context, profile_region, served, None, record).await;
    record.failures = match &sweep.gap {
        None => 0,
        Some(_) => record.failures.saturating_add(1),
    };
    report_sweep(
        context,
        profile_region,
        &record,
        &sweep,
        clock::now() - began,
    );
    record.looked.clear();
    record.sweep = Some(sweep);
    let asking = context.sweeps.requesting();
    let policies = served.iter().map(|served| &served.policy);
    let asking = policies.filter(|policy| asking.contains(&policy.uid));
    (record, asking.map(|policy| policy.key.clone()).collect())
}

/// Reads what some policies select, and nothing else.
async fn sweep_some(
    context: &Context,
    profile_region: &ProfileRegion,
    some: &[Arc<BoundPolicy>],
    record: RegionRecord,
) -> RegionRecord {
    let policies: BTreeSet<_> = some.iter().map(|one| one.policy.uid.clone()).collect();
    let (record, look) = read(context, profile_region, some, Some(&policies), record).await;
    tracing::debug!(%profile_region, policies = some.len(), gap = ?look.gap, "selections of policies read");
    let reads = policies.iter().filter_map(|uid| record.reads.get(uid));
    let failures = reads.map(|read| read.failures).max().unwrap_or(0);
    let retry = (failures > 0).then(|| retry_delay(profile_region, some, failures));
    if let Some(pause) = retry.into_iter().chain(look.confirm_after).min() {
        for policy in &policies {
            context
                .sweeps
                .request_read(profile_region, policy, clock::now() + pause);
        }
    }
    record
}

/// Reads what the policies select into the engine. `some` = only these policies; `None` = all that are served.
async fn read(
    context: &Context,
    profile_region: &ProfileRegion,
    served: &[Arc<BoundPolicy>],
    some: Option<&BTreeSet<Uid>>,
    mut record: RegionRecord,
) -> (RegionRecord, LastSweep) {
    let began = clock::now();
    let account = account(context, profile_region, served).await;
    prepare(context, &record, served, some.is_none());
    // The engine also holds policies that are not read now, so a whole sweep names its policies, too.
    let policies: BTreeSet<_> = served.iter().map(|one| one.policy.uid.clone()).collect();
    let plan = SweepPlan {
        scope: scope(served),
        policies,
        is_whole: some.is_none(),
        max_ages: MAX_VERSION_AGES,
    };
    let engine = SweptEngine {
        context,
        record: &record,
    };
    let swept = account.sweep(&plan, &engine).await;
    for uid in plan.policies {
        let before = record.reads.get(&uid).map_or(0, |read| read.failures);
        let failures = swept.gap.as_ref().map_or(0, |_| before.saturating_add(1));
        record.reads.insert(uid, PolicyRead { began, failures });
    }
    if !swept.accounts.is_empty() {
        record.accounts = swept.accounts;
    }
    record.time = account
        .now()
        .map(|time| (time, clock::now()))
        .or(record.time);
    record.active = Some(began);
    let sweep = LastSweep {
        confirm_after: record.confirmation_delay(&swept.read),
        read: swept.read,
        began,
        ended: clock::now(),
        gap: swept.gap,
        shown: swept.shown,
    };
    (record, sweep)
}

/// Gives the engine the policies as they are now. At a whole sweep, policies that are not served any more leave it.
fn prepare(context: &Context, record: &RegionRecord, served: &[Arc<BoundPolicy>], is_whole: bool) {
    let engine = SweptEngine { context, record };
    let nothing = PreviousFindings::default();
    for bound_policy in served {
        let entry = context.store.policy(&bound_policy.policy.key);
        let parsed = entry.as_ref().and_then(|entry| entry.core.as_ref().ok());
        let stored = parsed.map_or(&nothing, |(_, stored)| stored);
        engine.with(|sights| sights.set_policy(bound_policy, stored));
    }
    if is_whole {
        leave_out(context, record, served);
    }
}

/// Removes the policies that are not served from the engine. Suspended ones stay, because their secrets are still
/// reported as they were seen last; when they are served again, they are read again first.
fn leave_out(context: &Context, record: &RegionRecord, served: &[Arc<BoundPolicy>]) {
    let served: BTreeSet<_> = served.iter().map(|one| &one.policy.uid).collect();
    let snapshot = context.store.snapshot();
    // Order matters: the store locks engines, so no code may call the store while it holds an engine.
    let mut engine = record.engine();
    let others: Vec<_> = engine
        .policies()
        .map(|bound| (bound.policy.uid.clone(), bound.policy.key.clone()))
        .filter(|(uid, _)| !served.contains(uid))
        .collect();
    for (uid, key) in others {
        let known = snapshot.bound_policies.get(&key);
        if known.is_some_and(|known| known.policy.uid == uid && is_suspended(known)) {
            engine.rest_policy(&uid);
        } else {
            engine.remove_policy(&uid);
        }
    }
}

fn is_suspended(bound_policy: &BoundPolicy) -> bool {
    let profile = preconditions::ProfileState::Valid(&bound_policy.profile);
    let tenant = bound_policy.tenant.clone();
    preconditions::bound_policy(&bound_policy.policy, profile, tenant)
        .is_err_and(|readiness| readiness.is_suspended())
}

/// Ends the sweeps of a region that no policy needs now. What is known stays while a suspended policy selects it.
fn rest(context: &Context, profile_region: &ProfileRegion) {
    let known = context.sweeps.record(profile_region);
    leave_out(context, &known, &[]);
    let is_needed = known.engine().policies().next().is_some();
    context.sweeps.remove(profile_region);
    if is_needed {
        let rested = known.rested();
        context.sweeps.store(profile_region, rested);
    }
    context
        .metrics
        .forget_sweep(&profile_region.profile, &profile_region.region);
}

async fn account(
    context: &Context,
    profile_region: &ProfileRegion,
    served: &[Arc<BoundPolicy>],
) -> Account {
    // A sweeper serves at least one policy, and all its policies have the same profile.
    let profile = &served[0].profile;
    let connection = context.connections.of(profile, &profile_region.region);
    connection.await.account
}

/// Looks at those of the secrets that are known. Returns the policies that select what was seen.
async fn look_at(
    context: &Context,
    profile_region: &ProfileRegion,
    served: &[Arc<BoundPolicy>],
    record: &mut RegionRecord,
    secrets: &BTreeSet<Arn>,
) -> BTreeSet<ObjectKey> {
    let began = clock::now();
    let known: Vec<Observation> = {
        let engine = record.engine();
        let known = secrets.iter().filter(|arn| engine.knows(arn));
        known
            .filter_map(|arn| engine.last(&arn.secret_name()))
            .collect()
    };
    if known.is_empty() {
        return BTreeSet::new();
    }
    let account = account(context, profile_region, served).await;
    let engine = SweptEngine { context, record };
    let refreshed = account.refresh(known, &engine).await;
    record.active = Some(began);
    record.misses = if refreshed.unanswered.is_empty() {
        0
    } else {
        record.misses.saturating_add(1)
    };
    let again = clock::now() + retry_delay(profile_region, served, record.misses);
    for secret in refreshed.unanswered {
        context
            .sweeps
            .request_another_look(profile_region, secret, again);
    }
    let mut affected = BTreeSet::new();
    for secret in refreshed.seen {
        affected.extend(record.engine().policies_of(&secret));
        record.looked.insert(secret.arn, began);
    }
    affected
}

/// Stores what was seen, and queues the policies for evaluation whose result differs.
fn store_result(
    context: &Context,
    profile_region: &ProfileRegion,
    record: RegionRecord,
    epoch: u64,
    mut affected: BTreeSet<ObjectKey>,
) -> Result<(), Error> {
    // Check before storing: after another replica held the lease, this result may be older than its actions.
    if context.leadership.epoch() != epoch {
        return Err(Error::Stale("another replica may have acted meanwhile"));
    }
    affected.extend(record.engine().take_changed().into_values());
    let due = |uid: &Uid| {
        let now = record
            .time
            .map(|(time, taken)| clock::advanced(time, taken, clock::now()));
        now.is_some_and(|now| context.evaluations.is_due(uid, now))
    };
    let keys: Vec<_> = {
        let engine = record.engine();
        let policies = engine.policies().map(|bound| &bound.policy);
        let due = policies.filter(|policy| due(&policy.uid));
        due.map(|policy| policy.key.clone()).collect()
    };
    affected.extend(keys);
    let (profile, region) = (profile_region.profile.clone(), &profile_region.region);
    context.sweeps.store(profile_region, record);
    let function = |arn: &Arn| context.sweeps.function(arn);
    context.store.record_functions(region, function);
    context.queues.profiles.push(profile, clock::now());
    for key in affected {
        context.queues.policies.push(key, clock::now());
    }
    Ok(())
}

/// Returns the time until the next sweep or the next request is due.
fn time_until_next_run(
    context: &Context,
    profile_region: &ProfileRegion,
    served: &[Arc<BoundPolicy>],
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
    served: &[Arc<BoundPolicy>],
) -> Option<Instant> {
    let sweep = record.sweep.as_ref()?;
    let pause = if record.failures > 0 {
        retry_delay(profile_region, served, record.failures)
    } else {
        sweep_interval(served)
    };
    Some(sweep.ended + sweep.confirm_after.map_or(pause, |proof| proof.min(pause)))
}

/// Returns how long to leave a region alone after this number of consecutive failures.
fn retry_delay(
    profile_region: &ProfileRegion,
    served: &[Arc<BoundPolicy>],
    failures: u32,
) -> Duration {
    interval::next_delay(
        sweep_interval(served),
        failures,
        (seed(served), profile_region.region.as_str()),
    )
}

/// Returns the time between two sweeps.
fn sweep_interval(served: &[Arc<BoundPolicy>]) -> Duration {
    let shortest = served
        .iter()
        .map(|bound_policy| bound_policy.profile.min_check_interval);
    let shortest = shortest.max().unwrap_or_default();
    let intervals = served
        .iter()
        .map(|bound_policy| bound_policy.policy.check_interval);
    interval::sweep_interval(intervals, shortest, seed(served)).unwrap_or(shortest)
}

fn check_intervals(served: &[Arc<BoundPolicy>]) -> BTreeMap<Uid, Duration> {
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

fn seed(served: &[Arc<BoundPolicy>]) -> &str {
    let uids = served
        .iter()
        .map(|bound_policy| bound_policy.policy.uid.as_str());
    uids.min().unwrap_or_default()
}

fn selections(served: &[Arc<BoundPolicy>]) -> BTreeMap<Uid, Selector> {
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

fn scope(served: &[Arc<BoundPolicy>]) -> Scope {
    Scope::covering(&selections(served).values().collect::<Vec<_>>())
}

/// Returns the policies that the sweeper serves.
fn bound_policies(context: &Context, profile_region: &ProfileRegion) -> Vec<Arc<BoundPolicy>> {
    let snapshot = context.store.snapshot();
    let wants = |bound_policy: &&BoundPolicy| {
        let profile = preconditions::ProfileState::Valid(&bound_policy.profile);
        let within =
            preconditions::bound_policy(&bound_policy.policy, profile, bound_policy.tenant.clone())
                .is_ok();
        within && preconditions::regions(bound_policy).contains(&profile_region.region)
    };
    let served = snapshot
        .bound_policies
        .of_profile(&profile_region.profile)
        .filter(wants);
    served.map(|served| Arc::new(served.clone())).collect()
}

fn report_sweep(
    context: &Context,
    profile_region: &ProfileRegion,
    record: &RegionRecord,
    sweep: &LastSweep,
    took: Duration,
) {
    let (secrets, milliseconds) = (sweep.shown, took.as_millis());
    match &sweep.gap {
        None => {
            if let Some(time) = record.engine().time(&sweep.read) {
                context
                    .metrics
                    .swept(&profile_region.profile, &profile_region.region, took, time);
            }
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
