//! Stores the last results of the sweepers, and the requests to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secret_rotation_api::profile::RegionSweep;
use secret_rotation_core::aws_error::AwsError;
use secret_rotation_core::engine::{self, Facts};
#[cfg(test)]
use secret_rotation_core::inventory::Observation;
use secret_rotation_core::names::{
    AccountId, Arn, FunctionArn, ObjectKey, ProfileName, Region, SecretName, Uid,
};
use secret_rotation_core::operation_index::OperationIndex;
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::profile::Profile;
use secret_rotation_core::selector::Selector;
use secret_rotation_core::survey::{PreviousFindings, Survey, UnremarkableSecret};
use secret_rotation_core::time::AwsTime;
use tokio::time::Instant;

use super::interval;
use super::record::{RegionEngine, RegionRecord};
use super::requests::{Requests, SweepTask};
use crate::clock;
use crate::profile_region::ProfileRegion;
use crate::stability::SharedStability;

/// After an operation that ended without a write, no operation is created from what was seen of the secret within
/// this time.
const AFTER_NOTHING: Duration = Duration::from_mins(1);

/// The time after which a change shows in the answers of AWS.
const SETTLING: Duration = Duration::from_secs(2);

/// The last results of the sweepers, and the requests to them.
#[derive(Debug, Default)]
pub(crate) struct SweepStore {
    known: KnownSecrets,
    /// The number of times that everything was cleared. It changes only while the records are locked.
    generation: AtomicU64,
    requested_checks: Mutex<BTreeMap<Uid, RequestedCheck>>,
    /// Secrets whose known state is outdated until a sweep or look that begins at or after this time.
    outdated: Mutex<BTreeMap<Arn, Instant>>,
    requests: Mutex<BTreeMap<ProfileRegion, Requests>>,
}

/// What is known of every region. Clones share it, so that metrics read it when they are scraped.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownSecrets(Arc<Mutex<BTreeMap<ProfileRegion, RegionRecord>>>);

/// A check that a user requested.
#[derive(Clone, Debug)]
struct RequestedCheck {
    token: String,
    seen: Instant,
    /// The earliest time of the check.
    at: Instant,
}

/// How much is known about what a policy selects.
#[derive(Clone, Debug, Default)]
pub(crate) struct SweepView {
    /// The regions whose latest read covers what the policy selects.
    pub seen: Vec<ProfileRegion>,
    /// The regions whose latest read was incomplete, and why.
    pub gaps: Vec<(Region, AwsError)>,
    /// Whether some region was not read yet.
    pub is_waiting: bool,
    /// Whether every incomplete read is the first in a row: the next one may be complete again.
    pub is_blinking: bool,
    /// Whether every region was seen completely.
    is_complete: bool,
    /// The regions that were never seen completely for the policy.
    pub unsettled: BTreeSet<Region>,
    /// When the earliest of the reads began.
    began: Option<Instant>,
    /// The time of AWS now.
    pub now: Option<AwsTime>,
}

impl KnownSecrets {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ProfileRegion, RegionRecord>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the engines of those of these regions that are known.
    fn of(&self, profile_regions: &[ProfileRegion]) -> Vec<RegionEngine> {
        let records = self.lock();
        let of = |one| Some(records.get(one)?.handle());
        profile_regions.iter().filter_map(of).collect()
    }

    /// Returns at most `limit` secrets of a policy that need no attention.
    pub(crate) fn unremarkable(
        &self,
        policy: &Uid,
        profile_regions: &[ProfileRegion],
        limit: usize,
    ) -> Vec<UnremarkableSecret> {
        let mut found = Vec::new();
        for engine in self.of(profile_regions) {
            let rest = limit.saturating_sub(found.len());
            found.extend(engine.lock().unremarkable(policy).take(rest));
        }
        found
    }

    /// Returns when everything that a policy selects was last seen; `None` = some region has had no complete read.
    pub(crate) fn completed(
        &self,
        policy: &Uid,
        profile_regions: &[ProfileRegion],
    ) -> Option<AwsTime> {
        let engines = self.of(profile_regions);
        if engines.len() < profile_regions.len() {
            return None;
        }
        let completed = engines.iter().map(|engine| engine.lock().completed(policy));
        completed.collect::<Option<Vec<_>>>()?.into_iter().min()
    }

