//! Kubernetes objects in groups: each group holds what is filed under one place, in the order of the keys.
//!
//! A change copies only the path to what it changes, and a clone shares everything with the original.

use std::borrow::Borrow;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use crate::names::ObjectKey;

/// Objects in the order of their keys.
pub(crate) type Group<V> = RedBlackTreeMapSync<ObjectKey, Arc<V>>;

/// Objects by the place under which they are filed. No group is empty.
#[derive(Clone, Debug)]
pub(crate) struct Groups<K: Ord, V>(RedBlackTreeMapSync<K, Group<V>>);

impl<K: Ord, V> Default for Groups<K, V> {
    fn default() -> Self {
        Self(RedBlackTreeMapSync::new_sync())
    }
}

impl<K: Ord + Clone, V> Groups<K, V> {
    /// Files an object under a place.
    pub(crate) fn add<Q>(&mut self, place: &Q, key: &ObjectKey, object: &Arc<V>)
    where
        K: Borrow<Q>,
        Q: Ord + ToOwned<Owned = K> + ?Sized,
    {
        let (key, object) = (key.clone(), Arc::clone(object));
        if let Some(group) = self.0.get_mut(place) {
            group.insert_mut(key, object);
        } else {
            let group = RedBlackTreeMapSync::new_sync().insert(key, object);
            self.0.insert_mut(place.to_owned(), group);
        }
    }

    /// Removes an object from a place.
    pub(crate) fn take<Q>(&mut self, place: &Q, key: &ObjectKey)
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let Some(group) = self.0.get_mut(place) else {
            return;
        };
        group.remove_mut(key);
        if group.is_empty() {
            self.0.remove_mut(place);
        }
    }

    /// Returns one object of a place.
    pub(crate) fn get(&self, place: &K, key: &ObjectKey) -> Option<&Arc<V>> {
        self.0.get(place)?.get(key)
    }

    /// Returns the objects of a place.
    pub(crate) fn members<Q>(&self, place: &Q) -> impl Iterator<Item = &Arc<V>> + use<'_, K, V, Q>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let group = self.0.get(place).into_iter();
        counted(group.flat_map(RedBlackTreeMapSync::values))
    }

    /// Returns the objects of this place and all later ones, each with its place.
    pub(crate) fn from(&self, first: &K) -> impl Iterator<Item = (&K, &Arc<V>)> {
        let groups = self.0.range(first..);
        counted(groups.flat_map(|(place, group)| group.values().map(move |one| (place, one))))
    }

    /// Returns the objects of all places.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<V>> {
        counted(self.0.values().flat_map(RedBlackTreeMapSync::values))
    }
}

#[cfg(debug_assertions)]
thread_local! {
    static VISITS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Counts the objects that a lookup returns.
pub(crate) fn counted<T>(found: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    found.inspect(|_| {
        #[cfg(debug_assertions)]
        VISITS.set(VISITS.get() + 1);
    })
}

/// Returns how many policies and operations the lookups of this thread returned since the last call. Tests hold the
/// cost of decisions with it, so it exists in debug builds only.
#[cfg(debug_assertions)]
pub fn take_visits() -> usize {
    VISITS.take()
}
