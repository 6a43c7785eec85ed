//! Concurrency limits, the circuit breaker, names of operations, release of pins, and operations whose reason no longer
//! exists.

use std::collections::{BTreeMap, BTreeSet};

use fixtures::{
    REGION, ago, arn_in, aws_error, bound_policy, cluster, failed, function, hours, inventory,
    labelled, observation, operation, operation_index, pin_of, policy, policy_index, record_step,
    region, secret, server, stuck, version, with_value, without_value,
};
use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::advance::Gate;
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::block::{Block, BlockReason};
use secret_rotation_core::classify::{ClassifyInput, classify};
use secret_rotation_core::inventory::{Inventory, Observation};
use secret_rotation_core::journal::ResultKind;
use secret_rotation_core::operation::{Failure, Operation, Trigger};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::plan::{
    Breaker, DeferredOperations, Plan, PlanInput, RegionGate, RegionGates,
};
use secret_rotation_core::planner::gate;
use secret_rotation_core::policy::{Mode, StuckRemedy};
use secret_rotation_core::secret::{Rotation, Secret};
use secret_rotation_core::stability::StabilityTracker;
use secret_rotation_core::survey::PreviousFindings;

use crate::support::planning::{functions, known, plan_for, plan_of, planned, text};

fn payments() -> BoundPolicy {
    bound_policy(policy("payments"))
}

fn stuck_ones(count: usize) -> Vec<Observation> {
    (0..count)
        .map(|n| observation(stuck(&format!("prod/s{n}")), Some(without_value())))
        .collect()
}

fn healthy_ones(count: usize) -> Vec<Observation> {
    (0..count)
        .map(|n| Observation::listed(secret(&format!("prod/h{n}"))))
        .collect()
}

fn creates(text: &str) -> usize {
    text.lines()
        .filter(|line| line.starts_with("create"))
        .count()
}

fn sharing_a_function(mut observations: Vec<Observation>) -> Vec<Observation> {
    for observation in &mut observations {
        if let Rotation::Enabled { function: own, .. } = &mut observation.secret.rotation {
            *own = Some(function("shared"));
        }
    }
    observations
}

/// Healthy for three days, rotated after the pin.
fn pinned() -> Vec<Observation> {
    let pin = pin_of(cluster(), ago(hours(100)), "b");
    let secret = Secret {
        last_rotated: Some(ago(hours(72))),
        ..labelled(secret("prod/a"), pin.as_str(), "b")
    };
    vec![Observation::listed(secret)]
}

#[test]
fn the_breaker_opens_only_when_share_and_number_are_exceeded() {
    let with = |stuck, healthy| {
        let mut secrets = stuck_ones(stuck);
        secrets.extend(healthy_ones(healthy));
        let plan = plan_of(&payments(), &[payments()], secrets, &[]);
        (plan.breaker, plan.create.len())
    };
    assert_eq!(with(4, 0), (Breaker::Closed, 4));
    assert_eq!(with(6, 9), (Breaker::Closed, 5), "40 % are not above 40 %");
    assert_eq!(with(7, 9), (Breaker::Open, 0));
    let text = planned(&payments(), stuck_ones(7), &[]);
    assert_eq!(
        text.lines().next(),
        Some("block prod/s0 CircuitBreakerOpen")
    );
}

#[test]
fn ineligible_secrets_do_not_open_the_breaker() {
    let mut secrets = stuck_ones(7);
    for observation in &mut secrets {
        observation.secret.rotation = Rotation::Disabled;
    }
    secrets.push(observation(stuck("prod/a"), Some(without_value())));
    let plan = plan_of(&payments(), &[payments()], secrets, &[]);
    assert_eq!((plan.breaker, plan.create.len()), (Breaker::Closed, 1));
}

#[test]
fn a_selection_larger_than_declared_is_observed_only() {
    let mut own = payments();
    own.policy.selector.max_secrets = 2;
    let mut secrets = stuck_ones(1);
    secrets.extend(healthy_ones(2));
    assert_eq!(
        planned(&own, secrets.clone(), &[]),
        "block prod/s0 SelectionTooLarge\n"
    );
    secrets.pop();
    assert_eq!(
        planned(&own, secrets, &[]),
        "create ClearAndRotate prod/s0\n"
    );
}

