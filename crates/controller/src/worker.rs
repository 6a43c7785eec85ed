//! Processes a queue with limited concurrency and one run of a key at a time. A panic or an error of one key never
//! stops the others.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::clock;
use crate::error::Error;
use crate::jitter::spread;
use crate::lease::Leadership;
use crate::metrics::{Controller, Metrics, ReconcileResult};
use crate::queue::Queue;
use crate::shutdown::Shutdown;

/// The first pause after a failure. It doubles with each failure.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Maximum pause after a failure.
const LONGEST_RETRY: Duration = Duration::from_mins(1);

/// How one queue is processed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoopConfig {
    /// The reconciler, as logs and metrics name it.
    pub controller: Controller,
    /// Maximum number of runs at one time.
    pub concurrency: usize,
    /// Maximum time of one run.
    pub timeout: Duration,
    /// How long running work may continue after the shutdown has begun. With zero it is dropped immediately.
    pub grace: Duration,
}

/// What a worker needs besides its queue.
#[derive(Clone, Debug)]
pub(crate) struct Deps {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Whether this replica holds the lease. Otherwise the worker does nothing.
    pub leadership: Leadership,
    /// The shutdown, which ends all work.
    pub shutdown: Shutdown,
}

/// The number of consecutive failures of each key.
#[derive(Debug)]
struct Failures<K>(Mutex<BTreeMap<K, u32>>);

impl<K: Ord + Clone + Display> Failures<K> {
    /// Returns the pause after another failure. It is spread, so that keys that failed together because the API
    /// server was down do not retry together.
    fn pause(&self, key: &K) -> Duration {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(key.clone()).or_default();
        *count = count.saturating_add(1);
        spread(pause_after(*count), (key.to_string(), *count))
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

/// Processes the queue until the shutdown begins, and then lets running work finish.
///
/// `work` returns the time until the next run of the key, if there must be one.
pub(crate) async fn run<K, W, F>(config: LoopConfig, queue: Arc<Queue<K>>, deps: Deps, work: W)
where
    K: Ord + Clone + Display + Send + Sync + 'static,
    W: Fn(K) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Option<Duration>, Error>> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(config.concurrency));
    let failures = Arc::new(Failures(Mutex::new(BTreeMap::new())));
    let mut running = JoinSet::new();
    loop {
        // The permit comes first: while a key waits in the queue, further changes still join it. Both waits end with
        // the shutdown.
        let (permit, key) = tokio::select! {
            biased;
            () = deps.shutdown.begun() => break,
            next = next(&permits, &queue) => next,
        };
        while let Some(ended) = running.try_join_next() {
            // Panics of a key are caught. This one would be a bug of the loop, which must not continue with one
            // permit less.
            if let Err(Ok(panic)) = ended.map_err(tokio::task::JoinError::try_into_panic) {
                std::panic::resume_unwind(panic);
            }
        }
        let (queue, deps, failures, work) = (
            Arc::clone(&queue),
            deps.clone(),
            Arc::clone(&failures),
            work.clone(),
        );
        running.spawn(async move {
            let pause = run_once(config, &deps, &failures, &key, work).await;
            queue.done(&key, pause.map(|pause| clock::now() + pause));
            drop(permit);
        });
    }
    let _ = tokio::time::timeout(config.grace, async {
        while running.join_next().await.is_some() {}
    })
    .await;
    running.shutdown().await;
}

/// Waits for a permit, and then for the next key.
async fn next<K: Ord + Clone>(
    permits: &Arc<Semaphore>,
    queue: &Queue<K>,
) -> (OwnedSemaphorePermit, K) {
    let permit = Arc::clone(permits).acquire_owned().await;
    let permit = permit.expect("the semaphore is never closed");
    (permit, queue.next().await)
}

async fn run_once<K, W, F>(
    config: LoopConfig,
    deps: &Deps,
    failures: &Failures<K>,
    key: &K,
    work: W,
) -> Option<Duration>
where
    K: Ord + Clone + Display,
    W: Fn(K) -> F,
    F: Future<Output = Result<Option<Duration>, Error>>,
{
    // The next term queues everything again. But if a renewal arrives a moment too late, the same term continues, and
    // nothing is queued again: then the key must stay due.
    if !deps.leadership.is_held() {
        return deps.leadership.is_uncertain().then_some(FIRST_RETRY);
    }
    deps.metrics.reconcile_began(config.controller);
    let began = clock::now();
    let ended = tokio::time::timeout(
        config.timeout,
        AssertUnwindSafe(work(key.clone())).catch_unwind(),
    )
    .await;
    let (result, pause) = match ended {
        Ok(Ok(Ok(again))) => {
            failures.forget(key);
            (
                if again.is_some() {
                    ReconcileResult::Requeue
                } else {
                    ReconcileResult::Success
                },
                again,
            )
        }
        Ok(Ok(Err(error))) => record_failure(config, failures, key, &error),
        Ok(Err(_panic)) => {
            deps.metrics.reconcile_panicked(config.controller);
            (
                Error::Stale("").result(),
                Some(failures.pause(key).max(LONGEST_RETRY)),
            )
        }
        Err(_elapsed) => record_failure(
            config,
            failures,
            key,
            &Error::Unreachable("it took too long".to_owned()),
        ),
    };
    deps.metrics
        .reconcile_ended(config.controller, result, clock::now() - began);
    pause
}

