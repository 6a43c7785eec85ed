//! A text that the holder of the lease hands on to the next one.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lies in an annotation of the Lease, and is written with the next renewal. Only the holder may set it.
#[derive(Debug, Default)]
pub(crate) struct Note(Mutex<Option<String>>);

impl Note {
    /// What was set last, here or by the holder before.
    pub(crate) fn get(&self) -> Option<String> {
        self.lock().clone()
    }

    /// Replaces it.
    pub(crate) fn set(&self, text: String) {
        *self.lock() = Some(text);
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
