//! The queue of operations that wait for a step. Each operation gets all tokens of its step at once, before it reads
//! anything.
//!
//! Reads become stale quickly: a write must follow within ten seconds. Therefore a step reads nothing until all of its
//! tokens are available. An operation that cannot get them yet gets the time to come back and holds no tokens while it
//! waits. No read becomes stale in the queue, however many operations wait and however low the rate is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secret_rotation_core::names::ObjectKey;
use tokio::time::Instant;

use crate::token_bucket::TokenBucket;

/// An operation that has begun is served as if it had arrived this much earlier, so that it ends before others begin.
/// The limit makes sure that operations that have not begun get their turn too.
const HEAD_START: Duration = Duration::from_mins(10);

/// An operation that does not come back loses its position this long after its turn.
const MAX_ABSENCE: Duration = Duration::from_secs(15);

/// The maximum number of operations that are called at once when tokens come back.
const MAX_CALLED: usize = 32;

/// The tokens that one step needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepNeed {
    /// The number of reads, including the look after a write.
    pub reads: u32,
    /// Whether the step may end in a write.
    pub write: bool,
    /// Whether the operation has begun. Such an operation goes before operations that have not.
    pub begun: bool,
}

impl StepNeed {
    /// Combines this need with an earlier one. A need never shrinks: a step that found something to write comes back
    /// for the write.
    fn and(self, before: Self) -> Self {
        Self {
            reads: self.reads.max(before.reads),
            write: self.write || before.write,
            begun: self.begun || before.begun,
        }
    }
}

/// The waiting operations in their order.
#[derive(Debug)]
pub(crate) struct StepQueue {
    reads: Arc<TokenBucket>,
    writes: Arc<TokenBucket>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    positions: BTreeMap<Position, Waiting>,
    known: BTreeMap<ObjectKey, Position>,
    number: u64,
}

/// A position in the queue, ordered by time and then by number of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    since: Instant,
    number: u64,
}

#[derive(Clone, Debug)]
struct Waiting {
    operation: ObjectKey,
    need: StepNeed,
    arrived: Instant,
    /// The time at which the operation is expected to come back.
    due: Instant,
}

/// A sum of tokens.
#[derive(Clone, Copy, Debug, Default)]
struct TokenSum {
    reads: u32,
    writes: u32,
}

impl TokenSum {
    fn with(self, need: StepNeed) -> Self {
        Self {
            reads: self.reads.saturating_add(need.reads),
            writes: self.writes.saturating_add(u32::from(need.write)),
        }
    }
}

impl StepQueue {
    pub(crate) fn new(reads: Arc<TokenBucket>, writes: Arc<TokenBucket>) -> Self {
        Self {
            reads,
            writes,
            state: Mutex::default(),
        }
    }

    /// Takes the tokens of a step, or takes a position in the queue and returns the time until the operation should
    /// come back.
    ///
    /// The tokens that earlier operations need stay reserved for them. An operation that needs no more than the
    /// remaining tokens does not wait for the earlier ones. A position for a write stays one for a write. Returns the
    /// granted need.
    pub(crate) fn reserve(
        &self,
        operation: &ObjectKey,
        need: StepNeed,
    ) -> Result<StepNeed, Duration> {
        let now = Instant::now();
        let mut state = self.lock();
        state.drop_absent(now);
        let (position, need) = state.position(operation, need, now);
        let before = state.before(position);
        let granted = self.grant(before, need);
        match granted {
            Ok(_) => state.leave(position),
            Err(wait) => state.expect(position, now + wait),
        }
        self.earmark(&state);
        granted
    }

    /// Gives up the position of an operation.
    pub(crate) fn leave(&self, operation: &ObjectKey) {
        let mut state = self.lock();
        if let Some(position) = state.known.get(operation).copied() {
            state.leave(position);
            self.earmark(&state);
        }
    }

    /// Returns the first operations in the queue, each with the time until its turn. Call it whenever tokens may have
    /// come back earlier than expected.
    pub(crate) fn next(&self) -> Vec<(ObjectKey, Duration)> {
        let now = Instant::now();
        let mut state = self.lock();
        state.drop_absent(now);
        let mut before = TokenSum::default();
        let mut called = Vec::new();
        for waiting in state.positions.values_mut().take(MAX_CALLED) {
            let wait = self.wait_for(before, waiting.need);
            before = before.with(waiting.need);
            waiting.due = now + wait;
            called.push((waiting.operation.clone(), wait));
        }
        self.earmark(&state);
        called
    }

    fn grant(&self, before: TokenSum, need: StepNeed) -> Result<StepNeed, Duration> {
        let wait = self.wait_for(before, need);
        if !wait.is_zero() {
            return Err(wait);
        }
        // A sweep may have taken tokens since the calculation of `wait`.
        let soon = Err(Duration::from_millis(100));
        if !self.reads.try_take_all(need.reads) {
            return soon;
        }
        if need.write && !self.writes.try_take_all(1) {
            self.reads.put_back(need.reads);
            return soon;
        }
        Ok(need)
    }

    fn wait_for(&self, before: TokenSum, need: StepNeed) -> Duration {
        let sum = before.with(need);
        let reads = self.reads.wait_for(sum.reads);
        if need.write {
            reads.max(self.writes.wait_for(sum.writes))
        } else {
            reads
        }
    }

