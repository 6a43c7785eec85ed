//! The line of operations that want to take a step: each gets all the tokens of its step at once, before it reads anything.
//!
//! What is read ages at once, and a write must follow within ten seconds. So nothing is read until the whole step can be
//! paid: whoever cannot pay yet is told when to come back, and holds nothing meanwhile. However many wait and however
//! slow the rate is, nobody grows stale in the line.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secret_rotation_core::names::ObjectKey;
use tokio::time::Instant;

use crate::token_bucket::Bucket;

/// An operation that has begun is served as if it had come so much earlier, so that it ends before others begin. Not for ever,
/// so that those who have not begun get their turn too.
const HEAD_START: Duration = Duration::from_mins(10);

/// Whoever does not come when it is his turn loses his place after this.
const PATIENCE: Duration = Duration::from_secs(15);

/// So many are called at once when tokens come back.
const CALLED: usize = 32;

/// What one step needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Reads, the look after a write included.
    pub reads: u32,
    /// Whether it may end in a write.
    pub write: bool,
    /// Whether the operation has begun: then it goes before those that have not.
    pub begun: bool,
}

impl Need {
    /// What was asked for before is not given up: a step that found something to write comes back for that.
    fn and(self, before: Self) -> Self {
        Self {
            reads: self.reads.max(before.reads),
            write: self.write || before.write,
            begun: self.begun || before.begun,
        }
    }
}

/// Those who wait, in their order.
#[derive(Debug)]
pub(crate) struct Line {
    reads: Arc<Bucket>,
    writes: Arc<Bucket>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    places: BTreeMap<Place, Waiting>,
    known: BTreeMap<ObjectKey, Place>,
    number: u64,
}

/// A place in the line: the earlier, then the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    since: Instant,
    number: u64,
}

#[derive(Clone, Debug)]
struct Waiting {
    who: ObjectKey,
    need: Need,
    came: Instant,
    /// When he was told to come back.
    expected: Instant,
}

/// Tokens, summed up.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    reads: u32,
    writes: u32,
}

impl Sum {
    fn with(self, need: Need) -> Self {
        Self {
            reads: self.reads.saturating_add(need.reads),
            writes: self.writes.saturating_add(u32::from(need.write)),
        }
    }
}

impl Line {
    pub(crate) fn new(reads: Arc<Bucket>, writes: Arc<Bucket>) -> Self {
        Self {
            reads,
            writes,
            state: Mutex::default(),
        }
    }

    /// Takes the tokens of a step, or takes a place in the line and says when to come back.
    ///
    /// What those before need is left to them; whoever needs less than what is there beyond that need not wait for them.
    /// A place that is kept for a write stays one for a write; what is granted is returned.
    pub(crate) fn enter(&self, who: &ObjectKey, need: Need) -> Result<Need, Duration> {
        let now = Instant::now();
        let mut state = self.lock();
        state.send_away(now);
        let (place, need) = state.place(who, need, now);
        let before = state.before(place);
        let granted = self.grant(before, need);
        match granted {
            Ok(_) => state.leave(place),
            Err(wait) => state.expect(place, now + wait),
        }
        self.speak_for(&state);
        granted
    }

    /// Gives up a place.
    pub(crate) fn leave(&self, who: &ObjectKey) {
        let mut state = self.lock();
        if let Some(place) = state.known.get(who).copied() {
            state.leave(place);
            self.speak_for(&state);
        }
    }

    /// The first in the line, each with how long until it is his turn. To be asked whenever tokens may have come back
    /// earlier than expected.
    pub(crate) fn next(&self) -> Vec<(ObjectKey, Duration)> {
        let now = Instant::now();
        let mut state = self.lock();
        state.send_away(now);
        let mut before = Sum::default();
        let mut called = Vec::new();
        for waiting in state.places.values_mut().take(CALLED) {
            let wait = self.wait_for(before, waiting.need);
            before = before.with(waiting.need);
            waiting.expected = now + wait;
            called.push((waiting.who.clone(), wait));
        }
        self.speak_for(&state);
        called
    }

    fn grant(&self, before: Sum, need: Need) -> Result<Need, Duration> {
        let wait = self.wait_for(before, need);
        if !wait.is_zero() {
            return Err(wait);
        }
        // A sweep may have been quicker meanwhile.
        let soon = Err(Duration::from_millis(100));
        if !self.reads.withdraw(need.reads) {
            return soon;
        }
        if need.write && !self.writes.withdraw(1) {
            self.reads.put_back(need.reads);
            return soon;
        }
        Ok(need)
    }

    fn wait_for(&self, before: Sum, need: Need) -> Duration {
        let sum = before.with(need);
        let reads = self.reads.wait_for(sum.reads);
        if need.write {
            reads.max(self.writes.wait_for(sum.writes))
        } else {
            reads
        }
    }

