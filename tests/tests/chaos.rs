//! Measures how long the controller takes to stop, to notice and to recover when its API server is killed or hangs during
//! operations. Run it manually, preferably with a release binary:
//!
//! ```text
//! cargo build --release --locked --bin secret-rotation-controller
//! SECRET_ROTATION_CONTROLLER=$PWD/target/release/secret-rotation-controller \
//!   cargo test --locked -p secret-rotation-tests chaos:: -- --ignored --nocapture
//! ```

use std::thread;
use std::time::{Duration, Instant};

use secret_rotation_tests::Story;
use secret_rotation_tests::context::many;

const ROUNDS: usize = 3;

/// How long the API server is unavailable.
const OUTAGE: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
enum Trouble {
    Killed,
    Hung,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a stopwatch for tests, outside the product"
)]
fn now() -> Instant {
    Instant::now()
}

/// Formats the shortest, the median and the longest time.
fn spread(what: &str, mut took: Vec<Duration>) -> String {
    took.sort();
    let seconds = |at: usize| took.get(at).map_or(0.0, Duration::as_secs_f64);
    let (middle, last) = (took.len() / 2, took.len().saturating_sub(1));
    format!(
        "{what}: {:.1} / {:.1} / {:.1} s",
        seconds(0),
        seconds(middle),
        seconds(last)
    )
}

#[test]
#[ignore = "measures, and takes minutes: run it manually"]
fn what_an_outage_of_the_api_server_costs() {
    let mut story = Story::recovering(&many(90, "stuck-empty"));
    for trouble in [Trouble::Killed, Trouble::Hung] {
        let (mut stops, mut losses, mut recoveries) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let written = story.aws.writes().len();
            story.while_time_flies("it is at work", 10.0, || story.aws.writes().len() > written);
            let lost = |story: &Story| story.controllers[0].log().matches("lease lost").count();
            let losses_before = lost(&story);
            begin(&mut story, trouble);
            let began = now();
            let mut seen = story.aws.writes().len();
            let (mut stop, mut given_up) = (Duration::ZERO, None);
            while began.elapsed() < OUTAGE {
                thread::sleep(PAUSE);
                let writes = story.aws.writes().len();
                if writes > seen {
                    (seen, stop) = (writes, began.elapsed());
                }
                if given_up.is_none() && lost(&story) > losses_before {
                    given_up = Some(began.elapsed());
                }
            }
            stops.push(stop);
            losses.extend(given_up);
            // This includes the time that a killed server takes to start.
            let ended = now();
            end(&mut story, trouble);
            story.while_time_flies("it is at work again", 10.0, || {
                story.aws.writes().len() > seen
            });
            recoveries.push(ended.elapsed());
        }
        println!(
            "{trouble:?}: {}; {}; {}",
            spread("last write", stops),
            spread("lease given up", losses),
            spread("first write again", recoveries)
        );
    }
    story.end();
}

fn begin(story: &mut Story, trouble: Trouble) {
    match trouble {
        Trouble::Killed => story.cluster.kill_apiserver(),
        Trouble::Hung => story.cluster.pause_apiserver(true).expect("it hangs"),
    }
}

fn end(story: &mut Story, trouble: Trouble) {
    match trouble {
        Trouble::Killed => story.cluster.restart_apiserver().expect("it starts again"),
        Trouble::Hung => story.cluster.pause_apiserver(false).expect("it goes on"),
    }
}
