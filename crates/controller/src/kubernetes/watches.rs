//! Watches that survive failures. They tolerate objects that cannot be decoded, resume within two seconds, and cover
//! any set of namespaces.
//!
//! | Event | How it is noticed | Reaction |
//! |---|---|---|
//! | a connection dies silently | nothing is read for some time, not even the end of the watch: see `client` | the watch resumes from its last version |
//! | the body of a list stalls | no page arrives within [`PAGE`] | the objects are listed again |
//! | the API server was restored to older data | a list of one object has an older version than an earlier answer | the objects are listed again |

use std::fmt::Debug;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use kube::api::{ListParams, PartialObjectMeta};
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::time::Instant;

use crate::clock;
use crate::error::ServerBusy;
use crate::jitter::spread;
use crate::kubernetes::{status, with_call_timeout};

/// How long one watch lasts, in seconds. The API server then ends it and sends its version just before, so a
/// connection without data for longer is dead.
const LASTS: u32 = 15;

/// Maximum time for one page of a list, including its body.
const PAGE: Duration = Duration::from_secs(30);

/// The time between two checks of the version of the API server.
const LOOK: Duration = Duration::from_secs(20);

/// The events of a watch: objects come and go, or the whole list starts again.
pub(crate) type Events<K> = BoxStream<'static, Result<Event<K>, Error>>;

/// A problem of a watch. The watch recovers on its own.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// A request of the watch failed.
    #[error(transparent)]
    Watch(#[from] watcher::Error),
    /// A list stalled.
    #[error("no page of the list arrived within {} s: the objects are listed again", PAGE.as_secs())]
    Stalled,
    /// The data of the API server is older than before. A watch from a version in the future shows nothing, and is
    /// not refused.
    #[error(
        "the API server is at version {now} and was at {before}: its data was restored, and the objects are listed again"
    )]
    Rewound {
        /// The current version.
        now: u64,
        /// The last version before.
        before: u64,
    },
}

impl Error {
    /// Returns how long the API server asked to be left alone, if it did.
    fn retry_after(&self) -> Option<Duration> {
        let Self::Watch(
            watcher::Error::InitialListFailed(kube::Error::Service(error))
            | watcher::Error::WatchStartFailed(kube::Error::Service(error)),
        ) = self
        else {
            return None;
        };
        error
            .downcast_ref()
            .map(|busy: &ServerBusy| busy.rest.min(PAGE))
    }
}

/// Watches a namespaced resource, one stream per namespace. Without namespaces, one stream covers all of them.
pub(crate) fn namespaced<K>(
    client: &Client,
    namespaces: &[String],
    seed: &str,
) -> Vec<Events<DeserializeGuard<K>>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + 'static,
{
    if namespaces.is_empty() {
        return vec![guarded(Api::all(client.clone()), seed)];
    }
    namespaces
        .iter()
        .map(|namespace| guarded(Api::namespaced(client.clone(), namespace), seed))
        .collect()
}

/// Watches a resource through one API handle. `seed` spreads the requests of replicas that reconnect at the same
/// time.
pub(crate) fn guarded<K>(api: Api<DeserializeGuard<K>>, seed: &str) -> Events<DeserializeGuard<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watched(api, seed)
}

/// Watches only the metadata of a resource.
pub(crate) fn metadata<K>(
    api: Api<PartialObjectMeta<K>>,
    seed: &str,
) -> Events<PartialObjectMeta<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watched(api, seed)
}

fn watched<K>(api: Api<K>, seed: &str) -> Events<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let watch = Watch {
        events: events(&api, seed),
        seed: seed.to_owned(),
        api,
        listing: true,
        newest: 0,
        due: clock::now() + PAGE,
        rests: None,
    };
    stream::unfold(watch, |mut watch| async {
        let event = watch.next().await;
        Some((event, watch))
    })
    .boxed()
}

/// Returns the events of a new watch, which starts with a list.
fn events<K>(api: &Api<K>, seed: &str) -> BoxStream<'static, watcher::Result<Event<K>>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    // Only the information on how a status was written is needed of the managed fields.
    let lean = |object: &mut K| {
        let owners = object.managed_fields_mut();
        owners.retain(status::is_merged);
        for owner in owners {
            owner.fields_v1 = None;
        }
    };
    watcher(api.clone(), watcher::Config::default().timeout(LASTS))
        .backoff(QuickBackoff::new(seed))
        .modify(lean)
        .boxed()
}

/// One watch, and what shows whether it can be trusted.
struct Watch<K> {
    api: Api<K>,
    seed: String,
    events: BoxStream<'static, watcher::Result<Event<K>>>,
    /// Whether a list has begun and not ended.
    listing: bool,
    /// The newest version that the API server has sent here.
    newest: u64,
    /// When a list counts as stalled, or when the version of the API server is checked next.
    due: Instant,
    /// Until when the API server must be left alone.
    rests: Option<Instant>,
}

