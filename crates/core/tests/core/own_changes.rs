//! Own changes: the last change of a secret, apart from the pinning and unpinning in journals that are trusted.

use std::time::Duration;

use fixtures::{
    ago, cluster, hours, labelled, minutes, now, operation, profile, server, stuck, tenant,
    version, with_value,
};
use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::history::History;
use secret_rotation_core::journal::{Intent, ResultKind, StepResult};
use secret_rotation_core::operation::{Operation, Trigger};
use secret_rotation_core::secret::Secret;
use secret_rotation_core::time::AwsTime;

use crate::support::shell::{Fault, Shell};
use crate::support::world::TinyAws;

fn valued() -> TinyAws {
    TinyAws::new(stuck("prod/a"), with_value(), now())
}

fn on_a(name: &str, action: Action) -> Operation {
    operation(name, action, "prod/a")
}

fn clearing() -> Shell {
    Shell::new(valued(), on_a("o", Action::ClearPending))
}

fn pinned() -> Shell {
    let mut shell = clearing();
    shell.until_said("(Settling)");
    shell
}

/// The last foreign change as seen by `namespace`, whose profile admits `prod` and `other`.
fn believed_by(namespace: &str, secret: &Secret, operations: &[Operation]) -> AwsTime {
    let history = History::of(&secret.arn, operations);
    let history = history.trusting(&profile(), [&tenant(namespace)]);
    history.last_foreign_change(secret).expect("a date")
}

fn foreign_change(shell: &Shell) -> AwsTime {
    let operations: Vec<_> = shell
        .others
        .iter()
        .chain([&shell.operation])
        .cloned()
        .collect();
    believed_by("prod", &shell.world.secret, &operations)
}

#[test]
fn an_own_pin_is_no_change() {
    let shell = pinned();
    assert_eq!(foreign_change(&shell), ago(hours(8)));
    assert_ne!(shell.world.secret.last_changed, Some(ago(hours(8))));
}

/// A policy was deleted while its operation settled, and was created again under another UID.
#[test]
fn a_pin_still_counts_as_own_after_its_operation_has_ended() {
    let mut shell = pinned();
    shell.policy = None;
    let mut ended = shell.run();
    assert_eq!(ended.story(), "Pin (Settling) PolicyGone");
    ended.pass(hours(1));
    assert_eq!(foreign_change(&ended), ago(hours(8)));
    let mut again = Shell::new(ended.world.clone(), on_a("again", Action::ClearPending));
    again.operation.created = server(ended.world.now);
    again.operation.trigger = Trigger::Manual;
    again.others = vec![ended.operation];
    let done = again.run();
    assert!(
        done.story().ends_with("Clear Succeeded"),
        "{}",
        done.story()
    );
}

#[test]
fn a_chain_of_pins_over_several_operations_leads_back_to_the_foreign_change() {
    let mut world = valued();
    let mut others = Vec::new();
    for name in ["first", "second", "third"] {
        let mut shell = Shell::new(world, on_a(name, Action::ClearPending));
        shell.operation.created = server(shell.world.now);
        shell.operation.trigger = Trigger::Manual;
        shell.others.clone_from(&others);
        shell.until_said("(Settling)");
        shell.policy = None;
        let ended = shell.run();
        others.push(ended.operation);
        world = ended.world;
        world.pass(minutes(20));
    }
    assert_eq!(believed_by("prod", &world.secret, &others), ago(hours(8)));
    // The journal that is missing breaks the chain: what it did counts.
    let seen = believed_by("prod", &world.secret, &others[..2]);
    assert_eq!(Some(seen), world.secret.last_changed);
}

#[test]
fn a_change_after_the_pin_or_between_pin_and_unpin_is_never_discounted() {
    let mut shell = pinned();
    shell.pass(minutes(1));
    shell.world.secret.last_changed = Some(shell.world.now);
    let changed = shell.world.now;
    assert_eq!(foreign_change(&shell), changed);
    let done = shell.run();
    assert_eq!(done.story(), "Pin (Settling) Unpin Superseded");
    assert!(
        done.world.secret.last_changed > Some(changed),
        "the unpin moved the date"
    );
    assert_eq!(foreign_change(&done), changed);
}

/// The label moves within the seconds in which the date could be that of the pin.
#[test]
fn a_label_that_moves_right_after_the_pin_counts_although_the_pin_could_explain_its_date() {
    let mut shell = clearing();
    shell.until_said("Pin");
    shell.pass(Duration::from_secs(3));
    shell.world.label("terraform", "b");
    let moved = shell.world.now;
    let done = shell.run();
    assert_eq!(done.story(), "Pin Unpin Superseded");
    assert_eq!(foreign_change(&done), moved);
}

