//! Slots: who is at work, who is next, and who stands in nobody's way.

mod fixtures;

use std::collections::BTreeMap;

use fixtures::planning::{functions, intend, plan_of, planned, text};
use fixtures::{
    ago, claimant, cluster, function, hours, minutes, now, operation, policy, seen, server, stuck,
    with_value, without_value,
};
use secret_rotation_core::advance::Gate;
use secret_rotation_core::approval::Approval;
use secret_rotation_core::clock::AwsTime;
use secret_rotation_core::identity::{ObjectName, ProfileName, Uid};
use secret_rotation_core::inventory::Observation;
use secret_rotation_core::maintenance::Windows;
use secret_rotation_core::operation::{
    Action, Baseline, Operation, PendingValue, ResultKind, Step, Trigger,
};
use secret_rotation_core::ownership::Claimant;
use secret_rotation_core::plan::{BlockReason, Context, RegionGate, gate};
use secret_rotation_core::policy::Suspension;
use secret_rotation_core::secret::Rotation;

/// Secrets of one rotation function.
fn shared(count: usize) -> Vec<Observation> {
    let each = (0..count).map(|n| {
        let mut secret = stuck(&format!("prod/s{n}"));
        if let Rotation::Enabled { function: own, .. } = &mut secret.rotation {
            *own = Some(function("shared"));
        }
        seen(secret, Some(without_value()))
    });
    each.collect()
}

fn named(text: &str) -> Claimant {
    claimant(policy(text))
}

/// An automatic operation of a policy on the n-th secret, the lower the older.
fn of(policy: &str, n: u64, action: Action) -> Operation {
    let mut own = operation(&format!("{policy}-{n}"), action, &format!("prod/s{n}"));
    own.policy.name = ObjectName::parse(policy).expect("a name");
    own.policy.uid = Some(Uid::parse(format!("uid-{policy}")).expect("a UID"));
    own.created = server(ago(hours(20).saturating_sub(minutes(n))));
    own
}

fn at(mut operation: Operation, step: Step, when: AwsTime) -> Operation {
    intend(&mut operation, step, when, ResultKind::Applied);
    operation
}

/// Whether it may begin or go on, beside all of them.
fn open(own: &Operation, all: &[Operation], claimants: &[Claimant], judged: RegionGate) -> bool {
    let observations = shared(8);
    let functions = functions(&observations);
    let name = own.policy.name.as_str();
    let mut found = claimants.iter();
    let claimant = found
        .find(|one| one.policy.key.name.as_str() == name)
        .expect("known");
    let others = claimants.iter().map(|one| {
        let region = fixtures::region(fixtures::REGION);
        (one.policy.uid.clone(), BTreeMap::from([(region, judged)]))
    });
    let judged = others.collect();
    let context = Context {
        own: claimant,
        claimants,
        operations: all,
        functions: &functions,
        judged: &judged,
        cluster: &cluster(),
        now: now(),
    };
    let function = own.arn.as_ref().and_then(|arn| functions.get(arn));
    let gate = gate(own, function, Some(&RegionGate::Open), &context);
    matches!(gate, Gate::Open)
}

/// The same where both policies may act.
fn beside(own: &Operation, other: &Operation, claimants: &[Claimant]) -> bool {
    let all = [own.clone(), other.clone()];
    open(own, &all, claimants, RegionGate::Open)
}

fn neighbors() -> [Claimant; 2] {
    [named("payments"), named("billing")]
}

#[test]
fn a_rotation_that_runs_or_settles_holds_the_function_for_everybody() {
    let own = of("payments", 1, Action::ClearAndRotate);
    let pinned = at(
        of("billing", 2, Action::ClearAndRotate),
        Step::Pin,
        ago(minutes(3)),
    );
    let rotated = at(pinned.clone(), Step::Rotate, ago(minutes(74)));
    for other in [pinned, rotated] {
        assert!(!beside(&own, &other, &neighbors()));
    }
}

