//! What the sweepers saw last, and what they were asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secret_rotation_core::clock::AwsTime;
use secret_rotation_core::identity::{Arn, FunctionArn, ProfileName, Region, Uid};
use secret_rotation_core::inventory::Inventory;
use secret_rotation_core::operation::Operation;
use secret_rotation_core::outcome::AwsError;
use secret_rotation_core::selector::Selector;
use tokio::time::Instant;

use super::wishes::Wishes;
use crate::accounts::Place;
use crate::clock;

/// After an operation that ended without a write, none is created on the secret by what was seen within this time.
const AFTER_NOTHING: Duration = Duration::from_mins(1);

/// When to look again for a secret that a sweep missed.
const FIRST_PROOF: Duration = Duration::from_secs(15);

/// The same after the first time: two complete sweeps must be this far apart.
const NEXT_PROOF: Duration = Duration::from_mins(5);

/// What the sweepers saw last.
#[derive(Debug, Default)]
pub(crate) struct Sweeps {
    records: Mutex<BTreeMap<Place, Record>>,
    requests: Mutex<BTreeMap<Uid, Request>>,
    /// Secrets of which only a sweep that begins later knows the truth.
    outdated: Mutex<BTreeMap<Arn, Instant>>,
    wishes: Mutex<BTreeMap<Place, Wishes>>,
}

/// What is kept of one place.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub(super) inventory: Option<Arc<Inventory>>,
    /// What the last sweep could not see.
    pub(super) gap: Option<AwsError>,
    pub(super) failures: u32,
    pub(super) began: Option<Instant>,
    /// When the next one is due.
    pub(super) due: Option<Instant>,
    /// Until when a local reading of AWS's clock goes: its value and when it was taken.
    pub(super) time: Option<(AwsTime, Instant)>,
    /// What the last sweep was to read for each policy.
    pub(super) served: BTreeMap<Uid, Selector>,
    /// The same of sweeps that saw everything: of these policies it is known what is absent.
    pub(super) settled: BTreeMap<Uid, Selector>,
}

impl Record {
    /// How soon another sweep is to prove that secrets are gone which this one missed. The first proof is sought at once,
    /// later ones as far apart as lists lag.
    pub(super) fn unproved(&self) -> Option<Duration> {
        let inventory = self.inventory.as_ref()?;
        let rows = inventory.secrets.values();
        let missed = rows.filter_map(|row| row.unseen?.missed);
        let latest = missed.max()?;
        Some(if latest >= inventory.time {
            FIRST_PROOF
        } else {
            NEXT_PROOF
        })
    }

    /// Whether the last sweep was to read this for the policy. One that served a narrower selection says nothing of what it
    /// left out.
    fn serves(&self, policy: &Uid, reach: &Selector) -> bool {
        self.served.get(policy) == Some(reach)
    }

    /// Whether some sweep saw all of this for the policy.
    fn is_settled(&self, policy: &Uid, reach: &Selector) -> bool {
        self.settled.get(policy) == Some(reach)
    }
}

/// A check that somebody asked for.
#[derive(Clone, Debug)]
struct Request {
    token: String,
    seen: Instant,
}

/// What a policy can be judged on.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// What each region's last sweep saw.
    pub inventories: Vec<Arc<Inventory>>,
    /// What could not be seen somewhere, and where.
    pub gap: Option<(Region, AwsError)>,
    /// Whether some region was not swept yet.
    pub is_waiting: bool,
    /// Whether what could not be seen is missing for the first time: the next sweep may see it again.
    pub is_blinking: bool,
    /// Whether every region was seen completely.
    is_complete: bool,
    /// Regions that were never seen completely for the policy.
    pub unsettled: BTreeSet<Region>,
    /// When the sweep began that began first.
    began: Option<Instant>,
    /// AWS's time now.
    pub now: Option<AwsTime>,
}

impl Sweeps {
    /// Whether the last sweep of the place was to read this for the policy.
    pub(crate) fn serves(&self, place: &Place, policy: &Uid, reach: &Selector) -> bool {
        let records = self.records();
        let record = records.get(place);
        record.is_some_and(|record| record.serves(policy, reach))
    }

    /// What is known of all places together.
    pub(crate) fn view(&self, policy: &Uid, reach: &Selector, places: &[Place]) -> View {
        let records = self.records();
        let known: Vec<_> = places
            .iter()
            .filter_map(|place| records.get(place))
            .filter(|record| record.serves(policy, reach))
            .collect();
        let now = clock::now();
        View {
            inventories: known
                .iter()
                .filter_map(|record| record.inventory.clone())
                .collect(),
            gap: places.iter().find_map(|place| {
                let gap = records.get(place)?.gap.clone()?;
                Some((place.region.clone(), gap))
            }),
            is_blinking: known.iter().all(|record| record.failures < 2),
            is_complete: places.iter().all(|place| {
                let record = records.get(place);
                record
                    .is_some_and(|record| record.gap.is_none() && record.is_settled(policy, reach))
            }),
            unsettled: places
                .iter()
                .filter(|place| {
                    let record = records.get(place);
                    record.is_none_or(|record| !record.is_settled(policy, reach))
                })
                .map(|place| place.region.clone())
                .collect(),
            is_waiting: known.len() < places.len(),
            began: known.iter().filter_map(|record| record.began).min(),
            now: places
                .iter()
                .filter_map(|place| records.get(place))
                .filter_map(|record| {
                    record
                        .time
                        .map(|(time, taken)| clock::carried(time, taken, now))
                })
                .max(),
        }
    }

