//! Starts everything, and ends it in order: no new write, running steps to their end, the lease given up.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::Client;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::accounts::{self, Accounts};
use crate::clock::ServerClock;
use crate::context::{Context, Queues};
use crate::events::Announcer;
use crate::expiring;
use crate::judgements::Judgements;
use crate::kubernetes::client;
use crate::kubernetes::reads::Reader;
use crate::lease::{self, Keeper, Standing};
use crate::metrics::Metrics;
use crate::operation::locks::Locks;
use crate::options::Options;
use crate::server::Guards;
use crate::shutdown::{self, Shutdown};
use crate::sweeps::{self, Sweeps};
use crate::worker::{self, Limits, Surroundings};
use crate::world::World;
use crate::{hints, listen, operation, policy, profile, server};

/// While the API server is not there yet, or has not told everything.
const POLL: Duration = Duration::from_millis(200);

/// How long the lease may take to be given up.
const RELEASE: Duration = Duration::from_secs(7);

const POLICY: Limits = Limits {
    name: "policy",
    concurrency: 8,
    timeout: Duration::from_mins(1),
};
const OPERATION: Limits = Limits {
    name: "operation",
    concurrency: 16,
    timeout: Duration::from_mins(2),
};
const PROFILE: Limits = Limits {
    name: "profile",
    concurrency: 2,
    timeout: Duration::from_secs(30),
};
/// SQS waits for messages for twenty seconds.
const EVENTS: Limits = Limits {
    name: "events",
    concurrency: 64,
    timeout: Duration::from_secs(50),
};
/// Half a million secrets at twenty pages a second take five minutes.
const SWEEP: Limits = Limits {
    name: "sweep",
    concurrency: 16,
    timeout: Duration::from_hours(1),
};

/// Runs the controller until it is asked to end.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let endpoint = accounts::custom_endpoint(options.allow_custom_endpoint)?;
    let metrics = Metrics::new(options.metrics_max_secrets, options.metrics_secret_label)?;
    metrics.set_custom_endpoint(endpoint.is_some());
    let server_clock = Arc::new(ServerClock::default());
    let client = client::connect(Arc::clone(&metrics), Arc::clone(&server_clock)).await?;
    let (trigger, shutdown) = shutdown::channel();
    let (closing, closed) = shutdown::channel();
    let stage = Stage::default();
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
        stage.readiness(),
        closed,
    ));
    let controller = tokio::spawn(control(
        options,
        metrics,
        (client, server_clock),
        stage.clone(),
        shutdown,
    ));
    let abort = controller.abort_handle();
    let ended = tokio::select! {
        signal = shutdown::requested() => Ended::Asked(signal?),
        Some(server) = servers.join_next() => Ended::Broken(server?.err().unwrap_or_else(|| anyhow::anyhow!("a server has ended"))),
        () = ended(&abort) => Ended::Broken(anyhow::anyhow!("the controller has ended")),
    };
    stage.set("the process is to end");
    trigger.begin();
    let outcome = match ended {
        Ended::Asked(signal) => {
            tracing::info!(signal, "ending");
            controller.await?
        }
        Ended::Broken(error) => controller.await?.and(Err(error)),
    };
    closing.begin();
    // Each bounds by itself how long it takes to end.
    while servers.join_next().await.is_some() {}
    outcome
}

