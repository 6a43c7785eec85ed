//! Concurrency slots: which operations are in progress, which is next, and which block no other.

use std::collections::BTreeMap;

use fixtures::{
    ago, bound_policy, cluster, function, hours, minutes, now, observation, operation, policy,
    policy_index, record_step, server, stuck, with_value, without_value,
};
use proptest::prelude::*;
use proptest::sample::select;
use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::advance::Gate;
use secret_rotation_core::approval::{Answer, Approval, Decision};
use secret_rotation_core::block::BlockReason;
use secret_rotation_core::inventory::Observation;
use secret_rotation_core::journal::{Baseline, ResultKind};
use secret_rotation_core::maintenance_window::Windows;
use secret_rotation_core::names::{ObjectName, ProfileName, Uid};
use secret_rotation_core::operation::{Operation, Trigger};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::plan::{DeferredOperations, PlanInput, RegionGate};
use secret_rotation_core::planner::gate;
use secret_rotation_core::policy::Suspension;
use secret_rotation_core::secret::PendingValue;
use secret_rotation_core::secret::{Rotation, Secret, VersionListing};
use secret_rotation_core::stability::StabilityTracker;
use secret_rotation_core::time::AwsTime;

use crate::support::planning::{functions, known, plan_of, planned, text};

/// Secrets with one rotation function.
fn shared(count: usize) -> Vec<Observation> {
    let each = (0..count).map(|n| {
        let mut secret = stuck(&format!("prod/s{n}"));
        if let Rotation::Enabled { function: own, .. } = &mut secret.rotation {
            *own = Some(function("shared"));
        }
        observation(secret, Some(without_value()))
    });
    each.collect()
}

fn named(text: &str) -> BoundPolicy {
    bound_policy(policy(text))
}

/// An automatic operation of a policy on the n-th secret; a lower number is older.
fn of(policy: &str, n: u64, action: Action) -> Operation {
    let mut own = operation(&format!("{policy}-{n}"), action, &format!("prod/s{n}"));
    own.policy.name = ObjectName::parse(policy).expect("a name");
    own.policy.uid = Some(Uid::parse(format!("uid-{policy}")).expect("a UID"));
    own.created = server(ago(hours(20).saturating_sub(minutes(n))));
    own
}

fn at(mut operation: Operation, step: Step, when: AwsTime) -> Operation {
    record_step(&mut operation, step, when, ResultKind::Applied);
    operation
}

/// Returns whether the operation may start or continue, given all operations.
fn open(
    own: &Operation,
    all: &[Operation],
    bound_policies: &[BoundPolicy],
    region_gates: RegionGate,
) -> bool {
    let none_deferred = DeferredOperations::default();
    open_with(
        own,
        all,
        (bound_policies, region_gates),
        (&StabilityTracker::default(), &none_deferred),
    )
}

/// Returns whether the operation may start or continue, given what this process has seen of rotations and of operations
/// that could not start.
fn open_with(
    own: &Operation,
    all: &[Operation],
    (bound_policies, region_gates): (&[BoundPolicy], RegionGate),
    (stability, deferred): (&StabilityTracker, &DeferredOperations),
) -> bool {
    let observations = shared(8);
    let functions = functions(&observations);
    let name = own.policy.name.as_str();
    let mut found = bound_policies.iter();
    let bound_policy = found
        .find(|one| one.policy.key.name.as_str() == name)
        .expect("known");
    let others = bound_policies.iter().map(|one| {
        let region = fixtures::region(fixtures::REGION);
        (
            one.policy.uid.clone(),
            BTreeMap::from([(region, region_gates)]),
        )
    });
    let region_gates = others.collect();
    let input = PlanInput {
        own: bound_policy,
        bound_policies: &policy_index(bound_policies),
        operations: &known(all, &functions),
        region_gates: &region_gates,
        stability,
        deferred,
        cluster: &cluster(),
        now: now(),
    };
    let function = own.arn.as_ref().and_then(|arn| functions.get(arn));
    let gate = gate(own, function, Some(&RegionGate::Open), &input);
    matches!(gate, Gate::Open)
}

/// The result if both policies may act.
fn may_proceed_with(own: &Operation, other: &Operation, bound_policies: &[BoundPolicy]) -> bool {
    let all = [own.clone(), other.clone()];
    open(own, &all, bound_policies, RegionGate::Open)
}

fn neighbors() -> [BoundPolicy; 2] {
    [named("payments"), named("billing")]
}

