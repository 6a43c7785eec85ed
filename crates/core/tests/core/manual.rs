//! Actions that are only manual: promote, restore, revert, and restoring a secret that is scheduled for deletion.

use std::time::Duration;

use fixtures::{
    ago, cluster, hours, labelled, listing, minutes, now, operation, pin_of, secret, server, stuck,
    version, with_value, without_value,
};
use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::advance::{Next, Phase, Request};
use secret_rotation_core::operation::{Operation, Trigger};
use secret_rotation_core::secret::Secret;

use crate::support::shell::{Fault, Shell};
use crate::support::world::{EmptyVersions, Function, Replica, TinyAws};

fn manual_operation(action: Action) -> Operation {
    Operation {
        trigger: Trigger::Manual,
        ..operation("o", action, "prod/a")
    }
}

/// `prod/a`, stuck on a version with a value, which is the live password.
fn valued() -> TinyAws {
    let mut world = TinyAws::new(stuck("prod/a"), with_value(), now());
    world.live = version("p");
    world
}

/// `x` was cleared and is pinned; it holds the live password.
fn cleared(secret: Secret) -> TinyAws {
    let pin = pin_of(cluster(), ago(hours(10)), "x");
    let versions = listing(&[
        ("b", ago(hours(500))),
        ("c", ago(hours(72))),
        ("p", ago(hours(9))),
        ("x", ago(hours(30))),
    ]);
    let mut world = TinyAws::new(labelled(secret, pin.as_str(), "x"), versions, now());
    world.live = version("x");
    world
}

fn restoring(pending: Option<&str>) -> Operation {
    let mut operation = manual_operation(Action::RestorePending);
    operation.expect.pending = pending.map(version);
    operation
}

/// Every situation in which a manual action succeeds, with the steps that it takes.
fn ways() -> Vec<(TinyAws, Operation, &'static str)> {
    let mut deleted = TinyAws::new(secret("prod/a"), without_value(), now());
    deleted.secret.deleted = Some(ago(hours(50)));
    vec![
        (
            valued(),
            manual_operation(Action::PromotePending),
            "Pin Move Clear Succeeded",
        ),
        (
            cleared(secret("prod/a")),
            restoring(None),
            "Attach Succeeded",
        ),
        (
            cleared(stuck("prod/a")),
            restoring(Some("p")),
            "Pin Swap Succeeded",
        ),
        (
            TinyAws::new(secret("prod/a"), without_value(), now()),
            manual_operation(Action::RevertToPrevious),
            "Move Succeeded",
        ),
        (
            deleted,
            manual_operation(Action::RestoreSecret),
            "Restore Succeeded",
        ),
    ]
}

#[test]
fn each_manual_action_succeeds_and_keeps_the_live_password_labelled() {
    for (world, operation, way) in ways() {
        let done = Shell::new(world, operation).run();
        assert_eq!(done.story(), way);
        assert!(done.world.is_live_version_labelled(), "{way}");
    }
}

#[test]
fn a_crash_or_a_lost_message_at_any_write_does_not_change_the_result() {
    for (world, operation, way) in ways() {
        let calm = Shell::new(world.clone(), operation.clone()).run();
        for step in Step::ALL {
            for fault in [
                Fault::LostRequest,
                Fault::LostReply,
                Fault::CrashBefore,
                Fault::CrashAfter,
                Fault::Duplicate,
            ] {
                let shell = Shell::new(world.clone(), operation.clone()).faulty(step, fault);
                let done = shell.run();
                assert_eq!(
                    done.world.secret.labels,
                    calm.world.secret.labels,
                    "{way}: {fault:?} at {}: {}",
                    step.name(),
                    done.story()
                );
                assert_eq!(done.trace.last(), calm.trace.last());
            }
        }
    }
}

#[test]
fn a_promotion_makes_the_pending_version_current_and_the_old_one_previous() {
    let done = Shell::new(valued(), manual_operation(Action::PromotePending)).run();
    let secret = &done.world.secret;
    assert_eq!(secret.current(), Some(&version("p")));
    assert_eq!(secret.previous(), Some(&version("c")));
    assert_eq!(secret.pending(), None);
}

