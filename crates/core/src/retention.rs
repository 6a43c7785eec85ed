//! How long the records of ended operations are kept.

use std::time::Duration;

use crate::authorise::under_ceiling;
use crate::names::ObjectKey;
use crate::operation::Operation;
use crate::ownership::BoundPolicy;
use crate::time::{AwsTime, ServerTime};

/// Attempts count for at least this long, whatever policies there are.
pub const SHORTEST_WINDOW: Duration = Duration::from_hours(24);

/// The operations whose records nobody needs any more: their own time is over, and they are no longer the memory of attempts
/// on their secret. `window` tells how long an operation is that; see [`window`].
pub fn deletable(
    operations: &[Operation],
    window: impl Fn(&Operation) -> Duration,
    aws_now: AwsTime,
    server_now: ServerTime,
) -> Vec<&Operation> {
    let is_over = |operation: &Operation| {
        let ended = operation.ended.filter(|_| operation.is_finished());
        ended.is_some_and(|ended| server_now >= ended.plus(operation.ttl))
    };
    let counts = |operation: &Operation| {
        last_act(operation).is_some_and(|last| aws_now < last.plus(window(operation)))
    };
    // What is over is rare, and a window takes a look at all policies: in this order.
    let over = operations.iter().filter(|operation| is_over(operation));
    over.filter(|operation| !counts(operation)).collect()
}

/// For how long an operation counts as an attempt: by the window of its own policy, and of each policy that may come to own
/// its secret. A policy that has nothing to do with the secret has no say. `own` is the attempt window of a policy by name;
/// how long it was where the policy is gone, only the operation's own time tells.
pub fn window(
    operation: &Operation,
    own: impl Fn(&ObjectKey) -> Option<Duration>,
    bound_policies: &[BoundPolicy],
) -> Duration {
    let policy = ObjectKey {
        namespace: operation.key.namespace.clone(),
        name: operation.policy.name.clone(),
    };
    let others = bound_policies
        .iter()
        .filter(|bound_policy| may_own(bound_policy, operation))
        .map(|bound_policy| bound_policy.policy.remediation.attempt_window);
    let longest = others.chain(own(&policy)).max();
    longest.unwrap_or_default().max(SHORTEST_WINDOW)
}

/// By the name alone: tags come and go.
fn may_own(bound_policy: &BoundPolicy, operation: &Operation) -> bool {
    let BoundPolicy {
        tenant,
        profile,
        policy,
    } = bound_policy;
    let Some(arn) = &operation.arn else {
        return false;
    };
    let name = arn.secret_name();
    profile.regions.contains(arn.region())
        && policy.selector.may_select(&name)
        && under_ceiling(&tenant.namespace, profile, &name).is_ok()
}

fn last_act(operation: &Operation) -> Option<AwsTime> {
    let intents = operation.journal.0.iter().map(|entry| entry.intent);
    intents.chain(operation.completed).max()
}