    /// Returns whether a policy selects a secret that needs no attention.
    pub(crate) fn is_unremarkable(
        &self,
        policy: &Uid,
        profile_regions: &[ProfileRegion],
        (region, name): (&str, &str),
    ) -> bool {
        let Ok(name) = SecretName::parse(name) else {
            return false;
        };
        let regions = profile_regions.iter();
        let mut found = regions.filter(|one| one.region.as_str() == region);
        let records = self.lock();
        found.any(|one| {
            let record = records.get(one);
            record.is_some_and(|record| record.engine().is_unremarkable(policy, &name))
        })
    }
}

impl SweepStore {
    /// Creates a store that shares what is known.
    pub(crate) fn of(known: KnownSecrets) -> Self {
        Self {
            known,
            ..Self::default()
        }
    }

    /// Returns what is known, for metrics.
    pub(crate) const fn known(&self) -> &KnownSecrets {
        &self.known
    }

    /// Returns whether the last read of the region covers what the policy needs.
    pub(crate) fn covers(
        &self,
        profile_region: &ProfileRegion,
        bound_policy: &BoundPolicy,
        selection: &Selector,
    ) -> bool {
        let policy = &bound_policy.policy;
        let engine = self.records().get(profile_region).map(RegionRecord::handle);
        engine.is_some_and(|engine| {
            engine
                .lock()
                .covers(&policy.uid, selection, policy.detection.max_age)
        })
    }

    /// Returns whether the time of the next sweep was computed with the current interval of the policy.
    pub(crate) fn has_current_interval(
        &self,
        profile_region: &ProfileRegion,
        bound_policy: &BoundPolicy,
    ) -> bool {
        let records = self.records();
        let record = records.get(profile_region);
        record.is_none_or(|record| {
            record.check_intervals.get(&bound_policy.policy.uid)
                == Some(&interval::check_interval(bound_policy))
        })
    }

    /// Returns how much is known about what a policy selects in these regions.
    pub(crate) fn view(
        &self,
        policy: &Uid,
        selection: &Selector,
        profile_regions: &[ProfileRegion],
    ) -> SweepView {
        // Only what concerns the policy is copied: a record holds something of every policy.
        let known: Vec<_> = {
            let records = self.records();
            let of = |one| {
                let record = records.get(one)?;
                Some((record.handle(), record.reads.get(policy).copied()))
            };
            profile_regions.iter().map(of).collect()
        };
        let mut view = SweepView {
            is_complete: true,
            is_blinking: true,
            now: self.aws_time(profile_regions),
            ..SweepView::default()
        };
        for (profile_region, known) in profile_regions.iter().zip(known) {
            let region = &profile_region.region;
            let Some((engine, read)) = known else {
                view.is_complete = false;
                view.is_waiting = true;
                view.unsettled.insert(region.clone());
                continue;
            };
            let engine = engine.lock();
            let gap = engine.gap(policy).cloned();
            let is_settled = engine.covers_completely(policy, selection);
            view.is_complete &= gap.is_none() && is_settled;
            view.gaps.extend(gap.map(|gap| (region.clone(), gap)));
            if !is_settled {
                view.unsettled.insert(region.clone());
            }
            if !engine.covers(policy, selection, None) {
                view.is_waiting = true;
                continue;
            }
            view.seen.push(profile_region.clone());
            if let Some(read) = read {
                view.is_blinking &= read.failures < 2;
                view.began = view.began.into_iter().chain([read.began]).min();
            }
        }
        view
    }

    /// Returns the time of AWS now, by the latest answer in these regions.
    pub(crate) fn aws_time(&self, profile_regions: &[ProfileRegion]) -> Option<AwsTime> {
        let (records, now) = (self.records(), clock::now());
        let times = profile_regions
            .iter()
            .filter_map(|one| records.get(one)?.time);
        times
            .map(|(time, taken)| clock::advanced(time, taken, now))
            .max()
    }

