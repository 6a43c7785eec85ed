//! Which operations a plan creates for a survey, and what is blocked and why. Plans are compared as text.

use fixtures::{
    ago, attempted, bound_policy, cluster, ended, failed, hours, minutes, now, observation,
    other_cluster, pin_of, policy, record_step, retried, secret, server, stuck, version, with_pin,
    with_value, without_value,
};
use secret_rotation_core::action::Permission;
use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::approval::{Answer, Decision};
use secret_rotation_core::inventory::Observation;
use secret_rotation_core::journal::ResultKind;
use secret_rotation_core::maintenance_window::{Window, Windows};
use secret_rotation_core::names::{AccountId, Uid};
use secret_rotation_core::operation::{Failure, Outcome, Trigger};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::policy::{DeletionRemedy, Mode, OverdueRemedy, StuckRemedy, Suspension};
use secret_rotation_core::secret::{Rotation, Secret};

use crate::support::planning::{plan_of, planned, text};

fn payments() -> BoundPolicy {
    bound_policy(policy("payments"))
}

/// `prod/a`, stuck on a version without a value.
fn empty() -> Vec<Observation> {
    vec![observation(stuck("prod/a"), Some(without_value()))]
}

/// `prod/a`, stuck on a version with a value.
fn valued() -> Vec<Observation> {
    vec![observation(stuck("prod/a"), Some(with_value()))]
}

fn overdue(name: &str) -> Observation {
    Observation::listed(Secret {
        next_rotation: Some(ago(hours(2))),
        ..secret(name)
    })
}

#[test]
fn recover_clears_a_version_without_a_value() {
    assert_eq!(
        planned(&payments(), empty(), &[]),
        "create ClearAndRotate prod/a\n"
    );
}

#[test]
fn recover_retries_a_version_with_a_value_once_and_then_clears() {
    assert_eq!(
        planned(&payments(), valued(), &[]),
        "create RetryRotation prod/a\n"
    );
    let retried = [retried("r", ago(hours(8)))];
    assert_eq!(
        planned(&payments(), valued(), &retried),
        "create ClearAndRotate prod/a\n"
    );
}

#[test]
fn a_retry_that_aws_never_received_is_no_retry() {
    let deaf = [failed(
        "r",
        Action::RetryRotation,
        ago(hours(8)),
        Failure::AwsUnavailable,
    )];
    assert_eq!(
        planned(&payments(), valued(), &deaf),
        "create RetryRotation prod/a\n"
    );
}

#[test]
fn the_retry_of_another_version_does_not_count() {
    let mut retried = retried("r", ago(hours(8)));
    retried.expect.pending = Some(version("another"));
    assert_eq!(
        planned(&payments(), valued(), &[retried]),
        "create RetryRotation prod/a\n"
    );
}

#[test]
fn a_specific_remedy_is_followed() {
    for (remedy, expected) in [
        (StuckRemedy::RetryRotation, "create RetryRotation prod/a\n"),
        (StuckRemedy::ClearPending, "create ClearPending prod/a\n"),
        (
            StuckRemedy::ClearAndRotate,
            "create ClearAndRotate prod/a\n",
        ),
        (StuckRemedy::Report, "block prod/a ObserveOnly\n"),
    ] {
        let mut own = payments();
        own.policy.remediation.stuck = remedy;
        assert_eq!(planned(&own, empty(), &[]), expected);
    }
}

#[test]
fn an_overdue_secret_is_rotated_or_reported() {
    let mut own = payments();
    let secrets = || vec![overdue("prod/a")];
    assert_eq!(planned(&own, secrets(), &[]), "create Rotate prod/a\n");
    own.policy.remediation.overdue = OverdueRemedy::Report;
    assert_eq!(planned(&own, secrets(), &[]), "block prod/a ObserveOnly\n");
}

#[test]
fn a_policy_that_observes_or_is_suspended_creates_nothing() {
    let mut own = payments();
    own.policy.mode = Mode::Observe;
    assert_eq!(planned(&own, empty(), &[]), "block prod/a ObserveOnly\n");
    own.policy.mode = Mode::Remediate;
    own.policy.suspension = Suspension::Suspended;
    assert_eq!(planned(&own, empty(), &[]), "block prod/a Suspended\n");
}

