//! Watches that survive: guarded against objects that cannot be decoded, back in two seconds, in any namespaces.

use std::fmt::Debug;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use kube::api::PartialObjectMeta;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

/// What a watch tells: objects come and go, or the whole list starts over.
pub(crate) type Events<K> = BoxStream<'static, Result<Event<K>, watcher::Error>>;

/// Watches a namespaced kind, one stream per namespace; no namespaces = all of them, in one stream.
pub(crate) fn namespaced<K>(
    client: &Client,
    namespaces: &[String],
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
        return vec![guarded(Api::all(client.clone()))];
    }
    namespaces
        .iter()
        .map(|namespace| guarded(Api::namespaced(client.clone(), namespace)))
        .collect()
}

/// Watches a kind through one API handle.
pub(crate) fn guarded<K>(api: Api<DeserializeGuard<K>>) -> Events<DeserializeGuard<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let lean = |object: &mut DeserializeGuard<K>| object.managed_fields_mut().clear();
    watcher(api, watcher::Config::default())
        .backoff(QuickBackoff::default())
        .modify(lean)
        .boxed()
}

/// Watches nothing but the metadata of a kind.
pub(crate) fn metadata<K>(api: Api<PartialObjectMeta<K>>) -> Events<PartialObjectMeta<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let lean = |object: &mut PartialObjectMeta<K>| object.managed_fields_mut().clear();
    watcher(api, watcher::Config::default())
        .backoff(QuickBackoff::default())
        .modify(lean)
        .boxed()
}

/// Numbers the streams, so that one that starts over does not hide what the others told.
pub(crate) fn merged<K: Send + 'static>(
    streams: Vec<Events<K>>,
) -> BoxStream<'static, (usize, Result<Event<K>, watcher::Error>)> {
    let numbered = streams
        .into_iter()
        .enumerate()
        .map(|(number, stream)| stream.map(move |event| (number, event)).boxed());
    stream::select_all(numbered).boxed()
}

/// From a fifth of a second to two: with kube's default, half a minute passes until a restarted server is heard again.
#[derive(Clone, Debug)]
pub(crate) struct QuickBackoff {
    next: Duration,
}

impl QuickBackoff {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(2);
}

impl Default for QuickBackoff {
    fn default() -> Self {
        Self { next: Self::FIRST }
    }
}

impl Iterator for QuickBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.next;
        self.next = (wait * 2).min(Self::LONGEST);
        Some(wait)
    }
}

impl Backoff for QuickBackoff {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_never_further_away_than_two_seconds() {
        let mut backoff = QuickBackoff::default();
        let waits: Vec<_> = backoff
            .by_ref()
            .take(6)
            .map(|wait| wait.as_millis())
            .collect();
        assert_eq!(waits, [200, 400, 800, 1600, 2000, 2000]);
        backoff.reset();
        assert_eq!(backoff.next(), Some(QuickBackoff::FIRST));
    }
}