fn record_failure<K: Ord + Clone + Display>(
    config: LoopConfig,
    failures: &Failures<K>,
    key: &K,
    error: &Error,
) -> (ReconcileResult, Option<Duration>) {
    if error.is_transient() {
        tracing::debug!(controller = config.controller.name(), object = %key, %error, "reconcile requeued");
    } else {
        tracing::warn!(controller = config.controller.name(), object = %key, %error, "reconcile failed");
    }
    let pause = failures.pause(key);
    let rest = error
        .retry_after()
        .map(|rest| spread(rest, key.to_string()));
    (error.result(), Some(pause.max(rest.unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::error::ServerBusy;
    use crate::options::SecretLabel;
    use crate::shutdown::{self, Trigger};

    const LIMITS: LoopConfig = LoopConfig {
        controller: Controller::Policy,
        concurrency: 1,
        timeout: Duration::from_mins(10),
        grace: Duration::from_secs(15),
    };

    #[test]
    fn pauses_double_up_to_a_minute() {
        let pauses: Vec<_> = (1..=8)
            .map(|failures| pause_after(failures).as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_of_one_key_stops_no_other() {
        let (_trigger, deps) = deps();
        let done = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&done);
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
            run(LIMITS, queue(&["bad", "good"]), deps.clone(), work),
        )
        .await;
        assert_eq!(done.load(Ordering::Relaxed), 1);
        let text = deps.metrics.text().expect("text");
        assert!(text.contains(r#"secretrotation_reconcile_panics_total{controller="policy"} 1"#));
    }

    /// The only permit is taken by work that takes ten minutes.
    #[tokio::test(start_paused = true)]
    async fn the_shutdown_is_noticed_while_every_permit_is_taken() {
        for (grace, longest) in [(Duration::ZERO, 1), (Duration::from_secs(15), 16)] {
            let (trigger, deps) = deps();
            let limits = LoopConfig { grace, ..LIMITS };
            let began = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&began);
            let work = move |_| {
                counter.fetch_add(1, Ordering::Relaxed);
                std::future::pending()
            };
            let running = tokio::spawn(run(limits, queue(&["a", "b"]), deps, work));
            tokio::time::sleep(Duration::from_secs(30)).await;
            let asked = clock::now();
            trigger.begin();
            running.await.expect("no panic");
            assert!(
                clock::now() - asked <= Duration::from_secs(longest),
                "{grace:?}"
            );
            assert_eq!(began.load(Ordering::Relaxed), 1, "nothing new begins");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_ends_within_its_grace_period_finishes() {
        let (trigger, deps) = deps();
        let done = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&done);
        let work = move |_| {
            let counter = Arc::clone(&counter);
            async move {
                tokio::time::sleep(Duration::from_secs(12)).await;
                counter.fetch_add(1, Ordering::Relaxed);
                Ok(None)
            }
        };
        let running = tokio::spawn(run(LIMITS, queue(&["a"]), deps, work));
        tokio::time::sleep(Duration::from_secs(1)).await;
        trigger.begin();
        running.await.expect("no panic");
        assert_eq!(done.load(Ordering::Relaxed), 1);
    }

    /// Without a Retry-After, the key is due again after a second.
    #[tokio::test(start_paused = true)]
    async fn a_key_pauses_for_as_long_as_the_api_server_asks() {
        let (_trigger, deps) = deps();
        let tries = Arc::new(Mutex::new(Vec::new()));
        let times = Arc::clone(&tries);
        let busy = || ServerBusy::from_response(http::StatusCode::TOO_MANY_REQUESTS, &asking("30"));
        let work = move |_| {
            times.lock().expect("no panic").push(clock::now());
            std::future::ready(Err(Error::ServerBusy(busy().expect("it asks"))))
        };
        let _ = tokio::time::timeout(
            Duration::from_secs(50),
            run(LIMITS, queue(&["a"]), deps, work),
        )
        .await;
        let tries = tries.lock().expect("no panic").clone();
        assert_eq!(tries.len(), 2);
        let rest = tries[1] - tries[0];
        assert!((30..=38).contains(&rest.as_secs()), "{rest:?}");
    }

    /// No one queues the key again, because no new term begins.
    #[tokio::test(start_paused = true)]
    async fn a_key_that_is_due_between_trust_and_renewal_is_not_lost() {
        let (_trigger, mut deps) = deps();
        let (sender, leadership) = Leadership::held_for(1, Duration::ZERO);
        deps.leadership = leadership;
        let done = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&done);
        let work = move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Ok(None))
        };
        let running = tokio::spawn(run(LIMITS, queue(&["a"]), deps, work));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(done.load(Ordering::Relaxed), 0);
        Leadership::extend(&sender, Duration::from_mins(1));
        tokio::time::sleep(FIRST_RETRY).await;
        assert_eq!(done.load(Ordering::Relaxed), 1);
        running.abort();
    }

    fn asking(seconds: &str) -> http::HeaderMap {
        let value = seconds.parse().expect("a value");
        [(http::header::RETRY_AFTER, value)].into_iter().collect()
    }

    fn queue(keys: &[&'static str]) -> Arc<Queue<&'static str>> {
        let queue = Arc::new(Queue::new());
        for key in keys {
            queue.push(*key, clock::now());
        }
        queue
    }

    fn deps() -> (Trigger, Deps) {
        let (trigger, shutdown) = shutdown::channel();
        let (_claim, leadership) = Leadership::held_for(1, Duration::from_hours(1));
        let deps = Deps {
            metrics: Metrics::new(1, SecretLabel::Name).expect("metrics"),
            leadership,
            shutdown,
        };
        (trigger, deps)
    }
}