#[test]
fn the_profile_must_allow_everything_that_an_action_does() {
    let mut own = payments();
    own.profile.allowed_actions = [Permission::Rotate].into();
    assert_eq!(
        planned(&own, empty(), &[]),
        "block prod/a ActionNotAllowed\n"
    );
    assert_eq!(
        planned(&own, valued(), &[]),
        "create RetryRotation prod/a\n"
    );
    own.profile.allowed_actions = [Permission::ClearPending].into();
    assert_eq!(
        planned(&own, empty(), &[]),
        "block prod/a ActionNotAllowed\n"
    );
}

#[test]
fn the_oldest_acting_policy_owns_a_secret() {
    let mut older = policy("older");
    older.created = server(ago(hours(2000)));
    older.selector.include[0].name_prefix = Some("prod/".to_owned());
    let own = payments();
    let held = "block prod/a Conflict\n";
    let planned = |older: BoundPolicy| {
        let bound_policies = [own.clone(), older];
        text(&plan_of(&own, &bound_policies, empty(), &[]))
    };
    assert_eq!(planned(bound_policy(older.clone())), held);
    let mut observing = older.clone();
    observing.mode = Mode::Observe;
    assert_eq!(
        planned(bound_policy(observing)),
        "create ClearAndRotate prod/a\n"
    );
    let mut unauthorised = bound_policy(older.clone());
    unauthorised.profile.account = Some(AccountId::parse("999999999999").expect("an account"));
    assert_eq!(planned(unauthorised), "create ClearAndRotate prod/a\n");
    older.created = own.policy.created;
    assert_eq!(
        planned(bound_policy(older)),
        held,
        "UIDs decide between equals"
    );
}

#[test]
fn a_fresh_pin_of_another_cluster_is_a_conflict_until_it_is_old() {
    let pinned = |time| vec![with_pin(empty(), &pin_of(other_cluster(), time, "p"))];
    assert_eq!(
        planned(&payments(), pinned(ago(hours(8))), &[]),
        "block prod/a Conflict\n"
    );
    let old = planned(&payments(), pinned(ago(hours(25))), &[]);
    assert_eq!(old, "create ClearAndRotate prod/a\n");
}

#[test]
fn attempts_are_counted_over_namespaces_and_policies_within_the_window() {
    let mut attempts = [20, 15, 10].map(|age| attempted(&format!("o{age}"), ago(hours(age))));
    attempts[0].key.namespace = fixtures::key("elsewhere", "x").namespace;
    attempts[1].policy.uid = None;
    let exhausted = "block prod/a AttemptsExhausted until 2026-11-23T14:00:00Z\n";
    assert_eq!(planned(&payments(), empty(), &attempts), exhausted);
    attempts[0] = attempted("o24", ago(hours(24)));
    assert_eq!(
        planned(&payments(), empty(), &attempts),
        "create ClearAndRotate prod/a\n"
    );
}

#[test]
fn dated_pins_count_as_attempts_after_every_operation_was_deleted() {
    let pins = |ages: &[u64]| {
        let secret = empty().remove(0);
        let pinned =
            |secret, age: &u64| with_pin(vec![secret], &pin_of(cluster(), ago(hours(*age)), "p"));
        vec![ages.iter().fold(secret, pinned)]
    };
    let exhausted = planned(&payments(), pins(&[20, 15, 10]), &[]);
    assert_eq!(
        exhausted,
        "block prod/a AttemptsExhausted until 2026-11-23T14:01:00Z\n"
    );
    let mut own = payments();
    own.policy.remediation.backoff.initial = hours(4);
    let mut backing_off = pins(&[1]);
    backing_off[0].secret.last_changed = Some(ago(hours(8)));
    let text = planned(&own, backing_off, &[]);
    assert_eq!(text, "block prod/a BackingOff until 2026-11-23T13:00:00Z\n");
}