/// A person reverted, or promoted another version before: the target may still accept the value of AWSPREVIOUS.
#[test]
fn a_promotion_never_takes_the_last_label_from_a_version_that_may_hold_the_live_password() {
    let reverted = || {
        let mut world = valued();
        world.move_back();
        world.live = version("c");
        world
    };
    let again = || {
        let promoted = Shell::new(valued(), manual_operation(Action::PromotePending)).run();
        let mut world = promoted.world;
        world.function = Function::Hangs;
        let token = version("q");
        let request = Request::Rotate { token };
        world.apply(&request).expect("it rotates");
        world.versions.insert(version("q"), Some(world.now));
        world.live = version("c");
        world.pass(hours(8));
        (world, promoted.operation)
    };
    let (promoted, before) = again();
    let mut second = manual_operation(Action::PromotePending);
    second.expect.current = Some(version("p"));
    second.expect.pending = Some(version("q"));
    let mut first = manual_operation(Action::PromotePending);
    first.expect.current = Some(version("b"));
    for (world, operation, others) in [
        (reverted(), first, vec![]),
        (promoted.clone(), second.clone(), vec![before]),
        (promoted, second, vec![]),
    ] {
        let run = |mut world: TinyAws| {
            world.pass(hours(4));
            let mut shell = Shell::new(world, operation.clone());
            shell.operation.created = server(shell.world.now);
            shell.others.clone_from(&others);
            shell.run()
        };
        let refused = run(world.clone());
        assert_eq!(refused.story(), "PreconditionFailed");
        let outcome = format!("{:?}", refused.operation.outcome);
        assert!(outcome.contains("--version-stage keep"), "{outcome}");

        let mut labelled = world;
        labelled.label("keep", "c");
        let done = run(labelled);
        assert_eq!(done.trace.last().map(String::as_str), Some("Succeeded"));
        assert!(done.world.is_live_version_labelled(), "{}", done.story());
    }
}

#[test]
fn a_version_without_a_value_is_never_promoted() {
    let world = TinyAws::new(stuck("prod/a"), without_value(), now());
    let done = Shell::new(world, manual_operation(Action::PromotePending)).run();
    assert_eq!(done.story(), "PreconditionFailed");
}

#[test]
fn no_label_is_moved_while_a_function_may_run() {
    let mut young = stuck("prod/a");
    young.last_changed = Some(ago(minutes(74)));
    for operation in [
        manual_operation(Action::PromotePending),
        manual_operation(Action::RevertToPrevious),
        restoring(Some("p")),
    ] {
        let mut world = cleared(young.clone());
        world.secret.last_changed = young.last_changed;
        let done = Shell::new(world, operation).run();
        assert_eq!(done.story(), "PreconditionFailed");
    }
}

#[test]
fn an_automatic_operation_never_performs_a_manual_action() {
    for (world, operation, _) in ways() {
        let action = operation.action;
        let automatic = Operation {
            trigger: Trigger::Policy,
            ..operation
        };
        let done = Shell::new(world, automatic).run();
        let expected = if action == Action::RestoreSecret {
            "Restore Succeeded"
        } else {
            "Refused"
        };
        assert_eq!(done.story(), expected);
    }
}

#[test]
fn an_operation_fails_unless_its_expectations_hold() {
    for (world, operation, _) in ways() {
        let mut wrong = operation.clone();
        let expect = &mut wrong.expect;
        for version_id in [
            &mut expect.current,
            &mut expect.pending,
            &mut expect.previous,
            &mut expect.pinned,
        ] {
            *version_id = version_id.is_some().then(|| version("z"));
        }
        expect.deleted = expect.deleted.map(|deleted| deleted.plus(minutes(1)));
        let done = Shell::new(world, wrong).run();
        assert_eq!(done.story(), "PreconditionFailed");
        assert!(done.sent.is_empty());
    }
}

/// A restore sets the labels as they were right before the clear, and keeps the version that had received them since.
#[test]
fn a_restore_brings_back_the_labels_from_before_the_clear() {
    let mut operation = restoring(None);
    operation.expect.current = Some(version("c"));
    let done = Shell::new(cleared(secret("prod/a")), operation).run();
    let before = labelled(cleared(secret("prod/a")).secret, "AWSPENDING", "x");
    assert_eq!(done.world.secret.labels, before.labels);

    let done = Shell::new(cleared(stuck("prod/a")), restoring(Some("p"))).run();
    let kept = pin_of(cluster(), ago(minutes(1)), "p");
    let before = labelled(before, kept.as_str(), "p");
    assert_eq!(done.world.secret.labels, before.labels);
}