#[test]
fn a_failed_rotation_and_a_refused_retry_free_the_function_after_75_minutes() {
    let own = of("payments", 1, Action::ClearAndRotate);
    for action in [Action::RetryRotation, Action::ClearAndRotate] {
        let sent = |age| at(of("billing", 2, action), Step::Rotate, ago(age));
        assert!(!beside(&own, &sent(minutes(74)), &neighbors()));
        assert!(beside(&own, &sent(minutes(75)), &neighbors()));
    }
}

#[test]
fn an_operation_of_a_suspended_policy_or_profile_holds_nothing() {
    let own = of("payments", 1, Action::ClearAndRotate);
    let waiting = of("billing", 0, Action::ClearAndRotate);
    let begun = at(waiting.clone(), Step::Pin, ago(minutes(3)));
    let brakes: [fn(&mut Claimant); 4] = [
        |one| one.policy.suspension = Suspension::Suspended,
        |one| one.profile.suspension = Suspension::Suspended,
        |one| one.policy.deletion_requested = Some(server(now())),
        |one| one.profile.allowed_actions.clear(),
    ];
    for other in [waiting, begun] {
        assert!(!beside(&own, &other, &neighbors()));
        for brake in brakes {
            let mut claimants = neighbors();
            brake(&mut claimants[1]);
            assert!(beside(&own, &other, &claimants));
        }
    }
}

#[test]
fn what_waits_for_something_else_stands_in_nobody_s_way() {
    let own = of("payments", 1, Action::ClearAndRotate);
    let older = of("billing", 0, Action::ClearAndRotate);
    assert!(!beside(&own, &older, &neighbors()), "it is next in line");
    let mut undecided = older.clone();
    undecided.approval = Approval::Required;
    assert!(beside(&own, &undecided, &neighbors()), "awaits approval");
    let mut closed = neighbors();
    closed[1].policy.remediation.windows = never_open();
    assert!(beside(&own, &older, &closed), "outside its window");
    let mut person = at(
        of("billing", 0, Action::Rotate),
        Step::Rotate,
        ago(hours(8)),
    );
    person.trigger = Trigger::Manual;
    person.uid = Uid::parse("by-hand").expect("a UID");
    person.outcome = Some(secret_rotation_core::operation::Outcome::Succeeded {
        message: String::new(),
    });
    let all = [own.clone(), older.clone(), person];
    assert!(
        open(&own, &all, &neighbors(), RegionGate::Open),
        "ManualHold"
    );
    let held = RegionGate::Held(BlockReason::SelectionTooLarge);
    let all = [own.clone(), older];
    assert!(open(&own, &all, &neighbors(), held), "held in its region");
}

fn never_open() -> Windows {
    Windows::Unreadable {
        problem: "a typo".to_owned(),
    }
}

#[test]
fn operations_of_another_profile_do_not_count_for_a_function() {
    let own = of("payments", 1, Action::Rotate);
    let other = at(
        of("billing", 2, Action::Rotate),
        Step::Rotate,
        ago(minutes(3)),
    );
    let mut claimants = neighbors();
    let name = ProfileName::parse("another").expect("a name");
    claimants[1].profile.name = name.clone();
    claimants[1].policy.profile = name;
    assert!(beside(&own, &other, &claimants));
}

#[test]
fn a_person_s_operation_counts_once_it_has_written_and_never_waits() {
    let own = of("payments", 1, Action::Rotate);
    let mut person = of("billing", 0, Action::Rotate);
    person.trigger = Trigger::Manual;
    assert!(
        beside(&own, &person, &neighbors()),
        "it has written nothing"
    );
    let person = at(person, Step::Rotate, ago(minutes(3)));
    assert!(!beside(&own, &person, &neighbors()));
    let running = at(own, Step::Rotate, ago(minutes(3)));
    assert!(beside(&person, &running, &neighbors()));
}