    /// Builds the survey of a policy from the regions that were seen for it. The engines get the policy first, as it is
    /// now. A region whose engine has been given another selection since the view was made counts as not seen.
    pub(crate) fn survey(
        &self,
        bound_policy: &Arc<BoundPolicy>,
        view: &SweepView,
        (stored, previous): (&PreviousFindings, &PreviousFindings),
        (operations, stability): (&OperationIndex, &SharedStability),
    ) -> Survey {
        let handles = self.known.of(&view.seen);
        // Order matters: several engines are locked in the order of their regions, and the stability after them.
        let engines = handles.iter().map(RegionEngine::lock);
        // Order matters: only a sweep gives an engine another selection, and reads it next. A selection that came from
        // here in between would count as read.
        let engines = engines.filter(|engine| engine.covers_policy(bound_policy));
        let mut engines: Vec<_> = engines.collect();
        let stability = stability.lock();
        let facts = Facts {
            operations,
            stability: &stability,
        };
        for engine in &mut engines {
            engine.set_policy(bound_policy, stored, facts);
        }
        let engines: Vec<_> = engines.iter().map(|engine| &**engine).collect();
        engine::survey(bound_policy, &engines, previous, facts)
    }

    /// Records a requested check once. Returns when it runs, if the request is new. The first check of a policy runs
    /// immediately, and later ones at most once per `interval`.
    pub(crate) fn request_check(
        &self,
        policy: &Uid,
        token: &str,
        interval: Duration,
    ) -> Option<Instant> {
        let mut requests = self
            .requested_checks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (now, last) = (clock::now(), requests.get(policy));
        if last.is_some_and(|last| last.token == token) {
            return None;
        }
        let at = last.map_or(now, |last| {
            if last.at > now {
                last.at
            } else {
                now.max(last.at + interval)
            }
        });
        let request = RequestedCheck {
            token: token.to_owned(),
            seen: now,
            at,
        };
        requests.insert(policy.clone(), request);
        Some(at)
    }

    /// Returns the token of the requested check, if every sweep was complete and began after the request.
    pub(crate) fn handled_token(&self, policy: &Uid, view: &SweepView) -> Option<String> {
        let requests = self
            .requested_checks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let request = requests.get(policy)?;
        let is_later = view.began.is_some_and(|began| began >= request.seen);
        (is_later && view.is_complete).then(|| request.token.clone())
    }

    /// Requests that the selection of the policy is read.
    pub(crate) fn request_read(&self, profile_region: &ProfileRegion, policy: &Uid, at: Instant) {
        let mut requests = self.lock_requests();
        requests
            .entry(profile_region.clone())
            .or_default()
            .request_read(policy.clone(), at);
    }

    /// Requests that the selection of the policy is read for the first time. If the sweep in progress reads it,
    /// nothing more is done.
    pub(crate) fn request_first_read(
        &self,
        profile_region: &ProfileRegion,
        policy: &Uid,
        at: Instant,
    ) {
        let mut requests = self.lock_requests();
        requests
            .entry(profile_region.clone())
            .or_default()
            .request_first_read(policy.clone(), at);
    }

    /// Requests a look at a secret to which something may have happened. Returns the regions whose sweepers know the
    /// secret.
    pub(crate) fn request_look(&self, secret: &Arn) -> Vec<ProfileRegion> {
        let now = clock::now();
        self.request_where_known(secret, |requests| {
            requests.request_look(secret.clone(), now);
        })
    }

    fn request_where_known(
        &self,
        secret: &Arn,
        note: impl Fn(&mut Requests),
    ) -> Vec<ProfileRegion> {
        let records = self.records();
        let profile_regions: Vec<_> = records
            .iter()
            .filter(|(one, record)| one.region == *secret.region() && record.engine().knows(secret))
            .map(|(profile_region, _)| profile_region.clone())
            .collect();
        drop(records);
        let mut requests = self.lock_requests();
        for profile_region in &profile_regions {
            note(requests.entry(profile_region.clone()).or_default());
        }
        profile_regions
    }

    /// Judges a secret again after one of its operations has begun or ended. Returns the policies whose survey may
    /// differ now.
    pub(crate) fn operation_moved(
        &self,
        secret: &Arn,
        (operations, stability): (&OperationIndex, &SharedStability),
    ) -> BTreeSet<ObjectKey> {
        let mut changed = BTreeSet::new();
        for (profile_region, record) in self.records().iter() {
            if profile_region.region == *secret.region() {
                let mut engine = record.engine();
                let stability = stability.lock();
                let facts = Facts {
                    operations,
                    stability: &stability,
                };
                engine.judge_again(secret, facts);
                changed.extend(engine.take_changed().into_values());
            }
        }
        changed
    }

