//! What the sweepers saw last, and what they were asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secret_rotation_core::clock::AwsTime;
use secret_rotation_core::identity::{Arn, FunctionArn, ProfileName, Uid};
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
    /// The selectors that the last sweep served, by policy.
    pub(super) served: BTreeMap<Uid, Selector>,
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
    /// What could not be seen somewhere.
    pub gap: Option<AwsError>,
    /// Whether some region was not swept yet.
    pub is_waiting: bool,
    /// When the sweep began that began first.
    began: Option<Instant>,
    /// AWS's time now.
    pub now: Option<AwsTime>,
}

impl Sweeps {
    /// Whether the last sweep of the place served this selector.
    pub(crate) fn serves(&self, place: &Place, policy: &Uid, selector: &Selector) -> bool {
        self.records()
            .get(place)
            .and_then(|record| record.served.get(policy))
            == Some(selector)
    }

    /// What is known of all places together.
    pub(crate) fn view(&self, places: &[Place]) -> View {
        let records = self.records();
        let known: Vec<_> = places
            .iter()
            .filter_map(|place| records.get(place))
            .collect();
        let now = clock::now();
        View {
            inventories: known
                .iter()
                .filter_map(|record| record.inventory.clone())
                .collect(),
            gap: known.iter().find_map(|record| record.gap.clone()),
            is_waiting: places.iter().any(|place| {
                records
                    .get(place)
                    .is_none_or(|record| record.began.is_none())
            }),
            began: known.iter().filter_map(|record| record.began).min(),
            now: known
                .iter()
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

    /// The token of the requested check, if every sweep began after it was asked for.
    pub(crate) fn handled(&self, policy: &Uid, view: &View) -> Option<String> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let request = requests.get(policy)?;
        let complete = !view.is_waiting && view.began.is_some_and(|began| began >= request.seen);
        complete.then(|| request.token.clone())
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
            inventory.is_some_and(|inventory| inventory.secrets.contains_key(arn))
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
    ) -> (Vec<Arc<Inventory>>, Option<AwsError>) {
        let records = self.records();
        let own: Vec<_> = records
            .iter()
            .filter(|(place, _)| place.profile == *profile)
            .map(|(_, record)| record)
            .collect();
        let gap = own.iter().find_map(|record| record.gap.clone());
        (
            own.into_iter()
                .filter_map(|record| record.inventory.clone())
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
