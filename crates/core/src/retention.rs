//! How long the records of ended operations are kept.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::clock::{AwsTime, ServerTime};
use crate::identity::Uid;
use crate::operation::{Operation, Trigger};

/// Once the attempts of a policy no longer count, at most this many of its ended automatic operations are kept.
pub const MAX_KEPT: usize = 20;

/// The operations whose records nobody needs any more. `window` is the longest attempt window of any of `policies`: while
/// it lasts, an operation is the memory of attempts on its secret, for every policy that may ever come to own it. How long
/// the window of a policy was that is gone, only the operation's own time tells.
pub fn deletable<'a>(
    operations: &'a [Operation],
    window: Duration,
    policies: &BTreeSet<Uid>,
    aws_now: AwsTime,
    server_now: ServerTime,
) -> Vec<&'a Operation> {
    let mut kept_since = kept_since(operations);
    kept_since.retain(|policy, _| policies.contains(*policy));
    let ended = operations.iter().filter_map(|one| {
        let ended = one.ended.filter(|_| one.is_finished())?;
        Some((one, ended))
    });
    let outlived = |operation: &Operation, ended: ServerTime| {
        let surplus = || {
            let since = automatic(operation).and_then(|policy| kept_since.get(policy));
            since.is_some_and(|since| ended < *since)
        };
        server_now >= ended.plus(operation.ttl) || surplus()
    };
    ended
        .filter(|(operation, ended)| {
            !counts(operation, window, aws_now) && outlived(operation, *ended)
        })
        .map(|(operation, _)| operation)
        .collect()
}

fn counts(operation: &Operation, window: Duration, now: AwsTime) -> bool {
    let intents = operation.journal.0.iter().map(|entry| entry.intent);
    let last = intents.chain(operation.completed).max();
    last.is_some_and(|last| now < last.plus(window))
}

/// When the oldest of the latest ended automatic operations of each policy ended.
fn kept_since(operations: &[Operation]) -> BTreeMap<&Uid, ServerTime> {
    let mut ends: BTreeMap<&Uid, Vec<ServerTime>> = BTreeMap::new();
    for operation in operations {
        if let (Some(policy), Some(ended)) = (automatic(operation), operation.ended) {
            ends.entry(policy).or_default().push(ended);
        }
    }
    let oldest = |mut ends: Vec<ServerTime>| {
        ends.sort_by_key(|ended| Reverse(*ended));
        ends.get(MAX_KEPT.saturating_sub(1)).copied()
    };
    ends.into_iter()
        .filter_map(|(policy, ends)| Some((policy, oldest(ends)?)))
        .collect()
}

fn automatic(operation: &Operation) -> Option<&Uid> {
    operation
        .policy
        .uid
        .as_ref()
        .filter(|_| operation.trigger == Trigger::Policy)
}