    fn lock_requests(&self) -> MutexGuard<'_, BTreeMap<ProfileRegion, Requests>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that an operation on the secret has ended. What was seen of the secret before does not justify another
    /// operation.
    ///
    /// If the operation wrote nothing, the plan and the operation disagreed about the secret. The plan must then wait
    /// longer before it may create another one. Returns the regions that must look at the secret, and when.
    pub(crate) fn operation_ended(&self, arn: &Arn, wrote: bool) -> (Vec<ProfileRegion>, Instant) {
        let pause = if wrote { SETTLING } else { AFTER_NOTHING };
        let at = clock::now() + pause;
        let outdated = if wrote { clock::now() } else { at };
        self.lock_outdated().insert(arn.clone(), outdated);
        (
            self.request_where_known(arn, |requests| requests.request_fresh_look(arn.clone(), at)),
            at,
        )
    }

    /// Returns whether the known state of the secret was seen after its last operation ended.
    pub(crate) fn is_current(&self, arn: &Arn) -> bool {
        let Some(outdated) = self.lock_outdated().get(arn).copied() else {
            return true;
        };
        let records = self.records();
        let seen = records
            .values()
            .any(|record| record.was_seen_since(arn, outdated));
        drop(records);
        if seen {
            self.lock_outdated().remove(arn);
        }
        seen
    }

    /// Returns the rotation function of a secret, if a sweep saw it.
    pub(crate) fn function(&self, arn: &Arn) -> Option<FunctionArn> {
        let records = self.records();
        let mut own = records
            .iter()
            .filter(|(profile_region, _)| profile_region.region == *arn.region());
        own.find_map(|(_, record)| record.engine().function(arn))
    }

    /// Returns the last sweep of each region of a profile, and the regions whose sweep was incomplete.
    pub(crate) fn of_profile(
        &self,
        profile: &ProfileName,
    ) -> (Vec<RegionSweep>, Vec<(Region, AwsError)>) {
        let records = self.records();
        let own = records
            .iter()
            .filter(|(profile_region, _)| profile_region.profile == *profile);
        let (mut sweeps, mut gaps) = (Vec::new(), Vec::new());
        for (profile_region, record) in own {
            let Some(sweep) = &record.sweep else { continue };
            let region = &profile_region.region;
            gaps.extend(sweep.gap.clone().map(|gap| (region.clone(), gap)));
            // Until AWS has answered once since the process started, there is no AWS time.
            if let Some(time) = record.engine().time(&sweep.read) {
                sweeps.push(RegionSweep {
                    region: region.clone(),
                    time,
                    secrets: sweep.shown,
                    complete: sweep.gap.is_none(),
                });
            }
        }
        (sweeps, gaps)
    }

    /// Removes a deleted policy.
    pub(crate) fn forget(&self, policy: &Uid) {
        self.requested_checks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(policy);
        for record in self.records().values_mut() {
            record.reads.remove(policy);
            record.engine().remove_policy(policy);
        }
    }

    /// Returns the regions that were swept before, each with its profile.
    pub(crate) fn profile_regions(&self) -> Vec<ProfileRegion> {
        self.records().keys().cloned().collect()
    }

    /// Removes and returns the requests that are due.
    pub(super) fn take_task(&self, profile_region: &ProfileRegion, now: Instant) -> SweepTask {
        let mut requests = self.lock_requests();
        requests
            .get_mut(profile_region)
            .map(|requests| requests.take_due(now))
            .unwrap_or_default()
    }

    /// Removes the requests that a whole sweep that begins now covers.
    pub(super) fn take_covered(&self, profile_region: &ProfileRegion, now: Instant) {
        if let Some(requests) = self.lock_requests().get_mut(profile_region) {
            requests.take_covered(now);
        }
    }

    /// Requests another look at a secret after a look had no answer.
    pub(super) fn request_another_look(
        &self,
        profile_region: &ProfileRegion,
        secret: Arn,
        at: Instant,
    ) {
        let mut requests = self.lock_requests();
        requests
            .entry(profile_region.clone())
            .or_default()
            .request_fresh_look(secret, at);
    }