/// Two regions with the same names; what one region shows decides nothing in the other.
fn over(own: &BoundPolicy, inventories: &[&Inventory], operations: &[Operation]) -> Plan {
    let survey = classify(
        &own.tenant,
        &own.profile,
        &own.policy,
        inventories,
        ClassifyInput {
            previous: &PreviousFindings::default(),
            operations: &operation_index(operations),
            stability: &StabilityTracker::default(),
        },
    );
    let seen = inventories
        .iter()
        .flat_map(|inventory| inventory.secrets.values());
    let functions = functions(&seen.cloned().collect::<Vec<_>>());
    let bound_policies = std::slice::from_ref(own);
    plan_for(&survey, own, bound_policies, &functions, operations)
}

fn in_two_regions() -> BoundPolicy {
    let mut own = payments();
    own.profile.regions.insert(region("us-east-1"));
    own.policy.remediation.max_concurrent = 100;
    own
}

fn elsewhere(observations: Vec<Observation>) -> Inventory {
    let moved = observations.into_iter().map(|mut seen| {
        seen.secret.arn = arn_in("us-east-1", seen.secret.name.as_str());
        seen
    });
    Inventory {
        region: region("us-east-1"),
        ..inventory(moved.collect())
    }
}

fn torn(inventory: Inventory) -> Inventory {
    Inventory {
        gap: Some(aws_error(ErrorClass::Unreachable)),
        ..inventory
    }
}

fn created_in(plan: &Plan, text: &str) -> usize {
    let created = plan.create.iter();
    created.filter(|one| one.region == region(text)).count()
}

#[test]
fn nothing_starts_in_a_region_that_was_not_seen_completely() {
    let own = in_two_regions();
    let (here, there) = (inventory(stuck_ones(2)), elsewhere(stuck_ones(2)));
    let plan = over(&own, &[&here, &torn(there.clone())], &[]);
    assert_eq!(created_in(&plan, REGION), 2);
    assert_eq!(created_in(&plan, "us-east-1"), 0);
    let held: Vec<_> = plan.blocked.values().map(|block| block.reason).collect();
    assert_eq!(held, [BlockReason::SweepIncomplete; 2]);
    assert_eq!(over(&own, &[&here], &[]).create.len(), 2, "never swept");
    assert_eq!(over(&own, &[&torn(here), &there], &[]).create.len(), 2);
}

#[test]
fn limits_apply_to_each_region() {
    let mut own = in_two_regions();
    own.policy.selector.max_secrets = 3;
    let (few, many) = (stuck_ones(3), elsewhere(healthy_ones(4)));
    let plan = over(&own, &[&inventory(few), &many], &[]);
    assert_eq!(created_in(&plan, REGION), 3, "seven in all, three here");
    let mut own = in_two_regions();
    own.policy.remediation.max_concurrent = 100;
    let healthy = inventory(healthy_ones(100));
    let plan = over(&own, &[&healthy, &elsewhere(stuck_ones(7))], &[]);
    assert_eq!(
        (plan.breaker, plan.create.len()),
        (Breaker::Open, 0),
        "a hundred healthy secrets in another region do not close the breaker"
    );
    let mixed = inventory([healthy_ones(100), stuck_ones(1)].concat());
    let plan = over(&own, &[&mixed, &elsewhere(stuck_ones(7))], &[]);
    assert_eq!(plan.breaker, Breaker::Open);
    assert_eq!(
        created_in(&plan, REGION),
        1,
        "an open breaker does not affect another region"
    );
    assert_eq!(plan.create.len(), 1);
}

#[test]
fn an_operation_that_waits_is_superseded_by_what_its_own_region_shows() {
    let own = in_two_regions();
    let waiting = [operation("w", Action::ClearAndRotate, "prod/s0")];
    let (here, there) = (inventory(Vec::new()), elsewhere(Vec::new()));
    let superseded = |seen: &[&Inventory]| !over(&own, seen, &waiting).supersede.is_empty();
    assert!(superseded(&[&here, &torn(there.clone())]));
    assert!(!superseded(&[&torn(here), &there]));
    assert!(!superseded(&[&there]), "its region was never swept");
}

