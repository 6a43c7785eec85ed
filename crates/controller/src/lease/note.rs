//! A text that the holder of the lease passes on to the next one.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A text in an annotation of the Lease, which is written with the next renewal. Only the holder may set it.
#[derive(Debug, Default)]
pub(crate) struct LeaseNote(Mutex<Option<String>>);

impl LeaseNote {
    /// Returns the text that this replica or the previous holder set last.
    pub(crate) fn get(&self) -> Option<String> {
        self.lock().clone()
    }

    /// Replaces the text.
    pub(crate) fn set(&self, text: String) {
        *self.lock() = Some(text);
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
