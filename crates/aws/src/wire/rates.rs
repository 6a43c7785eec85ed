//! Rates: many concurrent operations reach AWS as fast as the limits allow, and no read becomes stale.

use std::collections::{BTreeMap, BinaryHeap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secret_rotation_core::advance::Request;
use secret_rotation_core::names::{Namespace, ObjectKey, ObjectName, StageLabel, VersionId};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use super::sweeping::Known;
use super::{CURRENT, DATE, Fake, PENDING, Reply, Sent, arn, secret, stuck};
use crate::{RateLimits, StepNeed};

/// The number of stuck secrets.
const STUCK: usize = 80;

/// The number of concurrent steps, as in the controller.
const WORKERS: usize = 16;

/// The writes of one recovery: pin, clear, rotate, unpin.
const WRITES: usize = 4;

/// The reads of one recovery: a look before and after each write, the list of versions, and one look at the rotation.
const READS: usize = 2 * WRITES + 2;

/// The interval in which an idle worker looks for work.
const POLL: Duration = Duration::from_secs(1);

/// The maximum time between a read and the write that is based on it.
const LIMIT: Duration = Duration::from_secs(10);

/// The next step of one recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Pin,
    Clear,
    Rotate,
    Verify,
    Unpin,
    Done,
}

impl Stage {
    const fn next(self) -> (Self, Duration) {
        match self {
            Self::Pin => (Self::Clear, Duration::from_secs(30)),
            Self::Clear => (Self::Rotate, Duration::ZERO),
            Self::Rotate => (Self::Verify, Duration::from_secs(2)),
            Self::Verify => (Self::Unpin, Duration::ZERO),
            Self::Unpin | Self::Done => (Self::Done, Duration::ZERO),
        }
    }

    fn need(self) -> StepNeed {
        StepNeed {
            reads: match self {
                Self::Pin => 3,
                Self::Verify => 1,
                Self::Clear | Self::Rotate | Self::Unpin | Self::Done => 2,
            },
            write: self != Self::Verify,
            begun: self != Self::Pin,
        }
    }
}

/// All requests and their times.
type Log = Arc<Mutex<Vec<(Duration, String)>>>;

fn region(limits: RateLimits, log: &Log) -> Fake {
    let (log, start) = (Arc::clone(log), Instant::now());
    let fake = Fake::at(limits, move |sent: &Sent, _| {
        let mut log = log.lock().expect("the log");
        log.push((start.elapsed(), sent.operation.clone()));
        match sent.operation.as_str() {
            "DescribeSecret" => Reply::ok(&secret("a", "VersionIdsToStages", &stuck())),
            "ListSecretVersionIds" => Reply::ok(&json!({"Versions": [{"VersionId": CURRENT}]})),
            "ListSecrets" => {
                let labels = json!({CURRENT: ["AWSCURRENT"]});
                let one = secret("other", "SecretVersionsToStages", &labels);
                let token = log.len().to_string();
                Reply::ok(&json!({"SecretList": [one], "NextToken": token}))
            }
            _ => Reply::ok(&json!({})),
        }
    });
    for _ in 0..2 {
        fake.account.clock().observe(Some(DATE));
    }
    fake
}

/// Takes one step as the controller does: the reservation, the reads of the API server, the look, the intent, the
/// request and the second look.
async fn step(fake: &Fake, who: &ObjectKey, stage: Stage) -> Result<(), Duration> {
    let mut reservation = fake.account.reserve_step(who, stage.need())?;
    let began = Instant::now();
    sleep(Duration::from_millis(50)).await;
    let mut look = reservation.look("a").await.expect("a look");
    if stage == Stage::Pin {
        let versions = reservation.list_versions(&mut look, &arn("a")).await;
        versions.expect("the versions");
    }
    if stage != Stage::Verify {
        assert!(reservation.may_write());
        sleep(Duration::from_millis(50)).await;
        assert!(
            began.elapsed() <= LIMIT,
            "stale after {:?}",
            began.elapsed()
        );
        let request = Request::Detach {
            label: StageLabel::pending(),
            version: VersionId::parse(PENDING).expect("a version"),
        };
        let sent = Instant::now();
        reservation
            .send(&arn("a"), &request)
            .await
            .expect("a write");
        assert_eq!(
            sent.elapsed(),
            Duration::ZERO,
            "nothing waits after the fence"
        );
        reservation.look("a").await.expect("a look");
    }
    Ok(())
}

type Due = std::cmp::Reverse<(Instant, usize, Stage)>;

/// Runs all recoveries. Returns the time that they took.
async fn recover(fake: &Arc<Fake>) -> Duration {
    let start = Instant::now();
    let due: BinaryHeap<Due> = (0..STUCK)
        .map(|number| std::cmp::Reverse((start, number, Stage::Pin)))
        .collect();
    let (due, left) = (Arc::new(Mutex::new(due)), Arc::new(Mutex::new(STUCK)));
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| tokio::spawn(work(Arc::clone(fake), Arc::clone(&due), Arc::clone(&left))))
        .collect();
    for worker in workers {
        worker.await.expect("no panic");
    }
    start.elapsed()
}