impl<K> Watch<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    async fn next(&mut self) -> Result<Event<K>, Error> {
        if let Some(until) = self.rests.take() {
            tokio::time::sleep_until(until).await;
            self.due = self.due.max(clock::now() + PAGE);
        }
        loop {
            tokio::select! {
                // `biased`: an event that is ready proves that the watch is alive, so it is handled before the check is due.
                biased;
                Some(event) = self.events.next() => return self.observe(event),
                () = tokio::time::sleep_until(self.due) => match self.check_version().await {
                    Ok(()) => {}
                    Err(error) => {
                        self.restart();
                        return Err(error);
                    }
                }
            }
        }
    }

    fn observe(&mut self, event: watcher::Result<Event<K>>) -> Result<Event<K>, Error> {
        let event = event.map_err(Error::from).inspect_err(|error| {
            self.rests = error
                .retry_after()
                .map(|rest| clock::now() + spread(rest, &self.seed));
        });
        match &event {
            Ok(Event::Init | Event::InitApply(_)) => self.listing = true,
            Ok(Event::InitDone) => {
                self.listing = false;
                self.due = clock::now() + spread(LOOK, (&self.seed, K::kind(&()).as_ref()));
            }
            Ok(Event::Apply(_) | Event::Delete(_)) | Err(_) => {}
        }
        if let Ok(Event::Apply(object) | Event::Delete(object) | Event::InitApply(object)) = &event
        {
            self.newest = self.newest.max(version(object.resource_version()));
        }
        if self.listing {
            self.due = clock::now() + PAGE;
        }
        event
    }

    /// Reads the version of the API server, by quorum. If it does not answer, nothing changes.
    async fn check_version(&mut self) -> Result<(), Error> {
        if self.listing {
            return Err(Error::Stalled);
        }
        let asked = with_call_timeout(self.api.list(&ListParams::default().limit(1))).await;
        self.due = clock::now() + spread(LOOK, (&self.seed, K::kind(&()).as_ref()));
        let now = asked.map_or(0, |list| version(list.metadata.resource_version));
        let before = self.newest;
        if now != 0 && now < before {
            return Err(Error::Rewound { now, before });
        }
        self.newest = now.max(before);
        Ok(())
    }

    fn restart(&mut self) {
        self.events = events(&self.api, &self.seed);
        self.listing = true;
        self.newest = 0;
        self.due = clock::now() + PAGE;
    }
}

/// Parses a version. API servers count versions upwards. A text that is not a number counts as unknown.
fn version(version: Option<String>) -> u64 {
    version
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

/// Merges streams and numbers them, so that a stream that starts again does not hide what the others have shown.
pub(crate) fn merged<K: Send + 'static>(
    streams: Vec<Events<K>>,
) -> BoxStream<'static, (usize, Result<Event<K>, Error>)> {
    let numbered = streams
        .into_iter()
        .enumerate()
        .map(|(number, stream)| stream.map(move |event| (number, event)).boxed());
    stream::select_all(numbered).boxed()
}

/// A backoff from 0.2 to 2 seconds, plus a spread. With the default of kube, it would take half a minute until a
/// restarted server is seen again.
#[derive(Clone, Debug)]
pub(crate) struct QuickBackoff {
    seed: String,
    next: Duration,
}

impl QuickBackoff {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(2);

    fn new(seed: &str) -> Self {
        Self {
            seed: seed.to_owned(),
            next: Self::FIRST,
        }
    }
}

impl Iterator for QuickBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.next;
        self.next = (wait * 2).min(Self::LONGEST);
        Some(spread(wait, &self.seed))
    }
}