#[test]
fn the_number_of_operations_created_stays_within_the_limit() {
    let mut own = payments();
    own.policy.remediation.max_concurrent = 2;
    let text = planned(&own, stuck_ones(3), &[]);
    assert_eq!(creates(&text), 2);
    assert!(text.contains("block prod/s2 ConcurrencyLimit"));
    let busy = [operation("o", Action::Rotate, "prod/busy")];
    assert_eq!(creates(&planned(&own, stuck_ones(3), &busy)), 1);
}

#[test]
fn one_function_runs_one_rotation_over_all_policies() {
    let text = planned(&payments(), sharing_a_function(stuck_ones(3)), &[]);
    assert_eq!(creates(&text), 1);
    let mut clearing = payments();
    clearing.policy.remediation.stuck = StuckRemedy::ClearPending;
    let text = planned(&clearing, sharing_a_function(stuck_ones(3)), &[]);
    assert_eq!(creates(&text), 3, "a clear starts no function");
    let mut secrets = stuck_ones(2);
    secrets.push(Observation::listed(secret("prod/busy")));
    let mut elsewhere = operation("o", Action::Rotate, "prod/busy");
    elsewhere.policy.uid = None;
    let text = planned(&payments(), sharing_a_function(secrets), &[elsewhere]);
    assert_eq!(creates(&text), 0);
}

#[test]
fn equal_inputs_make_equal_names_and_different_inputs_make_different_names() {
    let named = |own: &BoundPolicy, operations: &[Operation]| {
        let plan = plan_of(own, std::slice::from_ref(own), stuck_ones(1), operations);
        plan.create[0].name.clone()
    };
    let first = named(&payments(), &[]);
    assert_eq!(first, named(&payments(), &[]));
    assert_eq!(first.as_str().len(), "payments-".len() + 10);
    let mut recreated = payments();
    recreated.policy.uid = secret_rotation_core::names::Uid::parse("again").expect("a UID");
    assert_ne!(first, named(&recreated, &[]));
}

#[test]
fn a_name_that_is_taken_by_a_finished_operation_is_never_proposed() {
    let finished = |name: &str, age| {
        let mut old = failed(
            "x",
            Action::ClearAndRotate,
            ago(hours(age)),
            Failure::Superseded,
        );
        old.arn = Some(fixtures::arn("prod/s0"));
        old.key = fixtures::key("prod", name);
        old
    };
    let next = |operations: &[Operation]| {
        let plan = plan_of(&payments(), &[payments()], stuck_ones(1), operations);
        plan.create[0].name.to_string()
    };
    let first = next(&[]);
    let second = next(&[finished(&first, 50)]);
    assert_ne!(first, second);
    let third = next(&[finished(&first, 50), finished(&second, 40)]);
    let after_cleanup = next(&[finished(&second, 40)]);
    assert_eq!(
        after_cleanup, third,
        "the first was deleted, the second is still there"
    );
}

#[test]
fn pins_are_released_once_the_secret_has_long_been_healthy() {
    assert_eq!(
        planned(&payments(), pinned(), &[]),
        "create ReleasePins prod/a\n"
    );
    let mut recent = pinned();
    recent[0].secret.last_changed = Some(ago(hours(23)));
    assert_eq!(planned(&payments(), recent, &[]), "");
    let mut unrotated = pinned();
    unrotated[0].secret.last_rotated = Some(ago(hours(101)));
    unrotated[0].versions = Some(fixtures::without_value());
    assert_eq!(planned(&payments(), unrotated, &[]), "");
}

#[test]
fn pins_are_not_released_where_no_automatic_action_is_allowed() {
    let mut large = payments();
    large.policy.selector.max_secrets = 0;
    assert_eq!(
        planned(&large, pinned(), &[]),
        "block prod/a SelectionTooLarge\n"
    );
    let mut many = stuck_ones(7);
    many.extend(pinned());
    let text = planned(&payments(), many, &[]);
    assert_eq!(creates(&text), 0, "the breaker is open");
    let mut manual = fixtures::attempted("m", ago(hours(8)));
    manual.trigger = Trigger::Manual;
    let text = planned(&payments(), pinned(), &[manual]);
    assert!(text.starts_with("block prod/a ManualHold"), "{text}");
}

