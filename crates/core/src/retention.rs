//! How long the record of an ended operation is kept.

use std::time::Duration;

use crate::clock::{AwsTime, ServerTime};
use crate::operation::{Operation, Trigger};

/// Once the attempts of a policy no longer count, at most this many of its ended automatic operations are kept.
pub const MAX_KEPT: usize = 20;

/// What is to become of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// It stays.
    Keep,
    /// It may be deleted.
    Delete,
}

/// Judges one operation beside all others. `window` is the longest attempt window of any policy: while it lasts, the
/// operation is the memory of attempts on its secret, for every policy that may ever come to own it.
pub fn retention(
    operation: &Operation,
    others: &[Operation],
    window: Duration,
    aws_now: AwsTime,
    server_now: ServerTime,
) -> Retention {
    let Some(ended) = operation.ended.filter(|_| operation.is_finished()) else {
        return Retention::Keep;
    };
    let intents = operation.journal.0.iter().map(|entry| entry.intent);
    let counts_until = intents
        .chain(operation.completed)
        .max()
        .map(|last| last.plus(window));
    let counts = counts_until.is_some_and(|until| aws_now < until);
    let outlived = server_now >= ended.plus(operation.ttl);
    if !counts && (outlived || is_surplus(operation, others)) {
        Retention::Delete
    } else {
        Retention::Keep
    }
}

/// Whether the same policy has so many automatic operations that ended later.
fn is_surplus(operation: &Operation, others: &[Operation]) -> bool {
    let later = others.iter().filter(|other| {
        other.trigger == Trigger::Policy
            && other.policy.uid == operation.policy.uid
            && (other.ended, &other.uid) > (operation.ended, &operation.uid)
    });
    operation.trigger == Trigger::Policy && later.count() >= MAX_KEPT
}
