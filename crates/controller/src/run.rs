//! Starts all tasks, and ends them in order: no new writes, then the steps in progress finish, then the lease is
//! released.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::Client;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};

use crate::aws_connections::{self, Connections};
use crate::clock::ServerClock;
use crate::context::{Context, Queues};
use crate::evaluations::Evaluations;
use crate::events::EventRecorder;
use crate::garbage_collection;
use crate::kubernetes::reads::Reader;
use crate::kubernetes::{admission, client};
use crate::lease::{Elector, Leadership, LeaseNote};
use crate::metrics::{Controller, Metrics};
use crate::operation::locks::SecretLocks;
use crate::operation::look_failures::LookFailures;
use crate::options::Options;
use crate::policy::written_status::WrittenStatuses;
use crate::published_statuses::PublishedStatuses;
use crate::read_health::ReadHealth;
use crate::server::Guards;
use crate::shutdown::{self, Shutdown, Trigger};
use crate::stability::SharedStability;
use crate::store::Store;
use crate::sweep::{self, SweepStore};
use crate::tasks::{Pulse, Tasks};
use crate::triggers;
use crate::worker::{self, Deps, LoopConfig};
use crate::{event_handlers, operation, policy, profile, rotation_events, server};

/// The pause between two tries while the API server does not answer, or while not everything is listed yet.
const POLL: Duration = Duration::from_millis(200);

/// Maximum time to release the lease: the rest of a try, a read and a write.
const RELEASE: Duration = Duration::from_secs(6);

const POLICY: LoopConfig = LoopConfig {
    controller: Controller::Policy,
    concurrency: 8,
    timeout: Duration::from_mins(1),
    grace: Duration::from_secs(4),
};
const OPERATION: LoopConfig = LoopConfig {
    controller: Controller::Operation,
    concurrency: 16,
    timeout: Duration::from_mins(2),
    // A request that was sent is answered within ten seconds. Then its result is written.
    grace: Duration::from_secs(15),
};
const PROFILE: LoopConfig = LoopConfig {
    controller: Controller::Profile,
    concurrency: 2,
    timeout: Duration::from_secs(30),
    grace: Duration::from_secs(4),
};
/// A receive call of SQS waits up to twenty seconds for messages.
const EVENTS: LoopConfig = LoopConfig {
    controller: Controller::Events,
    concurrency: 64,
    timeout: Duration::from_secs(50),
    // Messages that were received and not passed on are delivered again.
    grace: Duration::ZERO,
};
/// A sweep of half a million secrets at twenty pages per second takes five minutes.
const SWEEP: LoopConfig = LoopConfig {
    controller: Controller::Sweep,
    concurrency: 16,
    timeout: Duration::from_hours(1),
    // A sweep writes nothing.
    grace: Duration::ZERO,
};

/// Runs the controller until it is asked to stop, or until a task that it needs ends.
///
/// # Errors
///
/// Returns an error if the settings are invalid, or if a task or server that it needs has ended.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let endpoint = aws_connections::custom_endpoint(options.allow_custom_endpoint)?;
    let metrics = Metrics::new(options.metrics_max_secrets, options.metrics_secret_label)?;
    metrics.set_custom_endpoint(endpoint.is_some());
    let server_clock = Arc::new(ServerClock::default());
    let connect = || client::connect(Arc::clone(&metrics), Arc::clone(&server_clock));
    let (client, of_lease) = (connect().await?, connect().await?);
    let (trigger, shutdown) = shutdown::channel();
    let (closing, closed) = shutdown::channel();
    let (stage, pulse) = (StartupStage::default(), Pulse::default());
    let read_health = Arc::<ReadHealth>::default();
    stage.set("the Kubernetes API server has not been reached yet");
    let mut servers = JoinSet::new();
    servers.spawn(server::metrics(
        options.metrics_address,
        Arc::clone(&metrics),
        guards(&options),
        client.clone(),
        closed.clone(),
    ));
    servers.spawn(server::health(
        options.health_address,
        alive(&pulse),
        stage.readiness(Arc::clone(&read_health)),
        closed,
    ));
    let mut controller = tokio::spawn(control(
        options,
        metrics,
        (client, of_lease, server_clock),
        (stage.clone(), pulse, read_health),
        (trigger.clone(), shutdown),
    ));
    let (broken, ended) = tokio::select! {
        signal = shutdown::requested() => {
            tracing::info!(signal = signal?, "shutting down");
            (Ok(()), None)
        }
        Some(server) = servers.join_next() => (Err(unexpected_end(server)), None),
        ended = &mut controller => (Ok(()), Some(ended)),
    };
    stage.set("the process is shutting down");
    trigger.begin();
    let outcome = match ended {
        Some(ended) => ended,
        None => controller.await,
    };
    closing.begin();
    // Each server limits how long it takes to end.
    while servers.join_next().await.is_some() {}
    broken.and(outcome?)
}

