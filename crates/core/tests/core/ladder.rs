//! One operation, step by step, against a simulated AWS: the normal order of steps, and failures of single requests.

use fixtures::{
    ago, cluster, labelled, now, operation, pin_of, secret, stuck, version, with_value,
    without_value,
};
use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::operation::Operation;

use crate::support::shell::{Fault, Shell};
use crate::support::world::{EmptyVersions, Function, TinyAws};

const CLIMB: &str = "Pin (Settling) Clear Rotate (Verifying) Unpin Succeeded";

/// `prod/a`, stuck on a version with a value, which is the live password.
fn valued() -> TinyAws {
    let mut world = TinyAws::new(stuck("prod/a"), with_value(), now());
    world.live = version("p");
    world
}

/// `prod/a`, stuck on a version without a value.
fn empty() -> TinyAws {
    TinyAws::new(stuck("prod/a"), without_value(), now())
}

fn resting() -> TinyAws {
    TinyAws::new(secret("prod/a"), without_value(), now())
}

fn on_a(action: Action) -> Operation {
    operation("o", action, "prod/a")
}

fn clearing(world: TinyAws) -> Shell {
    Shell::new(world, on_a(Action::ClearAndRotate))
}

#[test]
fn clear_and_rotate_performs_every_step() {
    let done = clearing(valued()).run();
    assert_eq!(done.story(), CLIMB);
    let token = done.operation.request_token().expect("derived");
    assert_eq!(done.world.secret.current(), Some(&token));
    assert_eq!(done.world.accepted, [token]);
    assert_eq!(done.world.secret.label_count(), 2, "no pin is left");
}

#[test]
fn clear_pending_keeps_its_pin_so_that_it_can_be_undone() {
    let done = Shell::new(valued(), on_a(Action::ClearPending)).run();
    assert_eq!(done.story(), "Pin (Settling) Clear Succeeded");
    let pin = pin_of(cluster(), ago(fixtures::minutes(1)), "p");
    assert_eq!(done.world.secret.holder(&pin), Some(&version("p")));
    assert_eq!(done.world.secret.pending(), None);
}

#[test]
fn rotate_rotates_and_removes_old_pins() {
    let pin = pin_of(cluster(), ago(fixtures::hours(40)), "b");
    let mut world = resting();
    world.secret = labelled(world.secret, pin.as_str(), "b");
    let done = Shell::new(world, on_a(Action::Rotate)).run();
    assert_eq!(done.story(), "Rotate (Verifying) Unpin Succeeded");
    assert_eq!(done.world.secret.holder(&pin), None);
}

#[test]
fn retry_rotation_retries_the_same_version_and_clears_nothing() {
    let done = Shell::new(valued(), on_a(Action::RetryRotation)).run();
    assert_eq!(done.story(), "Rotate:RotationPending (Verifying) Succeeded");
    assert_eq!(done.world.secret.current(), Some(&version("p")));
    assert_eq!(done.world.accepted, []);
}

#[test]
fn pins_are_released_one_by_one() {
    let pins = [100, 90].map(|age| pin_of(cluster(), ago(fixtures::hours(age)), "b"));
    let mut world = resting();
    for pin in &pins {
        world.secret = labelled(world.secret, pin.as_str(), "b");
    }
    let done = Shell::new(world, on_a(Action::ReleasePins)).run();
    assert_eq!(done.story(), "Unpin Succeeded");
    assert_eq!(done.count("Unpin"), 2);
    assert_eq!(done.world.secret.labels, secret("prod/a").labels);
}

#[test]
fn a_rotation_that_fails_leaves_the_pin() {
    for function in [Function::DiesEmpty, Function::DiesLive, Function::Hangs] {
        let mut shell = clearing(valued());
        shell.world.function = function;
        let done = shell.run();
        assert_eq!(
            done.story(),
            "Pin (Settling) Clear Rotate (Verifying) RotationDidNotFinish"
        );
        let pin = pin_of(cluster(), ago(fixtures::minutes(1)), "p");
        assert_eq!(done.world.secret.holder(&pin), Some(&version("p")));
    }
}

#[test]
fn a_crash_or_a_lost_message_at_any_write_does_not_change_the_result() {
    let calm = clearing(valued()).run();
    for step in Step::ALL {
        for fault in [
            Fault::LostRequest,
            Fault::LostReply,
            Fault::CrashBefore,
            Fault::CrashAfter,
            Fault::Duplicate,
        ] {
            let done = clearing(valued()).faulty(step, fault).run();
            let story = done.story();
            assert!(story.ends_with("Succeeded"), "{step:?} {fault:?}: {story}");
            assert_eq!(
                done.world.secret.labels, calm.world.secret.labels,
                "{step:?} {fault:?}"
            );
            assert_eq!(done.world.accepted.len(), 1, "{step:?} {fault:?}: {story}");
        }
    }
}

