//! One operation while others act: people, AWS itself, other operations, and those who withdraw a permission.

use std::time::Duration;

use fixtures::{
    ago, attempted, cluster, hours, labelled, minutes, now, operation, other_cluster, pin_of,
    record_step, secret, server, stuck, version, with_value, without_value,
};
use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::advance::{Gate, Next, Request};
use secret_rotation_core::approval::{Answer, Decision};
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::block::{Block, BlockReason};
use secret_rotation_core::history::History;
use secret_rotation_core::journal::ResultKind;
use secret_rotation_core::operation::{Operation, Trigger};
use secret_rotation_core::pin::check_room;
use secret_rotation_core::policy::Suspension;
use secret_rotation_core::secret::{LabelMap, Rotation, Secret};

use crate::support::shell::{Fault, Shell};
use crate::support::world::{EmptyVersions, Function, TinyAws};

fn valued() -> TinyAws {
    let mut world = TinyAws::new(stuck("prod/a"), with_value(), now());
    world.live = version("p");
    world
}

fn on_a(action: Action) -> Operation {
    operation("o", action, "prod/a")
}

fn clearing() -> Shell {
    Shell::new(valued(), on_a(Action::ClearAndRotate))
}

fn pinned() -> Shell {
    let mut shell = clearing();
    shell.until_said("(Settling)");
    shell
}

fn cleared() -> Shell {
    let mut shell = clearing();
    shell.until_said("Clear");
    shell
}

fn own_pin(shell: &Shell) -> bool {
    let pin = shell.operation.pin(&cluster(), &version("p"));
    let label = pin.label().expect("short enough");
    shell.world.secret.holder(&label).is_some()
}

fn manual(mut operation: Operation) -> Operation {
    operation.trigger = Trigger::Manual;
    operation
}

#[test]
fn a_rotation_that_succeeds_while_settling_is_kept_and_the_pin_removed() {
    let mut shell = pinned();
    shell.world.unlabel("AWSPENDING");
    shell.world.unlabel("AWSCURRENT");
    shell.world.label("AWSCURRENT", "p");
    let done = shell.run();
    assert_eq!(done.story(), "Pin (Settling) Unpin Superseded");
    assert!(!own_pin(&done));
}

#[test]
fn any_foreign_change_while_settling_removes_the_pin() {
    let changes: [fn(&mut TinyAws); 5] = [
        |world| world.label("terraform", "b"),
        |world| world.unlabel("AWSPREVIOUS"),
        |world| {
            world.unlabel("AWSCURRENT");
            world.label("AWSCURRENT", "b");
        },
        |world| {
            world.unlabel("AWSPENDING");
            world.label("AWSPENDING", "new");
        },
        |world| world.secret.last_changed = Some(world.now),
    ];
    for change in changes {
        let mut shell = pinned();
        shell.pass(minutes(1));
        change(&mut shell.world);
        let done = shell.run();
        assert_eq!(done.story(), "Pin (Settling) Unpin Superseded");
        assert!(!own_pin(&done));
    }
}

#[test]
fn the_pin_stays_once_a_clear_may_be_in_flight() {
    for fault in [
        Fault::LostRequest,
        Fault::Late(minutes(1)),
        Fault::CrashBefore,
    ] {
        let mut shell = clearing().faulty(Step::Clear, fault);
        shell.until(|shell| shell.operation.journal.entry(Step::Clear).is_some());
        shell.world.label("terraform", "b");
        let mut done = shell.run();
        done.pass(minutes(2));
        assert_eq!(done.trace.last().map(String::as_str), Some("Superseded"));
        assert!(own_pin(&done), "{fault:?}: {}", done.story());
        assert!(done.world.is_live_version_labelled());
    }
}

#[test]
fn a_clear_that_was_applied_late_counts_as_an_own_change() {
    let late = Fault::Late(Duration::from_millis(1500));
    let done = clearing().faulty(Step::Clear, late).run();
    assert!(
        done.story().ends_with("Unpin Succeeded"),
        "{}",
        done.story()
    );
    assert_eq!(done.world.accepted.len(), 1);
}

#[test]
fn a_clear_by_someone_else_is_not_followed_by_a_rotation() {
    let mut shell = clearing().faulty(Step::Clear, Fault::Refused(ErrorClass::Mismatch));
    shell.until_said("Clear:Mismatch");
    shell.world.unlabel("AWSPENDING");
    let done = shell.run();
    assert_eq!(done.trace.last().map(String::as_str), Some("Superseded"));
    assert_eq!((done.count("Rotate"), own_pin(&done)), (0, true));
}