fn alive(pulse: &Pulse) -> server::Check {
    let pulse = pulse.clone();
    Arc::new(move || pulse.hanging_task())
}

/// Returns why a server has ended that was not asked to.
fn unexpected_end(server: Result<anyhow::Result<()>, JoinError>) -> anyhow::Error {
    match server {
        Ok(Ok(())) => anyhow::anyhow!("a server has ended"),
        Ok(Err(error)) => error,
        Err(panic) => anyhow::Error::new(panic).context("a server has panicked"),
    }
}

fn guards(options: &Options) -> Guards {
    let (chain, key) = (&options.metrics_tls_cert, &options.metrics_tls_key);
    Guards {
        tls: chain.clone().zip(key.clone()),
        auth: options.metrics_auth,
    }
}

/// Watches until everything is listed, then competes for the lease and runs the reconcilers.
async fn control(
    options: Options,
    metrics: Arc<Metrics>,
    (client, of_lease, server_clock): (Client, Client, Arc<ServerClock>),
    (stage, pulse, read_health): (StartupStage, Pulse, Arc<ReadHealth>),
    (trigger, shutdown): (Trigger, Shutdown),
) -> anyhow::Result<()> {
    let identity = identity();
    let namespace = options
        .lease_namespace
        .clone()
        .unwrap_or_else(|| client.default_namespace().to_owned());
    let note = Arc::<LeaseNote>::default();
    let (elector, leadership) = Elector::new(
        of_lease,
        &namespace,
        identity.clone(),
        Arc::clone(&server_clock),
        Arc::clone(&note),
    );
    let Some(context) = context(
        &options,
        client,
        (metrics, read_health),
        (leadership, shutdown.clone()),
        (server_clock, note),
        identity,
    )
    .await
    else {
        return Ok(());
    };
    let mut listeners = start_watches(&context, &options.namespaces, &pulse);
    let known = tokio::select! {
        known = wait_until_listed(&context, &stage) => known,
        ended = listeners.first() => return Err(ended.into()),
    };
    if !known {
        return Ok(());
    }
    stage.clear();
    let (release, released) = oneshot::channel();
    let mut lease = Tasks::new(&pulse);
    lease.spawn("the elector of the lease", elector.run(released));
    listeners.spawn(
        "the follower of the lease",
        follow_lease(Arc::clone(&context)),
    );
    let mut workers = start_workers(&context, &pulse);
    let outcome = tokio::select! {
        biased;
        () = shutdown.begun() => Ok(()),
        ended = workers.first() => Err(ended.into()),
        ended = lease.first() => Err(ended.into()),
        ended = listeners.first() => Err(ended.into()),
    };
    // This is needed even if no one asked for the shutdown: from here on there are no new writes, and results of sent
    // requests are written.
    trigger.begin();
    // Workers end on their own once the shutdown has begun and their running steps have finished. The lease must be
    // released only after that.
    workers.all().await;
    let _ = release.send(());
    let _ = tokio::time::timeout(RELEASE, lease.all()).await;
    listeners.stop().await;
    outcome
}

async fn context(
    options: &Options,
    client: Client,
    (metrics, read_health): (Arc<Metrics>, Arc<ReadHealth>),
    (leadership, shutdown): (Leadership, Shutdown),
    (server_clock, note): (Arc<ServerClock>, Arc<LeaseNote>),
    identity: String,
) -> Option<Arc<Context>> {
    let reader = Reader::new(client.clone(), options.namespaces.clone());
    let cluster = loop {
        match reader.cluster().await {
            Ok(cluster) => break cluster,
            Err(error) => {
                tracing::warn!(%error, "the UID of namespace kube-system could not be read");
            }
        }
        tokio::select! {
            () = shutdown.begun() => return None,
            () = tokio::time::sleep(POLL * 5) => {}
        }
    };
    Some(Arc::new(Context {
        recorder: EventRecorder::new(client.clone(), identity.clone()),
        identity,
        reader,
        connections: Connections::new(Arc::clone(&metrics), read_health),
        cluster,
        store: Store::new(options.namespaces.len()),
        sweeps: SweepStore::of(metrics.reports().known_secrets().clone()),
        stability: SharedStability::default(),
        evaluations: Evaluations::default(),
        published_statuses: PublishedStatuses::default(),
        written_statuses: WrittenStatuses::default(),
        locks: SecretLocks::default(),
        admission: admission::AdmissionView::new(note),
        look_failures: LookFailures::default(),
        queues: Queues::default(),
        leadership,
        shutdown,
        server_clock,
        metrics,
        client,
    }))
}

