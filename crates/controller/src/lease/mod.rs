//! The one Lease that says which replica sweeps, writes status and acts. It is not the fence: see the operation loop.
//!
//! ```text
//!            created, taken                 renewed every 5 s
//!  Vacant ───────────────────▶ Held(until) ──────────────────▶ Held(later)
//!    ▲                             │
//!    └── not renewed within TRUST, taken by another, released ──┘
//! ```

pub(crate) mod judge;

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
use crate::kubernetes::bounded;
use crate::lease::judge::{Move, Reading, Stillness, TERM, TRUST, judge, observe};

/// The name of the Lease.
pub(crate) const NAME: &str = "secret-rotation-controller";

/// How often the holder renews.
const RENEW: Duration = Duration::from_secs(5);

/// How often everybody else looks, and the holder after a failure.
const RETRY: Duration = Duration::from_secs(2);

/// One unbroken time of holding the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tenure {
    /// Counts the times of holding it in this process.
    pub term: u64,
    /// Until when it may be trusted, on the monotonic clock.
    pub until: Instant,
}

/// Whether this replica holds the lease. Clones see the same.
#[derive(Clone, Debug)]
pub(crate) struct Standing(watch::Receiver<Option<Tenure>>);

impl Standing {
    /// The tenure, if it can be trusted at this very moment.
    pub(crate) fn tenure(&self) -> Option<Tenure> {
        self.0.borrow().filter(|tenure| clock::now() < tenure.until)
    }

    /// Whether the lease is held at this very moment.
    pub(crate) fn is_held(&self) -> bool {
        self.tenure().is_some()
    }

    /// Waits for a term to begin that is not `last`.
    pub(crate) async fn begins(&self, last: Option<u64>) -> Option<u64> {
        let mut standing = self.0.clone();
        let tenure = standing
            .wait_for(|tenure| tenure.is_some_and(|tenure| Some(tenure.term) != last))
            .await
            .ok()?;
        tenure.map(|tenure| tenure.term)
    }

    /// Waits for the end of a term.
    pub(crate) async fn ends(&self, term: u64) {
        let mut standing = self.0.clone();
        // An error means that the lease loop is gone, which ends the term too.
        let _ = standing
            .wait_for(|tenure| tenure.is_none_or(|tenure| tenure.term != term))
            .await;
    }

    /// A lease that is always held, for tests.
    #[cfg(test)]
    pub(crate) fn held_for(term: u64, trust: Duration) -> (watch::Sender<Option<Tenure>>, Self) {
        let (sender, receiver) = watch::channel(Some(Tenure {
            term,
            until: clock::now() + trust,
        }));
        (sender, Self(receiver))
    }
}

/// Keeps the lease, or tries to get it.
#[derive(Debug)]
pub(crate) struct Keeper {
    leases: Api<Lease>,
    own: String,
    server_clock: Arc<ServerClock>,
    standing: watch::Sender<Option<Tenure>>,
    still: Option<Stillness>,
    terms: u64,
}

