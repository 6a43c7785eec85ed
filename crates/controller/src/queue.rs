//! A queue of work by key. Each key has at most one run at a time, at its due time, the earliest first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock;

/// Keys that are due now or later, and keys whose run is in progress.
#[derive(Debug)]
pub(crate) struct Queue<K> {
    state: Mutex<State<K>>,
    wake: Notify,
}

#[derive(Debug)]
struct State<K> {
    due: BTreeMap<K, Instant>,
    order: BTreeSet<(Instant, K)>,
    running: BTreeMap<K, Parked>,
    /// The resourceVersion of the last write by this process, by key.
    written: BTreeMap<K, String>,
}

/// What arrived for a key during its run.
#[derive(Debug, Default)]
struct Parked {
    due: Option<Instant>,
    version: Option<String>,
}

impl<K: Ord + Clone> Queue<K> {
    /// Creates an empty queue.
    pub(crate) fn new() -> Self {
        let state = State {
            due: BTreeMap::new(),
            order: BTreeSet::new(),
            running: BTreeMap::new(),
            written: BTreeMap::new(),
        };
        Self {
            state: Mutex::new(state),
            wake: Notify::new(),
        }
    }

    /// Schedules a run at an instant. An earlier scheduled run is kept.
    pub(crate) fn push(&self, key: K, at: Instant) {
        let mut state = self.lock();
        match state.running.get_mut(&key) {
            Some(parked) => parked.due = Some(parked.due.map_or(at, |due| due.min(at))),
            None => state.schedule(key, at),
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Schedules a run now because the object has changed, unless the change was the last write by this process.
    pub(crate) fn push_changed(&self, key: K, version: &str) {
        let mut state = self.lock();
        let echo = state.is_echo(&key, version);
        match state.running.get_mut(&key) {
            Some(parked) => parked.version = Some(version.to_owned()),
            None if echo => {}
            None => state.schedule(key, clock::now()),
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Records the resourceVersion of a write by this process, so that its echo causes no run.
    pub(crate) fn record_write(&self, key: &K, version: String) {
        self.lock().written.insert(key.clone(), version);
    }

    /// Returns whether this version of the object is the last write by this process.
    pub(crate) fn is_own_write(&self, key: &K, version: &str) -> bool {
        self.lock().is_echo(key, version)
    }

    /// Removes a key, unless its run is in progress.
    pub(crate) fn forget(&self, key: &K) {
        let mut state = self.lock();
        state.unschedule(key);
        state.written.remove(key);
    }

    /// Returns the due time of each key whose run is not in progress.
    #[cfg(test)]
    pub(crate) fn due(&self) -> BTreeMap<K, Instant> {
        self.lock().due.clone()
    }

    /// Removes every key whose run is not in progress.
    pub(crate) fn clear(&self) {
        let mut state = self.lock();
        state.due.clear();
        state.order.clear();
    }

    /// Waits for the next key that is due, and marks its run as in progress.
    pub(crate) async fn next(&self) -> K {
        loop {
            let woken = self.wake.notified();
            let wait = match self.pop(clock::now()) {
                Ok(key) => return key,
                Err(wait) => wait,
            };
            match wait {
                Some(instant) => {
                    tokio::select! {
                        () = woken => {}
                        () = tokio::time::sleep_until(instant) => {}
                    }
                }
                None => woken.await,
            }
        }
    }

    /// Ends a run. The key is due again at `again`, or now if something arrived during the run.
    pub(crate) fn done(&self, key: &K, again: Option<Instant>) {
        let mut state = self.lock();
        let parked = state.running.remove(key).unwrap_or_default();
        let changed = parked
            .version
            .is_some_and(|version| !state.is_echo(key, &version))
            .then(clock::now);
        if let Some(at) = [again, parked.due, changed].into_iter().flatten().min() {
            state.schedule(key.clone(), at);
        }
        drop(state);
        self.wake.notify_one();
    }

    fn pop(&self, now: Instant) -> Result<K, Option<Instant>> {
        let mut state = self.lock();
        match state.order.first() {
            None => Err(None),
            Some((at, _)) if *at > now => Err(Some(*at)),
            Some((_, key)) => {
                let key = key.clone();
                state.unschedule(&key);
                state.running.insert(key.clone(), Parked::default());
                Ok(key)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord + Clone> Default for Queue<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord + Clone> State<K> {
    fn schedule(&mut self, key: K, at: Instant) {
        let at = self.due.get(&key).map_or(at, |due| at.min(*due));
        self.unschedule(&key);
        self.due.insert(key.clone(), at);
        self.order.insert((at, key));
    }

    fn unschedule(&mut self, key: &K) {
        if let Some(at) = self.due.remove(key) {
            self.order.remove(&(at, key.clone()));
        }
    }

    fn is_echo(&self, key: &K, version: &str) -> bool {
        self.written
            .get(key)
            .is_some_and(|written| written == version)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn keys_are_returned_when_they_are_due() {
        let (queue, start) = (Queue::new(), clock::now());
        queue.push("late", start + Duration::from_secs(9));
        queue.push("early", start + Duration::from_secs(3));
        assert_eq!(queue.next().await, "early");
        assert_eq!(clock::now() - start, Duration::from_secs(3));
        assert_eq!(queue.next().await, "late");
        assert_eq!(clock::now() - start, Duration::from_secs(9));
    }

    #[tokio::test(start_paused = true)]
    async fn pushing_a_key_again_makes_it_due_earlier_but_never_twice() {
        let (queue, start) = (Queue::new(), clock::now());
        queue.push("a", start + Duration::from_mins(1));
        queue.push("a", start);
        queue.push("a", start + Duration::from_secs(5));
        assert_eq!(queue.next().await, "a");
        queue.done(&"a", None);
        assert!(is_idle(&queue).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_in_progress_is_not_returned_a_second_time() {
        let queue = Queue::new();
        queue.push("a", clock::now());
        assert_eq!(queue.next().await, "a");
        queue.push("a", clock::now());
        assert!(is_idle(&queue).await);
        queue.done(&"a", None);
        assert_eq!(queue.next().await, "a");
    }

    #[tokio::test(start_paused = true)]
    async fn the_echo_of_an_own_write_causes_no_run_but_a_foreign_change_does() {
        let queue = Queue::new();
        queue.push_changed("a", "1");
        assert_eq!(queue.next().await, "a");
        queue.push_changed("a", "2");
        queue.record_write(&"a", "2".to_owned());
        queue.done(&"a", None);
        queue.push_changed("a", "2");
        assert!(is_idle(&queue).await);
        queue.push_changed("a", "3");
        assert_eq!(queue.next().await, "a");
    }

    async fn is_idle(queue: &Queue<&'static str>) -> bool {
        tokio::time::timeout(Duration::from_secs(1), queue.next())
            .await
            .is_err()
    }
}