#[test]
fn a_change_after_the_clear_is_kept_and_the_pin_stays() {
    let changes: [fn(&mut TinyAws); 3] = [
        |world| world.label("AWSPENDING", "new"),
        |world| world.label("AWSPENDING", "p"),
        |world| {
            world.unlabel("AWSCURRENT");
            world.label("AWSCURRENT", "b");
        },
    ];
    for change in changes {
        let mut shell = cleared();
        change(&mut shell.world);
        let done = shell.run();
        assert_eq!(done.trace.last().map(String::as_str), Some("Superseded"));
        assert_eq!((done.count("Rotate"), own_pin(&done)), (0, true));
    }
}

#[test]
fn a_token_that_is_known_but_unlabelled_is_never_sent_again() {
    let mut shell = clearing().faulty(Step::Rotate, Fault::LostReply);
    shell.world.function = Function::DiesLive;
    shell.until_said("Rotate:unheard");
    shell.pass(minutes(2));
    shell.world.unlabel("AWSPENDING");
    let done = shell.run();
    let token = done.operation.request_token().expect("derived");
    assert!(done.world.versions.contains_key(&token), "it is listed");
    assert_eq!(
        done.trace.last().map(String::as_str),
        Some("RotationDidNotFinish")
    );
    assert_eq!(done.count("Rotate"), 1);
}

#[test]
fn a_rotation_that_was_accepted_is_never_sent_again() {
    let mut shell = clearing();
    shell.world.function = Function::Hangs;
    shell.until_said("Rotate");
    shell.world.unlabel("AWSPENDING");
    let done = shell.run();
    assert_eq!(
        done.trace.last().map(String::as_str),
        Some("RotationDidNotFinish")
    );
    assert_eq!(done.count("Rotate"), 1);
}

#[test]
fn rotations_of_one_operation_are_a_minute_apart() {
    let mut shell = clearing();
    let throttled = Fault::Refused(ErrorClass::Throttled);
    shell.faults.insert((Step::Rotate, 1), Fault::LostRequest);
    shell
        .faults
        .extend((2..6).map(|tries| ((Step::Rotate, tries), throttled)));
    let done = shell.run();
    let rotations = done
        .sent
        .iter()
        .filter(|(_, sent)| matches!(sent, Request::Rotate { .. }));
    let times: Vec<_> = rotations.map(|(at, _)| *at).collect();
    assert_eq!(times.len(), 6);
    for pair in times.windows(2) {
        assert!(pair[1].since(pair[0]) >= minutes(1));
    }
}

#[test]
fn a_rotation_is_given_stuck_after_and_not_longer() {
    let mut shell = clearing();
    shell.world.function = Function::Hangs;
    shell.until_said("Rotate");
    let intent = shell
        .operation
        .journal
        .entry(Step::Rotate)
        .expect("sent")
        .intent;
    let done = shell.run();
    let took = done.world.now.since(intent);
    assert!(
        (hours(6)..hours(6) + minutes(6)).contains(&took),
        "{took:?}"
    );
}

#[test]
fn rotation_that_is_switched_off_midway_ends_operations_that_rotate() {
    for (mut shell, way, stays) in [
        (pinned(), "Pin (Settling) Unpin Superseded", false),
        (cleared(), "Pin (Settling) Clear Superseded", true),
    ] {
        shell.world.secret.rotation = Rotation::Disabled;
        let done = shell.run();
        assert_eq!((done.story().as_str(), own_pin(&done)), (way, stays));
        assert!(done.world.is_live_version_labelled());
    }
}

#[test]
fn an_operation_withdraws_if_rotation_is_switched_before_it_moves_a_label() {
    let mut off = valued();
    off.secret.rotation = Rotation::Disabled;
    for (world, to) in [
        (valued(), Rotation::Disabled),
        (off, valued().secret.rotation),
    ] {
        let mut shell = Shell::new(world, manual(on_a(Action::ClearPending)));
        shell.until_said("(Settling)");
        shell.world.secret.rotation = to;
        let done = shell.run();
        assert_eq!(done.story(), "Pin (Settling) Unpin Superseded");
    }
}