    /// Returns when the next request is due.
    pub(super) fn next_request(&self, profile_region: &ProfileRegion) -> Option<Instant> {
        self.lock_requests()
            .get(profile_region)
            .and_then(Requests::next_due)
    }

    /// Returns what is known of the region.
    pub(super) fn record(&self, profile_region: &ProfileRegion) -> RegionRecord {
        let records = self.records();
        let known = records.get(profile_region).cloned();
        known.unwrap_or_else(|| {
            let mut new = RegionRecord::new(profile_region.region.clone());
            new.generation = self.generation.load(Ordering::Relaxed);
            new
        })
    }

    /// Stores what was seen of the region, unless everything was cleared since: another replica may have acted.
    pub(super) fn store(&self, profile_region: &ProfileRegion, record: RegionRecord) {
        let mut records = self.records();
        if record.generation == self.generation.load(Ordering::Relaxed) {
            records.insert(profile_region.clone(), record);
        }
    }

    /// Returns those of the policies that have requested a check since the process started.
    pub(super) fn requesting(&self) -> BTreeSet<Uid> {
        let requests = self
            .requested_checks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        requests.keys().cloned().collect()
    }

    /// Returns an account whose secrets AWS shows to the profile although it is not the account of the profile.
    pub(crate) fn foreign_account(&self, profile: &Profile) -> Option<AccountId> {
        let records = self.records();
        let own = records
            .iter()
            .filter(|(profile_region, _)| profile_region.profile == profile.name);
        let accounts = own.flat_map(|(_, record)| &record.accounts);
        profile.foreign_account(accounts).cloned()
    }

    /// Removes a region that no policy selects any more.
    pub(super) fn remove(&self, profile_region: &ProfileRegion) {
        self.records().remove(profile_region);
        self.lock_requests().remove(profile_region);
    }

    /// Clears everything: another replica may have acted since.
    pub(crate) fn clear(&self) {
        let mut records = self.records();
        self.generation.fetch_add(1, Ordering::Relaxed);
        records.clear();
        drop(records);
        self.requested_checks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        self.lock_outdated().clear();
        self.lock_requests().clear();
    }

    fn lock_outdated(&self) -> MutexGuard<'_, BTreeMap<Arn, Instant>> {
        self.outdated.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<ProfileRegion, RegionRecord>> {
        self.known.lock()
    }
}

#[cfg(test)]
impl KnownSecrets {
    /// Adds a complete sweep for one policy in the first region of its profile.
    pub(crate) fn with_sweep(self, bound_policy: &BoundPolicy, seen: &[Observation]) -> Self {
        let mut regions = bound_policy.profile.regions.iter();
        let profile_region = ProfileRegion {
            profile: bound_policy.profile.name.clone(),
            region: regions.next().expect("a region").clone(),
        };
        let record = RegionRecord::swept(&profile_region.region, bound_policy, seen);
        self.lock().insert(profile_region, record);
        self
    }
}

#[cfg(test)]
impl RegionRecord {
    /// Returns a region after a complete sweep for one policy.
    fn swept(region: &Region, bound_policy: &BoundPolicy, seen: &[Observation]) -> Self {
        let record = Self::new(region.clone());
        let facts = Facts {
            operations: &OperationIndex::default(),
            stability: &secret_rotation_core::stability::StabilityTracker::default(),
        };
        let bound_policy = Arc::new(bound_policy.clone());
        let mut engine = record.engine();
        engine.set_policy(&bound_policy, &PreviousFindings::default(), facts);
        let read = engine.begin(&[bound_policy.policy.uid.clone()].into(), true);
        engine.note_time(&read, fixtures::now());
        for one in seen {
            engine.take(&read, one, facts);
        }
        engine.end(&read, &engine::Ended::default());
        drop(engine);
        record
    }
}

#[cfg(test)]
mod tests {
    use fixtures::{REGION, arn, bare_secret, observation, policy, region, selecting};

    use super::*;
    use crate::policy::preconditions;