#[test]
fn a_throttled_write_is_tried_again_at_most_eight_times() {
    let mut shell = clearing(valued());
    for tries in 1..=20 {
        let throttled = Fault::Refused(ErrorClass::Throttled);
        shell.faults.insert((Step::Clear, tries), throttled);
    }
    let done = shell.run();
    assert!(done.story().ends_with("AWSUnavailable"), "{}", done.story());
    assert_eq!(done.count("Clear"), 8);
    assert_eq!(done.world.secret.pending(), Some(&version("p")));
}

#[test]
fn an_unknown_error_is_tried_three_times() {
    for step in [Step::Pin, Step::Clear, Step::Rotate] {
        let mut shell = clearing(valued());
        for tries in 1..=20 {
            let unexpected = Fault::Refused(ErrorClass::Unexpected);
            shell.faults.insert((step, tries), unexpected);
        }
        let done = shell.run();
        assert!(
            done.story().ends_with(":Unexpected Unexpected"),
            "{}",
            done.story()
        );
        assert_eq!(done.count(step.name()), 3);
    }
}

#[test]
fn a_denied_write_ends_the_operation_at_once() {
    for step in [Step::Pin, Step::Clear, Step::Rotate] {
        let done = clearing(valued())
            .faulty(step, Fault::Refused(ErrorClass::Denied))
            .run();
        let end = if step == Step::Clear {
            ":Denied Unpin AccessDenied"
        } else {
            ":Denied AccessDenied"
        };
        assert!(done.story().ends_with(end), "{}", done.story());
        assert_eq!(done.count(step.name()), 1);
    }
}

#[test]
fn an_empty_version_that_cannot_be_labelled_is_cleared_without_a_pin() {
    let started = now();
    let done = clearing(empty()).run();
    let climb = "Pin:Mismatch (Settling) Clear Rotate (Verifying) Succeeded";
    assert_eq!(done.story(), climb);
    let clear = done
        .sent
        .iter()
        .find(|(_, request)| format!("{request:?}").contains("AWSPENDING"));
    let (at, _) = clear.expect("it was cleared");
    assert!(at.since(started) >= fixtures::minutes(5));
}

#[test]
fn an_empty_version_that_can_be_labelled_is_pinned_like_any_other() {
    let mut world = empty();
    world.empty_versions = EmptyVersions::CanBeLabelled;
    assert_eq!(clearing(world).run().story(), CLIMB);
}

#[test]
fn a_version_with_a_value_is_never_cleared_without_a_pin() {
    for class in [ErrorClass::Mismatch, ErrorClass::Gone] {
        let mut shell = clearing(valued());
        for tries in 1..=20 {
            shell
                .faults
                .insert((Step::Pin, tries), Fault::Refused(class));
        }
        let done = shell.run();
        assert!(done.story().ends_with("Unexpected"), "{}", done.story());
        assert_eq!(done.count("Clear"), 0);
    }
}

#[test]
fn an_empty_version_is_not_cleared_when_the_pin_was_refused_for_another_reason() {
    for class in [
        ErrorClass::LimitExceeded,
        ErrorClass::Denied,
        ErrorClass::Refused,
        ErrorClass::Throttled,
        ErrorClass::Unexpected,
        ErrorClass::Unreachable,
        ErrorClass::Malformed,
        ErrorClass::Credentials,
        ErrorClass::RotationPending,
    ] {
        let mut shell = clearing(empty());
        for tries in 1..=20 {
            shell
                .faults
                .insert((Step::Pin, tries), Fault::Refused(class));
        }
        let done = shell.run();
        assert_eq!(done.count("Clear"), 0, "{class:?}: {}", done.story());
    }
}

#[test]
fn a_version_that_turns_out_to_have_a_value_is_not_cleared_without_a_pin() {
    let mut shell = clearing(empty()).faulty(Step::Pin, Fault::Refused(ErrorClass::Mismatch));
    shell.until_said("Pin:Mismatch");
    shell
        .world
        .versions
        .insert(version("p"), Some(ago(fixtures::hours(8))));
    shell
        .faults
        .extend((2..20).map(|n| ((Step::Pin, n), Fault::Refused(ErrorClass::Mismatch))));
    let done = shell.run();
    assert_eq!(done.count("Clear"), 0, "{}", done.story());
}
