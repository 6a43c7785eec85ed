//! What is known of one region of a profile: its engine, its last sweep, and the looks since then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use secret_rotation_core::aws_error::AwsError;
use secret_rotation_core::engine::{Engine, Read};
use secret_rotation_core::names::{AccountId, Arn, Region, Uid};
use secret_rotation_core::time::AwsTime;
use tokio::time::Instant;

/// How long after a sweep missed a secret the next sweep runs, to confirm that the secret is gone.
const FIRST_CONFIRMATION: Duration = Duration::from_secs(15);

/// The pause before later confirming sweeps: two complete sweeps must be this far apart.
const NEXT_CONFIRMATION: Duration = Duration::from_mins(5);

/// The engine of a region. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct RegionEngine(Arc<Mutex<Engine>>);

impl RegionEngine {
    /// Returns the engine. The guard must not be held across an await. After a panic in the middle of a change the
    /// engine may count wrongly, so it starts again with nothing.
    pub(super) fn lock(&self) -> MutexGuard<'_, Engine> {
        self.0.lock().unwrap_or_else(|poisoned| {
            let mut engine = poisoned.into_inner();
            *engine = engine.emptied();
            self.0.clear_poison();
            engine
        })
    }
}

/// What is known of one region of a profile. Clones share the engine.
#[derive(Clone, Debug)]
pub(super) struct RegionRecord {
    /// The number of times that everything was cleared before the record was made.
    pub(super) generation: u64,
    engine: RegionEngine,
    /// The last whole sweep.
    pub(super) sweep: Option<LastSweep>,
    /// The number of consecutive incomplete sweeps.
    pub(super) failures: u32,
    /// The time of AWS at an instant of the local clock, from which the time of AWS now is derived.
    pub(super) time: Option<(AwsTime, Instant)>,
    /// The check interval of each policy, from which the time of the next sweep was computed.
    pub(super) check_intervals: BTreeMap<Uid, Duration>,
    /// When a sweep or a look last began.
    pub(super) active: Option<Instant>,
    /// When single secrets were looked at since the sweep.
    pub(super) looked: BTreeMap<Arn, Instant>,
    /// The number of consecutive looks at single secrets in which one had no answer.
    pub(super) misses: u32,
    /// The accounts of the secrets that were visible last.
    pub(super) accounts: BTreeSet<AccountId>,
    /// The last read of each policy, by a sweep or for it alone.
    pub(super) reads: BTreeMap<Uid, PolicyRead>,
}

/// A whole sweep.
#[derive(Clone, Debug)]
pub(super) struct LastSweep {
    pub(super) read: Read,
    pub(super) began: Instant,
    pub(super) ended: Instant,
    /// Why it was incomplete.
    pub(super) gap: Option<AwsError>,
    /// How soon another sweep must confirm that the secrets that this one missed are gone.
    pub(super) confirm_after: Option<Duration>,
    /// The number of secrets that AWS showed.
    pub(super) shown: usize,
}

/// The last read of what one policy selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PolicyRead {
    pub(super) began: Instant,
    /// The number of consecutive incomplete reads.
    pub(super) failures: u32,
}

impl RegionRecord {
    /// Creates the record of a region of which nothing is known.
    pub(super) fn new(region: Region) -> Self {
        Self {
            generation: 0,
            engine: RegionEngine(Arc::new(Mutex::new(Engine::new(region)))),
            sweep: None,
            failures: 0,
            time: None,
            check_intervals: BTreeMap::new(),
            active: None,
            looked: BTreeMap::new(),
            misses: 0,
            accounts: BTreeSet::new(),
            reads: BTreeMap::new(),
        }
    }

    /// Returns the record of a region that is not read for now.
    pub(super) fn rested(self) -> Self {
        Self {
            sweep: None,
            failures: 0,
            active: None,
            misses: 0,
            check_intervals: BTreeMap::new(),
            looked: BTreeMap::new(),
            reads: BTreeMap::new(),
            ..self
        }
    }

    /// Returns the engine. The guard must not be held across an await.
    pub(super) fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock()
    }

    /// Returns the engine without what the record holds of each policy.
    pub(super) fn handle(&self) -> RegionEngine {
        self.engine.clone()
    }

    /// Returns how soon another read must confirm that the secrets that this one missed are gone. The first
    /// confirmation follows immediately. Later ones are as far apart as lists of AWS may lag.
    pub(super) fn confirmation_delay(&self, read: &Read) -> Option<Duration> {
        let engine = self.engine();
        let latest = engine.last_missed(read)?;
        let is_first = engine.time(read).is_none_or(|time| latest >= time);
        Some(if is_first {
            FIRST_CONFIRMATION
        } else {
            NEXT_CONFIRMATION
        })
    }

    /// Returns whether a sweep or look that began at `outdated` or later saw the secret.
    pub(super) fn was_seen_since(&self, arn: &Arn, outdated: Instant) -> bool {
        let looked = self.looked.get(arn).is_some_and(|at| *at >= outdated);
        let sweep = self.sweep.as_ref();
        let swept = sweep
            .filter(|sweep| sweep.began >= outdated)
            .is_some_and(|sweep| self.engine().was_seen(arn, &sweep.read));
        looked && self.engine().knows(arn) || swept
    }
}