    /// A user who requests checks in a loop gets at most one in each interval.
    #[tokio::test(start_paused = true)]
    async fn the_first_check_runs_immediately_and_later_ones_once_per_interval() {
        let (sweeps, policy, interval) = (SweepStore::default(), uid(), Duration::from_mins(1));
        let begun = clock::now();
        let ask = |token: &str| sweeps.request_check(&policy, token, interval);
        assert_eq!(ask("1"), Some(begun));
        assert_eq!(ask("1"), None, "it is known");
        assert_eq!(ask("2"), Some(begun + interval));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(ask("3"), Some(begun + interval), "one check serves both");
        tokio::time::advance(Duration::from_secs(55)).await;
        assert_eq!(ask("4"), Some(begun + interval * 2));
        tokio::time::advance(interval * 9).await;
        assert_eq!(ask("5"), Some(clock::now()), "after a quiet time");
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_an_operation_requests_a_look_only_where_the_secret_is_known() {
        let sweeps = SweepStore::default();
        let arn = arn("prod/a");
        let (profile_regions, _) = sweeps.operation_ended(&arn, true);
        assert_eq!(profile_regions, [], "no region knows it");
        assert!(!sweeps.is_current(&arn));
        sweeps.store(&profile_region(), knowing("prod/a"));
        let (profile_regions, at) = sweeps.operation_ended(&arn, true);
        assert_eq!(profile_regions, [profile_region()]);
        assert_eq!(
            sweeps.take_task(&profile_region(), clock::now()),
            SweepTask::default()
        );
        tokio::time::advance(SETTLING).await;
        let task = sweeps.take_task(&profile_region(), at);
        assert_eq!(
            (task.policies.len(), task.secrets),
            (0, [arn.clone()].into())
        );
        let mut record = sweeps.record(&profile_region());
        record.looked.insert(arn.clone(), at);
        sweeps.store(&profile_region(), record);
        assert!(sweeps.is_current(&arn));
    }

    /// The look must happen late enough to be current: what is seen within a minute does not justify another
    /// operation.
    #[tokio::test(start_paused = true)]
    async fn after_an_operation_without_a_write_the_look_waits_until_it_is_current() {
        let sweeps = SweepStore::default();
        sweeps.store(&profile_region(), knowing("prod/a"));
        let arn = arn("prod/a");
        let (_, at) = sweeps.operation_ended(&arn, false);
        assert_eq!(at, clock::now() + AFTER_NOTHING);
        assert_eq!(sweeps.next_request(&profile_region()), Some(at));
        let mut record = sweeps.record(&profile_region());
        record.looked.insert(arn.clone(), at);
        sweeps.store(&profile_region(), record);
        assert!(sweeps.is_current(&arn));
    }

    #[test]
    fn a_changed_interval_of_the_policy_or_its_profile_is_noticed() {
        let (sweeps, mut bound_policy) = (SweepStore::default(), bound_policy());
        assert!(
            sweeps.has_current_interval(&profile_region(), &bound_policy),
            "it was never swept"
        );
        let uid = bound_policy.policy.uid.clone();
        let mut record = RegionRecord::new(region(REGION));
        record.check_intervals = [(uid, interval::check_interval(&bound_policy))].into();
        sweeps.store(&profile_region(), record);
        assert!(sweeps.has_current_interval(&profile_region(), &bound_policy));
        bound_policy.policy.check_interval = Duration::from_mins(2);
        assert!(!sweeps.has_current_interval(&profile_region(), &bound_policy));
        bound_policy.policy.check_interval = Duration::from_mins(5);
        bound_policy.profile.min_check_interval = Duration::from_mins(9);
        assert!(!sweeps.has_current_interval(&profile_region(), &bound_policy));
    }

    #[test]
    fn a_shorter_max_age_needs_a_new_read_and_a_longer_one_does_not() {
        let (sweeps, mut bound_policy) = (SweepStore::default(), bound_policy());
        let selection = preconditions::selection(&bound_policy);
        bound_policy.policy.detection.max_age = Some(Duration::from_hours(48));
        sweeps.store(
            &profile_region(),
            RegionRecord::swept(&region(REGION), &bound_policy, &[]),
        );
        for (hours, serves) in [
            (None, true),
            (Some(72), true),
            (Some(48), true),
            (Some(24), false),
        ] {
            bound_policy.policy.detection.max_age = hours.map(Duration::from_hours);
            assert_eq!(
                sweeps.covers(&profile_region(), &bound_policy, &selection),
                serves,
                "{hours:?}"
            );
        }
    }

    /// A sweep that begins gives the engine the policy as it was then. If the policy has changed back since the view was
    /// made, rows may be missing, so nothing is known until the next read.
    #[test]
    fn a_selection_that_the_engine_has_lost_since_the_view_is_not_surveyed_as_complete() {
        let (sweeps, bound_policy) = (SweepStore::default(), bound_policy());
        let seen = [observation(bare_secret("prod/a"), None)];
        let record = RegionRecord::swept(&region(REGION), &bound_policy, &seen);
        sweeps.store(&profile_region(), record);
        let selection = preconditions::selection(&bound_policy);
        let view = sweeps.view(&bound_policy.policy.uid, &selection, &[profile_region()]);
        let (nothing, operations) = (PreviousFindings::default(), OperationIndex::default());
        let stability = SharedStability::default();
        let survey = || {
            let known = (&nothing, &nothing);
            let bound_policy = Arc::new(bound_policy.clone());
            sweeps.survey(&bound_policy, &view, known, (&operations, &stability))
        };
        assert_eq!((survey().selected, survey().is_complete()), (1, true));
        let other = fixtures::bound_policy(selecting(policy("payments"), "shared/"));
        let facts = Facts {
            operations: &operations,
            stability: &stability.lock().clone(),
        };
        let record = sweeps.record(&profile_region());
        record
            .engine()
            .set_policy(&Arc::new(other), &nothing, facts);
        assert_eq!((survey().selected, survey().is_complete()), (0, false));
    }

    /// A sweep that began before another replica held the lease must not bring back what it knew.
    #[test]
    fn a_record_from_before_everything_was_cleared_is_not_stored_again() {
        let sweeps = SweepStore::default();
        sweeps.store(&profile_region(), knowing("prod/a"));
        let before = sweeps.record(&profile_region());
        sweeps.clear();
        sweeps.store(&profile_region(), before);
        assert_eq!(sweeps.profile_regions(), []);
        sweeps.store(&profile_region(), sweeps.record(&profile_region()));
        assert_eq!(sweeps.profile_regions(), [profile_region()]);
        assert!(sweeps.record(&profile_region()).engine().is_empty());
    }

    /// Valid credentials of another account show its secrets. An outage does not make them the right ones.
    #[test]
    fn secrets_of_another_account_are_reported_until_those_of_the_right_account_are_seen() {
        let sweeps = SweepStore::default();
        let mut profile = bound_policy().profile;
        let account = |id: &str| AccountId::parse(id).expect("an account");
        assert_eq!(sweeps.foreign_account(&profile), None);
        profile.account = Some(account("999999999999"));
        assert_eq!(
            sweeps.foreign_account(&profile),
            None,
            "nothing was seen yet"
        );
        sweeps.store(&profile_region(), knowing("prod/a"));
        assert_eq!(
            sweeps.foreign_account(&profile),
            Some(account("111122223333"))
        );
        profile.account = Some(account("111122223333"));
        assert_eq!(
            sweeps.foreign_account(&profile),
            None,
            "the profile was corrected"
        );
        profile.account = None;
        assert_eq!(
            sweeps.foreign_account(&profile),
            None,
            "it takes what there is"
        );
        profile.account = Some(account("999999999999"));
        let mut elsewhere = bound_policy().profile;
        elsewhere.name = ProfileName::parse("elsewhere").expect("a name");
        elsewhere.account = profile.account.clone();
        assert_eq!(
            sweeps.foreign_account(&elsewhere),
            None,
            "of another profile"
        );
    }

    fn knowing(name: &str) -> RegionRecord {
        let bound_policy = bound_policy();
        let mut record = RegionRecord::swept(
            &region(REGION),
            &bound_policy,
            &[observation(bare_secret(name), None)],
        );
        record.accounts = [AccountId::parse("111122223333").expect("an account")].into();
        record
    }

    fn profile_region() -> ProfileRegion {
        ProfileRegion {
            profile: bound_policy().profile.name,
            region: region(REGION),
        }
    }

    fn bound_policy() -> BoundPolicy {
        fixtures::bound_policy(selecting(policy("payments"), "prod/"))
    }

    fn uid() -> Uid {
        bound_policy().policy.uid
    }
}