#[test]
fn the_pause_doubles_with_each_attempt_up_to_its_limit() {
    let mut own = payments();
    own.policy.detection.stuck_after = minutes(1);
    own.policy.remediation.max_attempts = 100;
    let after = |count: u64| {
        let attempts: Vec<_> = (0..count)
            .map(|n| attempted(&format!("o{n}"), ago(minutes(10 + n))))
            .collect();
        planned(&own, empty(), &attempts)
    };
    assert_eq!(
        after(1),
        "block prod/a BackingOff until 2026-11-23T10:05:00Z\n"
    );
    assert_eq!(
        after(3),
        "block prod/a BackingOff until 2026-11-23T10:50:00Z\n"
    );
    assert_eq!(
        after(40),
        "block prod/a BackingOff until 2026-11-23T13:50:00Z\n"
    );
}

#[test]
fn an_operation_that_failed_before_it_started_is_not_followed_at_once() {
    let at = |reason| {
        let early = failed("f", Action::ClearAndRotate, ago(minutes(5)), reason);
        planned(&payments(), empty(), &[early])
    };
    let backing_off = "block prod/a BackingOff until 2026-11-23T10:10:00Z\n";
    assert_eq!(at(Failure::PreconditionFailed), backing_off);
    assert_eq!(
        at(Failure::AccessDenied),
        "block prod/a AccessDenied until 2026-11-23T13:55:00Z\n"
    );
    assert_eq!(
        at(Failure::PinExhausted),
        "block prod/a PinExhausted until 2026-11-23T13:55:00Z\n"
    );
}

#[test]
fn a_recent_change_delays_action_although_the_rotation_is_reported_stuck() {
    let mut touched = valued();
    touched[0].secret.last_changed = Some(ago(hours(2)));
    let held = "block prod/a RecentlyChanged until 2026-11-23T14:00:00Z\n";
    assert_eq!(planned(&payments(), touched, &[]), held);
}

#[test]
fn own_clears_and_rotations_restart_the_quiet_time() {
    let attempts = [attempted("o", ago(hours(3)))];
    let held = "block prod/a RecentlyChanged until 2026-11-23T13:00:00Z\n";
    assert_eq!(planned(&payments(), empty(), &attempts), held);
}

#[test]
fn a_version_with_a_value_is_not_cleared_while_aws_may_still_retry() {
    let mut own = payments();
    own.policy.remediation.stuck = StuckRemedy::ClearPending;
    let rules = |secret: &mut Secret, schedule: Option<&str>| {
        if let Rotation::Enabled { rules, .. } = &mut secret.rotation {
            rules.schedule = schedule.map(str::to_owned);
            rules.duration = Some("20h".to_owned());
        }
    };
    let (mut with, mut without) = (valued(), empty());
    rules(&mut with[0].secret, Some("cron(0 1 * * ? *)"));
    rules(&mut without[0].secret, Some("cron(0 1 * * ? *)"));
    let held = "block prod/a RotationWindowOpen until 2026-11-23T21:00:00Z\n";
    assert_eq!(planned(&own, with.clone(), &[]), held);
    assert_eq!(planned(&own, without, &[]), "create ClearPending prod/a\n");
    rules(&mut with[0].secret, None);
    let unknown = "block prod/a RotationWindowOpen until 2026-11-24T00:00:00Z\n";
    assert_eq!(planned(&own, with.clone(), &[]), unknown);
    with[0].secret.last_changed = Some(ago(hours(24)));
    assert_eq!(planned(&own, with, &[]), "create ClearPending prod/a\n");
}

#[test]
fn no_automatic_operation_starts_after_a_manual_write() {
    let mut manual = attempted("m", ago(hours(8)));
    manual.trigger = Trigger::Manual;
    manual.policy.uid = None;
    let held = "block prod/a ManualHold until 2026-11-24T02:00:00Z\n";
    assert_eq!(planned(&payments(), empty(), &[manual]), held);
}

/// Regardless of the policy that created it and the version that it was about.
#[test]
fn no_automatic_operation_starts_after_a_denial() {
    let rejected = |answer| {
        let mut rejected = failed(
            "d",
            Action::ClearAndRotate,
            ago(hours(8)),
            Failure::Rejected,
        );
        rejected.policy.uid = None;
        rejected.expect.pending = Some(version("another"));
        rejected.decision = Some(Decision {
            answer,
            by: "bob".to_owned(),
            message: None,
        });
        planned(&payments(), empty(), &[rejected])
    };
    assert_eq!(
        rejected(Answer::Deny),
        "block prod/a ManualHold until 2026-11-24T02:00:00Z\n"
    );
    assert_eq!(
        rejected(Answer::Approve),
        "create ClearAndRotate prod/a\n",
        "no one denied that operation"
    );
}

