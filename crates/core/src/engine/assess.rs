//! Judges one row for one policy, and says until when the verdict holds if nothing changes.

use crate::authorise::under_ceiling;
use crate::expiry;
use crate::inventory::Observation;
use crate::operation_index::OperationIndex;
use crate::ownership::BoundPolicy;
use crate::policy::Detection;
use crate::secret::Secret;
use crate::stability::StabilityTracker;
use crate::survey::{PreviousFinding, State};
use crate::time::AwsTime;
use crate::verdict::{self, Verdict, VerdictInput};

use super::row::is_unrested;

/// What is known besides the rows.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The operations. Their journals show which changes the controller made itself.
    pub operations: &'a OperationIndex,
    /// The unfinished rotations as this process has watched them.
    pub stability: &'a StabilityTracker,
}

/// Returns whether the policy selects the secret, under the ceiling and in the account of its profile.
pub(super) fn selects(bound: &BoundPolicy, secret: &Secret) -> bool {
    is_within(bound, secret) && bound.policy.selector.selects(secret)
}

/// Returns whether it counts for the policy that the secret exists: the policy selects it, or includes its name and
/// then does not select it because of its tags.
pub(super) fn expects(bound: &BoundPolicy, secret: &Secret) -> bool {
    let selector = &bound.policy.selector;
    let is_named = || {
        let mut include = selector.include.iter();
        include.any(|item| item.names.contains(&secret.name))
    };
    is_within(bound, secret) && (selector.selects(secret) || is_named())
}

fn is_within(bound: &BoundPolicy, secret: &Secret) -> bool {
    let account = bound.profile.account.as_ref();
    account.is_none_or(|account| account == secret.arn.account())
        && bound.profile.regions.contains(secret.arn.region())
        && covers(bound, secret)
        && under_ceiling(&bound.tenant.namespace, &bound.profile, &secret.name).is_ok()
}

fn covers(bound: &BoundPolicy, secret: &Secret) -> bool {
    let regions = bound.policy.regions.as_ref();
    regions.is_none_or(|regions| regions.contains(secret.arn.region()))
}

/// Judges a secret as of the time at which it was seen.
pub(super) fn judge(
    bound: &BoundPolicy,
    seen: &Observation,
    previous: Option<&PreviousFinding>,
    facts: Facts<'_>,
    at: AwsTime,
) -> Verdict {
    let secret = &seen.secret;
    let input = VerdictInput {
        previous,
        operations: Some(facts.operations),
        stability: facts.stability.stability(secret, at),
        bounds: Some((&bound.profile, &bound.tenant)),
    };
    verdict::of(seen, &bound.policy.detection, input, at)
}

/// Returns until when a verdict holds if nothing changes; `None` = judge at every read.
///
/// A finding is judged at every read: there are few, and several clocks run in each. A secret at rest stays healthy
/// until the first of its own dates.
pub(super) fn holds_until(
    verdict: &Verdict,
    seen: &Observation,
    detection: &Detection,
) -> Option<AwsTime> {
    let secret = &seen.secret;
    if verdict.state == State::Ineligible {
        return Some(NEVER);
    }
    let at_rest = verdict.state == State::Healthy && !is_unrested(secret);
    at_rest.then(|| {
        dates(seen, detection)
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(NEVER)
    })
}

/// Later than every date that counts.
const NEVER: AwsTime = AwsTime::new(jiff::Timestamp::MAX);

fn dates(seen: &Observation, detection: &Detection) -> [Option<AwsTime>; 4] {
    let secret = &seen.secret;
    let overdue = secret.next_rotation.filter(|_| secret.rotates());
    let expiry = detection.expiry.as_ref().and_then(|expiry| {
        let expires = expiry::parse(secret.tags.get(&expiry.tag_key)?)?;
        Some(expires.minus(expiry.rotate_before))
    });
    let current_created = || seen.versions.as_ref()?.created(secret.current()?);
    let old = |since: Option<AwsTime>| Some(since?.plus(detection.max_age?));
    [
        overdue.map(|next| next.plus(detection.overdue_after)),
        expiry,
        old(secret.last_changed),
        old(current_created()),
    ]
}
