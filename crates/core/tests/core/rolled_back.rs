//! Versions that a person rolled back: reported, and never made current again automatically.

use fixtures::{
    ago, bound_policy, failed, hours, labelled, listing, now, observation, operation, policy,
    record_step, retried, secret, stuck, survey, survey_after, version, with_value,
};
use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::inventory::Observation;
use secret_rotation_core::journal::{Baseline, ResultKind};
use secret_rotation_core::operation::{Failure, Operation, Outcome};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::policy::StuckRemedy;
use secret_rotation_core::secret::PendingValue;
use secret_rotation_core::secret::Secret;
use secret_rotation_core::survey::{RemedyKind, State};
use secret_rotation_core::time::AwsTime;

use crate::support::planning::{plan_of, planned, text};

fn remedying(stuck: StuckRemedy) -> BoundPolicy {
    let mut policy = policy("payments");
    policy.remediation.stuck = stuck;
    bound_policy(policy)
}

/// Version `p` was current; a person moved AWSCURRENT back to `c`, and left AWSPENDING where it was.
fn moved_back() -> Observation {
    let mut secret = labelled(stuck("prod/a"), "AWSPREVIOUS", "p");
    secret.labels.remove(&version("b"));
    observation(secret, Some(with_value()))
}

/// `p` was pending when someone set a value, which became current at `at`; AWS left the label.
fn passed_over(at: AwsTime) -> Observation {
    let secret = Secret {
        last_rotated: Some(at),
        ..stuck("prod/a")
    };
    observation(secret, Some(with_value()))
}

#[test]
fn a_rolled_back_version_is_reported_as_stuck() {
    for (observation, how) in [
        (moved_back(), "it also holds AWSPREVIOUS"),
        (
            passed_over(ago(hours(7))),
            "another value has become current since it was made",
        ),
    ] {
        let survey = survey(&remedying(StuckRemedy::Recover), vec![observation]);
        let finding = &survey.findings[0];
        assert_eq!(
            (finding.state, finding.remedy_kind),
            (State::Stuck, RemedyKind::RolledBack)
        );
        assert!(finding.message.contains("was rolled back"));
        assert!(finding.message.contains(how), "{}", finding.message);
        assert!(finding.message.contains("kubectl secret-rotation clear"));
    }
}

#[test]
fn a_rolled_back_version_is_stuck_since_the_labels_moved() {
    let mut young = moved_back();
    young.secret.last_changed = Some(ago(hours(1)));
    let own = remedying(StuckRemedy::Recover);
    let survey = survey(&own, vec![young.clone()]);
    assert_eq!(survey.findings[0].state, State::Stuck);
    assert_eq!(survey.findings[0].since, Some(ago(hours(1))));
    let held = "block prod/a RecentlyChanged until 2026-11-23T15:00:00Z\n";
    assert_eq!(
        planned(&own, vec![young], &[]),
        held,
        "and no operation starts"
    );
}

#[test]
fn a_rolled_back_version_is_unlabelled_or_left_to_a_person() {
    let cleared = "create ClearPending prod/a\n";
    for (remedy, expected) in [
        (StuckRemedy::Recover, cleared),
        (StuckRemedy::ClearAndRotate, cleared),
        (StuckRemedy::ClearPending, cleared),
        (StuckRemedy::RetryRotation, "block prod/a ManualHold\n"),
        (StuckRemedy::Report, "block prod/a ObserveOnly\n"),
    ] {
        let own = remedying(remedy);
        assert_eq!(planned(&own, vec![moved_back()], &[]), expected);
        let passed_over = vec![passed_over(ago(hours(8)))];
        assert_eq!(planned(&own, passed_over, &[]), expected);
    }
    let retried = [retried("r", ago(hours(8)))];
    let own = remedying(StuckRemedy::Recover);
    assert_eq!(planned(&own, vec![moved_back()], &retried), cleared);
}

#[test]
fn a_version_that_no_rotation_has_replaced_is_retried() {
    let own = remedying(StuckRemedy::Recover);
    let ahead = passed_over(ago(hours(9)));
    assert_eq!(
        planned(&own, vec![ahead], &[]),
        "create RetryRotation prod/a\n"
    );
}

#[test]
fn nothing_is_planned_before_the_versions_are_known() {
    for remedy in [
        StuckRemedy::Recover,
        StuckRemedy::RetryRotation,
        StuckRemedy::ClearAndRotate,
    ] {
        let unlisted = Observation::listed(stuck("prod/a"));
        assert_eq!(planned(&remedying(remedy), vec![unlisted], &[]), "");
    }
}

#[test]
fn a_waiting_operation_is_superseded_when_its_version_was_rolled_back() {
    let superseded = |action: Action, remedy: StuckRemedy, observation: Observation| {
        let own = remedying(remedy);
        let waiting = operation("waiting", action, "prod/a");
        let bound_policies = std::slice::from_ref(&own);
        let plan = plan_of(&own, bound_policies, vec![observation], &[waiting]);
        text(&plan)
    };
    let rolled_back = "supersede prod/waiting: the pending version was rolled back\n";
    let recover = StuckRemedy::Recover;
    for action in [Action::RetryRotation, Action::ClearAndRotate] {
        assert_eq!(superseded(action, recover, moved_back()), rolled_back);
    }
    assert_eq!(superseded(Action::ClearPending, recover, moved_back()), "");
    assert_eq!(
        superseded(Action::ClearPending, StuckRemedy::Report, moved_back()),
        "supersede prod/waiting: the policy now chooses another remedy\n"
    );
    let unlisted = Observation::listed(stuck("prod/a"));
    assert_eq!(
        superseded(Action::RetryRotation, recover, unlisted),
        "",
        "it waits: nothing is known against it"
    );
}

