//! The Lease that decides which replica sweeps, writes status and acts. It is not the fence, which the operation
//! reconciler has.
//!
//! ```text
//!            created, taken                 renewed every 2 s
//!  Vacant ───────────────────▶ Held(until) ──────────────────▶ Held(later)
//!    ▲                             │
//!    └── not renewed in time, taken by another, released ──┘
//! ```
//!
//! Each period of holding the lease is a *term*, and no step outlives it. Consecutive terms between which no other
//! replica held the lease form a *epoch*: what was seen of AWS stays valid throughout it.

pub(crate) mod election;
mod note;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::clock::{self, ServerClock};
use crate::error::Error;
use crate::jitter::spread;
use crate::kubernetes::with_timeout;
use crate::lease::election::{
    LEASE_DURATION, LeaseAction, LeaseRecord, ObservedRecord, RENEW_DEADLINE, next_action, observe,
};
pub(crate) use crate::lease::note::LeaseNote;

/// The name of the Lease.
pub(crate) const NAME: &str = "secret-rotation-controller";

/// The annotation of the Lease that holds the note of the last holder.
const NOTE: &str = "secretrotation.dev/note";

/// How often the holder renews the lease, and the other replicas read it. Five tries fit into [`RENEW_DEADLINE`].
const RETRY_PERIOD: Duration = Duration::from_secs(2);

/// Maximum time of one request about the Lease. A request that hangs costs one try.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum pause, however long the API server asks for: two tries must fit into [`RENEW_DEADLINE`].
const MAX_RETRY_AFTER: Duration = Duration::from_secs(4);

/// One unbroken period of holding the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The number of the period in this process.
    pub term: u64,
    /// Until when the lease may be trusted, on the monotonic clock.
    pub until: Instant,
}

/// The state that the elector publishes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LeaseState {
    claim: Option<Claim>,
    /// Increases whenever another replica may have held the lease.
    epoch: u64,
}

/// Whether this replica holds the lease. All clones show the same state.
#[derive(Clone, Debug)]
pub(crate) struct Leadership(watch::Receiver<LeaseState>);

impl Leadership {
    /// Returns the claim, if it can be trusted at this moment.
    pub(crate) fn claim(&self) -> Option<Claim> {
        self.0.borrow().trusted()
    }

    /// Returns whether the lease is held at this moment.
    pub(crate) fn is_held(&self) -> bool {
        self.claim().is_some()
    }

    /// Returns whether a term is not over but cannot be trusted now: a renewal may be in flight.
    pub(crate) fn is_uncertain(&self) -> bool {
        let state = self.0.borrow();
        state.claim.is_some() && state.trusted().is_none()
    }

    /// Returns the number of the epoch. While it stays the same, no other replica has held the lease.
    pub(crate) fn epoch(&self) -> u64 {
        self.0.borrow().epoch
    }

    /// Waits until a term begins that is not `last`. Returns the term and its epoch.
    pub(crate) async fn next_term(&self, last: Option<u64>) -> Option<(u64, u64)> {
        let mut leadership = self.0.clone();
        let state = *leadership
            .wait_for(|state| state.claim.is_some_and(|claim| Some(claim.term) != last))
            .await
            .ok()?;
        state.claim.map(|claim| (claim.term, state.epoch))
    }

    /// Waits for the end of a term.
    pub(crate) async fn term_ended(&self, term: u64) {
        let mut leadership = self.0.clone();
        // An error means that the lease loop has ended, which ends the term too.
        let _ = leadership
            .wait_for(|state| state.claim.is_none_or(|claim| claim.term != term))
            .await;
    }

    /// Waits for the end of an epoch. Without an epoch it waits forever.
    pub(crate) async fn epoch_ended(&self, epoch: Option<u64>) {
        let Some(epoch) = epoch else {
            return std::future::pending().await;
        };
        let mut leadership = self.0.clone();
        if leadership
            .wait_for(|state| state.epoch != epoch)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// Extends the trust in the current term, for tests.
    #[cfg(test)]
    pub(crate) fn extend(sender: &watch::Sender<LeaseState>, trust: Duration) {
        sender.send_modify(|state| {
            if let Some(claim) = &mut state.claim {
                claim.until = clock::now() + trust;
            }
        });
    }

    /// Returns a lease that is held for a time, for tests.
    #[cfg(test)]
    pub(crate) fn held_for(term: u64, trust: Duration) -> (watch::Sender<LeaseState>, Self) {
        let (sender, receiver) = watch::channel(LeaseState {
            claim: Some(Claim {
                term,
                until: clock::now() + trust,
            }),
            epoch: 1,
        });
        (sender, Self(receiver))
    }
}

impl LeaseState {
    fn trusted(&self) -> Option<Claim> {
        self.claim.filter(|claim| clock::now() < claim.until)
    }
}

/// What the Lease shows of its holders. It changes whenever another replica takes the Lease or someone creates it
/// again.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LeaseTransitions {
    uid: Option<String>,
    transitions: Option<i32>,
}