/// Someone removes the pin right after it was set: the date could be that of the pin, but the pin is gone.
#[test]
fn a_pin_that_was_removed_explains_nothing() {
    let mut shell = clearing();
    shell.until_said("Pin");
    let pin = shell
        .operation
        .pin(&fixtures::cluster(), &fixtures::version("p"));
    shell.world.unlabel(&pin.to_string());
    assert_eq!(
        Some(foreign_change(&shell)),
        shell.world.secret.last_changed
    );
}

#[test]
fn the_unpin_of_an_expired_operation_restarts_nothing() {
    let mut shell = pinned();
    shell.pass(minutes(3));
    shell.operation.deadline = minutes(1);
    let done = shell.run();
    assert_eq!(done.story(), "Pin (Settling) Unpin Expired");
    assert_eq!(foreign_change(&done), ago(hours(8)));
}

/// The response is lost and reads lag: the pin is set again, and the date of the first try still counts as own.
#[test]
fn several_tries_of_one_pin_all_count_as_own() {
    let mut shell = clearing().faulty(Step::Pin, Fault::LostReply);
    shell.world.lag = Duration::from_secs(40);
    shell.until(|shell| {
        shell
            .operation
            .journal
            .entry(Step::Pin)
            .is_some_and(|pin| pin.tries > 5)
    });
    shell.world.lag = Duration::ZERO;
    let first = shell
        .operation
        .journal
        .entry(Step::Pin)
        .expect("tried")
        .earlier[0];
    assert!(shell.world.now.since(first.intent) > Duration::from_secs(20));
    assert_eq!(foreign_change(&shell), ago(hours(8)));
    let done = shell.run();
    assert!(
        done.story().ends_with("Clear Succeeded"),
        "{}",
        done.story()
    );
}

/// Both tries could have moved the date. Between them someone changed the secret, which the second look saw.
#[test]
fn a_change_between_two_tries_of_one_pin_is_not_discounted() {
    let (first, second) = (now(), now().plus(Duration::from_secs(8)));
    let between = now().plus(Duration::from_secs(4));
    let mut pinning = on_a("o", Action::ClearPending);
    for (at, seen, kind) in [
        (
            first,
            ago(hours(8)),
            ResultKind::Refused(ErrorClass::Unreachable),
        ),
        (second, between, ResultKind::Applied),
    ] {
        pinning.journal.intend(&Intent {
            step: Step::Pin,
            version: pinning.expect.pending.clone(),
            at,
            foreign_change: Some(seen),
            baseline: None,
        });
        let result = StepResult {
            kind,
            at,
            request_id: None,
            code: None,
        };
        pinning.journal.conclude(Step::Pin, result);
    }
    let pin = pinning.pin(&cluster(), &version("p")).label();
    let secret = Secret {
        last_changed: Some(now().plus(Duration::from_secs(9))),
        ..labelled(stuck("prod/a"), pin.expect("short enough").as_str(), "p")
    };
    assert_eq!(believed_by("prod", &secret, &[pinning]), between);
}

#[test]
fn a_pin_that_was_refused_explains_nothing() {
    let denied = Fault::Refused(secret_rotation_core::aws_error::ErrorClass::Denied);
    let mut done = clearing().faulty(Step::Pin, denied).run();
    let pin = done
        .operation
        .pin(&fixtures::cluster(), &fixtures::version("p"));
    done.world.secret = labelled(done.world.secret, &pin.to_string(), "p");
    done.world.secret.last_changed = Some(done.world.now);
    assert_eq!(foreign_change(&done), done.world.now);
}

/// AWS does not document that a label moves the date.
#[test]
fn a_pin_that_moves_no_date_changes_nothing() {
    let mut shell = clearing();
    shell.world.label_writes_move_the_date = false;
    let done = shell.run();
    assert_eq!(done.story(), "Pin (Settling) Clear Succeeded");
    let mut shell = clearing();
    shell.world.label_writes_move_the_date = false;
    shell.until_said("(Settling)");
    shell.world.label("terraform", "b");
    assert_eq!(shell.run().story(), "Pin (Settling) Unpin Superseded");
}

#[test]
fn a_journal_of_a_namespace_that_the_profile_does_not_admit_is_not_trusted() {
    let mut shell = pinned();
    shell.operation.key.namespace =
        secret_rotation_core::names::Namespace::parse("stranger").expect("a namespace");
    let (secret, forged) = (&shell.world.secret, [shell.operation.clone()]);
    assert_eq!(
        Some(believed_by("stranger", secret, &forged)),
        secret.last_changed
    );
    assert_eq!(
        Some(believed_by("prod", secret, &forged)),
        secret.last_changed
    );
    // A namespace that the profile admits, but not for this secret.
    let other = Operation {
        key: fixtures::key("other", "o"),
        ..shell.operation.clone()
    };
    assert_eq!(
        Some(believed_by("other", secret, &[other])),
        secret.last_changed
    );
}
