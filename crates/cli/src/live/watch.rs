//! Sources of updates: watches of policies and operations, and a poll that detects a dead server behind a silent watch.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures::TryStreamExt as _;
use kube::ResourceExt as _;
use kube::runtime::watcher::{self, Event};
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_api::policy::SecretRotationPolicy;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::connections::Source;
use crate::CommandError;
use crate::kubernetes::{ApiRequest, Cluster, Kind};

/// The pause before a watch is restarted; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The interval between two lists if watching is not allowed.
const POLL: Duration = Duration::from_secs(2);

/// The interval between two polls of the server.
const SERVER_POLL: Duration = Duration::from_secs(10);

/// Which policies to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// Those of one namespace; `None` means all namespaces.
    pub(crate) namespace: Option<String>,
    /// Only the one of this name.
    pub(crate) name: Option<String>,
}

/// An update from the cluster.
#[derive(Debug)]
pub(super) enum ClusterUpdate {
    /// All policies of the scope.
    Policies(Vec<SecretRotationPolicy>),
    /// All operations of the scope.
    Operations(Vec<SecretRotationOperation>),
    /// The API server responds.
    Alive,
    /// A source does not respond.
    Lost(Source, CommandError),
}

/// Running watches. They end when it is dropped.
#[derive(Debug)]
pub(super) struct Watches {
    _tasks: JoinSet<()>,
}

impl Watches {
    /// Starts the watches. Every change is sent as the complete list.
    pub(super) fn start(cluster: &Cluster, scope: &Scope, updates: &Sender<ClusterUpdate>) -> Self {
        let mut tasks = JoinSet::new();
        let name = |path: &str| scope.name.as_ref().map(|name| format!("{path}={name}"));
        tasks.spawn(follow(
            cluster.clone(),
            scope.namespace.clone(),
            name("metadata.name"),
            Source::Policies,
            ClusterUpdate::Policies,
            updates.clone(),
        ));
        tasks.spawn(follow(
            cluster.clone(),
            scope.namespace.clone(),
            name("spec.policyRef.name"),
            Source::Operations,
            ClusterUpdate::Operations,
            updates.clone(),
        ));
        tasks.spawn(poll_server(cluster.clone(), updates.clone()));
        Self { _tasks: tasks }
    }
}

/// Watches one resource. A broken watch is restarted from a new list after a pause.
async fn follow<K: Kind>(
    cluster: Cluster,
    namespace: Option<String>,
    fields: Option<String>,
    source: Source,
    to_update: fn(Vec<K>) -> ClusterUpdate,
    updates: Sender<ClusterUpdate>,
) {
    let mut pause = FIRST_PAUSE;
    let (namespace, fields) = (namespace.as_deref(), fields.as_deref());
    loop {
        let Some(end) = watch(&cluster, namespace, fields, to_update, &updates).await else {
            return;
        };
        if end.has_sent {
            pause = FIRST_PAUSE;
        }
        if is_forbidden(&end.error) {
            return poll(&cluster, namespace, fields, source, to_update, &updates).await;
        }
        let request = ApiRequest::on::<K>("watch", namespace);
        if let Some(failure) = failure(&cluster, &request, &end.error)
            && updates
                .send(ClusterUpdate::Lost(source, failure))
                .await
                .is_err()
        {
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The end of a watch.
struct EndedWatch {
    error: watcher::Error,
    /// Whether it sent anything before.
    has_sent: bool,
}

/// Watches until an error; `None` if the receiver is closed.
async fn watch<K: Kind>(
    cluster: &Cluster,
    namespace: Option<&str>,
    fields: Option<&str>,
    to_update: fn(Vec<K>) -> ClusterUpdate,
    updates: &Sender<ClusterUpdate>,
) -> Option<EndedWatch> {
    let config = watcher::Config {
        field_selector: fields.map(str::to_owned),
        ..watcher::Config::default()
    };
    let mut stream = pin!(watcher::watcher(cluster.api::<K>(namespace), config));
    let mut known = BTreeMap::new();
    let mut has_sent = false;
    loop {
        let event = match stream.try_next().await {
            Ok(event) => event?,
            Err(error) => return Some(EndedWatch { error, has_sent }),
        };
        let complete = matches!(event, Event::InitDone | Event::Apply(_) | Event::Delete(_));
        match event {
            Event::Init => known.clear(),
            Event::InitApply(object) | Event::Apply(object) => {
                known.insert((object.namespace(), object.name_any()), object);
            }
            Event::Delete(object) => {
                known.remove(&(object.namespace(), object.name_any()));
            }
            Event::InitDone => {}
        }
        if complete {
            updates
                .send(to_update(known.values().cloned().collect()))
                .await
                .ok()?;
            has_sent = true;
        }
    }
}

/// Lists at intervals, for users who may list but not watch.
async fn poll<K: Kind>(
    cluster: &Cluster,
    namespace: Option<&str>,
    fields: Option<&str>,
    source: Source,
    to_update: fn(Vec<K>) -> ClusterUpdate,
    updates: &Sender<ClusterUpdate>,
) {
    loop {
        let item = match cluster.list_where::<K>(namespace, fields).await {
            Ok(all) => to_update(all),
            Err(failure) => ClusterUpdate::Lost(source, failure),
        };
        if updates.send(item).await.is_err() {
            return;
        }
        sleep(POLL).await;
    }
}

/// Polls the server: a watch without updates is as silent as a dead one.
async fn poll_server(cluster: Cluster, updates: Sender<ClusterUpdate>) {
    loop {
        let item = match cluster.ping().await {
            Ok(()) => ClusterUpdate::Alive,
            Err(failure) => ClusterUpdate::Lost(Source::Server, failure),
        };
        let pause = if matches!(item, ClusterUpdate::Lost(..)) {
            FIRST_PAUSE
        } else {
            SERVER_POLL
        };
        if updates.send(item).await.is_err() {
            return;
        }
        sleep(pause).await;
    }
}

fn is_forbidden(error: &watcher::Error) -> bool {
    let watcher::Error::WatchStartFailed(kube::Error::Api(status)) = error else {
        return false;
    };
    status.code == 403
}

/// Explains a watch error; `None` if a new list is all that is needed.
fn failure(
    cluster: &Cluster,
    request: &ApiRequest,
    error: &watcher::Error,
) -> Option<CommandError> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Some(cluster.failed(request, error)),
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => None,
    }
}
