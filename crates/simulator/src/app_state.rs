//! The data that the tasks of the server and the user of the library share: the state and the hanging requests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::oneshot;

use crate::state::SimulatedAws;

#[derive(Debug)]
pub(crate) struct AppState {
    state: Mutex<SimulatedAws>,
    hanging: Mutex<BTreeMap<u64, (Hanging, oneshot::Sender<()>)>>,
    hung: AtomicUsize,
    counter: Mutex<u64>,
    accounts: BTreeMap<String, String>,
}

/// A request that hangs because of a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hanging {
    /// AWS's request id.
    pub request_id: String,
    /// The operation.
    pub operation: String,
    /// Whether the request has been applied already.
    pub applied: bool,
}

impl AppState {
    pub(crate) fn new(state: SimulatedAws, accounts: BTreeMap<String, String>) -> Self {
        Self {
            state: Mutex::new(state),
            hanging: Mutex::default(),
            hung: AtomicUsize::new(0),
            counter: Mutex::default(),
            accounts,
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, SimulatedAws> {
        // A panic in one request must not block the simulator for all others.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn account_of(&self, access_key: &str) -> Option<String> {
        self.accounts.get(access_key).cloned()
    }

    pub(crate) fn request_id(&self) -> String {
        uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, &self.next().to_be_bytes()).to_string()
    }

    fn next(&self) -> u64 {
        let mut counter = self.counter.lock().unwrap_or_else(PoisonError::into_inner);
        *counter += 1;
        *counter
    }

    /// Waits until the request is released. If the client disconnects, the wait and the request end.
    pub(crate) async fn hang(&self, request_id: &str, operation: &str, applied: bool) {
        let (release, released) = oneshot::channel();
        let (request_id, operation) = (request_id.to_owned(), operation.to_owned());
        let number = self.next();
        let entry = (
            Hanging {
                request_id,
                operation,
                applied,
            },
            release,
        );
        self.lock_hanging().insert(number, entry);
        self.hung.fetch_add(1, Ordering::Relaxed);
        let _forget = RemoveOnDrop { app: self, number };
        // An error means that the simulator stops. The answer is dropped then.
        let _ = released.await;
    }

    pub(crate) fn hung(&self) -> usize {
        self.hung.load(Ordering::Relaxed)
    }

    pub(crate) fn hanging(&self) -> Vec<Hanging> {
        self.lock_hanging()
            .values()
            .map(|(hanging, _)| hanging.clone())
            .collect()
    }

    /// Releases every hanging request.
    pub(crate) fn release(&self) {
        for (_, (_, release)) in std::mem::take(&mut *self.lock_hanging()) {
            // The client may have disconnected.
            let _ = release.send(());
        }
    }

    fn lock_hanging(&self) -> MutexGuard<'_, BTreeMap<u64, (Hanging, oneshot::Sender<()>)>> {
        self.hanging.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a hanging request when its wait ends for any reason.
struct RemoveOnDrop<'a> {
    app: &'a AppState,
    number: u64,
}

impl Drop for RemoveOnDrop<'_> {
    fn drop(&mut self) {
        self.app.lock_hanging().remove(&self.number);
    }
}