#[test]
fn a_leftover_label_is_cleared_manually_and_never_automatically() {
    let mut off = valued();
    off.secret.rotation = Rotation::Disabled;
    let cleared = Shell::new(off.clone(), manual(on_a(Action::ClearPending))).run();
    assert_eq!(cleared.story(), "Pin (Settling) Clear Succeeded");
    let promoted = Shell::new(off.clone(), manual(on_a(Action::PromotePending))).run();
    assert_eq!(promoted.story(), "Pin Move Clear Succeeded");
    for rotating in [Action::RetryRotation, Action::ClearAndRotate] {
        let done = Shell::new(off.clone(), manual(on_a(rotating))).run();
        assert_eq!(done.story(), "Refused", "{rotating}");
    }
    assert_eq!(
        Shell::new(off.clone(), on_a(Action::ClearPending))
            .run()
            .story(),
        "Refused"
    );
    off.secret.last_changed = Some(ago(minutes(70)));
    let young = Shell::new(off, manual(on_a(Action::PromotePending))).run();
    assert_eq!(young.story(), "PreconditionFailed");
}

/// `p` was current; a person moved AWSCURRENT back to `c` and left AWSPENDING where it was.
fn rolled_back(action: Action) -> Shell {
    let mut shell = Shell::new(valued(), on_a(action));
    shell.world.unlabel("AWSPREVIOUS");
    shell.world.label("AWSPREVIOUS", "p");
    shell.world.secret.last_changed = Some(ago(hours(8)));
    shell.world = TinyAws::new(shell.world.secret.clone(), with_value(), now());
    shell
}

#[test]
fn no_automatic_operation_makes_a_rolled_back_version_current() {
    for action in [Action::RetryRotation, Action::ClearAndRotate] {
        let done = rolled_back(action).run();
        assert_eq!((done.story().as_str(), done.sent.len()), ("Refused", 0));
        let mut passed_over = Shell::new(valued(), on_a(action));
        passed_over.world.secret.last_rotated = Some(ago(hours(7)));
        assert_eq!(passed_over.run().story(), "Refused");
    }
    let done = rolled_back(Action::ClearPending).run();
    assert_eq!(done.story(), "Pin (Settling) Clear Succeeded");
}

/// A person who names this version may retry it. A success is what was seen after the request, not what was there
/// before.
#[test]
fn a_retry_of_a_rolled_back_version_succeeds_only_if_it_becomes_current() {
    let mut shell = rolled_back(Action::RetryRotation);
    shell.operation.trigger = Trigger::Manual;
    shell.world.function = Function::Hangs;
    let failed = shell.clone().run();
    assert!(
        failed.story().ends_with("RotationDidNotFinish"),
        "{}",
        failed.story()
    );
    shell.world.function = Function::Rotates;
    let done = shell.run();
    assert!(done.story().ends_with("Succeeded"), "{}", done.story());
    assert_eq!(done.world.secret.current(), Some(&version("p")));
}

#[test]
fn a_clear_that_was_refused_removes_its_pin_and_one_that_may_arrive_does_not() {
    let denied = Fault::Refused(ErrorClass::Denied);
    let done = clearing().faulty(Step::Clear, denied).run();
    assert!(
        done.story().ends_with("Clear:Denied Unpin AccessDenied"),
        "{}",
        done.story()
    );
    assert!(!own_pin(&done));
    assert!(
        done.operation.journal.entry(Step::Clear).is_some(),
        "it still counts as an attempt"
    );
    let mut lost = clearing().faulty(Step::Clear, Fault::LostRequest);
    lost.faults.insert((Step::Clear, 2), denied);
    let done = lost.run();
    assert!(
        done.story().ends_with("AccessDenied") && own_pin(&done),
        "{}",
        done.story()
    );
    let promoting = Shell::new(valued(), manual(on_a(Action::PromotePending)));
    let done = promoting.faulty(Step::Promote, denied).run();
    assert_eq!(done.story(), "Pin Move:Denied Unpin AccessDenied");
}

#[test]
fn withdrawn_permissions_stop_everything() {
    for mut shell in [clearing(), pinned(), cleared()] {
        let writes = shell.sent.len();
        let mut gone = shell.clone();
        gone.policy = None;
        let gone = gone.run();
        assert_eq!(gone.trace.last().map(String::as_str), Some("PolicyGone"));
        shell.profile.allowed_actions.clear();
        let done = shell.run();
        assert_eq!(done.trace.last().map(String::as_str), Some("NotAuthorised"));
        assert_eq!((done.sent.len(), gone.sent.len()), (writes, writes));
    }
}