fn start_watches(context: &Arc<Context>, namespaces: &[String], pulse: &Pulse) -> Tasks {
    let mut listeners = Tasks::new(pulse);
    let with = || Arc::clone(context);
    listeners.spawn(
        "the watch of namespaces",
        event_handlers::handle_namespaces(with()),
    );
    listeners.spawn(
        "the watch of profiles",
        event_handlers::handle_profiles(with()),
    );
    listeners.spawn(
        "the watch of operations",
        event_handlers::handle_operations(with(), namespaces.to_vec()),
    );
    listeners.spawn(
        "the watch of policies",
        event_handlers::handle_policies(with(), namespaces.to_vec()),
    );
    listeners
}

/// Waits until every resource has been listed. Returns `false` if the shutdown begins first.
async fn wait_until_listed(context: &Context, stage: &StartupStage) -> bool {
    while let Some(missing) = context.store.missing() {
        stage.set(missing);
        tokio::select! {
            () = context.shutdown.begun() => return false,
            () = tokio::time::sleep(POLL) => {}
        }
    }
    true
}

fn start_workers(context: &Arc<Context>, pulse: &Pulse) -> Tasks {
    let deps = || Deps {
        metrics: Arc::clone(&context.metrics),
        leadership: context.leadership.clone(),
        shutdown: context.shutdown.clone(),
    };
    let with = |context: &Arc<Context>| Arc::clone(context);
    let mut workers = Tasks::new(pulse);
    let (own, queue) = (with(context), Arc::clone(&context.queues.profiles));
    let run = worker::run(PROFILE, queue, deps(), move |name| {
        profile::reconcile(with(&own), name)
    });
    workers.spawn("the profile loop", run);
    let (own, queue) = (with(context), Arc::clone(&context.queues.sweeps));
    let run = worker::run(SWEEP, queue, deps(), move |profile_region| {
        sweep::sweep(with(&own), profile_region)
    });
    workers.spawn("the sweep loop", run);
    let (own, queue) = (with(context), Arc::clone(&context.queues.policies));
    let run = worker::run(POLICY, queue, deps(), move |key| {
        policy::reconcile(with(&own), key)
    });
    workers.spawn("the policy loop", run);
    let (own, queue) = (with(context), Arc::clone(&context.queues.operations));
    let run = worker::run(OPERATION, queue, deps(), move |key| {
        operation::reconcile(with(&own), key)
    });
    workers.spawn("the operation loop", run);
    let (own, queue) = (with(context), Arc::clone(&context.queues.rotation_events));
    let run = worker::run(EVENTS, queue, deps(), move |name| {
        rotation_events::listen(with(&own), name)
    });
    workers.spawn("the event loop", run);
    workers.spawn(
        "the deletion of records",
        garbage_collection::run(with(context)),
    );
    workers.spawn(
        "the check of admission policies",
        crate::admission::run(with(context)),
    );
    workers
}

/// Queues all work and reports the metrics of policies while the lease is held. What was seen is kept until another
/// replica may have acted.
async fn follow_lease(context: Arc<Context>) {
    let (mut last, mut kept) = (None, None);
    loop {
        let begun = tokio::select! {
            biased;
            begun = context.leadership.next_term(last) => begun,
            () = context.leadership.epoch_ended(kept) => {
                context.forget_epoch();
                kept = None;
                continue;
            }
        };
        let Some((term, epoch)) = begun else { return };
        if kept != Some(epoch) {
            context.forget_epoch();
        }
        context.clear_queues();
        set_leader(&context, true);
        triggers::lease_acquired(&context);
        context.leadership.term_ended(term).await;
        set_leader(&context, false);
        context.clear_queues();
        (last, kept) = (Some(term), Some(epoch));
    }
}

fn set_leader(context: &Context, holds: bool) {
    if holds {
        context.metrics.reports().set_leader(true);
        context.metrics.set_leader(true);
    } else {
        context.metrics.set_leader(false);
        context.metrics.reports().set_leader(false);
    }
}

/// Returns the name of the pod with a suffix that no earlier process of that name had.
fn identity() -> String {
    let host =
        std::env::var("HOSTNAME").unwrap_or_else(|_| "secret-rotation-controller".to_owned());
    format!(
        "{host}_{:016x}",
        RandomState::new().hash_one(std::process::id())
    )
}

/// Why the process is not ready.
#[derive(Clone, Debug, Default)]
struct StartupStage(Arc<Mutex<Option<String>>>);

impl StartupStage {
    fn set(&self, why: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
    }

    fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn readiness(&self, read_health: Arc<ReadHealth>) -> server::Check {
        let stage = self.clone();
        Arc::new(move || {
            let stage = stage.0.lock();
            let why = stage.unwrap_or_else(PoisonError::into_inner).clone();
            why.or_else(|| read_health.problem())
        })
    }
}
