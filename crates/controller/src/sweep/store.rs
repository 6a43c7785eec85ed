//! Stores the last results of the sweepers, and the requests to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secret_rotation_core::aws_error::AwsError;
use secret_rotation_core::inventory::Inventory;
use secret_rotation_core::names::{AccountId, Arn, FunctionArn, ProfileName, Region, Uid};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::profile::Profile;
use secret_rotation_core::selector::Selector;
use secret_rotation_core::time::AwsTime;
use tokio::time::Instant;

use super::interval;
use super::record::RegionRecord;
use super::requests::{Requests, SweepTask};
use crate::aws_connections::ProfileRegion;
use crate::clock;

/// After an operation that ended without a write, no operation is created from what was seen of the secret within
/// this time.
const AFTER_NOTHING: Duration = Duration::from_mins(1);

/// The time after which a change shows in the answers of AWS.
const SETTLING: Duration = Duration::from_secs(2);

/// The last results of the sweepers, and the requests to them.
#[derive(Debug, Default)]
pub(crate) struct SweepStore {
    records: Mutex<BTreeMap<ProfileRegion, RegionRecord>>,
    requested_checks: Mutex<BTreeMap<Uid, RequestedCheck>>,
    /// Secrets whose known state is outdated until a sweep or look that begins at or after this time.
    outdated: Mutex<BTreeMap<Arn, Instant>>,
    requests: Mutex<BTreeMap<ProfileRegion, Requests>>,
}

/// A check that a user requested.
#[derive(Clone, Debug)]
struct RequestedCheck {
    token: String,
    seen: Instant,
    /// The earliest time of the check.
    at: Instant,
}

/// The facts on which a policy is evaluated.
#[derive(Clone, Debug, Default)]
pub(crate) struct SweepView {
    /// The inventory of the last sweep of each region.
    pub inventories: Vec<Arc<Inventory>>,
    /// The regions whose sweep was incomplete, and why.
    pub gaps: Vec<(Region, AwsError)>,
    /// Whether some region was not swept yet.
    pub is_waiting: bool,
    /// Whether every incomplete sweep is the first in a row: the next one may be complete again.
    pub is_blinking: bool,
    /// Whether every region was seen completely.
    is_complete: bool,
    /// The regions that were never seen completely for the policy.
    pub unsettled: BTreeSet<Region>,
    /// When the earliest of the sweeps began.
    began: Option<Instant>,
    /// The time of AWS now.
    pub now: Option<AwsTime>,
}