#[test]
fn an_operation_that_rotates_or_settles_holds_the_function() {
    let own = of("payments", 1, Action::ClearAndRotate);
    let pinned = at(
        of("billing", 2, Action::ClearAndRotate),
        Step::Pin,
        ago(minutes(3)),
    );
    let rotated = at(pinned.clone(), Step::Rotate, ago(minutes(74)));
    for other in [pinned, rotated] {
        assert!(!may_proceed_with(&own, &other, &neighbors()));
    }
}

#[test]
fn a_failed_rotation_and_a_refused_retry_free_the_function_after_75_minutes() {
    let own = of("payments", 1, Action::ClearAndRotate);
    for action in [Action::RetryRotation, Action::ClearAndRotate] {
        let sent = |age| at(of("billing", 2, action), Step::Rotate, ago(age));
        assert!(!may_proceed_with(&own, &sent(minutes(74)), &neighbors()));
        assert!(may_proceed_with(&own, &sent(minutes(75)), &neighbors()));
    }
}

#[test]
fn an_operation_of_a_suspended_policy_or_profile_holds_no_slot() {
    let own = of("payments", 1, Action::ClearAndRotate);
    let waiting = of("billing", 0, Action::ClearAndRotate);
    let begun = at(waiting.clone(), Step::Pin, ago(minutes(3)));
    let brakes: [fn(&mut BoundPolicy); 4] = [
        |one| one.policy.suspension = Suspension::Suspended,
        |one| one.profile.suspension = Suspension::Suspended,
        |one| one.policy.deletion_requested = Some(server(now())),
        |one| one.profile.allowed_actions.clear(),
    ];
    for other in [waiting, begun] {
        assert!(!may_proceed_with(&own, &other, &neighbors()));
        for brake in brakes {
            let mut bound_policies = neighbors();
            brake(&mut bound_policies[1]);
            assert!(may_proceed_with(&own, &other, &bound_policies));
        }
    }
}

#[test]
fn an_operation_that_waits_for_something_else_blocks_no_other() {
    let own = of("payments", 1, Action::ClearAndRotate);
    let older = of("billing", 0, Action::ClearAndRotate);
    assert!(!may_proceed_with(&own, &older, &neighbors()), "it is next");
    let mut undecided = older.clone();
    undecided.approval = Approval::Required;
    assert!(
        may_proceed_with(&own, &undecided, &neighbors()),
        "awaits approval"
    );
    let mut closed = neighbors();
    closed[1].policy.remediation.windows = never_open();
    assert!(
        may_proceed_with(&own, &older, &closed),
        "outside its window"
    );
    let mut person = at(
        of("billing", 0, Action::Rotate),
        Step::Rotate,
        ago(hours(8)),
    );
    person.trigger = Trigger::Manual;
    person.key = fixtures::key("prod", "by-hand");
    person.uid = Uid::parse("by-hand").expect("a UID");
    person.outcome = Some(secret_rotation_core::operation::Outcome::Succeeded {
        message: String::new(),
    });
    let all = [own.clone(), older.clone(), person];
    assert!(
        open(&own, &all, &neighbors(), RegionGate::Open),
        "ManualHold"
    );
    let held = RegionGate::Blocked(BlockReason::SelectionTooLarge);
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
    let mut bound_policies = neighbors();
    let name = ProfileName::parse("another").expect("a name");
    bound_policies[1].profile.name = name.clone();
    bound_policies[1].policy.profile = name;
    assert!(may_proceed_with(&own, &other, &bound_policies));
}

#[test]
fn a_manual_operation_counts_once_it_has_written_and_never_waits() {
    let own = of("payments", 1, Action::Rotate);
    let mut person = of("billing", 0, Action::Rotate);
    person.trigger = Trigger::Manual;
    assert!(
        may_proceed_with(&own, &person, &neighbors()),
        "it has written nothing"
    );
    let person = at(person, Step::Rotate, ago(minutes(3)));
    assert!(!may_proceed_with(&own, &person, &neighbors()));
    let running = at(own, Step::Rotate, ago(minutes(3)));
    assert!(may_proceed_with(&person, &running, &neighbors()));
}