#[test]
fn a_policy_that_is_created_again_backs_off_as_before() {
    let after = |reason| {
        let mut early = failed("f", Action::ClearAndRotate, ago(minutes(5)), reason);
        early.policy.uid = Some(Uid::parse("uid-of-the-deleted-one").expect("a UID"));
        planned(&payments(), empty(), &[early])
    };
    assert_eq!(
        after(Failure::AccessDenied),
        "block prod/a AccessDenied until 2026-11-23T13:55:00Z\n"
    );
    assert_eq!(after(Failure::PolicyGone), "create ClearAndRotate prod/a\n");
}

#[test]
fn ineligible_secrets_are_never_acted_on() {
    let mut managed = empty();
    managed[0].secret.owning_service = Some("rds".to_owned());
    assert_eq!(
        planned(&payments(), managed, &[]),
        "block prod/a Ineligible\n"
    );
    let mut off = overdue("prod/a");
    off.secret.rotation = Rotation::Disabled;
    off.secret.last_changed = Some(ago(hours(2000)));
    let mut aging = payments();
    aging.policy.detection.max_age = Some(hours(1000));
    assert_eq!(
        planned(&aging, vec![off], &[]),
        "block prod/a RotationDisabled\n"
    );
    let mut external = empty();
    external[0].secret.external_type = Some("SalesforceClientSecret".to_owned());
    assert_eq!(
        planned(&payments(), external, &[]),
        "block prod/a Ineligible\n"
    );
    let never: [fn(&mut Secret); 4] = [
        |secret| secret.rotation = Rotation::Disabled,
        |secret| secret.rotation = Rotation::NotConfigured,
        |secret| secret.primary_region = Some(fixtures::region("us-east-1")),
        |secret| secret.labels.retain(|id, _| id.as_str() == "p"),
    ];
    for change in never {
        let mut secrets = empty();
        change(&mut secrets[0].secret);
        assert_eq!(planned(&payments(), secrets, &[]), "");
    }
}

#[test]
fn a_deletion_is_canceled_once_per_window_if_the_policy_allows_it() {
    let mut deleted = empty();
    deleted[0].secret.deleted = Some(ago(hours(1)));
    let held = "block prod/a ObserveOnly\n";
    assert_eq!(planned(&payments(), deleted.clone(), &[]), held);

    let mut own = payments();
    own.policy.remediation.deletion = DeletionRemedy::RestoreSecret;
    let text = planned(&own, deleted.clone(), &[]);
    assert!(text.contains("RestoreSecret prod/a"), "{text}");

    let mut before = fixtures::operation("before", Action::RestoreSecret, "prod/a");
    record_step(
        &mut before,
        Step::RestoreSecret,
        ago(hours(2)),
        ResultKind::Applied,
    );
    before.outcome = Some(Outcome::Succeeded {
        message: String::new(),
    });
    before.completed = Some(ago(hours(2)));
    let text = planned(&own, deleted.clone(), &[before]);
    let again = now().plus(hours(22));
    assert_eq!(
        text,
        format!("block prod/a AttemptsExhausted until {again}\n")
    );

    deleted[0].secret.owning_service = Some("rds".to_owned());
    assert_eq!(planned(&own, deleted, &[]), "block prod/a Ineligible\n");
}

#[test]
fn an_unfinished_operation_is_in_progress_and_no_other_is_created() {
    let unfinished = fixtures::operation("o", Action::ClearAndRotate, "prod/a");
    let plan = plan_of(
        &payments(),
        &[payments()],
        empty(),
        std::slice::from_ref(&unfinished),
    );
    assert_eq!((text(&plan), plan.in_progress.len()), (String::new(), 1));
    let done = ended(
        unfinished,
        ago(hours(30)),
        Outcome::Succeeded {
            message: String::new(),
        },
    );
    assert_eq!(
        planned(&payments(), empty(), &[done]),
        "create ClearAndRotate prod/a\n"
    );
}