impl Keeper {
    /// A keeper that has not begun, and what it will publish.
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        own: String,
        server_clock: Arc<ServerClock>,
    ) -> (Self, Standing) {
        let (standing, receiver) = watch::channel(None);
        let leases = Api::namespaced(client, namespace);
        (
            Self {
                leases,
                own,
                server_clock,
                standing,
                still: None,
                terms: 0,
            },
            Standing(receiver),
        )
    }

    /// Keeps the lease until told to release it.
    pub(crate) async fn run(mut self, mut release: oneshot::Receiver<()>) {
        loop {
            let wait = match self.turn().await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(%error, "lease");
                    RETRY
                }
            };
            tokio::select! {
                // Also when the sender is gone.
                _ = &mut release => return self.release().await,
                () = self.pause(wait) => {}
            }
        }
    }

    /// Waits, and says so at once if trust in the last renewal ends meanwhile.
    async fn pause(&self, wait: Duration) {
        let next = clock::now() + wait;
        let trusted = self.standing.borrow().map(|tenure| tenure.until);
        if let Some(until) = trusted.filter(|until| *until <= next) {
            tokio::time::sleep_until(until).await;
            self.vacate("not renewed in time");
        }
        tokio::time::sleep_until(next).await;
    }

    async fn turn(&mut self) -> Result<Duration, Error> {
        let lease = bounded(self.leases.get_opt(NAME)).await?;
        let reading = lease.as_ref().map(reading);
        self.still = observe(self.still.take(), reading.as_ref(), clock::now());
        let sent = clock::now();
        match (
            judge(&self.own, reading.as_ref(), self.still.as_ref(), sent),
            lease,
        ) {
            (Move::Watch, _) => {
                self.vacate("taken by another");
                Ok(RETRY)
            }
            (Move::Create, _) | (_, None) => self.written(self.create().await, sent),
            (Move::Renew | Move::Take, Some(lease)) => {
                self.written(self.replace(lease).await, sent)
            }
        }
    }

    fn written(&mut self, written: Result<Lease, Error>, sent: Instant) -> Result<Duration, Error> {
        match written {
            Ok(_) => {
                self.hold(sent + TRUST);
                Ok(RENEW)
            }
            Err(error) if error.is_conflict() => Ok(RETRY),
            Err(error) => Err(error),
        }
    }

    async fn create(&self) -> Result<Lease, Error> {
        let metadata = ObjectMeta {
            name: Some(NAME.to_owned()),
            ..ObjectMeta::default()
        };
        let lease = Lease {
            metadata,
            spec: Some(self.claim(None)),
        };
        bounded(self.leases.create(&PostParams::default(), &lease)).await
    }

    /// The resourceVersion that was read makes this a compare-and-swap.
    async fn replace(&self, lease: Lease) -> Result<Lease, Error> {
        let spec = self.claim(lease.spec.as_ref());
        bounded(self.leases.replace(
            NAME,
            &PostParams::default(),
            &Lease {
                spec: Some(spec),
                ..lease
            },
        ))
        .await
    }

    fn claim(&self, last: Option<&LeaseSpec>) -> LeaseSpec {
        let now = self
            .server_clock
            .time()
            .map(|time| MicroTime(time.timestamp()));
        let own = last.filter(|last| last.holder_identity.as_deref() == Some(self.own.as_str()));
        let transitions = last.and_then(|last| last.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.own.clone()),
            lease_duration_seconds: Some(i32::try_from(TERM.as_secs()).unwrap_or(i32::MAX)),
            acquire_time: own.map_or_else(|| now.clone(), |own| own.acquire_time.clone()),
            renew_time: now,
            lease_transitions: Some(
                transitions.saturating_add(i32::from(own.is_none() && last.is_some())),
            ),
            ..LeaseSpec::default()
        }
    }

    fn hold(&mut self, until: Instant) {
        let held = self
            .standing
            .borrow()
            .filter(|tenure| clock::now() < tenure.until);
        if held.is_none() {
            self.terms += 1;
            tracing::info!(
                lease = NAME,
                holder = self.own,
                term = self.terms,
                "lease acquired"
            );
        }
        self.standing.send_replace(Some(Tenure {
            term: self.terms,
            until,
        }));
    }

    fn vacate(&self, why: &str) {
        if self.standing.send_replace(None).is_some() {
            tracing::warn!(lease = NAME, holder = self.own, why, "lease lost");
        }
    }

    /// Gives the lease up, so that another replica need not wait for its end.
    async fn release(self) {
        if self.standing.send_replace(None).is_none() {
            return;
        }
        match self.give_up().await {
            Ok(()) => tracing::info!(lease = NAME, holder = self.own, "lease released"),
            Err(error) => tracing::warn!(%error, "lease not released; it runs out by itself"),
        }
    }

    async fn give_up(&self) -> Result<(), Error> {
        let Some(lease) = bounded(self.leases.get_opt(NAME)).await? else {
            return Ok(());
        };
        let Some(spec) = lease
            .spec
            .clone()
            .filter(|spec| spec.holder_identity.as_deref() == Some(self.own.as_str()))
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
        bounded(self.leases.replace(NAME, &PostParams::default(), &released))
            .await
            .map(drop)
    }
}

fn reading(lease: &Lease) -> Reading {
    let spec = lease.spec.as_ref();
    let seconds = spec
        .and_then(|spec| spec.lease_duration_seconds)
        .and_then(|seconds| u64::try_from(seconds).ok());
    Reading {
        holder: spec.and_then(|spec| spec.holder_identity.clone()),
        resource_version: lease.metadata.resource_version.clone().unwrap_or_default(),
        term: seconds.map(Duration::from_secs),
    }
}
