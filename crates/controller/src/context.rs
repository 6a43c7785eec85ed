//! What all loops share.

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

/// Both sides, and what is known of them.
pub(crate) struct Context {
    /// Who this replica is: the holder in the Lease.
    pub identity: String,
    /// Kubernetes.
    pub client: Client,
    /// Quorum reads.
    pub reader: Reader,
    /// AWS.
    pub accounts: Accounts,
    /// Which pins are ours.
    pub cluster: ClusterId,
    /// Kubernetes as the watches tell of it.
    pub world: World,
    /// AWS as the sweeps saw it.
    pub sweeps: Sweeps,
    /// Unfinished rotations, as this process has watched them.
    pub watching: Watching,
    /// What was last judged of each policy.
    pub judgements: Judgements,
    /// What events last told of each policy.
    pub told: Told,
    /// What was last said of each profile.
    pub said: Said,
    /// Secrets at which an operation of this process is at work.
    pub locks: Locks,
    /// Whether the API server watches over approvals.
    pub admission: admission::View,
    /// What is doubtful about single operations.
    pub doubts: Doubts,
    /// What is due.
    pub queues: Queues,
    /// Whether this replica may act.
    pub standing: Standing,
    /// Whether the process is to end.
    pub shutdown: Shutdown,
    /// The API server's clock.
    pub server_clock: Arc<ServerClock>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Events.
    pub announcer: Announcer,
}

/// One queue per loop.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    /// Policies to be judged.
    pub policies: Arc<Queue<ObjectKey>>,
    /// Operations to be carried on.
    pub operations: Arc<Queue<ObjectKey>>,
    /// Profiles to be told about.
    pub profiles: Arc<Queue<ProfileName>>,
    /// Places to be swept.
    pub places: Arc<Queue<Place>>,
    /// Profiles whose event queues are to be listened to.
    pub hints: Arc<Queue<ProfileName>>,
}

impl Context {
    /// The tenure in which something may be written to Kubernetes at this very moment.
    pub(crate) fn tenure(&self) -> Result<Tenure, Error> {
        if self.shutdown.has_begun() {
            return Err(Error::Stale("the process is to end"));
        }
        self.standing
            .tenure()
            .ok_or(Error::Stale("the lease is not held"))
    }

    /// The API server's time.
    pub(crate) fn server_time(&self) -> Result<secret_rotation_core::time::ServerTime, Error> {
        self.server_clock
            .time()
            .ok_or(Error::Stale("the API server has not told its time yet"))
    }

    /// Asks core about one claimant beside everything that this process knows around it now.
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

    /// Leaves all work that waits: it is asked for anew in the next term.
    pub(crate) fn rest(&self) {
        self.queues.policies.clear();
        self.queues.operations.clear();
        self.queues.profiles.clear();
        self.queues.places.clear();
        self.queues.hints.clear();
    }

    /// Forgets what was seen and judged before another replica may have acted.
    pub(crate) fn forget_reign(&self) {
        self.sweeps.clear();
        self.judgements.clear();
        self.accounts.forget_term();
        self.told.clear();
        self.said.clear();
        self.doubts.clear();
    }
}