#[test]
fn a_holder_without_a_value_loses_the_label_after_two_lists_that_omit_it() {
    let mut world = cleared(stuck("prod/a"));
    world.versions.insert(version("p"), None);
    world.empty_versions = EmptyVersions::CannotBeLabelled;
    let done = Shell::new(world, restoring(Some("p"))).run();
    assert_eq!(done.story(), "Pin:Mismatch (Settling) Swap Succeeded");
    assert_eq!(done.world.secret.pending(), Some(&version("x")));
}

#[test]
fn only_a_pinned_version_gets_awspending_back() {
    let world = TinyAws::new(secret("prod/a"), with_value(), now());
    let done = Shell::new(world, restoring(None)).run();
    assert_eq!(done.story(), "PreconditionFailed");
    let mut foreign = TinyAws::new(secret("prod/a"), with_value(), now());
    let pin = pin_of(fixtures::other_cluster(), ago(hours(100)), "x");
    foreign.secret = labelled(foreign.secret, pin.as_str(), "x");
    let done = Shell::new(foreign, restoring(None)).run();
    assert_eq!(done.story(), "PreconditionFailed");
}

#[test]
fn a_change_between_pin_and_move_removes_the_pin() {
    for (world, operation) in [
        (valued(), manual_operation(Action::PromotePending)),
        (cleared(stuck("prod/a")), restoring(Some("p"))),
    ] {
        let mut shell = Shell::new(world, operation);
        shell.until_said("Pin");
        shell.world.label("terraform", "b");
        shell.until(|_| false);
        assert_eq!(shell.story(), "Pin Unpin Superseded");
    }
}

#[test]
fn secrets_that_someone_else_manages_are_not_restored() {
    let mut world = TinyAws::new(secret("prod/a"), without_value(), now());
    world.secret.deleted = Some(ago(hours(50)));
    world.secret.owning_service = Some("rds".to_owned());
    let done = Shell::new(world, manual_operation(Action::RestoreSecret)).run();
    assert_eq!(done.story(), "Refused");
}

/// Another operation of the same minute has left the same pin that this one would set. To set it again moves nothing,
/// and an operation that withdraws leaves it.
#[test]
fn a_pin_of_the_same_minute_serves_both_operations() {
    let pin = pin_of(cluster(), ago(minutes(1)), "p");
    let pinned = || {
        let mut world = valued();
        let (label, changed) = (pin.as_str().to_owned(), world.secret.last_changed);
        world.secret = labelled(world.secret, &label, "p");
        world.secret.last_changed = changed;
        TinyAws::new(world.secret, with_value(), now())
    };
    let promoted = Shell::new(pinned(), manual_operation(Action::PromotePending)).run();
    assert_eq!(promoted.story(), "Pin:Mismatch Move Clear Succeeded");
    let mut clearing = Shell::new(pinned(), manual_operation(Action::ClearPending));
    clearing.until_said("(Settling)");
    let done = clearing.run();
    assert_eq!(done.story(), "Pin:Mismatch (Settling) Clear Succeeded");
    assert_eq!(done.world.secret.holder(&pin), Some(&version("p")));

    let mut disturbed = Shell::new(pinned(), manual_operation(Action::ClearPending));
    disturbed.until_said("(Settling)");
    disturbed.world.label("somebody", "b");
    let withdrawn = disturbed.run();
    assert_eq!(withdrawn.story(), "Pin:Mismatch (Settling) Superseded");
    assert_eq!(withdrawn.world.secret.holder(&pin), Some(&version("p")));
}

/// Every action that moves more than one label, automatic ones included.
fn moves() -> Vec<(TinyAws, Operation)> {
    let ways = ways()
        .into_iter()
        .map(|(world, operation, _)| (world, operation));
    let clearing = operation("o", Action::ClearAndRotate, "prod/a");
    let more = [
        (
            pending_on_current(),
            manual_operation(Action::RevertToPrevious),
        ),
        (valued(), clearing),
    ];
    ways.chain(more).collect()
}

#[test]
fn a_label_moves_again_only_when_replicas_have_followed_or_had_their_time() {
    let followers = [
        (Replica::Follows(minutes(2)), minutes(2), ""),
        (
            Replica::Follows(hours(9)),
            minutes(10),
            "not in sync: us-east-1 (InProgress)",
        ),
        (
            Replica::Failed,
            Duration::ZERO,
            "not in sync: us-east-1 (Failed)",
        ),
    ];
    for (world, operation) in moves() {
        let calm = Shell::new(world.clone(), operation.clone()).run();
        for (replica, apart, told) in &followers {
            let mut shell = Shell::new(world.clone(), operation.clone());
            shell.world.replica = *replica;
            let done = shell.run();
            let way = done.story();
            assert_eq!(done.sent.len(), calm.sent.len(), "{way}");
            assert_eq!(done.trace.last(), calm.trace.last(), "{way}");
            for pair in done.sent.windows(2) {
                assert!(pair[1].0.since(pair[0].0) >= *apart, "{replica:?}: {way}");
            }
            let outcome = format!("{:?}", done.operation.outcome);
            assert!(outcome.contains(told), "{replica:?}: {outcome}");
        }
    }
}