#[test]
fn a_suspended_policy_pauses_its_operations() {
    for mut shell in [clearing(), pinned(), cleared()] {
        let writes = shell.sent.len();
        let policy = |shell: &mut Shell, suspension| {
            shell.policy.as_mut().expect("there").suspension = suspension;
        };
        policy(&mut shell, Suspension::Suspended);
        shell.operation.trigger = Trigger::Manual;
        shell.until_said("(Suspended)");
        shell.step();
        assert_eq!(shell.sent.len(), writes);
        policy(&mut shell, Suspension::Active);
        assert!(shell.run().story().ends_with("Succeeded"));
    }
}

/// Returns the shell before each step of a run without faults, and after the last step.
fn moments(start: Shell) -> Vec<Shell> {
    let mut moments = vec![start];
    while let Some(last) = moments.last().filter(|last| !last.operation.is_finished()) {
        let mut next = last.clone();
        next.step();
        moments.push(next);
    }
    moments.pop();
    moments
}

/// Returns a successful run of every action.
fn runs() -> Vec<Shell> {
    let pinned_long_ago = |secret: Secret, on: &str| {
        let pin = pin_of(cluster(), ago(hours(100)), on);
        TinyAws::new(labelled(secret, pin.as_str(), on), with_value(), now())
    };
    let at_rest = || TinyAws::new(secret("prod/a"), with_value(), now());
    let mut restoring = manual(on_a(Action::RestorePending));
    restoring.expect.pending = Some(version("p"));
    vec![
        clearing(),
        Shell::new(valued(), on_a(Action::ClearPending)),
        Shell::new(valued(), on_a(Action::RetryRotation)),
        Shell::new(at_rest(), on_a(Action::Rotate)),
        Shell::new(valued(), manual(on_a(Action::PromotePending))),
        Shell::new(pinned_long_ago(stuck("prod/a"), "x"), restoring),
        Shell::new(at_rest(), manual(on_a(Action::RevertToPrevious))),
        Shell::new(
            pinned_long_ago(secret("prod/a"), "b"),
            on_a(Action::ReleasePins),
        ),
    ]
}

#[test]
fn after_a_deletion_of_policy_operation_or_profile_nothing_more_is_sent() {
    let deletions: [fn(&mut Shell); 3] = [
        |shell| shell.operation.deletion_requested = Some(server(now())),
        |shell| {
            let policy = shell.policy.as_mut().expect("there");
            policy.deletion_requested = Some(server(now()));
        },
        |shell| shell.profile.deletion_requested = Some(server(now())),
    ];
    for run in runs() {
        let moments = moments(run);
        assert!(moments.len() > 1, "{}", moments[0].story());
        for moment in moments {
            for delete in deletions {
                let (mut shell, before) = (moment.clone(), moment.story());
                delete(&mut shell);
                let done = shell.run();
                assert_eq!(
                    done.sent.len(),
                    moment.sent.len(),
                    "{before}: {}",
                    done.story()
                );
                assert_eq!(done.world.secret, moment.world.secret, "{before}");
            }
        }
    }
}

#[test]
fn a_suspended_profile_stops_every_step_and_lets_it_continue_later() {
    for run in runs() {
        for moment in moments(run) {
            let mut shell = moment.clone();
            shell.profile.suspension = Suspension::Suspended;
            shell.until_said("(Suspended)");
            shell.step();
            assert_eq!(shell.sent.len(), moment.sent.len(), "{}", moment.story());
            shell.profile.suspension = Suspension::Active;
            let done = shell.run();
            assert!(done.story().ends_with("Succeeded"), "{}", done.story());
        }
    }
}

/// Between pin and clear both remove the pin; after the clear neither has an effect.
#[test]
fn a_denial_and_the_deadline_stop_every_step_before_the_change_and_none_after() {
    let ends: [fn(&mut Shell); 2] = [
        |shell| {
            shell.operation.decision = Some(Decision {
                answer: Answer::Deny,
                by: "bob".to_owned(),
                message: None,
            });
        },
        |shell| shell.operation.deadline = Duration::ZERO,
    ];
    for run in runs() {
        for moment in moments(run) {
            for end in ends {
                let mut shell = moment.clone();
                end(&mut shell);
                let done = shell.run();
                let message = format!("{}: {}", moment.story(), done.story());
                let succeeded = done.story().ends_with("Succeeded");
                assert_eq!(succeeded, moment.operation.has_acted(), "{message}");
                let unpinned = succeeded || done.world.secret.labels == run_start(&moment);
                assert!(unpinned, "{message}");
            }
        }
    }
}

