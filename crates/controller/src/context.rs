//! The state that all reconcilers share.

use std::sync::Arc;

use kube::Client;
use secret_rotation_core::names::{ObjectKey, ProfileName};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::pin::ClusterId;
use secret_rotation_core::plan::PlanInput;
use secret_rotation_core::time::AwsTime;

use crate::aws_connections::{Accounts, Place};
use crate::clock::ServerClock;
use crate::error::Error;
use crate::evaluations::Judgements;
use crate::events::Announcer;
use crate::kubernetes::admission;
use crate::kubernetes::reads::Reader;
use crate::lease::{Standing, Tenure};
use crate::metrics::Metrics;
use crate::operation::locks::Locks;
use crate::operation::look_failures::Doubts;
use crate::policy::written_status::Told;
use crate::profile::Said;
use crate::queue::Queue;
use crate::shutdown::Shutdown;
use crate::stability::Watching;
use crate::store::World;
use crate::sweep::Sweeps;

/// The connections to Kubernetes and AWS, and what is known of both.
pub(crate) struct Context {
    /// The identity of this replica, as the holder in the Lease.
    pub identity: String,
    /// The client of the Kubernetes API server.
    pub client: Client,
    /// Quorum reads.
    pub reader: Reader,
    /// Connections to AWS.
    pub accounts: Accounts,
    /// The id of the cluster, which marks the pins of this controller.
    pub cluster: ClusterId,
    /// The state of Kubernetes as the watches show it.
    pub world: World,
    /// The state of AWS as the sweeps saw it.
    pub sweeps: Sweeps,
    /// How long unfinished rotations have been stable, as this process has seen them.
    pub watching: Watching,
    /// The last evaluation of each policy.
    pub judgements: Judgements,
    /// The findings that events last reported for each policy.
    pub told: Told,
    /// The status that was last published for each profile.
    pub said: Said,
    /// The secrets on which a step of this process is in progress.
    pub locks: Locks,
    /// Whether the API server enforces the admission policies for approvals.
    pub admission: admission::View,
    /// What is uncertain about single operations.
    pub doubts: Doubts,
    /// The queues of work.
    pub queues: Queues,
    /// Whether this replica holds the lease.
    pub standing: Standing,
    /// Whether the process is shutting down.
    pub shutdown: Shutdown,
    /// The clock of the API server.
    pub server_clock: Arc<ServerClock>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The publisher of events.
    pub announcer: Announcer,
}

/// One queue per reconciler.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    /// Policies to evaluate.
    pub policies: Arc<Queue<ObjectKey>>,
    /// Operations to continue.
    pub operations: Arc<Queue<ObjectKey>>,
    /// Profiles whose status to publish.
    pub profiles: Arc<Queue<ProfileName>>,
    /// Regions of profiles to sweep.
    pub places: Arc<Queue<Place>>,
    /// Profiles whose event queues to read.
    pub hints: Arc<Queue<ProfileName>>,
}

impl Context {
    /// Returns the tenure in which this replica may write to Kubernetes at this moment.
    ///
    /// # Errors
    ///
    /// Returns an error if the shutdown has begun or the lease is not held.
    pub(crate) fn tenure(&self) -> Result<Tenure, Error> {
        if self.shutdown.has_begun() {
            return Err(Error::Stale("the process is shutting down"));
        }
        self.standing
            .tenure()
            .ok_or(Error::Stale("this replica does not hold the lease"))
    }

    /// Returns the time of the API server.
    ///
    /// # Errors
    ///
    /// Returns an error until two answers of the API server agree on the time.
    pub(crate) fn server_time(&self) -> Result<secret_rotation_core::time::ServerTime, Error> {
        self.server_clock
            .time()
            .ok_or(Error::Stale("the time of the API server is not known yet"))
    }

    /// Calls core for one policy with everything that this process knows around it now.
    pub(crate) fn around<T>(
        &self,
        own: &BoundPolicy,
        now: AwsTime,
        ask: impl FnOnce(&PlanInput<'_>) -> T,
    ) -> T {
        let facts = self.world.facts();
        let functions = self.sweeps.functions(&facts.operations);
        let (judged, aside) = (self.judgements.regions(), self.doubts.aside());
        let watches = self.watching.watches();
        ask(&PlanInput {
            own,
            bound_policies: &facts.claimants,
            operations: &facts.operations,
            functions: &functions,
            region_gates: &judged,
            stability: &watches,
            deferred: &aside,
            cluster: &self.cluster,
            now,
        })
    }

    /// Removes all pending work. The next term queues it again.
    pub(crate) fn rest(&self) {
        self.queues.policies.clear();
        self.queues.operations.clear();
        self.queues.profiles.clear();
        self.queues.places.clear();
        self.queues.hints.clear();
    }

    /// Clears everything that was seen and evaluated before another replica may have acted.
    pub(crate) fn forget_reign(&self) {
        self.sweeps.clear();
        self.judgements.clear();
        self.accounts.forget_term();
        self.told.clear();
        self.said.clear();
        self.doubts.clear();
    }
}