/// Holds the lease, or tries to acquire it.
#[derive(Debug)]
pub(crate) struct Elector {
    leases: Api<Lease>,
    identity: String,
    server_clock: Arc<ServerClock>,
    note: Arc<LeaseNote>,
    leadership: watch::Sender<LeaseState>,
    observed: Option<ObservedRecord>,
    /// The Lease as this replica last wrote it. Without it, the next try reads first.
    written: Option<Lease>,
    transitions: Option<LeaseTransitions>,
    terms: u64,
    /// The time between two reads by a replica that does not hold the lease.
    read_interval: Duration,
}

impl Elector {
    /// Creates an elector that does not run yet, and the state that it will publish.
    ///
    /// `client` must have no other user: a connection that hangs for another loop must not cost a try here.
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        own: String,
        server_clock: Arc<ServerClock>,
        note: Arc<LeaseNote>,
    ) -> (Self, Leadership) {
        let (leadership, receiver) = watch::channel(LeaseState::default());
        let leases = Api::namespaced(client, namespace);
        (
            Self {
                leases,
                read_interval: spread(RETRY_PERIOD, &own),
                identity: own,
                server_clock,
                note,
                leadership,
                observed: None,
                written: None,
                transitions: None,
                terms: 0,
            },
            Leadership(receiver),
        )
    }

    /// Holds the lease until it is asked to release it.
    pub(crate) async fn run(mut self, mut release: oneshot::Receiver<()>) {
        loop {
            let began = clock::now();
            let wait = match self.try_acquire_or_renew().await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(%error, "lease renewal or acquisition failed");
                    error
                        .retry_after()
                        .unwrap_or(RETRY_PERIOD)
                        .clamp(RETRY_PERIOD, MAX_RETRY_AFTER)
                }
            };
            tokio::select! {
                // This also happens when the sender was dropped.
                _ = &mut release => return self.release().await,
                // A try that took its whole time is followed by the next one immediately.
                () = self.pause(began + wait) => {}
            }
        }
    }

    /// Waits for the next try, and gives up the term as soon as trust in the last renewal ends.
    async fn pause(&self, next: Instant) {
        let trusted = self.leadership.borrow().claim.map(|claim| claim.until);
        if let Some(until) = trusted.filter(|until| *until <= next) {
            tokio::time::sleep_until(until).await;
            self.lose_term("not renewed in time");
        }
        tokio::time::sleep_until(next).await;
    }

    /// Runs one try. The holder overwrites what it wrote last, and the other replicas read first.
    async fn try_acquire_or_renew(&mut self) -> Result<Duration, Error> {
        if let Some(lease) = self.written.clone() {
            let sent = clock::now();
            match self.replace(lease).await {
                Ok(lease) => return Ok(self.adopt_own_write(lease, sent)),
                // Another client wrote or deleted the Lease, or an earlier try succeeded after all.
                Err(Error::Conflict | Error::AlreadyExists | Error::NotFound) => {
                    self.written = None;
                }
                Err(error) => return Err(error),
            }
        }
        let lease = with_timeout(REQUEST_TIMEOUT, self.leases.get_opt(NAME)).await?;
        if let Some(lease) = &lease {
            self.adopt_note(lease);
        }
        let record = lease.as_ref().map(record);
        self.observed = observe(self.observed.take(), record.as_ref(), clock::now());
        let sent = clock::now();
        let written = match (
            next_action(
                &self.identity,
                record.as_ref(),
                self.observed.as_ref(),
                sent,
            ),
            lease,
        ) {
            (LeaseAction::Watch, _) => {
                self.record_other_holder();
                return Ok(self.read_interval);
            }
            (LeaseAction::Create, _) | (_, None) => self.create().await,
            (LeaseAction::Renew | LeaseAction::Take, Some(lease)) => self.replace(lease).await,
        };
        match written {
            Ok(lease) => Ok(self.adopt_own_write(lease, sent)),
            Err(error) if error.is_conflict() => Ok(self.read_interval),
            Err(error) => Err(error),
        }
    }

    async fn create(&self) -> Result<Lease, Error> {
        let metadata = ObjectMeta {
            name: Some(NAME.to_owned()),
            annotations: self.annotations(None),
            ..ObjectMeta::default()
        };
        let lease = Lease {
            metadata,
            spec: Some(self.claim(None)),
        };
        with_timeout(
            REQUEST_TIMEOUT,
            self.leases.create(&PostParams::default(), &lease),
        )
        .await
    }

    /// Overwrites the Lease. The resourceVersion that was read makes this a compare-and-swap.
    async fn replace(&self, lease: Lease) -> Result<Lease, Error> {
        let spec = self.claim(lease.spec.as_ref());
        let metadata = ObjectMeta {
            annotations: self.annotations(lease.metadata.annotations),
            ..lease.metadata
        };
        let lease = Lease {
            metadata,
            spec: Some(spec),
        };
        let parameters = PostParams::default();
        with_timeout(
            REQUEST_TIMEOUT,
            self.leases.replace(NAME, &parameters, &lease),
        )
        .await
    }

    /// Adopts the note of another holder, which is newer than what this replica wrote.
    fn adopt_note(&self, lease: &Lease) {
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.as_deref());
        let annotations = lease.metadata.annotations.as_ref();
        let text = annotations.and_then(|annotations| annotations.get(NOTE));
        if let Some(text) = text.filter(|_| holder != Some(self.identity.as_str())) {
            self.note.set(text.clone());
        }
    }

    fn annotations(
        &self,
        stored: Option<BTreeMap<String, String>>,
    ) -> Option<BTreeMap<String, String>> {
        let Some(text) = self.note.get() else {
            return stored;
        };
        let mut annotations = stored.unwrap_or_default();
        annotations.insert(NOTE.to_owned(), text);
        Some(annotations)
    }

    fn claim(&self, spec: Option<&LeaseSpec>) -> LeaseSpec {
        let now = self
            .server_clock
            .time()
            .map(|time| MicroTime(time.timestamp()));
        let own =
            spec.filter(|last| last.holder_identity.as_deref() == Some(self.identity.as_str()));
        let transitions = spec.and_then(|last| last.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(
                i32::try_from(LEASE_DURATION.as_secs()).unwrap_or(i32::MAX),
            ),
            acquire_time: own.map_or_else(|| now.clone(), |own| own.acquire_time.clone()),
            renew_time: now,
            lease_transitions: Some(
                transitions.saturating_add(i32::from(own.is_none() && spec.is_some())),
            ),
            ..LeaseSpec::default()
        }
    }

    /// Records an accepted write of this replica. `sent` is an instant before the request was sent, so that trust
    /// ends early enough.
    fn adopt_own_write(&mut self, lease: Lease, sent: Instant) -> Duration {
        let until = sent + RENEW_DEADLINE;
        let transitions = transitions(&lease);
        let same = self.transitions.as_ref() == Some(&transitions);
        self.written = Some(lease);
        self.transitions = Some(transitions);
        let (terms, mut begins) = (&mut self.terms, false);
        // The clock is read while the claim is locked: a reader that found that trust had ended then sees a new
        // term.
        self.leadership.send_modify(|state| {
            begins = !same || state.trusted().is_none();
            *terms += u64::from(begins);
            state.epoch += u64::from(!same);
            let term = *terms;
            state.claim = Some(Claim { term, until });
        });
        if begins {
            let (holder, term) = (&self.identity, self.terms);
            tracing::info!(
                lease = NAME,
                holder,
                term,
                regained = same,
                "lease acquired"
            );
        }
        RETRY_PERIOD
    }

    /// Records that another replica holds the lease.
    fn record_other_holder(&mut self) {
        self.lose_term("taken by another");
        if self.transitions.take().is_some() {
            self.leadership.send_modify(|state| state.epoch += 1);
        }
    }

    fn lose_term(&self, why: &str) {
        if self.end_term().is_some() {
            tracing::warn!(lease = NAME, holder = self.identity, why, "lease lost");
        }
    }

    fn end_term(&self) -> Option<Claim> {
        let mut last = None;
        self.leadership.send_if_modified(|state| {
            last = state.claim.take();
            last.is_some()
        });
        last
    }

    /// Releases the lease, so that another replica need not wait until it expires.
    async fn release(self) {
        if self.end_term().is_none() {
            return;
        }
        match self.clear_holder().await {
            Ok(()) => tracing::info!(lease = NAME, holder = self.identity, "lease released"),
            Err(error) => tracing::warn!(%error, "lease release failed; the lease will expire"),
        }
    }

    async fn clear_holder(&self) -> Result<(), Error> {
        let Some(lease) = with_timeout(REQUEST_TIMEOUT, self.leases.get_opt(NAME)).await? else {
            return Ok(());
        };
        let Some(spec) = lease
            .spec
            .clone()
            .filter(|spec| spec.holder_identity.as_deref() == Some(self.identity.as_str()))
        else {
            return Ok(());
        };
        let released = Lease {
            spec: Some(LeaseSpec {
                holder_identity: None,
                lease_duration_seconds: Some(1),
                ..spec
            }),
            ..lease
        };
        let parameters = PostParams::default();
        with_timeout(
            REQUEST_TIMEOUT,
            self.leases.replace(NAME, &parameters, &released),
        )
        .await
        .map(drop)
    }
}

fn transitions(lease: &Lease) -> LeaseTransitions {
    LeaseTransitions {
        uid: lease.metadata.uid.clone(),
        transitions: lease.spec.as_ref().and_then(|spec| spec.lease_transitions),
    }
}

fn record(lease: &Lease) -> LeaseRecord {
    let spec = lease.spec.as_ref();
    let seconds = spec
        .and_then(|spec| spec.lease_duration_seconds)
        .and_then(|seconds| u64::try_from(seconds).ok());
    LeaseRecord {
        holder: spec.and_then(|spec| spec.holder_identity.clone()),
        resource_version: lease.metadata.resource_version.clone().unwrap_or_default(),
        term: seconds.map(Duration::from_secs),
    }
}