    fn earmark(&self, state: &State) {
        let needs = state.positions.values().map(|waiting| waiting.need);
        let sum = needs.fold(TokenSum::default(), TokenSum::with);
        self.reads.earmark(sum.reads);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns the position of an operation, or a new one at the end. An operation that has begun since its last call
    /// moves ahead.
    fn position(
        &mut self,
        operation: &ObjectKey,
        need: StepNeed,
        now: Instant,
    ) -> (Position, StepNeed) {
        let known = self.known.remove(operation);
        let kept = known.and_then(|position| Some((position, self.positions.remove(&position)?)));
        let (number, waiting) = if let Some((position, waiting)) = kept {
            let need = need.and(waiting.need);
            (position.number, Waiting { need, ..waiting })
        } else {
            self.number += 1;
            let operation = operation.clone();
            let (came, expected) = (now, now);
            (
                self.number,
                Waiting {
                    operation,
                    need,
                    arrived: came,
                    due: expected,
                },
            )
        };
        let need = waiting.need;
        let since = if need.begun {
            waiting.arrived
        } else {
            waiting.arrived + HEAD_START
        };
        let position = Position { since, number };
        self.known.insert(operation.clone(), position);
        self.positions.insert(position, waiting);
        (position, need)
    }

    fn before(&self, position: Position) -> TokenSum {
        let before = self.positions.range(..position);
        before.fold(TokenSum::default(), |sum, (_, waiting)| {
            sum.with(waiting.need)
        })
    }

    fn expect(&mut self, position: Position, at: Instant) {
        if let Some(waiting) = self.positions.get_mut(&position) {
            waiting.due = at;
        }
    }

    fn leave(&mut self, position: Position) {
        if let Some(waiting) = self.positions.remove(&position) {
            self.known.remove(&waiting.operation);
        }
    }

    fn drop_absent(&mut self, now: Instant) {
        let late = |waiting: &Waiting| now.saturating_duration_since(waiting.due) > MAX_ABSENCE;
        self.positions.retain(|_, waiting| !late(waiting));
        let positions = &self.positions;
        self.known
            .retain(|_, position| positions.contains_key(position));
    }
}

#[cfg(test)]
mod tests {
    use secret_rotation_core::names::{Namespace, ObjectName};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_step_gets_all_its_tokens_or_a_time_to_come_back() {
        let queue = queue((1, 4), (1, 10));
        assert_eq!(queue.reserve(&key("a"), new(3)), Ok(new(3)));
        assert_eq!(queue.reserve(&key("b"), new(3)), Err(seconds(2)));
        assert_eq!(queue.reserve(&key("c"), new(3)), Err(seconds(5)));
        assert_eq!(
            queue.reserve(&key("b"), new(3)),
            Err(seconds(2)),
            "one position each"
        );
        tokio::time::advance(seconds(2)).await;
        assert_eq!(
            queue.reserve(&key("c"), new(3)),
            Err(seconds(3)),
            "not before b"
        );
        assert_eq!(queue.reserve(&key("b"), new(3)), Ok(new(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_bucket_with_the_longer_wait_decides() {
        let queue = queue((1, 100), (1, 1));
        assert_eq!(queue.reserve(&key("a"), new(3)), Ok(new(3)));
        assert_eq!(queue.reserve(&key("b"), new(3)), Err(seconds(1)));
        assert_eq!(queue.reserve(&key("c"), new(3)), Err(seconds(2)));
        let look = StepNeed {
            write: false,
            ..new(1)
        };
        assert_eq!(
            queue.reserve(&key("d"), look),
            Ok(look),
            "it writes nothing"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn operations_that_have_begun_go_first_for_a_limited_time() {
        let queue = queue((1, 1), (1, 10));
        queue.reads.overdraw(1);
        assert_eq!(queue.reserve(&key("new"), new(1)), Err(seconds(1)));
        assert_eq!(queue.reserve(&key("old"), begun(1)), Err(seconds(1)));
        assert_eq!(queue.reserve(&key("new"), new(1)), Err(seconds(2)));
        for _ in 0..HEAD_START.as_secs() / 10 {
            assert!(queue.reserve(&key("new"), new(1)).is_err());
            queue.reads.overdraw(10);
            tokio::time::advance(seconds(10)).await;
        }
        assert!(queue.reserve(&key("late"), begun(1)).is_err());
        let order: Vec<_> = queue
            .next()
            .into_iter()
            .map(|(operation, _)| operation)
            .collect();
        assert_eq!(order, [key("new"), key("late")]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_operation_that_does_not_come_back_loses_its_position() {
        let queue = queue((1, 3), (1, 10));
        assert_eq!(queue.reserve(&key("a"), new(3)), Ok(new(3)));
        assert_eq!(queue.reserve(&key("b"), new(3)), Err(seconds(3)));
        tokio::time::advance(seconds(3)).await;
        assert_eq!(queue.reserve(&key("c"), new(3)), Err(seconds(3)));
        tokio::time::advance(MAX_ABSENCE + seconds(1)).await;
        assert_eq!(queue.reserve(&key("c"), new(3)), Ok(new(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_that_come_back_call_the_next_one_earlier() {
        let queue = queue((1, 3), (1, 10));
        assert_eq!(queue.reserve(&key("a"), new(3)), Ok(new(3)));
        assert_eq!(queue.reserve(&key("b"), new(3)), Err(seconds(3)));
        queue.reads.put_back(2);
        assert_eq!(queue.next(), [(key("b"), seconds(1))]);
        queue.leave(&key("b"));
        assert_eq!(queue.next(), []);
    }

    fn queue(reads: (u32, u32), writes: (u32, u32)) -> StepQueue {
        StepQueue::new(
            Arc::new(TokenBucket::new(reads.0, reads.1)),
            Arc::new(TokenBucket::new(writes.0, writes.1)),
        )
    }

    const fn new(reads: u32) -> StepNeed {
        StepNeed {
            reads,
            write: true,
            begun: false,
        }
    }

    const fn begun(reads: u32) -> StepNeed {
        StepNeed {
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