/// The labels before the operation's first write.
fn run_start(moment: &Shell) -> LabelMap {
    let before = moment.operation.baseline.as_ref();
    before.map_or_else(
        || moment.world.secret.labels.clone(),
        |before| before.labels.clone(),
    )
}

#[test]
fn of_two_operations_on_one_secret_only_one_writes() {
    let mut older = manual(operation("older", Action::ClearAndRotate, "prod/a"));
    older.created = server(ago(minutes(5)));
    record_step(&mut older, Step::Pin, now(), ResultKind::Applied);
    let mut shell = clearing();
    shell.operation.trigger = Trigger::Manual;
    shell.others = vec![older];
    shell.until_said("(Queued)");
    shell.pass(hours(1));
    shell.step();
    assert_eq!(shell.sent, []);
    let started = pinned();
    let mut younger = operation("younger", Action::ClearAndRotate, "prod/a");
    younger.created = server(now());
    let mut shell = Shell::new(started.world.clone(), younger);
    shell.world.secret = stuck("prod/a");
    shell.others = vec![started.operation];
    shell.until_said("(Queued)");
    assert_eq!(shell.sent, []);
}

#[test]
fn expectations_that_are_wrong_at_the_first_look_fail_before_anything_is_written() {
    let cases: [fn(&mut Secret); 5] = [
        |secret| *secret = labelled(fixtures::secret("prod/a"), "AWSPENDING", "another"),
        |secret| *secret = fixtures::secret("prod/a"),
        |secret| *secret = labelled(fixtures::secret("prod/a"), "AWSPENDING", "c"),
        |secret| secret.last_changed = Some(ago(hours(5))),
        |secret| secret.last_changed = None,
    ];
    for action in [
        Action::ClearPending,
        Action::ClearAndRotate,
        Action::RetryRotation,
    ] {
        for change in cases {
            let mut shell = Shell::new(valued(), manual(on_a(action)));
            change(&mut shell.world.secret);
            assert_eq!(shell.run().story(), "PreconditionFailed");
        }
    }
    let mut moved = Shell::new(valued(), on_a(Action::ClearAndRotate));
    moved.operation.expect.current = Some(version("b"));
    assert_eq!(moved.run().story(), "PreconditionFailed");
    let pending = Shell::new(valued(), on_a(Action::Rotate));
    assert_eq!(pending.run().story(), "PreconditionFailed");
}

#[test]
fn manual_operations_respect_the_pin_of_another_cluster_and_a_full_secret() {
    let mut foreign = Shell::new(valued(), manual(on_a(Action::ClearAndRotate)));
    let pin = pin_of(other_cluster(), ago(hours(1)), "p");
    foreign.world.secret = labelled(foreign.world.secret, pin.as_str(), "p");
    assert_eq!(foreign.run().story(), "PreconditionFailed");
    let full = |labels: u64, label: fn(u64) -> String| {
        let mut shell = Shell::new(valued(), manual(on_a(Action::ClearAndRotate)));
        for n in 0..labels {
            shell.world.secret = labelled(shell.world.secret, &label(n), "b");
        }
        shell.run().story()
    };
    assert_eq!(full(17, |n| format!("label{n}")), "PinExhausted");
    let old = |n| pin_of(cluster(), ago(hours(100 + n)), "b").to_string();
    assert_eq!(full(5, old), "PinExhausted");
    assert!(full(4, old).ends_with("Succeeded"));
}