impl SweepStore {
    /// Returns whether the last read of the region covers what the policy needs.
    pub(crate) fn covers(
        &self,
        profile_region: &ProfileRegion,
        bound_policy: &BoundPolicy,
        selection: &Selector,
    ) -> bool {
        let records = self.records();
        let policy = &bound_policy.policy;
        let known = records
            .get(profile_region)
            .map(|record| record.for_policy(&policy.uid, selection));
        let max_age = policy.detection.max_age;
        known.is_some_and(|known| {
            known.covers(&policy.uid, selection)
                && max_age.is_none_or(|age| known.max_age.is_some_and(|known| known <= age))
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

    /// Returns what is known in all of these regions together.
    pub(crate) fn view(
        &self,
        policy: &Uid,
        selection: &Selector,
        profile_regions: &[ProfileRegion],
    ) -> SweepView {
        let records = self.records();
        let of = |profile_region: &ProfileRegion| {
            Some(records.get(profile_region)?.for_policy(policy, selection))
        };
        let known: Vec<_> = profile_regions
            .iter()
            .filter_map(of)
            .filter(|record| record.covers(policy, selection))
            .collect();
        let now = clock::now();
        SweepView {
            inventories: known
                .iter()
                .filter_map(|record| record.inventory.clone())
                .collect(),
            gaps: profile_regions
                .iter()
                .filter_map(|profile_region| {
                    let gap = of(profile_region)?.gap.clone()?;
                    Some((profile_region.region.clone(), gap))
                })
                .collect(),
            is_blinking: known.iter().all(|record| record.failures < 2),
            is_complete: profile_regions.iter().all(|profile_region| {
                of(profile_region).is_some_and(|record| {
                    record.gap.is_none() && record.is_complete_for(policy, selection)
                })
            }),
            unsettled: profile_regions
                .iter()
                .filter(|profile_region| {
                    of(profile_region)
                        .is_none_or(|record| !record.is_complete_for(policy, selection))
                })
                .map(|profile_region| profile_region.region.clone())
                .collect(),
            is_waiting: known.len() < profile_regions.len(),
            began: known.iter().filter_map(|record| record.began).min(),
            now: profile_regions
                .iter()
                .filter_map(|profile_region| records.get(profile_region))
                .filter_map(|record| {
                    record
                        .time
                        .map(|(time, taken)| clock::advanced(time, taken, now))
                })
                .max(),
        }
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
        let knows = |record: &RegionRecord| {
            let inventory = record.inventory.as_ref();
            inventory.is_some_and(|inventory| inventory.secrets.contains_key(secret))
        };
        let records = self.records();
        let profile_regions: Vec<_> = records
            .iter()
            .filter(|(_, record)| knows(record))
            .map(|(profile_region, _)| profile_region.clone())
            .collect();
        drop(records);
        let mut requests = self.lock_requests();
        for profile_region in &profile_regions {
            note(requests.entry(profile_region.clone()).or_default());
        }
        profile_regions
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
        let of_region = records
            .iter()
            .filter(|(profile_region, _)| profile_region.region == *arn.region());
        let mut inventories = of_region.filter_map(|(_, record)| record.inventory.as_ref());
        inventories.find_map(|inventory| inventory.secrets.get(arn)?.secret.function().cloned())
    }

    /// Returns the last inventories of a profile, and the regions whose sweep was incomplete.
    pub(crate) fn of_profile(
        &self,
        profile: &ProfileName,
    ) -> (Vec<Arc<Inventory>>, Vec<(Region, AwsError)>) {
        let records = self.records();
        let own: Vec<_> = records
            .iter()
            .filter(|(profile_region, _)| profile_region.profile == *profile)
            .collect();
        let gaps = own
            .iter()
            .filter_map(|(profile_region, record)| {
                Some((profile_region.region.clone(), record.gap.clone()?))
            })
            .collect();
        (
            own.into_iter()
                .filter_map(|(_, record)| record.inventory.clone())
                .collect(),
            gaps,
        )
    }

    /// Removes a deleted policy.
    pub(crate) fn forget(&self, policy: &Uid) {
        self.requested_checks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(policy);
        for record in self.records().values_mut() {
            record.own.remove(policy);
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
        self.records()
            .get(profile_region)
            .cloned()
            .unwrap_or_default()
    }

    /// Stores what was seen of the region. If no secret is visible, the known accounts are kept.
    pub(super) fn store(&self, profile_region: &ProfileRegion, mut record: RegionRecord) {
        let seen = record.inventory.as_deref().map(Inventory::accounts);
        let mut records = self.records();
        let known = records
            .get(profile_region)
            .map(|known| known.accounts.clone());
        let seen = seen.filter(|seen| !seen.is_empty());
        record.accounts = seen.or(known).unwrap_or_default();
        records.insert(profile_region.clone(), record);
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
        self.records().clear();
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
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use fixtures::{REGION, arn, bare_secret, observation, policy, region};

    use super::*;

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
        assert_eq!(profile_regions, [], "nobody knows it");
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
        let seen = record.inventory.clone().expect("it was swept");
        record.merge_seen(&seen, Some(at));
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
        let seen = record.inventory.clone().expect("it was swept");
        record.merge_seen(&seen, Some(at));
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
        let record = RegionRecord {
            check_intervals: [(uid, interval::check_interval(&bound_policy))].into(),
            ..RegionRecord::default()
        };
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
        let selection = bound_policy.policy.selector.clone();
        let record = RegionRecord {
            served: [(bound_policy.policy.uid.clone(), selection.clone())].into(),
            max_age: Some(Duration::from_hours(48)),
            ..RegionRecord::default()
        };
        sweeps.store(&profile_region(), record);
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
        sweeps.store(&profile_region(), RegionRecord::default());
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
        let inventory = Inventory {
            completed: None,
            ..fixtures::inventory(vec![observation(bare_secret(name), None)])
        };
        RegionRecord {
            inventory: Some(Arc::new(inventory)),
            ..RegionRecord::default()
        }
    }

    fn profile_region() -> ProfileRegion {
        ProfileRegion {
            profile: bound_policy().profile.name,
            region: region(REGION),
        }
    }

    fn bound_policy() -> BoundPolicy {
        fixtures::bound_policy(policy("payments"))
    }

    fn uid() -> Uid {
        bound_policy().policy.uid
    }
}