async fn work(fake: Arc<Fake>, due: Arc<Mutex<BinaryHeap<Due>>>, left: Arc<Mutex<usize>>) {
    let names: BTreeMap<String, usize> = (0..STUCK).map(|n| (key(n).name.to_string(), n)).collect();
    while *left.lock().expect("the count") > 0 {
        let Some(std::cmp::Reverse((at, number, stage))) = due.lock().expect("the queue").pop()
        else {
            sleep(POLL).await;
            continue;
        };
        if at > Instant::now() {
            due.lock()
                .expect("the queue")
                .push(std::cmp::Reverse((at, number, stage)));
            sleep_until(at.min(Instant::now() + POLL)).await;
            continue;
        }
        let (next, pause) = match step(&fake, &key(number), stage).await {
            Ok(()) => stage.next(),
            Err(wait) => (stage, wait),
        };
        let now = Instant::now();
        if next == Stage::Done {
            *left.lock().expect("the count") -= 1;
        } else {
            let entry = std::cmp::Reverse((now + pause, number, next));
            due.lock().expect("the queue").push(entry);
        }
        call(&fake, &names, &mut due.lock().expect("the queue"));
    }
}

/// Wakes the next operations at once, as in the controller.
fn call(fake: &Fake, names: &BTreeMap<String, usize>, due: &mut BinaryHeap<Due>) {
    let called: BTreeMap<usize, Instant> = fake
        .account
        .next_in_queue()
        .into_iter()
        .map(|(who, wait)| (names[who.name.as_str()], Instant::now() + wait))
        .collect();
    let earlier = |std::cmp::Reverse((at, number, stage)): Due| {
        let at = called.get(&number).map_or(at, |called| at.min(*called));
        std::cmp::Reverse((at, number, stage))
    };
    *due = std::mem::take(due).into_iter().map(earlier).collect();
}

fn key(number: usize) -> ObjectKey {
    ObjectKey {
        namespace: Namespace::parse("team").expect("a namespace"),
        name: ObjectName::parse(format!("operation-{number}")).expect("a name"),
    }
}

/// Asserts that no period has more requests than a burst plus the rate allows.
fn within(log: &Log, rate: u32, burst: usize, is_one: impl Fn(&str) -> bool) {
    let log = log.lock().expect("the log");
    let times: Vec<_> = log
        .iter()
        .filter(|(_, operation)| is_one(operation))
        .map(|(at, _)| at.as_secs_f64())
        .collect();
    for (first, begin) in times.iter().enumerate() {
        let most = |end: f64| {
            #[expect(clippy::cast_precision_loss, reason = "a small count")]
            let burst = burst as f64;
            burst + (end - begin) * f64::from(rate) + 1.0
        };
        for (count, end) in times[first..].iter().enumerate().step_by(41) {
            #[expect(clippy::cast_precision_loss, reason = "a small count")]
            let count = count as f64;
            assert!(count <= most(*end), "{count} from {begin} to {end}");
        }
    }
}

fn is_write(operation: &str) -> bool {
    !operation.starts_with("List") && operation != "DescribeSecret"
}

/// Returns the time in seconds that the limits alone require, after the bursts at the start.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn at_best(reads_per_second: f64, writes_per_second: f64) -> f64 {
    let reads = (STUCK * READS - 100) as f64 / reads_per_second;
    let writes = (STUCK * WRITES - 10) as f64 / writes_per_second;
    reads.max(writes)
}

async fn measured(reads: u32, writes: u32, sweep: bool) -> f64 {
    let limits = RateLimits {
        reads_per_second: reads,
        writes_per_second: writes,
    };
    let log = Log::default();
    let fake = Arc::new(region(limits, &log));
    let account = fake.account.clone();
    let sweeping =
        sweep.then(|| tokio::spawn(async move { Known::new().everything(&account).await }));
    let took = recover(&fake).await.as_secs_f64();
    if let Some(sweeping) = sweeping {
        assert!(!sweeping.is_finished(), "the sweep must run the whole time");
        sweeping.abort();
        let log = log.lock().expect("the log");
        let pages = log.iter().filter(|(_, name)| name == "ListSecrets").count();
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let share = pages as f64 / (took * f64::from(reads));
        assert!(share > 0.2, "the sweep got {share} of the reads");
    }
    within(&log, reads, 100, |operation| !is_write(operation));
    within(&log, writes, 10, is_write);
    took
}

/// The recoveries may take a tenth longer than the limits require, plus the pauses of the last recovery.
#[tokio::test(start_paused = true)]
async fn eighty_recoveries_take_no_longer_than_the_limits_require() {
    for (reads, writes) in [(2, 1), (1, 1), (100, 20)] {
        let took = measured(reads, writes, false).await;
        let best = at_best(reads.into(), writes.into());
        assert!(
            took <= best * 1.1 + 40.0,
            "{reads}/{writes}: {took}, not {best}"
        );
    }
}

/// A sweep takes a quarter of the reads while they are scarce.
#[tokio::test(start_paused = true)]
async fn a_long_sweep_takes_no_more_than_its_share() {
    for (reads, writes) in [(2, 1), (1, 1)] {
        let took = measured(reads, writes, true).await;
        // The sweep takes the burst.
        let best = at_best(f64::from(reads) * 0.75, writes.into()) + 100.0 / f64::from(reads);
        assert!(
            took <= best * 1.1 + 40.0,
            "{reads}/{writes}: {took}, not {best}"
        );
    }
}