enum Ended {
    Asked(&'static str),
    Broken(anyhow::Error),
}

fn guards(options: &Options) -> Guards {
    let (chain, key) = (&options.metrics_tls_cert, &options.metrics_tls_key);
    Guards {
        tls: chain.clone().zip(key.clone()),
        auth: options.metrics_auth,
    }
}

async fn ended(task: &tokio::task::AbortHandle) {
    while !task.is_finished() {
        tokio::time::sleep(POLL).await;
    }
}

/// Listens until everything is known, then competes for the lease and works.
async fn control(
    options: Options,
    metrics: Arc<Metrics>,
    (client, server_clock): (Client, Arc<ServerClock>),
    stage: Stage,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let identity = identity();
    let namespace = options
        .lease_namespace
        .clone()
        .unwrap_or_else(|| client.default_namespace().to_owned());
    let (keeper, standing) = Keeper::new(
        client.clone(),
        &namespace,
        identity.clone(),
        Arc::clone(&server_clock),
    );
    let Some(context) = context(
        &options,
        client,
        metrics,
        (standing, shutdown.clone()),
        server_clock,
        identity,
    )
    .await
    else {
        return Ok(());
    };
    let mut listeners = listeners(&context, &options.namespaces);
    if !known(&context, &stage).await {
        return Ok(());
    }
    stage.clear();
    let (release, released) = oneshot::channel();
    let keeper = tokio::spawn(keeper.run(released));
    listeners.spawn(follow_lease(Arc::clone(&context)));
    let mut workers = workers(&context);
    // Workers end by themselves, once the shutdown has begun and what runs has come to its end.
    while workers.join_next().await.is_some() {}
    let _ = release.send(());
    let _ = tokio::time::timeout(RELEASE, keeper).await;
    listeners.shutdown().await;
    Ok(())
}

async fn context(
    options: &Options,
    client: Client,
    metrics: Arc<Metrics>,
    (standing, shutdown): (Standing, Shutdown),
    server_clock: Arc<ServerClock>,
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
        announcer: Announcer::new(client.clone(), identity),
        reader,
        accounts: Accounts::new(Arc::clone(&metrics)),
        cluster,
        world: World::new(options.namespaces.len()),
        sweeps: Sweeps::default(),
        judgements: Judgements::default(),
        locks: Locks::default(),
        queues: Queues::default(),
        standing,
        shutdown,
        server_clock,
        metrics,
        client,
    }))
}

fn listeners(context: &Arc<Context>, namespaces: &[String]) -> JoinSet<()> {
    let mut listeners = JoinSet::new();
    listeners.spawn(listen::to_namespaces(Arc::clone(context)));
    listeners.spawn(listen::to_profiles(Arc::clone(context)));
    listeners.spawn(listen::to_operations(
        Arc::clone(context),
        namespaces.to_vec(),
    ));
    listeners.spawn(listen::to_policies(
        Arc::clone(context),
        namespaces.to_vec(),
    ));
    listeners
}

/// Waits until every kind has been listed; `false` = the process is to end.
async fn known(context: &Context, stage: &Stage) -> bool {
    while let Some(missing) = context.world.missing() {
        stage.set(missing);
        tokio::select! {
            () = context.shutdown.begun() => return false,
            () = tokio::time::sleep(POLL) => {}
        }
    }
    true
}

fn workers(context: &Arc<Context>) -> JoinSet<()> {
    let around = || Surroundings {
        metrics: Arc::clone(&context.metrics),
        standing: context.standing.clone(),
        shutdown: context.shutdown.clone(),
    };
    let with = |context: &Arc<Context>| Arc::clone(context);
    let mut workers = JoinSet::new();
    let (own, queue) = (with(context), Arc::clone(&context.queues.profiles));
    workers.spawn(worker::run(PROFILE, queue, around(), move |name| {
        profile::reconcile(with(&own), name)
    }));
    let (own, queue) = (with(context), Arc::clone(&context.queues.places));
    workers.spawn(worker::run(SWEEP, queue, around(), move |place| {
        sweeps::sweep(with(&own), place)
    }));
    let (own, queue) = (with(context), Arc::clone(&context.queues.policies));
    workers.spawn(worker::run(POLICY, queue, around(), move |key| {
        policy::reconcile(with(&own), key)
    }));
    let (own, queue) = (with(context), Arc::clone(&context.queues.operations));
    workers.spawn(worker::run(OPERATION, queue, around(), move |key| {
        operation::reconcile(with(&own), key)
    }));
    let (own, queue) = (with(context), Arc::clone(&context.queues.hints));
    workers.spawn(worker::run(EVENTS, queue, around(), move |name| {
        hints::listen(with(&own), name)
    }));
    workers.spawn(expiring::run(with(context)));
    workers
}

/// Speaks for all policies while the lease is held, and knows nothing of them otherwise.
async fn follow_lease(context: Arc<Context>) {
    let mut last = None;
    while let Some(term) = context.standing.begins(last).await {
        context.forget_term();
        context.metrics.reports().speak(true);
        context
            .metrics
            .leader
            .with_label_values(&[lease::NAME])
            .set(1);
        listen::everything(&context);
        context.standing.ends(term).await;
        context
            .metrics
            .leader
            .with_label_values(&[lease::NAME])
            .set(0);
        context.metrics.reports().speak(false);
        context.forget_term();
        last = Some(term);
    }
}

/// The pod's name and something that no earlier process of that name had.
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
struct Stage(Arc<Mutex<Option<String>>>);

impl Stage {
    fn set(&self, why: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
    }

    fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn readiness(&self) -> server::Readiness {
        let stage = self.clone();
        Arc::new(move || {
            stage
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        })
    }
}
