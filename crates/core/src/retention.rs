//! Decides how long the records of ended operations are kept.

use std::time::Duration;

use crate::authorise::under_ceiling;
use crate::names::{Arn, ObjectKey};
use crate::operation::Operation;
use crate::operation_index::OperationIndex;
use crate::ownership::BoundPolicy;
use crate::policy_index::PolicyIndex;
use crate::time::{AwsTime, ServerTime};

/// Attempts count for at least this long, regardless of the policies.
pub const SHORTEST_WINDOW: Duration = Duration::from_hours(24);

/// Returns the operations whose records are no longer needed: their own `ttl` has passed, and they no longer count as
/// attempts on their secret. `window` returns how long an operation counts; see [`window`].
pub fn deletable(
    operations: &OperationIndex,
    window: impl Fn(&Operation) -> Duration,
    aws_now: AwsTime,
    server_now: ServerTime,
) -> Vec<&Operation> {
    let counts = |operation: &Operation| {
        last_act(operation).is_some_and(|last| aws_now < last.plus(window(operation)))
    };
    let expired = operations.expired(server_now);
    expired.filter(|operation| !counts(operation)).collect()
}

/// Returns how long an operation counts as an attempt: the longest attempt window of its own policy and of each policy
/// that may own its secret. A policy that cannot own the secret does not matter. `own` returns the attempt window of a
/// policy by name. If that policy is gone, its window is unknown, and only the `ttl` of the operation keeps the record.
pub fn window(
    operation: &Operation,
    own: impl Fn(&ObjectKey) -> Option<Duration>,
    bound_policies: &PolicyIndex,
) -> Duration {
    let name = operation.arn.as_ref().map(Arn::secret_name);
    let candidates = name
        .iter()
        .flat_map(|name| bound_policies.that_may_include(name));
    let others = candidates
        .filter(|bound_policy| may_own(bound_policy, operation))
        .map(|bound_policy| bound_policy.policy.remediation.attempt_window);
    let longest = others.chain(own(&operation.policy_key())).max();
    longest.unwrap_or_default().max(SHORTEST_WINDOW)
}

/// Returns whether the policy may own the secret of the operation. Only the name counts, because tags can change.
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