impl Backoff for QuickBackoff {
    fn reset(&mut self) {
        self.next = Self::FIRST;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use kube::client::Body;
    use secret_rotation_api::profile::AWSAccessProfile;
    use serde_json::{Value, json};

    use super::*;

    type Profiles = Events<DeserializeGuard<AWSAccessProfile>>;

    #[test]
    fn a_watch_resumes_within_two_and_a_half_seconds() {
        let mut backoff = QuickBackoff::new("a");
        let waits: Vec<_> = backoff.by_ref().take(6).collect();
        for (wait, least) in waits.iter().zip([200, 400, 800, 1600, 2000, 2000]) {
            let least = Duration::from_millis(least);
            assert!(*wait >= least && *wait <= least * 5 / 4, "{wait:?}");
        }
        backoff.reset();
        assert_eq!(backoff.next(), waits.first().copied());
    }

    /// An API server that lists objects and whose watches send nothing.
    #[derive(Clone, Default)]
    struct Server(Arc<Mutex<State>>);

    #[derive(Default)]
    struct State {
        version: u64,
        profiles: Vec<(&'static str, u64)>,
        lists: Vec<Instant>,
        /// This number of lists stall.
        stalling: usize,
        /// This number of lists are refused, with this Retry-After in seconds.
        busy: (usize, u64),
    }

    impl Server {
        fn at(version: u64, profiles: &[(&'static str, u64)]) -> Self {
            let server = Self::default();
            server.moves_to(version, profiles);
            server
        }

        fn moves_to(&self, version: u64, profiles: &[(&'static str, u64)]) {
            let mut state = self.0.lock().expect("no panic");
            state.version = version;
            state.profiles = profiles.to_vec();
        }

        fn watch(&self) -> Profiles {
            let server = self.clone();
            let answer = move |request| server.clone().answer(request);
            let client = Client::new(tower::service_fn(answer), "default");
            guarded(Api::all(client), "me")
        }

        async fn answer(
            self,
            request: http::Request<Body>,
        ) -> Result<http::Response<Body>, tower::BoxError> {
            let is_watch = request
                .uri()
                .query()
                .is_some_and(|query| query.contains("watch"));
            let list = if is_watch { None } else { self.list()? };
            let Some(list) = list else {
                return std::future::pending().await;
            };
            Ok(http::Response::new(Body::from(
                list.to_string().into_bytes(),
            )))
        }

        fn list(&self) -> Result<Option<Value>, ServerBusy> {
            let mut state = self.0.lock().expect("no panic");
            state.lists.push(clock::now());
            if state.stalling > 0 {
                state.stalling -= 1;
                return Ok(None);
            }
            if state.busy.0 > 0 {
                state.busy.0 -= 1;
                let value = state.busy.1.into();
                let headers = [(http::header::RETRY_AFTER, value)].into_iter().collect();
                return Err(ServerBusy::from_response(
                    http::StatusCode::SERVICE_UNAVAILABLE,
                    &headers,
                )
                .expect("it asks"));
            }
            let item = |(name, version): &(&str, u64)| json!({"metadata": {"name": name, "resourceVersion": version.to_string()}, "spec": {"regions": ["eu-west-1"]}});
            let items: Vec<_> = state.profiles.iter().map(item).collect();
            Ok(Some(json!({
                "apiVersion": "secretrotation.dev/v1alpha1", "kind": "AWSAccessProfileList",
                "metadata": {"resourceVersion": state.version.to_string()}, "items": items,
            })))
        }
    }

    /// Returns the next event of a watch, if it comes in time.
    async fn next_event(watch: &mut Profiles, seconds: u64) -> Option<String> {
        let next = tokio::time::timeout(Duration::from_secs(seconds), watch.next()).await;
        Some(match next.ok()?? {
            Ok(Event::InitApply(object)) => {
                format!("{}@{}", object.name_any(), object.resource_version()?)
            }
            Ok(event) => event.to_string(),
            Err(error) => error.to_string(),
        })
    }

    async fn listed(watch: &mut Profiles) -> Vec<String> {
        let mut all = Vec::new();
        while all.last().is_none_or(|last| last != "InitDone") {
            all.push(next_event(watch, 1).await.expect("it is listed at once"));
        }
        all
    }

    #[tokio::test(start_paused = true)]
    async fn restored_data_is_listed_again_within_half_a_minute() {
        for (version, before) in [
            (500, "500"),
            // The restored data is newer than any object, but older than the last version that the API server sent.
            (470, "500"),
        ] {
            let server = Server::at(500, &[("a", 450), ("b", 440)]);
            let mut watch = server.watch();
            assert_eq!(
                listed(&mut watch).await,
                ["Init", "a@450", "b@440", "InitDone"]
            );
            assert_eq!(next_event(&mut watch, 60).await, None, "nothing happens");
            let restored = if version == 500 { 300 } else { version };
            server.moves_to(restored, &[("a", 200)]);
            let error = next_event(&mut watch, 30).await.expect("it is noticed");
            assert!(
                error.contains(&format!("at version {restored} and was at {before}")),
                "{error}"
            );
            assert_eq!(listed(&mut watch).await, ["Init", "a@200", "InitDone"]);
            assert_eq!(next_event(&mut watch, 60).await, None, "once");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_stalls_is_started_again() {
        let server = Server::at(500, &[("a", 450)]);
        server.0.lock().expect("no panic").stalling = 1;
        let mut watch = server.watch();
        assert_eq!(next_event(&mut watch, 1).await.as_deref(), Some("Init"));
        let error = next_event(&mut watch, 31).await.expect("it is noticed");
        assert!(error.contains("no page"), "{error}");
        assert_eq!(listed(&mut watch).await, ["Init", "a@450", "InitDone"]);
    }

    /// An API server that does not answer was not necessarily restored.
    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_does_not_answer_does_not_count_as_restored() {
        let server = Server::at(500, &[("a", 450)]);
        let mut watch = server.watch();
        listed(&mut watch).await;
        server.0.lock().expect("no panic").stalling = 3;
        assert_eq!(next_event(&mut watch, 100).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_pauses_for_as_long_as_the_api_server_asks() {
        let server = Server::at(500, &[]);
        server.0.lock().expect("no panic").busy = (1, 12);
        let mut watch = server.watch();
        assert_eq!(next_event(&mut watch, 1).await.as_deref(), Some("Init"));
        let error = next_event(&mut watch, 1).await.expect("an error");
        assert!(
            error.contains("failed to perform initial object list"),
            "{error}"
        );
        assert_eq!(next_event(&mut watch, 20).await.as_deref(), Some("Init"));
        listed(&mut watch).await;
        let lists = server.0.lock().expect("no panic").lists.clone();
        let rest = lists[1] - lists[0];
        assert!((12..=16).contains(&rest.as_secs()), "{rest:?}");
    }
}