/// An operation on `prod/a` that cleared `p` while `c` was current.
fn cleared(action: Action, at: AwsTime, kind: ResultKind) -> Operation {
    let mut clear = failed("clear", action, at, Failure::AwsUnavailable);
    clear.baseline = Some(Baseline {
        function: None,
        labels: stuck("prod/a").labels,
        last_changed: Some(ago(hours(80))),
        pending_value: PendingValue::Present,
        rotates: None,
    });
    record_step(&mut clear, Step::Clear, at, kind);
    clear
}

fn found(secret: Secret, operations: &[Operation]) -> Option<State> {
    let observation = observation(secret, Some(listing(&[("c", ago(hours(100)))])));
    let own = remedying(StuckRemedy::Recover);
    let survey = survey_after(&own, vec![observation], operations);
    survey.findings.first().map(|finding| finding.state)
}

/// A secret unchanged since the clear, with a pin on the version that was cleared.
fn after_clear() -> Secret {
    let pin = fixtures::pin_of(fixtures::cluster(), ago(hours(30)), "p");
    Secret {
        last_rotated: Some(ago(hours(100))),
        last_changed: Some(ago(hours(30))),
        ..labelled(secret("prod/a"), pin.as_str(), "p")
    }
}

#[test]
fn only_a_clear_and_rotate_that_did_not_rotate_is_an_unfinished_recovery() {
    let at = ago(hours(30));
    let unfinished = cleared(Action::ClearAndRotate, at, ResultKind::Applied);
    let only = |one: &Operation| found(after_clear(), std::slice::from_ref(one));
    assert_eq!(only(&unfinished), Some(State::Overdue));
    let unheard = ResultKind::Refused(ErrorClass::Unreachable);
    let maybe = cleared(Action::ClearAndRotate, at, unheard);
    assert_eq!(only(&maybe), Some(State::Overdue));

    assert_eq!(found(after_clear(), &[]), None, "a pin says nothing");
    let asked = cleared(Action::ClearPending, at, ResultKind::Applied);
    assert_eq!(only(&asked), None, "no rotation was requested");
    let refused = ResultKind::Refused(ErrorClass::Mismatch);
    let kept = cleared(Action::ClearAndRotate, at, refused);
    assert_eq!(only(&kept), None, "it cleared nothing");
    let mut foreign = unfinished.clone();
    foreign.key = fixtures::key("elsewhere", "clear");
    assert_eq!(only(&foreign), None, "anyone may have written that journal");
    let mut rotated = unfinished;
    record_step(
        &mut rotated,
        Step::Rotate,
        ago(hours(29)),
        ResultKind::Applied,
    );
    assert_eq!(only(&rotated), None, "AWS accepted a rotation");
}

#[test]
fn a_recovery_is_not_unfinished_once_something_else_happened() {
    let unfinished = cleared(Action::ClearAndRotate, ago(hours(30)), ResultKind::Applied);
    let alone = [unfinished.clone()];
    let renewed = Secret {
        last_rotated: Some(ago(hours(20))),
        ..after_clear()
    };
    assert_eq!(found(renewed, &alone), None, "a rotation has succeeded");
    let mut reverted = after_clear();
    let labels = reverted.labels.remove(&version("c")).expect("labels of c");
    reverted.labels.insert(version("b"), labels);
    assert_eq!(found(reverted, &alone), None, "AWSCURRENT was moved");

    let mut later = cleared(Action::ClearPending, ago(hours(10)), ResultKind::Applied);
    let both = [unfinished.clone(), later.clone()];
    assert_eq!(found(after_clear(), &both), None, "a person's clear");
    later = failed(
        "undo",
        Action::RestorePending,
        ago(hours(10)),
        Failure::Superseded,
    );
    let denied = ResultKind::Refused(ErrorClass::Denied);
    record_step(&mut later, Step::RestorePending, ago(hours(10)), denied);
    let both = [unfinished.clone(), later.clone()];
    assert_eq!(found(after_clear(), &both), Some(State::Overdue));
    record_step(
        &mut later,
        Step::RestorePending,
        ago(hours(9)),
        ResultKind::Applied,
    );
    assert_eq!(found(after_clear(), &[unfinished, later]), None, "undone");
}

#[test]
fn nothing_rotates_after_a_rolled_back_version_lost_its_label() {
    let own = remedying(StuckRemedy::Recover);
    let mut cleared = cleared(Action::ClearPending, ago(hours(30)), ResultKind::Applied);
    cleared.outcome = Some(Outcome::Succeeded {
        message: String::new(),
    });
    let mut at_rest = after_clear();
    let labels = at_rest.labels.entry(version("p")).or_default();
    labels.insert(secret_rotation_core::names::StageLabel::previous());
    at_rest.labels.remove(&version("b"));
    at_rest.next_rotation = Some(now().plus(hours(24)));
    let observation = observation(at_rest, Some(listing(&[("c", ago(hours(100)))])));
    assert_eq!(planned(&own, vec![observation], &[cleared]), "");
}
