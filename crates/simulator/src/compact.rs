//! Collections that take little memory when they hold few elements, as those of a secret do.
//!
//! A node of the standard library's ordered map has room for eleven elements. A secret has two versions.

use std::borrow::Borrow;
use std::ops::{Deref, DerefMut};

/// An ordered map in one vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SortedMap<K, V>(Vec<(K, V)>);

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// Returns the index of a key, or the index at which to insert it.
    fn index<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.0.binary_search_by(|(own, _)| own.borrow().cmp(key))
    }

    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.index(key).ok().map(|index| &self.0[index].1)
    }

    pub(crate) fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.index(key).is_ok()
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.index(&key) {
            Ok(index) => Some(std::mem::replace(&mut self.0[index].1, value)),
            Err(index) => {
                self.0.reserve_exact(1);
                self.0.insert(index, (key, value));
                None
            }
        }
    }

    pub(crate) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let index = self.index(key).ok()?;
        Some(self.0.remove(index).1)
    }

    /// Returns the value of a key. Inserts the default value if the key is absent.
    pub(crate) fn entry<Q: Ord + ?Sized>(&mut self, key: &Q) -> &mut V
    where
        K: Borrow<Q> + for<'a> From<&'a Q>,
        V: Default,
    {
        let index = self.index(key).unwrap_or_else(|index| {
            self.0.reserve_exact(1);
            self.0.insert(index, (key.into(), V::default()));
            index
        });
        &mut self.0[index].1
    }
}

impl<K, V> SortedMap<K, V> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        self.0.retain(|(key, value)| keep(key, value));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<K: Ord, V> Extend<(K, V)> for SortedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

/// A value that takes no memory as long as it is the default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sparse<T>(Option<Box<T>>);

/// A value whose default needs no allocation.
pub(crate) trait Blank: Default + 'static {
    /// Returns the default.
    fn blank() -> &'static Self;
}

impl<T: Blank> Deref for Sparse<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or_else(|| T::blank())
    }
}

impl<T: Blank> DerefMut for Sparse<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sorted_map_holds_each_key_once_in_order() {
        let mut map: SortedMap<String, u32> = SortedMap::default();
        for (key, value) in [("b", 1), ("a", 2), ("c", 3)] {
            assert_eq!(map.insert(key.to_owned(), value), None);
        }
        assert_eq!(map.insert("b".to_owned(), 4), Some(1));
        *map.entry("a") += 10;
        *map.entry("d") += 5;
        assert_eq!(map.remove("c"), Some(3));
        let all: Vec<_> = map
            .iter()
            .map(|(key, value)| (key.as_str(), *value))
            .collect();
        assert_eq!(all, [("a", 12), ("b", 4), ("d", 5)]);
        assert_eq!((map.get("c"), map.contains_key("d")), (None, true));
    }
}