    fn speak_for(&self, state: &State) {
        let needs = state.places.values().map(|waiting| waiting.need);
        let sum = needs.fold(Sum::default(), Sum::with);
        self.reads.speak_for(sum.reads);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The place that is kept for an operation; a new one at the end if there is none. One that has begun meanwhile moves
    /// ahead.
    fn place(&mut self, who: &ObjectKey, need: Need, now: Instant) -> (Place, Need) {
        let known = self.known.remove(who);
        let kept = known.and_then(|place| Some((place, self.places.remove(&place)?)));
        let (number, waiting) = if let Some((place, waiting)) = kept {
            let need = need.and(waiting.need);
            (place.number, Waiting { need, ..waiting })
        } else {
            self.number += 1;
            let who = who.clone();
            let (came, expected) = (now, now);
            (
                self.number,
                Waiting {
                    who,
                    need,
                    came,
                    expected,
                },
            )
        };
        let need = waiting.need;
        let since = if need.begun {
            waiting.came
        } else {
            waiting.came + HEAD_START
        };
        let place = Place { since, number };
        self.known.insert(who.clone(), place);
        self.places.insert(place, waiting);
        (place, need)
    }

    fn before(&self, place: Place) -> Sum {
        let before = self.places.range(..place);
        before.fold(Sum::default(), |sum, (_, waiting)| sum.with(waiting.need))
    }

    fn expect(&mut self, place: Place, at: Instant) {
        if let Some(waiting) = self.places.get_mut(&place) {
            waiting.expected = at;
        }
    }

    fn leave(&mut self, place: Place) {
        if let Some(waiting) = self.places.remove(&place) {
            self.known.remove(&waiting.who);
        }
    }

    fn send_away(&mut self, now: Instant) {
        let late = |waiting: &Waiting| now.saturating_duration_since(waiting.expected) > PATIENCE;
        self.places.retain(|_, waiting| !late(waiting));
        let places = &self.places;
        self.known.retain(|_, place| places.contains_key(place));
    }
}

#[cfg(test)]
mod tests {
    use secret_rotation_core::names::{Namespace, ObjectName};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_step_gets_all_its_tokens_or_a_time_to_come_back() {
        let line = line((1, 4), (1, 10));
        assert_eq!(line.enter(&key("a"), new(3)), Ok(new(3)));
        assert_eq!(line.enter(&key("b"), new(3)), Err(seconds(2)));
        assert_eq!(line.enter(&key("c"), new(3)), Err(seconds(5)));
        assert_eq!(
            line.enter(&key("b"), new(3)),
            Err(seconds(2)),
            "one place each"
        );
        tokio::time::advance(seconds(2)).await;
        assert_eq!(
            line.enter(&key("c"), new(3)),
            Err(seconds(3)),
            "not before b"
        );
        assert_eq!(line.enter(&key("b"), new(3)), Ok(new(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_bucket_that_lasts_longer_says_when() {
        let line = line((1, 100), (1, 1));
        assert_eq!(line.enter(&key("a"), new(3)), Ok(new(3)));
        assert_eq!(line.enter(&key("b"), new(3)), Err(seconds(1)));
        assert_eq!(line.enter(&key("c"), new(3)), Err(seconds(2)));
        let look = Need {
            write: false,
            ..new(1)
        };
        assert_eq!(line.enter(&key("d"), look), Ok(look), "it writes nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_have_begun_go_first_but_not_for_ever() {
        let line = line((1, 1), (1, 10));
        line.reads.spend(1);
        assert_eq!(line.enter(&key("new"), new(1)), Err(seconds(1)));
        assert_eq!(line.enter(&key("old"), begun(1)), Err(seconds(1)));
        assert_eq!(line.enter(&key("new"), new(1)), Err(seconds(2)));
        for _ in 0..HEAD_START.as_secs() / 10 {
            assert!(line.enter(&key("new"), new(1)).is_err());
            line.reads.spend(10);
            tokio::time::advance(seconds(10)).await;
        }
        assert!(line.enter(&key("late"), begun(1)).is_err());
        let order: Vec<_> = line.next().into_iter().map(|(who, _)| who).collect();
        assert_eq!(order, [key("new"), key("late")]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_does_not_come_loses_his_place() {
        let line = line((1, 3), (1, 10));
        assert_eq!(line.enter(&key("a"), new(3)), Ok(new(3)));
        assert_eq!(line.enter(&key("b"), new(3)), Err(seconds(3)));
        tokio::time::advance(seconds(3)).await;
        assert_eq!(line.enter(&key("c"), new(3)), Err(seconds(3)));
        tokio::time::advance(PATIENCE + seconds(1)).await;
        assert_eq!(line.enter(&key("c"), new(3)), Ok(new(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_that_come_back_call_the_next_one_earlier() {
        let line = line((1, 3), (1, 10));
        assert_eq!(line.enter(&key("a"), new(3)), Ok(new(3)));
        assert_eq!(line.enter(&key("b"), new(3)), Err(seconds(3)));
        line.reads.put_back(2);
        assert_eq!(line.next(), [(key("b"), seconds(1))]);
        line.leave(&key("b"));
        assert_eq!(line.next(), []);
    }

    fn line(reads: (u32, u32), writes: (u32, u32)) -> Line {
        Line::new(
            Arc::new(Bucket::new(reads.0, reads.1)),
            Arc::new(Bucket::new(writes.0, writes.1)),
        )
    }

    const fn new(reads: u32) -> Need {
        Need {
            reads,
            write: true,
            begun: false,
        }
    }

    const fn begun(reads: u32) -> Need {
        Need {
            begun: true,
            ..new(reads)
        }
    }

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey {
            namespace: Namespace::parse("team").expect("a namespace"),
            name: ObjectName::parse(name).expect("a name"),
        }
    }
}
