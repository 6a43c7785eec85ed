//! The state that all reconcilers share.

use std::sync::Arc;

use kube::Client;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_core::names::{ObjectKey, ProfileName};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::pin::ClusterId;
use secret_rotation_core::plan::PlanInput;
use secret_rotation_core::time::AwsTime;

use crate::aws_connections::Connections;
use crate::clock::ServerClock;
use crate::error::Error;
use crate::evaluations::Evaluations;
use crate::events::EventRecorder;
use crate::kubernetes::admission;
use crate::kubernetes::reads::Reader;
use crate::lease::{Claim, Leadership};
use crate::metrics::Metrics;
use crate::operation::locks::SecretLocks;
use crate::operation::look_failures::LookFailures;
use crate::policy::written_status::WrittenStatuses;
use crate::profile_region::ProfileRegion;
use crate::published_statuses::PublishedStatuses;
use crate::queue::Queue;
use crate::shutdown::Shutdown;
use crate::stability::SharedStability;
use crate::store::{Change, Store};
use crate::sweep::store::SweepStore;

/// The connections to Kubernetes and AWS, and what is known of both.
pub(crate) struct Context {
    /// The identity of this replica, as the holder in the Lease.
    pub identity: String,
    /// The client of the Kubernetes API server.
    pub client: Client,
    /// Quorum reads.
    pub reader: Reader,
    /// Connections to AWS.
    pub connections: Connections,
    /// The id of the cluster, which marks the pins of this controller.
    pub cluster: ClusterId,
    /// The state of Kubernetes as the watches show it.
    pub store: Store,
    /// The state of AWS as the sweeps saw it.
    pub sweeps: SweepStore,
    /// How long unfinished rotations have been stable, as this process has seen them.
    pub stability: SharedStability,
    /// The last evaluation of each policy.
    pub evaluations: Evaluations,
    /// The findings that events last reported for each policy.
    pub written_statuses: WrittenStatuses,
    /// The status that was last published for each profile.
    pub published_statuses: PublishedStatuses,
    /// The secrets on which a step of this process is in progress.
    pub locks: SecretLocks,
    /// Whether the API server enforces the admission policies for approvals.
    pub admission: admission::AdmissionView,
    /// What is uncertain about single operations.
    pub look_failures: LookFailures,
    /// The queues of work.
    pub queues: Queues,
    /// Whether this replica holds the lease.
    pub leadership: Leadership,
    /// Whether the process is shutting down.
    pub shutdown: Shutdown,
    /// The clock of the API server.
    pub server_clock: Arc<ServerClock>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The publisher of events.
    pub recorder: EventRecorder,
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
    pub sweeps: Arc<Queue<ProfileRegion>>,
    /// Profiles whose event queues to read.
    pub rotation_events: Arc<Queue<ProfileName>>,
}

impl Context {
    /// Returns the claim in which this replica may write to Kubernetes at this moment.
    ///
    /// # Errors
    ///
    /// Returns an error if the shutdown has begun or the lease is not held.
    pub(crate) fn claim(&self) -> Result<Claim, Error> {
        if self.shutdown.has_begun() {
            return Err(Error::Stale("the process is shutting down"));
        }
        self.leadership
            .claim()
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

    /// Returns when something ends without a look at AWS, by the clock of the API server.
    ///
    /// # Errors
    ///
    /// Returns an error until two answers of the API server agree on the time.
    pub(crate) fn time_without_look(&self) -> Result<AwsTime, Error> {
        Ok(AwsTime::new(self.server_time()?.timestamp()))
    }

    /// Calls core for one policy with everything that this process knows around it now.
    pub(crate) fn with_plan_input<T>(
        &self,
        own: &BoundPolicy,
        now: AwsTime,
        ask: impl FnOnce(&PlanInput<'_>) -> T,
    ) -> T {
        let snapshot = self.store.snapshot();
        let (region_gates, set_aside) = (
            self.evaluations.region_gates(),
            self.look_failures.all_set_aside(),
        );
        let watches = self.stability.lock();
        ask(&PlanInput {
            own,
            bound_policies: &snapshot.bound_policies,
            operations: &snapshot.operations,
            region_gates: &region_gates,
            stability: &watches,
            deferred: &set_aside,
            cluster: &self.cluster,
            now,
        })
    }

    /// Applies an event of a watch of operations.
    pub(crate) fn apply_operation(
        &self,
        stream: usize,
        event: Event<DeserializeGuard<SecretRotationOperation>>,
    ) -> Vec<Change<ObjectKey>> {
        self.store
            .apply_operation(stream, event, |arn| self.sweeps.function(arn))
    }

    /// Stores an operation that was just written, before its watch shows it.
    pub(crate) fn record_operation_write(&self, operation: SecretRotationOperation) {
        self.store
            .record_operation_write(operation, |arn| self.sweeps.function(arn));
    }

    /// Removes all pending work. The next term queues it again.
    pub(crate) fn clear_queues(&self) {
        self.queues.policies.clear();
        self.queues.operations.clear();
        self.queues.profiles.clear();
        self.queues.sweeps.clear();
        self.queues.rotation_events.clear();
    }

    /// Clears everything that was seen and evaluated before another replica may have acted.
    pub(crate) fn forget_epoch(&self) {
        self.sweeps.clear();
        self.evaluations.clear();
        self.connections.forget_term();
        self.written_statuses.clear();
        self.published_statuses.clear();
        self.look_failures.clear();
    }
}
