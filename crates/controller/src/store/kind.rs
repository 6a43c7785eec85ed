//! The objects of one resource as its watches show them, over any number of streams.

use std::collections::{BTreeMap, BTreeSet};

use kube::runtime::watcher::Event;
use secret_rotation_core::names::{Namespace, ObjectKey};

/// Objects by key, each with the stream that showed it.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    entries: BTreeMap<K, Entry<V>>,
    /// The objects in a list that has begun and not ended, by stream.
    listing: BTreeMap<usize, BTreeSet<K>>,
    listed: BTreeSet<usize>,
}

#[derive(Debug)]
struct Entry<V> {
    stream: usize,
    version: u64,
    value: V,
}

/// What an event changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change<K> {
    /// The object exists. It is new or changed.
    Applied(K),
    /// The object was deleted.
    Deleted(K),
}

impl<K> Change<K> {
    /// Returns the key of the object.
    pub(crate) const fn key(&self) -> &K {
        let (Self::Applied(key) | Self::Deleted(key)) = self;
        key
    }
}

/// An object to be cached.
#[derive(Debug)]
pub(super) struct Observed<K, V> {
    /// The key of the object.
    pub key: K,
    /// The resourceVersion of the object.
    pub version: u64,
    /// What is kept of the object.
    pub value: V,
}

impl<K: Ord + Clone, V> Cache<K, V> {
    /// Creates an empty cache.
    pub(super) const fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            listing: BTreeMap::new(),
            listed: BTreeSet::new(),
        }
    }

    /// Returns what is known of one object.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// Iterates over all objects.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.value))
    }

    /// Returns whether this number of streams have completed a list at least once.
    pub(super) fn is_complete(&self, streams: usize) -> bool {
        self.listed.len() >= streams
    }

    /// Applies an event of a stream. Objects that are absent from a new list are removed when that list ends.
    pub(super) fn apply<O>(
        &mut self,
        stream: usize,
        event: Event<O>,
        observe: impl Fn(&O) -> Option<Observed<K, V>>,
    ) -> Vec<Change<K>> {
        match event {
            Event::Init => {
                self.listing.insert(stream, BTreeSet::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                let Some(observed) = observe(&object) else {
                    return Vec::new();
                };
                self.listing
                    .entry(stream)
                    .or_default()
                    .insert(observed.key.clone());
                self.apply_object(stream, observed)
            }
            Event::Apply(object) => observe(&object)
                .map(|observed| self.apply_object(stream, observed))
                .unwrap_or_default(),
            Event::Delete(object) => observe(&object)
                .map(|observed| self.remove(&observed.key))
                .unwrap_or_default(),
            Event::InitDone => self.end_list(stream),
        }
    }

    /// Stores an object that was just read or written, before its watch shows it.
    pub(super) fn insert(&mut self, observed: Observed<K, V>) {
        if let Some(entry) = self
            .entries
            .get_mut(&observed.key)
            .filter(|entry| entry.version < observed.version)
        {
            *entry = Entry {
                stream: entry.stream,
                version: observed.version,
                value: observed.value,
            };
        }
    }

    /// Stores the object of an event. An event that is older than the known state changes nothing: a write of this
    /// process was faster than its watch.
    fn apply_object(&mut self, stream: usize, observed: Observed<K, V>) -> Vec<Change<K>> {
        if self.entries.get(&observed.key).is_none_or(|known| {
            observed.version >= known.version || self.listing.contains_key(&stream)
        }) {
            let entry = Entry {
                stream,
                version: observed.version,
                value: observed.value,
            };
            self.entries.insert(observed.key.clone(), entry);
        }
        vec![Change::Applied(observed.key)]
    }

    fn remove(&mut self, key: &K) -> Vec<Change<K>> {
        self.entries
            .remove(key)
            .map(|_| Change::Deleted(key.clone()))
            .into_iter()
            .collect()
    }

    fn end_list(&mut self, stream: usize) -> Vec<Change<K>> {
        let listed = self.listing.remove(&stream).unwrap_or_default();
        self.listed.insert(stream);
        let own = self
            .entries
            .iter()
            .filter(|(key, entry)| entry.stream == stream && !listed.contains(key));
        let gone: Vec<_> = own.map(|(key, _)| key.clone()).collect();
        gone.iter().flat_map(|key| self.remove(key)).collect()
    }
}

impl<V> Cache<ObjectKey, V> {
    /// Returns the objects of a namespace.
    pub(super) fn in_namespace(
        &self,
        namespace: &Namespace,
    ) -> impl Iterator<Item = (&ObjectKey, &V)> {
        let from = self.entries.range(ObjectKey::before_all_in(namespace)..);
        from.take_while(|(key, _)| key.namespace == *namespace)
            .map(|(key, entry)| (key, &entry.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_is_absent_from_a_new_list_is_removed_when_the_list_ends() {
        let mut cache = filled();
        assert_eq!(apply(&mut cache, 0, Event::Init), []);
        assert_eq!(
            apply(&mut cache, 0, Event::InitApply(("a", 3))),
            [Change::Applied("a")]
        );
        assert!(cache.get(&"b").is_some(), "until then it may only be late");
        assert_eq!(
            apply(&mut cache, 0, Event::InitDone),
            [Change::Deleted("b")]
        );
    }

    #[test]
    fn a_list_of_one_stream_does_not_affect_another() {
        let mut cache = filled();
        apply(&mut cache, 1, Event::Init);
        assert_eq!(apply(&mut cache, 1, Event::InitDone), []);
        assert_eq!(cache.iter().count(), 2);
        assert!(cache.is_complete(2) && !cache.is_complete(3));
    }

    #[test]
    fn a_late_event_does_not_undo_an_own_write() {
        let mut cache = filled();
        cache.insert(observed(("a", 9)));
        assert_eq!(
            apply(&mut cache, 0, Event::Apply(("a", 5))),
            [Change::Applied("a")]
        );
        assert_eq!(cache.get(&"a"), Some(&9));
        cache.insert(observed(("a", 7)));
        assert_eq!(cache.get(&"a"), Some(&9));
    }

    #[test]
    fn an_own_write_does_not_restore_a_deleted_object() {
        let mut cache = filled();
        assert_eq!(
            apply(&mut cache, 0, Event::Delete(("a", 4))),
            [Change::Deleted("a")]
        );
        cache.insert(observed(("a", 9)));
        assert_eq!(cache.get(&"a"), None);
    }

    fn filled() -> Cache<&'static str, u64> {
        let mut cache = Cache::new();
        for event in [
            Event::Init,
            Event::InitApply(("a", 1)),
            Event::InitApply(("b", 2)),
            Event::InitDone,
        ] {
            apply(&mut cache, 0, event);
        }
        cache
    }

    fn apply(
        cache: &mut Cache<&'static str, u64>,
        stream: usize,
        event: Event<(&'static str, u64)>,
    ) -> Vec<Change<&'static str>> {
        cache.apply(stream, event, |object| Some(observed(*object)))
    }

    const fn observed((key, version): (&'static str, u64)) -> Observed<&'static str, u64> {
        Observed {
            key,
            version,
            value: version,
        }
    }
}
