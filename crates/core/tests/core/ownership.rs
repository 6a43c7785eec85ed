//! Which of several policies acts on a secret: the oldest one that can do what the secret needs, and never two.

use std::collections::BTreeSet;

use fixtures::{
    ago, bound_policy, hours, minutes, now, observation, operation, policy, record_step, retried,
    secret, server, stuck, with_value, without_value,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use secret_rotation_core::action::Permission;
use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::inventory::Observation;
use secret_rotation_core::journal::ResultKind;
use secret_rotation_core::names::{ObjectName, Uid};
use secret_rotation_core::operation::{Operation, Trigger};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::policy::{DeletionRemedy, Mode, OverdueRemedy, StuckRemedy, Suspension};
use secret_rotation_core::secret::Secret;

use crate::support::cases;
use crate::support::planning::{plan_of, text};

fn named(text: &str, age: u64) -> BoundPolicy {
    let mut own = bound_policy(policy(text));
    own.policy.created = server(ago(hours(age)));
    own
}

fn valued() -> Vec<Observation> {
    vec![observation(stuck("prod/a"), Some(with_value()))]
}

fn plans(of: &BoundPolicy, all: &[BoundPolicy], operations: &[Operation]) -> String {
    text(&plan_of(of, all, valued(), operations))
}

#[test]
fn a_younger_policy_owns_a_secret_if_the_older_one_may_not_perform_the_action() {
    let mut older = named("older", 2000);
    let younger = named("younger", 1000);
    older.profile.allowed_actions = [Permission::Rotate].into();
    let retried = [retried("r", ago(hours(8)))];
    let all = [older, younger];
    assert_eq!(plans(&all[0], &all, &[]), "create RetryRotation prod/a\n");
    assert_eq!(plans(&all[1], &all, &[]), "block prod/a Conflict\n");
    assert_eq!(
        plans(&all[0], &all, &retried),
        "block prod/a ActionNotAllowed\n"
    );
    assert_eq!(
        plans(&all[1], &all, &retried),
        "create ClearAndRotate prod/a\n"
    );
}

#[test]
fn a_younger_policy_owns_a_secret_if_the_older_one_only_reports() {
    let (mut older, younger) = (named("older", 2000), named("younger", 1000));
    older.policy.remediation.stuck = StuckRemedy::Report;
    let all = [older, younger];
    assert_eq!(plans(&all[0], &all, &[]), "block prod/a ObserveOnly\n");
    assert_eq!(plans(&all[1], &all, &[]), "create RetryRotation prod/a\n");
}

/// The operation of the policy that lost the secret has not started: it ends, and the new owner creates its own.
#[test]
fn a_waiting_operation_is_superseded_when_another_policy_owns_the_secret() {
    let (mut older, younger) = (named("older", 2000), named("payments", 1000));
    let waiting = [operation("w", Action::RetryRotation, "prod/a")];
    older.profile.allowed_actions = [Permission::ClearPending].into();
    let both = [older.clone(), younger.clone()];
    assert_eq!(
        plans(&both[1], &both, &waiting),
        "",
        "the older one may not retry"
    );
    older.profile.allowed_actions.insert(Permission::Rotate);
    let both = [older, younger];
    assert_eq!(
        plans(&both[1], &both, &waiting),
        "block prod/a Conflict\nsupersede prod/w: another policy now owns the secret\n"
    );
    assert_eq!(
        plans(&both[0], &both, &waiting),
        "block prod/a ConcurrencyLimit\n",
        "as long as it waits"
    );
    assert_eq!(plans(&both[0], &both, &[]), "create RetryRotation prod/a\n");
}

/// An operation that has started is finished first, whichever policy owns the secret now.
#[test]
fn an_operation_that_the_old_owner_started_is_finished_first() {
    let (older, younger) = (named("older", 2000), named("payments", 1000));
    let mut begun = operation("w", Action::ClearAndRotate, "prod/a");
    record_step(&mut begun, Step::Pin, ago(minutes(3)), ResultKind::Applied);
    let both = [older, younger];
    let plan = plan_of(&both[0], &both, valued(), std::slice::from_ref(&begun));
    assert_eq!((text(&plan).as_str(), plan.in_progress.len()), ("", 1));
    assert_eq!(plans(&both[1], &both, &[begun]), "block prod/a Conflict\n");
}

fn some_policy(n: u64) -> impl Strategy<Value = BoundPolicy> {
    let remedies = (
        select(vec![
            StuckRemedy::Report,
            StuckRemedy::RetryRotation,
            StuckRemedy::ClearPending,
            StuckRemedy::ClearAndRotate,
            StuckRemedy::Recover,
        ]),
        select(vec![OverdueRemedy::Report, OverdueRemedy::Rotate]),
        select(vec![DeletionRemedy::Report, DeletionRemedy::RestoreSecret]),
    );
    let brakes = (
        proptest::bool::weighted(0.2),
        proptest::bool::weighted(0.2),
        proptest::bool::weighted(0.1),
        proptest::bool::weighted(0.1),
    );
    let allowed = prop_oneof![
        2 => Just(Permission::ALL.to_vec()),
        1 => subsequence(Permission::ALL.to_vec(), 0..5),
    ];
    (1..4_u64, remedies, brakes, allowed).prop_map(
        move |(age, remedies, (observes, suspended, stopped, deleted), allowed)| {
            let mut own = named(&format!("p{n}"), age * 100);
            own.policy.uid = Uid::parse(format!("uid-{}", (n * 7) % 5)).expect("a UID");
            let remediation = &mut own.policy.remediation;
            (remediation.stuck, remediation.overdue, remediation.deletion) = remedies;
            let suspension = |is: bool| Suspension::of(is);
            own.policy.mode = if observes {
                Mode::Observe
            } else {
                Mode::Remediate
            };
            own.policy.suspension = suspension(suspended);
            own.profile.suspension = suspension(stopped);
            own.policy.deletion_requested = deleted.then(|| server(now()));
            own.profile.allowed_actions = allowed.into_iter().collect();
            own
        },
    )
}

/// A secret that needs an action, sometimes another one.
fn some_need() -> impl Strategy<Value = Observation> {
    select(vec![
        observation(stuck("prod/a"), Some(with_value())),
        observation(stuck("prod/a"), Some(without_value())),
        observation(
            fixtures::labelled(
                Secret {
                    last_changed: Some(ago(hours(8))),
                    ..unlabelled_previous()
                },
                "AWSPREVIOUS",
                "p",
            ),
            Some(with_value()),
        ),
        Observation::listed(Secret {
            next_rotation: Some(ago(hours(30))),
            ..secret("prod/a")
        }),
        Observation::listed(Secret {
            deleted: Some(ago(hours(30))),
            ..secret("prod/a")
        }),
    ])
}

/// Stuck, and `b` is not the previous version.
fn unlabelled_previous() -> Secret {
    let mut secret = stuck("prod/a");
    secret.labels.retain(|version, _| version.as_str() != "b");
    secret
}

/// Returns the policies that create an operation: all of them plan at once.
fn creators(all: &[BoundPolicy], need: &Observation, operations: &[Operation]) -> BTreeSet<Uid> {
    let creates = |own: &&BoundPolicy| {
        let plan = plan_of(own, all, vec![need.clone()], operations);
        !plan.create.is_empty()
    };
    let creating = all.iter().filter(creates);
    creating.map(|own| own.policy.uid.clone()).collect()
}

/// An unfinished operation of one of the policies, automatic or manual, that has started or not.
fn some_operation() -> impl Strategy<Value = (usize, bool, bool)> {
    (0..4_usize, any::<bool>(), any::<bool>())
}

fn of(owner: &BoundPolicy, n: usize, (is_manual, begun): (bool, bool)) -> Operation {
    let mut own = operation(&format!("o{n}"), Action::ClearAndRotate, "prod/a");
    own.policy.name = ObjectName::parse(owner.policy.key.name.as_str()).expect("a name");
    own.policy.uid = Some(owner.policy.uid.clone());
    if is_manual {
        own.trigger = Trigger::Manual;
    }
    if begun {
        record_step(&mut own, Step::Pin, ago(minutes(3)), ResultKind::Applied);
    }
    own
}

proptest! {
    #![proptest_config(cases(600))]

    /// The oracle does not know ownership: it asks each policy as if it were alone in the cluster.
    #[test]
    fn the_oldest_policy_that_would_act_alone_acts_and_no_other_policy(
        all in (some_policy(0), some_policy(1), some_policy(2), some_policy(3)),
        need in some_need(),
    ) {
        let all = [all.0, all.1, all.2, all.3];
        let alone = all.iter().filter(|own| {
            let only = std::slice::from_ref(*own);
            !creators(only, &need, &[]).is_empty()
        });
        let first = alone.min_by_key(|own| (own.policy.created, &own.policy.uid));
        let expected: BTreeSet<_> = first.map(|own| own.policy.uid.clone()).into_iter().collect();
        prop_assert_eq!(creators(&all, &need, &[]), expected);
    }

    /// Existing operations never make two policies act, and those of policies that may not act change nothing for the
    /// others.
    #[test]
    fn existing_operations_never_make_two_policies_act(
        all in (some_policy(0), some_policy(1), some_policy(2), some_policy(3)),
        need in some_need(),
        made in proptest::collection::vec(some_operation(), 0..3),
    ) {
        let all = [all.0, all.1, all.2, all.3];
        let made: Vec<_> = made.iter().enumerate().map(|(n, (whose, is_manual, begun))| {
            of(&all[*whose], n, (*is_manual, *begun))
        }).collect();
        let creating = creators(&all, &need, &made);
        prop_assert!(creating.len() <= 1, "{creating:?}");
        let braked = |own: &BoundPolicy| !own.policy.acts() || own.profile.suspension == Suspension::Suspended;
        let idle = made.iter().all(|one| {
            let mut owners = all.iter();
            let owner = owners.find(|own| Some(&own.policy.uid) == one.policy.uid.as_ref());
            let person = one.trigger == Trigger::Manual && one.has_started();
            owner.is_some_and(|owner| braked(owner) && owner.policy.mode == Mode::Remediate && !person)
        });
        if idle {
            prop_assert_eq!(creating, creators(&all, &need, &[]));
        }
    }
}
