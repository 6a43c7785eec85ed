//! Keeps one copy of each value that many rows share.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

/// The values that some row uses, once each. Values without a row are dropped by [`Interner::drop_unused`].
#[derive(Clone, Debug)]
pub(super) struct Interner<T>(HashSet<Arc<T>>);

impl<T: Eq + Hash> Default for Interner<T> {
    fn default() -> Self {
        Self(HashSet::new())
    }
}

impl<T: Eq + Hash> Interner<T> {
    /// Returns the one copy of the value.
    pub(super) fn intern(&mut self, value: T) -> Arc<T> {
        if let Some(known) = self.0.get(&value) {
            return Arc::clone(known);
        }
        let value = Arc::new(value);
        self.0.insert(Arc::clone(&value));
        value
    }

    /// Drops the values that nothing else holds. The order in which the set is visited decides nothing.
    pub(super) fn drop_unused(&mut self) {
        self.0.retain(|value| Arc::strong_count(value) > 1);
    }
}
