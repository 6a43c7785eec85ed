//! Where news come from: watches of policies and operations, and a pulse that tells a silent server from a dead one.

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
use crate::kubernetes::{Attempt, Cluster, Kind};

/// Between two attempts to watch again; doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Between two lists where nothing may be watched.
const POLL: Duration = Duration::from_secs(2);

/// Between two pulses.
const PULSE: Duration = Duration::from_secs(10);

/// Which policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// Of one namespace; none means of all.
    pub(crate) namespace: Option<String>,
    /// Of this name only.
    pub(crate) name: Option<String>,
}

/// What a feed tells.
#[derive(Debug)]
pub(super) enum News {
    /// All policies of the scope, as they are now.
    Policies(Vec<SecretRotationPolicy>),
    /// All operations of the scope, as they are now.
    Operations(Vec<SecretRotationOperation>),
    /// The API server answers.
    Alive,
    /// A source does not answer.
    Lost(Source, CommandError),
}

/// Watches until it is dropped.
#[derive(Debug)]
pub(super) struct Feed {
    _tasks: JoinSet<()>,
}

impl Feed {
    /// Begins to watch; every change arrives as the whole list.
    pub(super) fn start(cluster: &Cluster, scope: &Scope, news: &Sender<News>) -> Self {
        let mut tasks = JoinSet::new();
        let name = |path: &str| scope.name.as_ref().map(|name| format!("{path}={name}"));
        tasks.spawn(follow(
            cluster.clone(),
            scope.namespace.clone(),
            name("metadata.name"),
            Source::Policies,
            News::Policies,
            news.clone(),
        ));
        tasks.spawn(follow(
            cluster.clone(),
            scope.namespace.clone(),
            name("spec.policyRef.name"),
            Source::Operations,
            News::Operations,
            news.clone(),
        ));
        tasks.spawn(pulse(cluster.clone(), news.clone()));
        Self { _tasks: tasks }
    }
}

/// Watches one kind for ever. A watch that broke begins again from a fresh list, after a pause.
async fn follow<K: Kind>(
    cluster: Cluster,
    namespace: Option<String>,
    fields: Option<String>,
    source: Source,
    tell: fn(Vec<K>) -> News,
    news: Sender<News>,
) {
    let mut pause = FIRST_PAUSE;
    let (namespace, fields) = (namespace.as_deref(), fields.as_deref());
    loop {
        let Some(end) = watch(&cluster, namespace, fields, tell, &news).await else {
            return;
        };
        if end.told {
            pause = FIRST_PAUSE;
        }
        if is_forbidden(&end.error) {
            return poll(&cluster, namespace, fields, source, tell, &news).await;
        }
        let attempt = Attempt::on::<K>("watch", namespace);
        if let Some(failure) = failure(&cluster, &attempt, &end.error)
            && news.send(News::Lost(source, failure)).await.is_err()
        {
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// How a watch ended.
struct End {
    error: watcher::Error,
    /// Whether it told anything before.
    told: bool,
}

/// Watches until an error; `None` = nobody listens any more.
async fn watch<K: Kind>(
    cluster: &Cluster,
    namespace: Option<&str>,
    fields: Option<&str>,
    tell: fn(Vec<K>) -> News,
    news: &Sender<News>,
) -> Option<End> {
    let config = watcher::Config {
        field_selector: fields.map(str::to_owned),
        ..watcher::Config::default()
    };
    let mut stream = pin!(watcher::watcher(cluster.api::<K>(namespace), config));
    let mut known = BTreeMap::new();
    let mut told = false;
    loop {
        let event = match stream.try_next().await {
            Ok(event) => event?,
            Err(error) => return Some(End { error, told }),
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
            news.send(tell(known.values().cloned().collect()))
                .await
                .ok()?;
            told = true;
        }
    }
}

/// Lists again and again, for who may list and not watch.
async fn poll<K: Kind>(
    cluster: &Cluster,
    namespace: Option<&str>,
    fields: Option<&str>,
    source: Source,
    tell: fn(Vec<K>) -> News,
    news: &Sender<News>,
) {
    loop {
        let told = match cluster.list_where::<K>(namespace, fields).await {
            Ok(all) => tell(all),
            Err(failure) => News::Lost(source, failure),
        };
        if news.send(told).await.is_err() {
            return;
        }
        sleep(POLL).await;
    }
}

/// A watch without changes is as silent as a dead one, so the server is asked now and then.
async fn pulse(cluster: Cluster, news: Sender<News>) {
    loop {
        let told = match cluster.ping().await {
            Ok(()) => News::Alive,
            Err(failure) => News::Lost(Source::Server, failure),
        };
        let pause = if matches!(told, News::Lost(..)) {
            FIRST_PAUSE
        } else {
            PULSE
        };
        if news.send(told).await.is_err() {
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

/// What a watch error means; `None` where a fresh list is all that is needed.
fn failure(cluster: &Cluster, attempt: &Attempt, error: &watcher::Error) -> Option<CommandError> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Some(cluster.failed(attempt, error)),
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => None,
    }
}