#[test]
fn an_operation_is_in_progress_also_on_a_secret_that_is_rotating() {
    let mut rotating = valued();
    rotating[0].secret.last_changed = Some(ago(minutes(1)));
    rotating[0].versions = None;
    let mut verifying = fixtures::operation("o", Action::Rotate, "prod/a");
    let (step, intended) = (Step::Rotate, ago(minutes(1)));
    record_step(&mut verifying, step, intended, ResultKind::Applied);
    let other = fixtures::operation("other", Action::Rotate, "prod/a");
    let plan = plan_of(
        &payments(),
        &[payments()],
        rotating,
        &[other, verifying.clone()],
    );
    let in_progress: Vec<_> = plan.in_progress.values().collect();
    assert_eq!(
        in_progress,
        [&verifying.key],
        "the operation that has started"
    );
}

/// The finding shows what prevents its operation from starting.
#[test]
fn a_finding_shows_what_its_operation_waits_for() {
    let mut own = payments();
    own.policy.selector.max_secrets = 0;
    let waiting = fixtures::operation("o", Action::ClearAndRotate, "prod/a");
    let mut begun = waiting.clone();
    let (step, intended) = (Step::Pin, ago(minutes(1)));
    record_step(&mut begun, step, intended, ResultKind::Applied);
    assert_eq!(
        planned(&own, empty(), &[waiting]),
        "block prod/a SelectionTooLarge\n"
    );
    assert_eq!(planned(&own, empty(), &[begun]), "");
}

#[test]
fn without_room_for_a_pin_a_rotation_is_only_retried() {
    let full = || {
        let mut secrets = empty();
        for n in 0..17 {
            let label = format!("team-{n}");
            secrets[0].secret = fixtures::labelled(secrets[0].secret.clone(), &label, "c");
        }
        secrets
    };
    let text = planned(&payments(), full(), &[]);
    assert_eq!(text, "create RetryRotation prod/a\n");
    for stuck in [StuckRemedy::ClearPending, StuckRemedy::ClearAndRotate] {
        let mut own = payments();
        own.policy.remediation.stuck = stuck;
        assert_eq!(planned(&own, full(), &[]), "block prod/a PinExhausted\n");
    }
}

/// Of several blockers the one that ends last is reported. If no window is open then, the next window is reported.
#[test]
fn the_blocker_that_ends_last_is_reported_and_then_the_next_window() {
    let impatient = || {
        let mut own = payments();
        own.policy.detection.stuck_after = minutes(1);
        own
    };
    let mut early = failed(
        "e",
        Action::ClearAndRotate,
        ago(minutes(5)),
        Failure::AccessDenied,
    );
    early.policy.uid = None;
    let attempt = attempted("a", ago(minutes(10)));
    let both = [early, attempt];
    let denied = "block prod/a AccessDenied until 2026-11-23T13:55:00Z\n";
    assert_eq!(
        planned(&impatient(), empty(), &both[1..]),
        "block prod/a BackingOff until 2026-11-23T10:05:00Z\n"
    );
    assert_eq!(planned(&impatient(), empty(), &both), denied);
    let mut manual = attempted("m", ago(hours(1)));
    manual.trigger = Trigger::Manual;
    let all = [both.to_vec(), vec![manual]].concat();
    let held = "block prod/a ManualHold until 2026-11-24T09:00:00Z\n";
    assert_eq!(planned(&impatient(), empty(), &all), held);
    let mut nights = impatient();
    let window = Window::new("0 2 * * *", hours(2), "UTC").expect("a window");
    nights.policy.remediation.windows = Windows::Readable {
        allow: vec![window],
        deny: Vec::new(),
    };
    let next = "block prod/a OutsideWindow until 2026-11-25T02:00:00Z\n";
    assert_eq!(
        planned(&nights, empty(), &all),
        next,
        "not the window before that hold ends"
    );
    assert_eq!(
        planned(&nights, empty(), &both),
        "block prod/a OutsideWindow until 2026-11-24T02:00:00Z\n"
    );
}