/// Two replicas may both have begun, and a limit may have been lowered: one goes on, and no two wait for each other.
#[test]
fn of_those_that_have_begun_one_always_goes_on() {
    let begun: Vec<_> = (0..4)
        .map(|n| {
            at(
                of("payments", n, Action::ClearAndRotate),
                Step::Pin,
                ago(minutes(3)),
            )
        })
        .collect();
    let claimants = [named("payments")];
    let going = |all: &[Operation]| {
        let going = all
            .iter()
            .filter(|one| open(one, all, &claimants, RegionGate::Open));
        going.map(|one| one.uid.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(going(&begun), ["op-payments-0"]);
    let mut paused: Vec<_> = (0..4)
        .map(|n| {
            at(
                of("payments", n, Action::ClearAndRotate),
                Step::Clear,
                ago(hours(3)),
            )
        })
        .collect();
    assert_eq!(going(&paused), ["op-payments-0"], "slots are taken again");
    paused.push(of("payments", 7, Action::ClearAndRotate));
    assert_eq!(
        going(&paused),
        ["op-payments-0"],
        "before those that did nothing"
    );
}

/// The function of a secret that no sweep sees is the one of the first look.
#[test]
fn a_secret_in_no_inventory_counts_by_its_baseline() {
    let own = of("payments", 1, Action::Rotate);
    let mut other = at(
        of("billing", 2, Action::Rotate),
        Step::Rotate,
        ago(minutes(3)),
    );
    other.arn = Some(fixtures::arn("prod/unseen"));
    assert!(beside(&own, &other, &neighbors()));
    other.baseline = Some(Baseline {
        labels: BTreeMap::new(),
        last_changed: None,
        pending_value: PendingValue::None,
        rotates: None,
        function: Some(function("shared")),
    });
    assert!(!beside(&own, &other, &neighbors()));
}

/// A tenant's operation that waits for good on another tenant's secret.
#[test]
fn the_owner_of_a_secret_acts_beside_operations_that_may_not() {
    let mut stranger = named("billing");
    stranger.policy.suspension = Suspension::Suspended;
    let claimants = [named("payments"), stranger];
    let mut manual = of("billing", 0, Action::ClearAndRotate);
    manual.trigger = Trigger::Manual;
    let pinned = at(manual.clone(), Step::Pin, ago(hours(30)));
    let secrets = || vec![seen(stuck("prod/s0"), Some(with_value()))];
    for other in [manual.clone(), pinned] {
        let plan = plan_of(&claimants[0], &claimants, secrets(), &[other]);
        assert_eq!(text(&plan), "create RetryRotation prod/s0\n");
    }
    let mut undecided = manual;
    undecided.approval = Approval::Required;
    let mut both = neighbors();
    both[1].policy.created = server(ago(hours(1)));
    let plan = plan_of(&both[0], &both, secrets(), &[undecided]);
    assert_eq!(text(&plan), "create RetryRotation prod/s0\n");
}

/// Each failing rotation holds the function for 75 minutes, not for as long as it is watched.
#[test]
fn failing_rotations_delay_the_others_by_75_minutes_each() {
    let claimants = [named("payments")];
    let failing: Vec<_> = (0..3)
        .map(|n| {
            let age = minutes(75) * u32::try_from(3 - n).expect("small");
            at(
                of("payments", n, Action::ClearAndRotate),
                Step::Rotate,
                ago(age),
            )
        })
        .collect();
    let next = of("payments", 5, Action::ClearAndRotate);
    let all: Vec<_> = failing.iter().cloned().chain([next.clone()]).collect();
    assert!(open(&next, &all, &claimants, RegionGate::Open));
    let mut own = named("payments");
    own.policy.remediation.breaker.min_stuck = 100;
    let text = planned(&own, shared(6), &failing);
    assert!(text.contains("create"), "{text}");
}