fn superseded(own: &BoundPolicy, observations: Vec<Observation>, waiting: &Operation) -> bool {
    let waiting = std::slice::from_ref(waiting);
    let plan: Plan = plan_of(own, std::slice::from_ref(own), observations, waiting);
    !plan.supersede.is_empty()
}

#[test]
fn a_waiting_operation_is_superseded_when_its_reason_no_longer_exists() {
    let own = payments();
    let on_a = || vec![observation(stuck("prod/a"), Some(with_value()))];
    let waiting = operation("w", Action::ClearAndRotate, "prod/a");
    assert!(!superseded(&own, on_a(), &waiting));
    assert!(superseded(
        &own,
        vec![Observation::listed(secret("prod/a"))],
        &waiting
    ));
    assert!(superseded(&own, Vec::new(), &waiting));
    let mut other = waiting.clone();
    other.expect.pending = Some(version("another"));
    assert!(superseded(&own, on_a(), &other));
    let mut observing = payments();
    observing.policy.mode = Mode::Observe;
    assert!(superseded(&observing, on_a(), &waiting));
    let mut reporting = payments();
    reporting.policy.remediation.stuck = StuckRemedy::Report;
    assert!(superseded(&reporting, on_a(), &waiting));
    reporting.policy.remediation.stuck = StuckRemedy::ClearPending;
    assert!(superseded(&reporting, on_a(), &waiting));
    let mut manual = other;
    manual.trigger = Trigger::Manual;
    assert!(!superseded(&own, on_a(), &manual));
}

/// Nothing is done for a policy that no longer owns the secret.
#[test]
fn a_waiting_operation_is_superseded_when_an_older_policy_owns_the_secret() {
    let own = payments();
    let mut older = bound_policy(policy("older"));
    older.policy.created = server(ago(hours(2000)));
    let waiting = [operation("w", Action::ClearAndRotate, "prod/a")];
    let secrets = vec![observation(stuck("prod/a"), Some(with_value()))];
    let plan = plan_of(&own, &[own.clone(), older], secrets, &waiting);
    assert_eq!(
        text(&plan),
        "block prod/a Conflict\nsupersede prod/w: another policy now owns the secret\n"
    );
}

#[test]
fn an_unseen_secret_supersedes_nothing() {
    let waiting = operation("w", Action::ClearAndRotate, "prod/a");
    let unreadable = Observation {
        unreadable: Some(aws_error(ErrorClass::Unreachable)),
        ..observation(stuck("prod/a"), None)
    };
    assert!(!superseded(&payments(), vec![unreadable], &waiting));
    let own = payments();
    let mut partial = inventory(Vec::new());
    partial.gap = Some(aws_error(ErrorClass::Throttled));
    let survey = secret_rotation_core::classify::classify(
        &own.tenant,
        &own.profile,
        &own.policy,
        &[&partial],
        secret_rotation_core::classify::ClassifyInput {
            previous: &secret_rotation_core::survey::PreviousFindings::default(),
            operations: &operation_index(&[]),
            stability: &secret_rotation_core::stability::StabilityTracker::default(),
        },
    );
    let none = BTreeMap::new();
    let bound_policies = std::slice::from_ref(&own);
    let plan = plan_for(&survey, &own, bound_policies, &none, &[waiting]);
    assert_eq!(text(&plan), "");
}

fn gated(
    own: &BoundPolicy,
    subject: &Operation,
    region: Option<RegionGate>,
    all: &[Operation],
) -> Gate {
    let observations = sharing_a_function(stuck_ones(4));
    let functions = functions(&observations);
    let input = PlanInput {
        own,
        bound_policies: &policy_index(std::slice::from_ref(own)),
        operations: &known(all, &functions),
        region_gates: &RegionGates::default(),
        stability: &StabilityTracker::default(),
        deferred: &DeferredOperations::default(),
        cluster: &cluster(),
        now: fixtures::now(),
    };
    gate(
        subject,
        functions.get(subject.arn.as_ref().expect("set")),
        region.as_ref(),
        &input,
    )
}

