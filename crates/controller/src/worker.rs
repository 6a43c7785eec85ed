//! Works a queue off: bounded, one run of a key at a time, a panic or an error of one never stops the others.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::clock;
use crate::error::Error;
use crate::lease::Standing;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::shutdown::Shutdown;

/// How long running work may go on after the end has begun.
const GRACE: Duration = Duration::from_secs(20);

/// The first pause after a failure; it doubles.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// No pause after a failure is longer.
const LONGEST_RETRY: Duration = Duration::from_mins(1);

/// How work is done for one kind of key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The loop's name, in logs and metrics.
    pub name: &'static str,
    /// Runs at one time.
    pub concurrency: usize,
    /// Nothing takes longer than this.
    pub timeout: Duration,
}

/// What a worker needs beside its queue.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Only the holder of the lease works.
    pub standing: Standing,
    /// Ends all work.
    pub shutdown: Shutdown,
}

/// How often a key has failed in a row.
#[derive(Debug)]
struct Failures<K>(Mutex<BTreeMap<K, u32>>);

impl<K: Ord + Clone> Failures<K> {
    fn pause(&self, key: &K) -> Duration {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(key.clone()).or_default();
        *count = count.saturating_add(1);
        pause_after(*count)
    }

    fn forget(&self, key: &K) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }
}

fn pause_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(6);
    (FIRST_RETRY * 2_u32.pow(doublings)).min(LONGEST_RETRY)
}

/// Works until the shutdown begins, then lets what runs come to its end.
///
/// `work` answers when to run the key again, if at all.
pub(crate) async fn run<K, W, F>(
    limits: Limits,
    queue: Arc<Queue<K>>,
    surroundings: Surroundings,
    work: W,
) where
    K: Ord + Clone + Display + Send + Sync + 'static,
    W: Fn(K) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Option<Duration>, Error>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(limits.concurrency));
    let failures = Arc::new(Failures(Mutex::new(BTreeMap::new())));
    let mut running = JoinSet::new();
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let key = tokio::select! {
            biased;
            () = surroundings.shutdown.begun() => break,
            key = queue.next() => key,
        };
        while running.try_join_next().is_some() {}
        let (queue, surroundings, failures, work) = (
            Arc::clone(&queue),
            surroundings.clone(),
            Arc::clone(&failures),
            work.clone(),
        );
        running.spawn(async move {
            let pause = attempt(limits, &surroundings, &failures, &key, work).await;
            queue.done(&key, pause.map(|pause| clock::now() + pause));
            drop(place);
        });
    }
    let _ = tokio::time::timeout(GRACE, async {
        while running.join_next().await.is_some() {}
    })
    .await;
}

async fn attempt<K, W, F>(
    limits: Limits,
    around: &Surroundings,
    failures: &Failures<K>,
    key: &K,
    work: W,
) -> Option<Duration>
where
    K: Ord + Clone + Display,
    W: Fn(K) -> F,
    F: Future<Output = Result<Option<Duration>, Error>>,
{
    // Everything is asked for again when this replica gets the lease.
    if !around.standing.is_held() {
        return None;
    }
    around.metrics.reconcile_began(limits.name);
    let began = clock::now();
    let ended = tokio::time::timeout(
        limits.timeout,
        AssertUnwindSafe(work(key.clone())).catch_unwind(),
    )
    .await;
    let (result, pause) = match ended {
        Ok(Ok(Ok(again))) => {
            failures.forget(key);
            (
                if again.is_some() {
                    "requeue"
                } else {
                    "success"
                },
                again,
            )
        }
        Ok(Ok(Err(error))) => failed(limits, failures, key, &error),
        Ok(Err(_panic)) => {
            around.metrics.reconcile_panicked(limits.name);
            (
                Error::Stale("").result(),
                Some(failures.pause(key).max(LONGEST_RETRY)),
            )
        }
        Err(_elapsed) => failed(
            limits,
            failures,
            key,
            &Error::Unreachable("it took too long".to_owned()),
        ),
    };
    around
        .metrics
        .reconcile_ended(limits.name, result, clock::now() - began);
    pause
}

fn failed<K: Ord + Clone + Display>(
    limits: Limits,
    failures: &Failures<K>,
    key: &K,
    error: &Error,
) -> (&'static str, Option<Duration>) {
    if error.is_passing() {
        tracing::debug!(controller = limits.name, object = %key, %error, "begins again");
    } else {
        tracing::warn!(controller = limits.name, object = %key, %error, "reconcile failed");
    }
    (error.result(), Some(failures.pause(key)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::options::SecretLabel;
    use crate::shutdown;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let pauses: Vec<_> = (1..=8)
            .map(|failures| pause_after(failures).as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_of_one_key_stops_no_other() {
        let (_trigger, shutdown) = shutdown::channel();
        let (_tenure, standing) = Standing::held_for(1, Duration::from_hours(1));
        let surroundings = Surroundings {
            metrics: Metrics::new(1, SecretLabel::Name).expect("metrics"),
            standing,
            shutdown,
        };
        let queue = Arc::new(Queue::new());
        queue.push("bad", clock::now());
        queue.push("good", clock::now());
        let done = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&done);
        let limits = Limits {
            name: "policy",
            concurrency: 1,
            timeout: Duration::from_secs(5),
        };
        let work = move |key: &'static str| {
            let counter = Arc::clone(&counter);
            async move {
                assert!(key != "bad", "boom");
                counter.fetch_add(1, Ordering::Relaxed);
                Ok(None)
            }
        };
        let _ = tokio::time::timeout(
            Duration::from_secs(10),
            run(limits, queue, surroundings.clone(), work),
        )
        .await;
        assert_eq!(done.load(Ordering::Relaxed), 1);
        let text = surroundings.metrics.text().expect("text");
        assert!(text.contains(r#"secretrotation_reconcile_panics_total{controller="policy"} 1"#));
    }
}
