//! Releases that alternate. The previous release knows less of a journal, and drops the rest when it stores it.

use std::collections::BTreeMap;
use std::time::Duration;

use fixtures::{hours, now, operation, secret, stuck, version, with_value, without_value};
use proptest::prelude::*;
use proptest::sample::select;
use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::advance::Request;
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::names::StageLabel;
use secret_rotation_core::operation::Operation;
use secret_rotation_core::time::AwsTime;

use crate::support::shell::{Fault, Shell};
use crate::support::world::{EmptyVersions, Function, TinyAws};

const STEPS: usize = 1500;

#[derive(Clone, Debug)]
struct Turns {
    action: Action,
    valued: bool,
    empty_versions: EmptyVersions,
    function: Function,
    faults: BTreeMap<(Step, u32), Fault>,
    /// Whether the older release stored the object before each step. The list repeats.
    forgets: Vec<bool>,
    /// The step before which someone else changes the secret.
    touched: Option<usize>,
}

fn turns() -> impl Strategy<Value = Turns> {
    let actions = vec![
        Action::ClearAndRotate,
        Action::ClearPending,
        Action::RetryRotation,
        Action::Rotate,
    ];
    let empties = vec![
        EmptyVersions::CanBeLabelled,
        EmptyVersions::CannotBeLabelled,
    ];
    let functions = vec![Function::Rotates, Function::DiesEmpty, Function::DiesLive];
    let faults = vec![
        Fault::LostRequest,
        Fault::LostReply,
        Fault::CrashBefore,
        Fault::CrashAfter,
        Fault::Duplicate,
        Fault::Refused(ErrorClass::Denied),
        Fault::Refused(ErrorClass::Throttled),
    ];
    let late = (1..40_u64).prop_map(|seconds| Fault::Late(Duration::from_secs(seconds)));
    let fault = prop_oneof![2 => select(faults), 1 => late];
    let steps = vec![Step::Pin, Step::Clear, Step::Rotate, Step::Unpin];
    let place = (select(steps), 1..4_u32);
    (
        select(actions),
        any::<bool>(),
        select(empties),
        select(functions),
        proptest::collection::btree_map(place, fault, 0..6),
        proptest::collection::vec(any::<bool>(), 1..7),
        proptest::option::of(0..8_usize),
    )
        .prop_map(
            |(action, valued, empty_versions, function, faults, forgets, touched)| Turns {
                action,
                valued,
                empty_versions,
                function,
                faults,
                forgets,
                touched,
            },
        )
}

/// Returns what the previous release keeps of an operation whose status it writes.
fn forget(operation: &mut Operation) {
    if let Some(baseline) = &mut operation.baseline {
        baseline.rotates = None;
        baseline.function = None;
    }
    for entry in &mut operation.journal.0 {
        entry.foreign_change = None;
        entry.earlier.clear();
    }
}

fn start(turns: &Turns) -> Shell {
    let mut world = match (turns.action, turns.valued) {
        (Action::Rotate, _) => TinyAws::new(secret("prod/a"), without_value(), now()),
        (_, true) => TinyAws::new(stuck("prod/a"), with_value(), now()),
        (_, false) => TinyAws::new(stuck("prod/a"), without_value(), now()),
    };
    if turns.valued && turns.action != Action::Rotate {
        world.live = version("p");
    }
    world.function = turns.function;
    world.empty_versions = turns.empty_versions;
    let mut shell = Shell::new(world, operation("o", turns.action, "prod/a"));
    shell.faults.clone_from(&turns.faults);
    shell
}

/// When someone else changed the secret, far enough from any request of the controller to be distinguished from it.
fn touch(shell: &mut Shell) -> AwsTime {
    shell.pass(Duration::from_mins(2));
    let at = shell.world.now;
    shell.world.secret.last_changed = Some(at);
    shell.pass(Duration::from_mins(2));
    at
}

fn is_clear(request: &Request) -> bool {
    matches!(request, Request::Detach { label, .. } if *label == StageLabel::pending())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn data_that_an_older_release_drops_makes_nothing_unsafe(turns in turns()) {
        let mut shell = start(&turns);
        let mut touched = None;
        for step in 0..STEPS {
            if shell.operation.is_finished() {
                break;
            }
            if turns.touched == Some(step) {
                touched = Some(touch(&mut shell));
            }
            if turns.forgets[step % turns.forgets.len()] {
                forget(&mut shell.operation);
            }
            shell.step();
            prop_assert!(shell.world.is_live_version_labelled(), "orphaned: {}", shell.story());
        }
        prop_assert!(shell.operation.is_finished(), "it never ends: {}", shell.story());
        shell.pass(hours(1));
        prop_assert!(shell.world.is_live_version_labelled(), "orphaned late: {}", shell.story());
        prop_assert!(shell.world.accepted.len() <= 1, "rotated twice: {}", shell.story());
        if let Some(touched) = touched {
            let soon = |(at, request): &(AwsTime, Request)| {
                is_clear(request) && *at > touched && at.since(touched) < hours(2)
            };
            prop_assert!(!shell.sent.iter().any(soon), "cleared after a change: {}", shell.story());
        }
    }
}

/// The first clear may still arrive when the second one is refused, and the older release dropped the first one.
#[test]
fn a_pin_stays_while_a_dropped_clear_may_still_arrive() {
    let mut shell = start(&Turns {
        action: Action::ClearPending,
        valued: true,
        empty_versions: EmptyVersions::CannotBeLabelled,
        function: Function::Rotates,
        faults: BTreeMap::from([
            ((Step::Clear, 1), Fault::Late(hours(1))),
            ((Step::Clear, 2), Fault::Refused(ErrorClass::Denied)),
        ]),
        forgets: Vec::new(),
        touched: None,
    });
    shell.until(|shell| {
        let clear = shell.operation.journal.entry(Step::Clear);
        clear.is_some_and(|clear| clear.tries == 2)
    });
    forget(&mut shell.operation);
    let mut shell = shell.run();
    shell.pass(hours(2));
    assert!(shell.world.is_live_version_labelled(), "{}", shell.story());
}