/// The condition shows what the operation waits for, and until when at most.
#[test]
fn a_wait_for_a_replica_is_reported() {
    let mut shell = Shell::new(valued(), manual_operation(Action::PromotePending));
    shell.world.replica = Replica::Follows(minutes(2));
    shell.until_said("Pin");
    let look = shell.world.look(false);
    let Next::Wait(wait) = shell.next(&look) else {
        panic!("it does not wait: {:?}", shell.next(&look));
    };
    let message = wait.message;
    assert!(
        message.contains("replicas") && message.contains("us-east-1 (InProgress)"),
        "{message}"
    );
    assert_eq!(wait.phase, Phase::Promoting);
}

/// AWS left AWSPENDING on the version that a rotation made current.
fn pending_on_current() -> TinyAws {
    let secret = labelled(secret("prod/a"), "AWSPENDING", "c");
    TinyAws::new(secret, without_value(), now())
}

#[test]
fn a_revert_drops_a_leftover_label_first_and_never_stops_halfway() {
    let done = Shell::new(
        pending_on_current(),
        manual_operation(Action::RevertToPrevious),
    )
    .run();
    assert_eq!(done.story(), "Clear Move Succeeded");
    let secret = &done.world.secret;
    assert_eq!(
        (secret.current(), secret.previous(), secret.pending()),
        (Some(&version("b")), Some(&version("c")), None)
    );
    for step in [Step::DropPending, Step::Revert] {
        for fault in [
            Fault::LostRequest,
            Fault::LostReply,
            Fault::CrashBefore,
            Fault::CrashAfter,
            Fault::Duplicate,
        ] {
            let shell = Shell::new(
                pending_on_current(),
                manual_operation(Action::RevertToPrevious),
            );
            let other = shell.faulty(step, fault).run();
            assert_eq!(
                other.world.secret.labels,
                secret.labels,
                "{fault:?} {}",
                other.story()
            );
        }
    }
    let mut disturbed = Shell::new(
        pending_on_current(),
        manual_operation(Action::RevertToPrevious),
    );
    disturbed.until_said("Clear");
    disturbed.world.label("terraform", "b");
    assert_eq!(disturbed.run().story(), "Clear Superseded");
    let mut young = pending_on_current();
    young.secret.last_changed = Some(ago(minutes(70)));
    let young = Shell::new(young, manual_operation(Action::RevertToPrevious)).run();
    assert_eq!(young.story(), "PreconditionFailed");
}

fn releasing(named: &str) -> Shell {
    let mut world = TinyAws::new(stuck("prod/a"), with_value(), now());
    for (age, on) in [(90, "x"), (80, "y"), (70, "y")] {
        let pin = pin_of(cluster(), ago(hours(age)), on);
        world.secret = labelled(world.secret, pin.as_str(), on);
    }
    let mut operation = manual_operation(Action::ReleasePins);
    operation.expect.current = None;
    operation.expect.pinned = Some(version(named));
    Shell::new(world, operation)
}

#[test]
fn a_person_releases_the_pins_of_one_version_but_never_the_newest_pin() {
    let done = releasing("x").run();
    assert_eq!(
        (done.story().as_str(), done.count("Unpin")),
        ("Unpin Succeeded", 1)
    );
    assert!(!done.world.secret.is_labelled(&version("x")));
    let done = releasing("y").run();
    assert!(
        done.story().ends_with("Unpin Succeeded"),
        "{}",
        done.story()
    );
    assert_eq!(done.count("Unpin"), 1);
    let newest = pin_of(cluster(), ago(hours(70)), "y");
    assert_eq!(done.world.secret.holder(&newest), Some(&version("y")));
    let mut again = releasing("y");
    again.world.secret = done.world.secret;
    assert_eq!(again.run().story(), "PreconditionFailed");
    assert_eq!(
        releasing("p").run().story(),
        "PreconditionFailed",
        "it carries none"
    );
}
