//! Decides when a status must be written: when it differs, or when its time of the last check is 15 minutes old.

use std::time::Duration;

use secret_rotation_api::policy::SecretRotationPolicyStatus;
use secret_rotation_api::profile::AWSAccessProfileStatus;
use secret_rotation_api::readiness::ReadyReason;
use secret_rotation_api::time::Time;

/// Minimum time between two writes of a status in which only the time of the check changes.
pub(crate) const INTERVAL: Duration = Duration::from_mins(15);

/// Returns whether the status of a policy must be written.
pub(crate) fn policy_is_due(
    old: Option<&SecretRotationPolicyStatus>,
    new: &SecretRotationPolicyStatus,
) -> bool {
    let Some(old) = old else { return true };
    old.differs_beyond_check_time(new)
        || has_aged(old.last_check_time.as_ref(), new.last_check_time.as_ref())
}

/// Returns whether a status shows only that the last sweep was incomplete for the first time. A single incomplete
/// sweep is not worth a write: the next one shows whether the failure lasts.
pub(crate) fn is_blink(
    old: Option<&SecretRotationPolicyStatus>,
    new: &SecretRotationPolicyStatus,
) -> bool {
    let Some(old) = old else { return false };
    let is_blurred = |status: &SecretRotationPolicyStatus| {
        ReadyReason::of(&status.conditions).is_some_and(ReadyReason::is_incomplete_check)
    };
    let plain = |status: &SecretRotationPolicyStatus| {
        let mut status = SecretRotationPolicyStatus {
            last_check_time: None,
            conditions: Vec::new(),
            ..status.clone()
        };
        for finding in &mut status.findings {
            finding.unseen_since = None;
            finding.blocked_by = None;
            finding.next_attempt_time = None;
        }
        status
    };
    is_blurred(new)
        && !is_blurred(old)
        && old.observed_generation == new.observed_generation
        && plain(old) == plain(new)
}

/// Returns whether the status of a profile must be written.
pub(crate) fn profile_is_due(
    old: Option<&AWSAccessProfileStatus>,
    new: &AWSAccessProfileStatus,
) -> bool {
    let Some(old) = old else { return true };
    let swept = |status: &AWSAccessProfileStatus| {
        status
            .regions
            .iter()
            .filter_map(|region| region.last_sweep_time.clone())
            .min()
    };
    old.differs_beyond_check_time(new) || has_aged(swept(old).as_ref(), swept(new).as_ref())
}

fn has_aged(old: Option<&Time>, new: Option<&Time>) -> bool {
    match (old.and_then(Time::aws), new.and_then(Time::aws)) {
        (Some(old), Some(new)) => new.since(old) >= INTERVAL,
        (None, Some(_)) => true,
        (_, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use secret_rotation_core::time::AwsTime;

    use super::*;

    #[test]
    fn the_time_of_the_check_alone_is_written_every_quarter_of_an_hour() {
        let old = checked("2026-11-23T10:00:00Z");
        assert!(policy_is_due(None, &old));
        assert!(!policy_is_due(Some(&old), &checked("2026-11-23T10:14:59Z")));
        assert!(policy_is_due(Some(&old), &checked("2026-11-23T10:15:00Z")));
        assert!(
            !policy_is_due(Some(&old), &checked("2026-11-23T09:00:00Z")),
            "time does not run backwards"
        );
    }

    #[test]
    fn any_other_difference_is_written_immediately() {
        let old = checked("2026-11-23T10:00:00Z");
        let new = SecretRotationPolicyStatus {
            last_handled_request: Some("7".into()),
            ..old.clone()
        };
        assert!(policy_is_due(Some(&old), &new));
    }

    fn checked(time: &str) -> SecretRotationPolicyStatus {
        let time = AwsTime::new(time.parse().expect("a time"));
        SecretRotationPolicyStatus {
            last_check_time: Some(time.into()),
            ..SecretRotationPolicyStatus::default()
        }
    }
}
