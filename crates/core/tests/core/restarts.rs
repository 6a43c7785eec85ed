//! A person's request to try again: the count of attempts starts again, and rotations still keep their distance.

use fixtures::{
    ago, attempted, bound_policy, hours, minutes, now, observation, policy, stuck, without_value,
};

use crate::support::planning::planned;
#[test]
fn attempts_before_the_request_do_not_count() {
    let attempts = [hours(20), hours(14), hours(8)]
        .map(|age| attempted(&format!("a{}", age.as_secs()), ago(age)));
    let secrets = || vec![observation(stuck("prod/a"), Some(without_value()))];
    let mut own = bound_policy(policy("payments"));
    let text = planned(&own, secrets(), &attempts);
    let returns = now().plus(hours(4));
    assert_eq!(
        text,
        format!("block prod/a AttemptsExhausted until {returns}\n")
    );

    own.policy.retry_requested = Some(ago(hours(9)));
    let text = planned(&own, secrets(), &attempts);
    assert!(text.contains("ClearAndRotate prod/a"), "{text}");

    own.policy.retry_requested = Some(now().plus(hours(1)));
    let text = planned(&own, secrets(), &attempts);
    assert!(
        text.contains("AttemptsExhausted"),
        "a request of the future: {text}"
    );
}

#[test]
fn the_first_pause_of_the_back_off_is_still_kept() {
    let attempts = [attempted("a", ago(minutes(5)))];
    let mut own = bound_policy(policy("payments"));
    own.policy.retry_requested = Some(ago(minutes(1)));
    own.policy.detection.stuck_after = minutes(1);
    let text = planned(
        &own,
        vec![observation(stuck("prod/a"), Some(without_value()))],
        &attempts,
    );
    let next = now().plus(minutes(10));
    assert_eq!(text, format!("block prod/a BackingOff until {next}\n"));
}