#[test]
fn the_gate_blocks_automatic_operations_and_never_manual_ones() {
    let mut own = payments();
    let subject = operation("o", Action::ClearPending, "prod/s0");
    let closed = Some(RegionGate::Open);
    assert_eq!(gated(&own, &subject, closed, &[]), Gate::Open);
    assert_eq!(gated(&own, &subject, None, &[]), Gate::Unknown);
    for reason in [
        BlockReason::CircuitBreakerOpen,
        BlockReason::SelectionTooLarge,
        BlockReason::SweepIncomplete,
    ] {
        let held = gated(&own, &subject, Some(RegionGate::Blocked(reason)), &[]);
        assert_eq!(held, Gate::Blocked(Block::indefinite(reason)));
    }
    own.policy.mode = Mode::Observe;
    let observing = gated(&own, &subject, closed, &[]);
    assert_eq!(
        observing,
        Gate::Blocked(Block::indefinite(BlockReason::ObserveOnly))
    );
    let mut manual = subject;
    manual.trigger = Trigger::Manual;
    assert_eq!(gated(&own, &manual, None, &[]), Gate::Open);
}

#[test]
fn the_oldest_waiting_operations_pass_the_gate() {
    let mut own = payments();
    own.policy.remediation.max_concurrent = 2;
    let waiting: Vec<_> = (0..4)
        .map(|n| {
            let mut waiting = operation(
                &format!("o{n}"),
                Action::ClearPending,
                &format!("prod/s{n}"),
            );
            waiting.created = server(ago(hours(10 - n)));
            waiting
        })
        .collect();
    let passing = |all: &[Operation]| {
        let open = |o: &&Operation| gated(&own, o, Some(RegionGate::Open), all) == Gate::Open;
        all.iter()
            .filter(open)
            .map(|o| o.uid.to_string())
            .collect::<BTreeSet<_>>()
    };
    let expected = BTreeSet::from(["op-o0".to_owned(), "op-o1".to_owned()]);
    assert_eq!(passing(&waiting), expected);
    let rotating: Vec<_> = waiting
        .iter()
        .map(|waiting| Operation {
            action: Action::Rotate,
            ..waiting.clone()
        })
        .collect();
    assert_eq!(passing(&rotating).len(), 1, "they share a function");
}

/// Two may be too many after the limit was lowered: one of them continues, and the other one waits for it.
#[test]
fn started_operations_never_wait_for_each_other() {
    let mut own = payments();
    own.policy.remediation.max_concurrent = 1;
    let mut begun: Vec<_> = (0..3)
        .map(|n| {
            let name = format!("o{n}");
            let mut begun = operation(&name, Action::ClearAndRotate, &format!("prod/s{n}"));
            begun.created = server(ago(hours(10 - n)));
            record_step(&mut begun, Step::Pin, ago(hours(1)), ResultKind::Applied);
            begun
        })
        .collect();
    let passing = |all: &[Operation]| {
        let open = |o: &&Operation| gated(&own, o, Some(RegionGate::Open), all) == Gate::Open;
        let passing = all.iter().filter(open);
        passing.map(|o| o.uid.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(passing(&begun), ["op-o0"]);
    record_step(
        &mut begun[2],
        Step::Clear,
        ago(hours(1)),
        ResultKind::Applied,
    );
    assert_eq!(
        passing(&begun),
        ["op-o2"],
        "the other operation has progressed further"
    );
    begun[2].journal = secret_rotation_core::journal::Journal::default();
    let mut waiting = operation("older", Action::ClearAndRotate, "prod/s3");
    waiting.created = server(ago(hours(20)));
    begun.push(waiting);
    assert_eq!(
        passing(&begun),
        ["op-o0"],
        "an older operation that waits blocks no other"
    );
}

/// The other policy reports the conflict as long as the secret is unhealthy, even while an operation is in progress.
#[test]
fn a_policy_that_is_not_the_owner_reports_conflict_while_the_owner_acts() {
    let (first, mut second) = (
        bound_policy(policy("payments")),
        bound_policy(policy("second")),
    );
    second.policy.created = first.policy.created.plus(hours(1));
    let bound_policies = [first, second.clone()];
    let at_work = operation("o", Action::ClearAndRotate, "prod/a");
    let plan = plan_of(
        &second,
        &bound_policies,
        vec![observation(stuck("prod/a"), Some(with_value()))],
        &[at_work],
    );
    assert_eq!(text(&plan), "block prod/a Conflict\n");
    assert!(plan.in_progress.is_empty());
}