/// Two replicas may both have started one, and a limit may have been lowered: one operation continues, and no two wait
/// for each other.
#[test]
fn one_of_the_started_operations_always_continues() {
    let begun: Vec<_> = (0..4)
        .map(|n| {
            at(
                of("payments", n, Action::ClearAndRotate),
                Step::Pin,
                ago(minutes(3)),
            )
        })
        .collect();
    let bound_policies = [named("payments")];
    let going = |all: &[Operation]| {
        let going = all
            .iter()
            .filter(|one| open(one, all, &bound_policies, RegionGate::Open));
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

/// The function of a secret that no sweep sees is the one that the first look saw.
#[test]
fn a_secret_in_no_inventory_counts_by_its_baseline() {
    let own = of("payments", 1, Action::Rotate);
    let mut other = at(
        of("billing", 2, Action::Rotate),
        Step::Rotate,
        ago(minutes(3)),
    );
    other.arn = Some(fixtures::arn("prod/unseen"));
    assert!(may_proceed_with(&own, &other, &neighbors()));
    other.baseline = Some(Baseline {
        labels: BTreeMap::new(),
        last_changed: None,
        pending_value: PendingValue::None,
        rotates: None,
        function: Some(function("shared")),
    });
    assert!(!may_proceed_with(&own, &other, &neighbors()));
}

/// A tenant's operation that waits forever on another tenant's secret.
#[test]
fn the_owner_of_a_secret_acts_despite_operations_that_may_not() {
    let mut stranger = named("billing");
    stranger.policy.suspension = Suspension::Suspended;
    let bound_policies = [named("payments"), stranger];
    let mut manual = of("billing", 0, Action::ClearAndRotate);
    manual.trigger = Trigger::Manual;
    let pinned = at(manual.clone(), Step::Pin, ago(hours(30)));
    let secrets = || vec![observation(stuck("prod/s0"), Some(with_value()))];
    for other in [manual.clone(), pinned] {
        let plan = plan_of(&bound_policies[0], &bound_policies, secrets(), &[other]);
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
    let bound_policies = [named("payments")];
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
    assert!(open(&next, &all, &bound_policies, RegionGate::Open));
    let mut own = named("payments");
    own.policy.remediation.breaker.min_stuck = 100;
    let text = planned(&own, shared(6), &failing);
    assert!(text.contains("create"), "{text}");
}

/// Its secret cannot be read, or AWS may still retry: a later operation starts.
#[test]
fn an_operation_that_its_own_secret_delays_blocks_none_and_keeps_its_turn() {
    let own = of("payments", 1, Action::ClearAndRotate);
    let older = of("billing", 0, Action::ClearAndRotate);
    let all = [own.clone(), older.clone()];
    let (both, stability) = (neighbors(), StabilityTracker::default());
    let open = |one: &Operation, all: &[Operation], deferred: &[&Operation]| {
        let deferred = deferred.iter().map(|one| one.key.clone()).collect();
        open_with(one, all, (&both, RegionGate::Open), (&stability, &deferred))
    };
    assert!(!open(&own, &all, &[]));
    assert!(open(&own, &all, &[&older]));
    assert!(open(&older, &all, &[&older]), "as soon as it can");
    let begun = at(older.clone(), Step::Pin, ago(minutes(3)));
    let all = [own.clone(), begun];
    assert!(
        !open(&own, &all, &[&older]),
        "the other one has started since"
    );
}

/// Two operations that found the slot free at the same time have both journaled their intent: the first in order keeps
/// it.
#[test]
fn the_first_of_two_operations_that_take_the_last_slot_keeps_it() {
    let rotating = |n| at(of("payments", n, Action::Rotate), Step::Rotate, now());
    let both = [rotating(1), rotating(2)];
    let bound_policies = [named("payments")];
    let open = |one: &Operation| open(one, &both, &bound_policies, RegionGate::Open);
    assert_eq!((open(&both[0]), open(&both[1])), (true, false));
}

/// It waits for another operation on its secret, which verifies without a slot: no operation waits for the one that
/// waits.
#[test]
fn an_operation_that_waits_for_a_rival_on_its_secret_blocks_none() {
    let own = of("payments", 5, Action::ClearAndRotate);
    let verifying = at(
        of("billing", 1, Action::RetryRotation),
        Step::Rotate,
        ago(hours(3)),
    );
    let mut behind = of("payments", 1, Action::ClearAndRotate);
    let both = [own.clone(), behind.clone()];
    assert!(!open(&own, &both, &neighbors(), RegionGate::Open));
    behind.uid = Uid::parse("behind").expect("a UID");
    let all = [own.clone(), behind, verifying];
    assert!(open(&own, &all, &neighbors(), RegionGate::Open));
}

/// AWS may run a rotation again by itself: a label or version that moved takes the slot again, a tag does not.
#[test]
fn a_label_or_version_that_moved_restarts_the_time_of_the_slot() {
    let own = of("payments", 1, Action::ClearAndRotate);
    let other = at(
        of("billing", 2, Action::RetryRotation),
        Step::Rotate,
        ago(hours(3)),
    );
    let seen_at = |minutes_ago: u64, versions, changed: u64| {
        let secret = Secret {
            last_changed: Some(ago(minutes(changed))),
            ..stuck("prod/s2")
        };
        (secret, versions, ago(minutes(minutes_ago)))
    };
    let open = |looks: &[(Secret, VersionListing, AwsTime)]| {
        let mut stability = StabilityTracker::default();
        for (secret, versions, at) in looks {
            stability.observe(secret, Some(versions), *at);
        }
        let all = [own.clone(), other.clone()];
        let none_deferred = DeferredOperations::default();
        open_with(
            &own,
            &all,
            (&neighbors(), RegionGate::Open),
            (&stability, &none_deferred),
        )
    };
    let before = seen_at(120, without_value(), 180);
    assert!(open(std::slice::from_ref(&before)));
    let valued = seen_at(70, with_value(), 70);
    assert!(!open(&[before.clone(), valued]), "it has a value now");
    let tagged = seen_at(70, without_value(), 70);
    assert!(open(&[before, tagged]));
    let begun_to_watch = seen_at(1, with_value(), 180);
    assert!(
        open(&[begun_to_watch]),
        "nothing has changed for a long time"
    );
}

/// One of the operations on a shared rotation function.
#[expect(clippy::struct_excessive_bools, reason = "each is drawn by itself")]
#[derive(Clone, Copy, Debug)]
struct Neighbor {
    whose: usize,
    is_manual: bool,
    action: Action,
    /// How many minutes ago it pinned, cleared and rotated, if it did.
    steps: [Option<u64>; 3],
    undecided: bool,
    denied: bool,
    deleted: bool,
    deferred: bool,
}

fn some_neighbor() -> impl Strategy<Value = Neighbor> {
    let ago = || prop_oneof![0..90_u64, 80..400_u64];
    let actions = vec![
        Action::ClearAndRotate,
        Action::RetryRotation,
        Action::Rotate,
    ];
    let steps = prop_oneof![
        3 => Just([None, None, None]),
        1 => ago().prop_map(|pin| [Some(pin), None, None]),
        1 => ago().prop_map(|clear| [Some(clear + 6), Some(clear), None]),
        2 => ago().prop_map(|rotate| [Some(rotate + 6), Some(rotate + 1), Some(rotate)]),
    ];
    let rare = || proptest::bool::weighted(0.15);
    (
        0..3_usize,
        rare(),
        select(actions),
        steps,
        (rare(), rare(), rare(), rare()),
    )
        .prop_map(
            |(whose, is_manual, action, steps, (undecided, denied, deleted, deferred))| Neighbor {
                whose,
                is_manual,
                action,
                steps,
                undecided,
                denied,
                deleted,
                deferred,
            },
        )
}

fn made(n: usize, neighbor: &Neighbor) -> Operation {
    let policy = ["payments", "billing", "ledger"][neighbor.whose];
    let place = u64::try_from(n).expect("small");
    let mut own = of(policy, place, neighbor.action);
    own.uid = Uid::parse(format!("op-{n}")).expect("a UID");
    let steps = [Step::Pin, Step::Clear, Step::Rotate].into_iter();
    let clears = neighbor.action.clears();
    for (step, when) in steps.zip(neighbor.steps) {
        if let Some(when) = when.filter(|_| clears || step == Step::Rotate) {
            record_step(&mut own, step, ago(minutes(when)), ResultKind::Applied);
        }
    }
    if neighbor.is_manual {
        own.trigger = Trigger::Manual;
    }
    if neighbor.undecided {
        own.approval = Approval::Required;
    }
    if neighbor.denied {
        own.decision = Some(Decision {
            answer: Answer::Deny,
            by: "bob".to_owned(),
            message: None,
        });
    }
    own.deletion_requested = neighbor.deleted.then(|| server(now()));
    own
}

/// Policies that act, are suspended, are being deleted, are outside their window, or may do nothing.
fn some_claimant(text: &'static str) -> impl Strategy<Value = BoundPolicy> {
    (0..10_usize).prop_map(move |brake| {
        let mut own = named(text);
        own.profile.max_concurrent_per_function = 1;
        match brake {
            0 => own.policy.suspension = Suspension::Suspended,
            1 => own.profile.suspension = Suspension::Suspended,
            2 => own.policy.deletion_requested = Some(server(now())),
            3 => own.profile.allowed_actions.clear(),
            4 => own.policy.remediation.windows = never_open(),
            _ => {}
        }
        own
    })
}

/// Returns whether the operation is stopped, or waits for something other than a slot, by independent rules.
fn stands_still(own: &Operation, neighbor: &Neighbor, bound_policy: &BoundPolicy) -> bool {
    let policy = &bound_policy.policy;
    let stopped = neighbor.deleted
        || !policy.acts()
        || bound_policy.profile.suspension == Suspension::Suspended;
    let forbidden = bound_policy.profile.allowed_actions.is_empty();
    let acted = own.has_acted();
    let begun = own.has_started();
    let closed = matches!(policy.remediation.windows, Windows::Unreadable { .. });
    // An operation that was denied after its pin removes it at any hour.
    let ends = neighbor.denied && begun && !acted;
    stopped
        || forbidden
        || neighbor.denied && !begun
        || neighbor.undecided && !begun
        || closed && !acted && !neighbor.is_manual && !ends
        || neighbor.deferred && !begun
}

proptest! {
    #![proptest_config(crate::support::cases(400))]

    /// Suspended operations and others that cannot act change nothing for the rest; a waiting operation continues as
    /// soon as nothing runs; and if all operations that may start at the same time do, only as many keep their slot as
    /// there are slots.
    #[test]
    fn operations_share_a_function_and_none_waits_for_a_suspended_one(
        all in proptest::collection::vec(some_neighbor(), 1..7),
        bound_policies in (some_claimant("payments"), some_claimant("billing"), some_claimant("ledger")),
    ) {
        let bound_policies = [bound_policies.0, bound_policies.1, bound_policies.2];
        let operations: Vec<_> = all.iter().enumerate().map(|(n, one)| made(n, one)).collect();
        let deferred: DeferredOperations = operations.iter().zip(&all)
            .filter(|(_, one)| one.deferred).map(|(own, _)| own.key.clone()).collect();
        let still = |n: usize| stands_still(&operations[n], &all[n], &bound_policies[all[n].whose]);
        let stability = StabilityTracker::default();
        let goes = |own: &Operation, among: &[Operation]| {
            open_with(own, among, (&bound_policies, RegionGate::Open), (&stability, &deferred))
        };
        let moving: Vec<_> = (0..all.len()).filter(|n| !still(*n)).collect();
        let others: Vec<_> = moving.iter().map(|n| operations[*n].clone()).collect();
        for own in &others {
            prop_assert_eq!(goes(own, &operations), goes(own, &others), "{:?}", own.uid);
        }
        let runs = |n: &usize| all[*n].steps.iter().flatten().min().is_some_and(|last| *last < 75 + 5);
        // An operation that was denied in time removes its pin and ends: it waits for no slot.
        let ends = |n: &usize| all[*n].denied && !operations[*n].has_acted();
        let waits = |n: &usize| !all[*n].is_manual && all[*n].steps[2].is_none() && !ends(n);
        let running = moving.iter().filter(|n| runs(n)).count();
        let waiting: Vec<_> = moving.iter().filter(|n| waits(n)).collect();
        if running == 0 && !waiting.is_empty() {
            prop_assert!(waiting.iter().any(|n| goes(&operations[**n], &operations)), "no operation continues");
        }
        let begins = |own: &Operation| own.trigger == Trigger::Policy && !own.has_started() && goes(own, &operations);
        let all_at_once: Vec<_> = operations.iter().map(|own| {
            let step = if own.action.clears() { Step::Pin } else { Step::Rotate };
            if begins(own) && !still(index_of(own)) { at(own.clone(), step, now()) } else { own.clone() }
        }).collect();
        let begun: Vec<_> = all_at_once.iter().filter(|own| begins(&operations[index_of(own)]) && !still(index_of(own))).collect();
        let kept = begun.iter().filter(|own| goes(own, &all_at_once)).count();
        prop_assert!(kept <= 1, "{kept} have the only slot");
        prop_assert_eq!(kept, begun.len().min(1), "the first in order keeps it");
    }
}

fn index_of(operation: &Operation) -> usize {
    let number = operation.uid.as_str().strip_prefix("op-");
    number
        .and_then(|number| number.parse().ok())
        .expect("one of the test's")
}
