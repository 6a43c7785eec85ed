//! The tasks that the process needs. Each has a name, and the first one that ends unexpectedly is noticed.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::clock;

/// How often each task shows that it is alive.
const BEAT: Duration = Duration::from_secs(5);

/// The time without a sign after which a task counts as hanging. No task may occupy a thread for this long, even on a
/// slow machine.
const SILENCE: Duration = Duration::from_mins(1);

/// A group of tasks.
#[derive(Debug)]
pub(crate) struct Tasks {
    running: JoinSet<EndedTask>,
    pulse: Pulse,
}

/// A task that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} {}", if *panicked { "has panicked" } else { "has ended" })]
pub(crate) struct EndedTask {
    name: &'static str,
    panicked: bool,
}

/// When each task was last seen alive. All clones show the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse(Arc<Mutex<BTreeMap<&'static str, Instant>>>);

impl Tasks {
    /// Creates an empty group.
    pub(crate) fn new(pulse: &Pulse) -> Self {
        Self {
            running: JoinSet::new(),
            pulse: pulse.clone(),
        }
    }

    /// Starts a task. Besides its work, the task shows at intervals that it is not stuck.
    pub(crate) fn spawn(
        &mut self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let pulse = self.pulse.clone();
        pulse.beat(name);
        self.running.spawn(async move {
            let mut beats = tokio::time::interval(BEAT);
            beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let work = AssertUnwindSafe(work).catch_unwind();
            tokio::pin!(work);
            let panicked = loop {
                tokio::select! {
                    outcome = &mut work => break outcome.is_err(),
                    _ = beats.tick() => pulse.beat(name),
                }
            };
            pulse.end(name);
            EndedTask { name, panicked }
        });
    }

    /// Waits for the first task to end. Without tasks it waits forever.
    pub(crate) async fn first(&mut self) -> EndedTask {
        match self.running.join_next().await {
            Some(ended) => ended.unwrap_or(EndedTask {
                name: "a task",
                panicked: true,
            }),
            None => std::future::pending().await,
        }
    }

    /// Waits for all tasks to end on their own.
    pub(crate) async fn all(&mut self) {
        while self.running.join_next().await.is_some() {}
    }

    /// Aborts all tasks.
    pub(crate) async fn stop(&mut self) {
        self.running.shutdown().await;
    }
}

impl Pulse {
    /// Returns the name of a task that hangs, if there is one.
    pub(crate) fn hanging_task(&self) -> Option<String> {
        let now = clock::now();
        let seen = self.seen();
        let silent = seen
            .iter()
            .find(|(_, seen)| now.saturating_duration_since(**seen) > SILENCE);
        silent.map(|(name, _)| format!("{name} hangs"))
    }

    fn beat(&self, name: &'static str) {
        self.seen().insert(name, clock::now());
    }

    fn end(&self, name: &'static str) {
        self.seen().remove(name);
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<&'static str, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_task_that_ends_is_named_and_a_panic_is_distinguished() {
        let mut tasks = Tasks::new(&Pulse::default());
        tasks.spawn("the watch of policies", std::future::pending());
        tasks.spawn("the lease", async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            panic!("boom");
        });
        tasks.spawn("the deletion of records", async {
            tokio::time::sleep(Duration::from_secs(9)).await;
        });
        assert_eq!(tasks.first().await.to_string(), "the lease has panicked");
        assert_eq!(
            tasks.first().await.to_string(),
            "the deletion of records has ended"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_only_waits_is_alive_and_one_that_occupies_its_thread_is_not() {
        let pulse = Pulse::default();
        let mut tasks = Tasks::new(&pulse);
        tasks.spawn("waits", std::future::pending());
        tokio::time::sleep(SILENCE * 10).await;
        assert_eq!(pulse.hanging_task(), None);
        // A test has one thread, so a task that occupies it is a task that is not polled.
        pulse.beat("hangs");
        tokio::time::sleep(SILENCE + BEAT).await;
        assert_eq!(pulse.hanging_task().as_deref(), Some("hangs hangs"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ended_as_expected_does_not_count_as_hanging() {
        let pulse = Pulse::default();
        let mut tasks = Tasks::new(&pulse);
        tasks.spawn("short", async {});
        tasks.all().await;
        tokio::time::sleep(SILENCE * 2).await;
        assert_eq!(pulse.hanging_task(), None);
    }
}