/// The message names what uses up the labels: other labels by name, shortened where they are long, and pins by number.
#[test]
fn the_labels_that_leave_no_room_for_a_pin_are_named() {
    let room = |secret: &Secret| check_room(secret, &cluster()).map_err(|full| full.to_string());
    assert_eq!(room(&stuck("prod/a")), Ok(()));
    let mut full = stuck("prod/a");
    for n in 0..15 {
        full = labelled(full, &format!("blue-{n:02}"), "b");
    }
    let long = "x".repeat(200);
    full = labelled(full, &long, "b");
    assert_eq!(room(&full), Ok(()), "19 labels");
    full = labelled(full, pin_of(cluster(), ago(hours(100)), "b").as_str(), "b");
    let message = room(&full).expect_err("20 labels");
    for part in [
        "carries 20 of at most 20 labels, among them 1 of at most 5 pins, 1 of them from this cluster",
        "other labels: blue-00, blue-01,",
        &format!("blue-14, {}…", "x".repeat(40)),
        "or release older pins with `kubectl secret-rotation release`",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(
        !message.contains("AWSCURRENT") && message.len() < 600,
        "{message}"
    );
    let mut pinned = stuck("prod/a");
    for n in 0..5 {
        let pin = pin_of(other_cluster(), ago(hours(100 + n)), "b");
        pinned = labelled(pinned, pin.as_str(), "b");
    }
    let message = room(&pinned).expect_err("five pins");
    assert!(
        message.contains("5 of at most 5 pins, 0 of them from this cluster"),
        "{message}"
    );
    assert!(
        message.contains("another cluster") && !message.contains("other labels"),
        "{message}"
    );
}

#[test]
fn budgets_limit_automatic_operations_and_not_manual_ones() {
    for gate in [
        Gate::Blocked(Block::indefinite(BlockReason::CircuitBreakerOpen)),
        Gate::Unknown,
    ] {
        let mut held = clearing();
        held.gate = gate.clone();
        held.until_said("(Queued)");
        assert_eq!(held.sent, []);
        let mut closing = pinned();
        closing.gate = gate.clone();
        closing.until_said("(Queued)");
        assert_eq!(closing.count("Clear"), 0);
        let mut after = cleared();
        after.gate = gate;
        assert!(after.run().story().ends_with("Succeeded"));
    }
    let mut person = manual(attempted("m", ago(hours(8))));
    person.outcome = None;
    person.outcome = attempted("m", ago(hours(8))).outcome;
    let mut automatic = clearing();
    automatic.others = vec![person.clone()];
    automatic.until_said("(BackingOff)");
    assert_eq!(automatic.sent, []);
    let mut manual_shell = Shell::new(valued(), manual(on_a(Action::ClearAndRotate)));
    manual_shell.others = vec![person];
    assert!(manual_shell.run().story().ends_with("Succeeded"));
}

/// The message contains no time that would change with every look.
#[test]
fn a_window_that_never_opens_is_not_reported_to_open() {
    let mut shell = clearing();
    shell.gate = Gate::Blocked(Block::indefinite(BlockReason::OutsideWindow));
    let message = |shell: &mut Shell| {
        let look = shell.world.look(false);
        match shell.next(&look) {
            Next::Wait(wait) => wait.message,
            other @ (Next::LookAtVersions | Next::Write(_) | Next::Done(_)) => {
                panic!("it does not wait: {other:?}")
            }
        }
    };
    let first = message(&mut shell);
    assert!(
        first.contains("no maintenance window ever opens"),
        "{first}"
    );
    shell.pass(hours(1));
    assert_eq!(message(&mut shell), first);
    assert_eq!(shell.sent, []);
}

#[test]
fn an_automatic_operation_does_not_start_once_the_attempts_are_used_up() {
    let spent: Vec<_> = [20, 15, 10]
        .map(|age| attempted(&format!("a{age}"), ago(hours(age))))
        .into();
    let mut automatic = clearing();
    automatic.others.clone_from(&spent);
    automatic.until(|shell| !shell.trace.is_empty());
    assert_eq!(
        (automatic.sent.len(), automatic.story()),
        (0, "(BackingOff)".to_owned())
    );
    let mut manual_shell = Shell::new(valued(), manual(on_a(Action::ClearAndRotate)));
    manual_shell.others = spent;
    assert!(manual_shell.run().story().ends_with("Succeeded"));
}

#[test]
fn a_version_with_a_value_waits_until_aws_has_stopped_retrying() {
    let open = |versions| {
        let mut world = TinyAws::new(stuck("prod/a"), versions, now());
        if let Rotation::Enabled { rules, .. } = &mut world.secret.rotation {
            rules.duration = Some("12h".to_owned());
        }
        Shell::new(world, manual(on_a(Action::ClearPending))).run()
    };
    let waited = open(with_value());
    assert_eq!(
        waited.story(),
        "(AwaitingWindow) Pin (Settling) Clear Succeeded"
    );
    assert!(waited.sent[0].0 >= fixtures::at("2026-11-23T13:00:00Z"));
    let at_once = open(without_value());
    assert_eq!(at_once.story(), "Pin:Mismatch (Settling) Clear Succeeded");
    assert!(secret("prod/a").rotates());
}

/// A job sets a tag every few minutes; labels and versions have not changed since `since`.
fn tagged(versions: secret_rotation_core::secret::VersionListing, since: u64) -> Shell {
    let mut world = TinyAws::new(stuck("prod/a"), versions, now());
    world.secret.last_changed = Some(ago(minutes(20)));
    let mut shell = Shell::new(world, on_a(Action::ClearPending));
    shell.unchanged_since = Some(ago(hours(since)));
    shell
}

fn driven_by_tags(mut shell: Shell) -> Shell {
    for _ in 0..5000 {
        if shell.operation.is_finished() {
            break;
        }
        shell.step();
        shell.world.secret.last_changed = Some(shell.world.now);
    }
    shell
}

#[test]
fn only_an_empty_version_is_cleared_after_a_stable_day_while_metadata_keeps_changing() {
    for empty_versions in [
        EmptyVersions::CanBeLabelled,
        EmptyVersions::CannotBeLabelled,
    ] {
        let mut shell = tagged(without_value(), 25);
        shell.world.empty_versions = empty_versions;
        let done = driven_by_tags(shell);
        assert!(
            done.story().ends_with("(Settling) Clear Succeeded"),
            "{}",
            done.story()
        );
    }
    assert_eq!(
        driven_by_tags(tagged(without_value(), 23)).story(),
        "PreconditionFailed"
    );
    let valued = driven_by_tags(tagged(with_value(), 25));
    assert_eq!(valued.story(), "PreconditionFailed");
    let outcome = format!("{:?}", valued.operation.outcome);
    assert!(
        outcome.contains("something else") && outcome.contains("CloudTrail"),
        "{outcome}"
    );
}

#[test]
fn every_label_and_version_that_moves_is_noticed_while_metadata_keeps_changing() {
    let changes: [fn(&mut TinyAws); 4] = [
        |world| world.label("terraform", "b"),
        |world| world.unlabel("AWSPREVIOUS"),
        |world| {
            world.versions.insert(version("p"), Some(world.now));
        },
        |world| {
            world.versions.insert(version("new"), Some(world.now));
        },
    ];
    for change in changes {
        let mut shell = tagged(without_value(), 25);
        shell.world.empty_versions = EmptyVersions::CanBeLabelled;
        shell.until_said("(Settling)");
        change(&mut shell.world);
        let done = driven_by_tags(shell);
        assert_eq!(done.story(), "Pin (Settling) Unpin Superseded");
        assert_eq!(done.count("Clear"), 0);
    }
}

/// The policy of the operation was suspended after the pin. The policy that owns the secret now acts until it resumes.
#[test]
fn a_pinned_operation_that_resumes_yields_to_the_one_in_progress_and_ends_without_a_clear() {
    let paused = pinned();
    let (resting, now) = (paused.operation.clone(), paused.world.now);
    let mut owner = operation("owner", Action::ClearAndRotate, "prod/a");
    owner.created = server(now);
    let arn = resting.arn.clone().expect("identified");
    let later = now.plus(hours(1));

    let both = [resting.clone(), owner.clone()];
    let history = History::of(&arn, &both).without_idle(|one| one.uid == owner.uid);
    assert_eq!(
        history.rival(&owner, later),
        None,
        "an operation that may not act blocks no other"
    );
    assert!(
        History::of(&arn, &both).rival(&owner, later).is_some(),
        "what may act does"
    );

    record_step(&mut owner, Step::Pin, later, ResultKind::Applied);
    let both = [resting.clone(), owner.clone()];
    let resumed = History::of(&arn, &both);
    let first = resumed.rival(&resting, later.plus(minutes(5)));
    assert_eq!(first.map(|one| &one.uid), Some(&owner.uid));
    assert_eq!(resumed.rival(&owner, later.plus(minutes(5))), None);

    let mut shell = paused;
    shell.pass(hours(1));
    let pin = owner.pin(&cluster(), &version("p")).label();
    shell.world.label(pin.expect("short enough").as_str(), "p");
    shell.world.secret.last_changed = Some(shell.world.now);
    let done = shell.run();
    assert_eq!(done.count("Clear"), 0, "{}", done.story());
    assert_eq!(done.trace.last().map(String::as_str), Some("Superseded"));
    assert!(done.world.is_live_version_labelled());
}