    /// Takes note of a requested check, once; whether it is new.
    pub(crate) fn request(&self, policy: &Uid, token: &str) -> bool {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let known = requests
            .get(policy)
            .is_some_and(|request| request.token == token);
        if !known {
            requests.insert(
                policy.clone(),
                Request {
                    token: token.to_owned(),
                    seen: clock::now(),
                },
            );
        }
        !known
    }

    /// The token of the requested check, if every sweep began after it was asked for and saw everything.
    pub(crate) fn handled(&self, policy: &Uid, view: &View) -> Option<String> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let request = requests.get(policy)?;
        let is_later = view.began.is_some_and(|began| began >= request.seen);
        (is_later && view.is_complete).then(|| request.token.clone())
    }

    /// Somebody wants the place swept, not just some secrets looked at.
    pub(crate) fn want(&self, place: &Place) {
        self.lock_wishes()
            .entry(place.clone())
            .or_default()
            .want_everything();
    }

    /// Something may have happened to a secret: the places whose sweepers know it.
    pub(crate) fn hint(&self, secret: &Arn) -> Vec<Place> {
        let knows = |record: &Record| {
            let inventory = record.inventory.as_ref();
            inventory.is_some_and(|inventory| inventory.secrets.contains_key(secret))
        };
        let records = self.records();
        let places: Vec<_> = records
            .iter()
            .filter(|(_, record)| knows(record))
            .map(|(place, _)| place.clone())
            .collect();
        drop(records);
        let mut wishes = self.lock_wishes();
        for place in &places {
            wishes
                .entry(place.clone())
                .or_default()
                .hint(secret.clone());
        }
        places
    }

    /// Some secrets were looked at again.
    pub(super) fn renew(&self, place: &Place, inventory: Arc<Inventory>) {
        if let Some(record) = self.records().get_mut(place) {
            record.inventory = Some(inventory);
        }
    }

    pub(super) fn lock_wishes(&self) -> MutexGuard<'_, BTreeMap<Place, Wishes>> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An operation on the secret has ended: what was seen of it before is no ground for another one. Where it ended
    /// before it wrote anything, whoever wanted it judged differently from it, and does not get his way at once.
    pub(crate) fn operation_ended(&self, arn: &Arn, wrote: bool) {
        let pause = if wrote { Duration::ZERO } else { AFTER_NOTHING };
        self.lock_outdated()
            .insert(arn.clone(), clock::now() + pause);
    }

    /// Whether what is known of the secret was seen after its last operation ended.
    pub(crate) fn is_current(&self, arn: &Arn) -> bool {
        let Some(outdated) = self.lock_outdated().get(arn).copied() else {
            return true;
        };
        let records = self.records();
        let seen = records.values().any(|record| {
            let inventory = record.inventory.as_ref();
            let row = inventory.and_then(|inventory| inventory.secrets.get(arn));
            row.is_some_and(|row| row.unseen.is_none())
                && record.began.is_some_and(|began| began >= outdated)
        });
        drop(records);
        if seen {
            self.lock_outdated().remove(arn);
        }
        seen
    }

    /// The rotation function of each secret that an unfinished operation is about.
    pub(crate) fn functions(&self, operations: &[Operation]) -> BTreeMap<Arn, FunctionArn> {
        let inventories: Vec<_> = self
            .records()
            .values()
            .filter_map(|record| record.inventory.clone())
            .collect();
        let unfinished = operations
            .iter()
            .filter(|operation| !operation.is_finished())
            .filter_map(|operation| operation.arn.as_ref());
        let function = |arn: &Arn| {
            inventories
                .iter()
                .find_map(|inventory| inventory.secrets.get(arn)?.secret.function().cloned())
        };
        unfinished
            .filter_map(|arn| Some((arn.clone(), function(arn)?)))
            .collect()
    }

    /// The last inventories of a profile.
    pub(crate) fn of_profile(
        &self,
        profile: &ProfileName,
    ) -> (Vec<Arc<Inventory>>, Option<(Region, AwsError)>) {
        let records = self.records();
        let own: Vec<_> = records
            .iter()
            .filter(|(place, _)| place.profile == *profile)
            .collect();
        let gap = own
            .iter()
            .find_map(|(place, record)| Some((place.region.clone(), record.gap.clone()?)));
        (
            own.into_iter()
                .filter_map(|(_, record)| record.inventory.clone())
                .collect(),
            gap,
        )
    }

    /// The policy is gone.
    pub(crate) fn forget(&self, policy: &Uid) {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(policy);
    }

    /// When each place is due that was swept before.
    pub(crate) fn due(&self) -> Vec<(Place, Instant)> {
        let now = clock::now();
        let records = self.records();
        let due = |(place, record): (&Place, &Record)| (place.clone(), record.due.unwrap_or(now));
        records.iter().map(due).collect()
    }

    /// Forgets everything: another replica may have acted since.
    pub(crate) fn clear(&self) {
        self.records().clear();
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        self.lock_outdated().clear();
        self.lock_wishes().clear();
    }

    fn lock_outdated(&self) -> MutexGuard<'_, BTreeMap<Arn, Instant>> {
        self.outdated.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn records(&self) -> MutexGuard<'_, BTreeMap<Place, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
