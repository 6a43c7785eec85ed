//! The indexes of policies and operations: each lookup returns what a search through everything would return, and its
//! cost does not depend on the rest of the cluster.

use std::collections::{BTreeMap, BTreeSet};

use fixtures::{
    ago, arn, bound_policy, function, hours, key, minutes, namespace, now, operation, profile_name,
    record_step, secret_name, server, tenant, uid, version,
};
use proptest::prelude::*;
use proptest::sample::select;
use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::journal::{Baseline, ResultKind};
use secret_rotation_core::names::{Arn, FunctionArn, ObjectKey};
use secret_rotation_core::operation::{Operation, Outcome};
use secret_rotation_core::operation_index::OperationIndex;
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::policy_index::PolicyIndex;
use secret_rotation_core::secret::PendingValue;
use secret_rotation_core::selector::Matcher;

const NAMESPACES: [&str; 3] = ["a", "b", "b2"];
const POLICIES: [&str; 2] = ["payments", "billing"];
const SECRETS: [&str; 3] = ["prod/a", "prod/b", "prod/c"];
const FUNCTIONS: [&str; 2] = ["one", "two"];

/// What a watch, a write or a sweep shows.
#[derive(Clone, Debug)]
enum Change {
    Operation(Box<Operation>),
    Removed(ObjectKey),
    Function(Arn, Option<FunctionArn>),
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let place = (select(&NAMESPACES), 0..3_u8);
    let (policy, secret) = (select(&POLICIES), proptest::option::of(select(&SECRETS)));
    let action = select(&[Action::Rotate, Action::ClearPending, Action::ClearAndRotate]);
    let began = proptest::option::of(select(&FUNCTIONS));
    let ended = proptest::option::of(0..4_u64);
    let fields = (place, policy, secret, action, began, ended);
    fields.prop_map(|((of, n), policy, secret, action, began, ended)| {
        let mut own = operation(&format!("op-{n}"), action, "prod/a");
        own.key.namespace = namespace(of);
        own.policy.name = key(of, policy).name;
        own.arn = secret.map(arn);
        own.baseline = began.map(|began| Baseline {
            labels: BTreeMap::new(),
            last_changed: None,
            pending_value: PendingValue::None,
            rotates: None,
            function: Some(function(began)),
        });
        own.outcome = ended.map(|_| Outcome::Succeeded {
            message: String::new(),
        });
        own.ended = ended.map(|hours_ago| server(ago(hours(hours_ago))));
        own.ttl = hours(2);
        own
    })
}

fn any_change() -> impl Strategy<Value = Change> {
    let removed = (select(&NAMESPACES), 0..3_u8);
    let seen = (select(&SECRETS), proptest::option::of(select(&FUNCTIONS)));
    prop_oneof![
        4 => any_operation().prop_map(|own| Change::Operation(Box::new(own))),
        1 => removed.prop_map(|(of, n)| Change::Removed(key(of, &format!("op-{n}")))),
        2 => seen.prop_map(|(on, seen)| Change::Function(arn(on), seen.map(function))),
    ]
}

/// Everything that is known, without an index.
#[derive(Debug, Default)]
struct Known {
    operations: BTreeMap<ObjectKey, Operation>,
    functions: BTreeMap<Arn, FunctionArn>,
}

impl Known {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Operation(own) => {
                self.operations.insert(own.key.clone(), (**own).clone());
            }
            Change::Removed(key) => {
                self.operations.remove(key);
            }
            Change::Function(arn, Some(seen)) => {
                self.functions.insert(arn.clone(), seen.clone());
            }
            Change::Function(arn, None) => {
                self.functions.remove(arn);
            }
        }
        let all = &self.operations;
        let is_used = |arn: &Arn| {
            let mut on_secret = all.values().filter(|one| one.arn.as_ref() == Some(arn));
            on_secret.any(|one| !one.is_finished())
        };
        self.functions.retain(|arn, _| is_used(arn));
    }

    fn function(&self, own: &Operation) -> Option<FunctionArn> {
        let seen = self.functions.get(own.arn.as_ref()?).cloned();
        seen.or_else(|| own.baseline.as_ref()?.function.clone())
    }

    /// Searches all operations.
    fn keys(&self, wanted: impl Fn(&Operation) -> bool) -> BTreeSet<ObjectKey> {
        let found = self.operations.values().filter(|one| wanted(one));
        found.map(|one| one.key.clone()).collect()
    }
}

fn keys<'a>(found: impl Iterator<Item = &'a Operation>) -> BTreeSet<ObjectKey> {
    let found: Vec<_> = found.map(|one| one.key.clone()).collect();
    let unique: BTreeSet<_> = found.iter().cloned().collect();
    assert_eq!(found.len(), unique.len(), "{found:?}");
    unique
}

fn apply(index: &mut OperationIndex, change: Change) {
    match change {
        Change::Operation(own) => index.insert(&(*own).into()),
        Change::Removed(key) => index.remove(&key),
        Change::Function(arn, seen) => index.record_function(&arn, seen.as_ref()),
    }
}

fn compare(index: &OperationIndex, known: &Known) {
    for own in known.operations.values() {
        assert_eq!(index.get(&own.key).map(AsRef::as_ref), Some(own));
        assert_eq!(index.function(own).cloned(), known.function(own));
    }
    for on in SECRETS.map(arn) {
        let found = known.keys(|one| one.arn.as_ref() == Some(&on));
        assert_eq!(keys(index.on_secret(&on)), found);
        assert_eq!(index.seen_function(&on), known.functions.get(&on));
    }
    for of in NAMESPACES {
        let here = known.keys(|one| one.key.namespace.as_str() == of && !one.is_finished());
        assert_eq!(keys(index.in_namespace(&namespace(of))), here);
        for policy in POLICIES.map(|name| key(of, name)) {
            let found = known.keys(|one| one.policy_key() == policy && !one.is_finished());
            assert_eq!(keys(index.of_policy(&policy)), found);
        }
    }
    for on in FUNCTIONS.map(function) {
        let counts = |one: &Operation| one.action.rotates() && !one.is_finished();
        let found = known.keys(|one| counts(one) && known.function(one).as_ref() == Some(&on));
        assert_eq!(keys(index.on_function(&on)), found);
    }
    assert_eq!(
        keys(index.unfinished()),
        known.keys(|one| !one.is_finished())
    );
    let expired = |one: &Operation| {
        one.ended
            .is_some_and(|at| server(now()) >= at.plus(one.ttl))
    };
    assert_eq!(keys(index.expired(server(now()))), known.keys(expired));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn each_lookup_of_operations_equals_a_search(changes in prop::collection::vec(any_change(), 1..25)) {
        let (mut index, mut known) = (OperationIndex::default(), Known::default());
        let mut earlier = Vec::new();
        for change in changes {
            earlier.push((index.clone(), keys(index.unfinished())));
            known.apply(&change);
            apply(&mut index, change);
            compare(&index, &known);
        }
        for (before, unfinished) in earlier {
            prop_assert_eq!(keys(before.unfinished()), unfinished, "a clone does not change");
        }
    }

    #[test]
    fn each_lookup_of_policies_equals_a_search(changes in prop::collection::vec(any_policy(), 1..20)) {
        let (mut index, mut known) = (PolicyIndex::default(), BTreeMap::new());
        for (own, is_removed) in changes {
            let key = own.policy.key.clone();
            if is_removed {
                index.remove(&key);
                known.remove(&key);
            } else {
                index.insert(&own.clone().into());
                known.insert(key, own);
            }
            compare_policies(&index, &known);
        }
    }
}

fn any_policy() -> impl Strategy<Value = (BoundPolicy, bool)> {
    let names = prop::collection::btree_set(select(&SECRETS), 0..3);
    let prefix = proptest::option::of(select(&["", "prod/", "prod/a", "tes"]));
    let item = (names, prefix).prop_map(|(names, prefix)| Matcher {
        names: names.into_iter().map(secret_name).collect(),
        name_prefix: prefix.map(str::to_owned),
        ..Matcher::default()
    });
    let items = prop::collection::vec(item, 1..3);
    let profile = select(&["default", "other"]);
    let place = (select(&NAMESPACES), select(&POLICIES), 0..2_u8);
    let fields = (place, items, profile, prop::bool::weighted(0.2));
    fields.prop_map(|((of, name, n), include, profile, is_removed)| {
        let mut policy = fixtures::policy(name);
        policy.key = key(of, name);
        policy.uid = uid(&format!("{of}-{name}-{n}"));
        policy.selector.include = include;
        let mut own = bound_policy(policy);
        own.profile.name = profile_name(profile);
        (own, is_removed)
    })
}

fn compare_policies(index: &PolicyIndex, known: &BTreeMap<ObjectKey, BoundPolicy>) {
    let search = |wanted: &dyn Fn(&BoundPolicy) -> bool| {
        let found = known.values().filter(|one| wanted(one));
        found.cloned().collect::<Vec<_>>()
    };
    assert_eq!(index.iter().cloned().collect::<Vec<_>>(), search(&|_| true));
    for (key, own) in known {
        assert_eq!(index.get(key), Some(own));
    }
    for of in NAMESPACES.map(namespace) {
        let found: Vec<_> = index.in_namespace(&of).cloned().collect();
        assert_eq!(found, search(&|one| one.policy.key.namespace == of));
        let expected = (!found.is_empty()).then(|| tenant(of.as_str()));
        assert_eq!(index.tenant(&of), expected.as_ref());
        for (name, n) in POLICIES.into_iter().zip(["0", "1"]) {
            let mut own = operation("own", Action::Rotate, "prod/a");
            own.key.namespace = of.clone();
            own.policy.name = key("any", name).name;
            own.policy.uid = Some(uid(&format!("{of}-{name}-{n}")));
            let belongs = |one: &BoundPolicy| {
                one.policy.key == own.policy_key()
                    && Some(&one.policy.uid) == own.policy.uid.as_ref()
            };
            assert_eq!(index.policy_of(&own), search(&belongs).first());
        }
    }
    for of in ["default", "other"].map(profile_name) {
        let found: Vec<_> = index.of_profile(&of).cloned().collect();
        assert_eq!(found, search(&|one| one.profile.name == of));
    }
    for text in ["prod/a", "prod/b", "test/é", "x"] {
        let name = secret_name(text);
        let admits = |item: &Matcher| {
            let prefix = item.name_prefix.as_deref().unwrap_or_default();
            item.names.contains(&name) || item.names.is_empty() && text.starts_with(prefix)
        };
        let found: Vec<_> = index.that_may_include(&name).cloned().collect();
        assert_eq!(
            found,
            search(&|one| one.policy.selector.include.iter().any(admits)),
            "{text}"
        );
    }
}

#[cfg(debug_assertions)]
mod cost {
    use fixtures::{cluster, function, observation, stuck, survey_after, with_value};
    use secret_rotation_core::block::BlockReason;
    use secret_rotation_core::names::FunctionArn;
    use secret_rotation_core::operation_index::take_visits;
    use secret_rotation_core::plan::{DeferredOperations, PlanInput, RegionGates};
    use secret_rotation_core::planner::{gate, plan};
    use secret_rotation_core::retention;
    use secret_rotation_core::secret::{Rotation, Secret};
    use secret_rotation_core::stability::StabilityTracker;

    use super::*;

    /// Of each policy: its own prefix and function, waiting operations, and secrets with ended ones.
    fn neighborhood(name: &str, waiting: usize, ended: usize) -> (BoundPolicy, Vec<Operation>) {
        let mut policy = fixtures::selecting(fixtures::policy(name), &format!("prod/{name}/"));
        policy.remediation.breaker.min_stuck = 100;
        let own = |n: usize, action| {
            let mut own = operation(
                &format!("{name}-{n}"),
                action,
                &format!("prod/{name}/{}", n % 50),
            );
            own.policy.name = policy.key.name.clone();
            own.policy.uid = Some(policy.uid.clone());
            own
        };
        let waits = (0..waiting).map(|n| own(n, Action::RetryRotation));
        let ended = (waiting..waiting + ended).map(|n| {
            let mut over = own(n, Action::RetryRotation);
            record_step(&mut over, Step::Rotate, ago(hours(40)), ResultKind::Applied);
            over.expect.pending = Some(version("earlier"));
            let outcome = Outcome::Succeeded {
                message: String::new(),
            };
            let mut over = fixtures::ended(over, ago(hours(40)), outcome);
            over.ended = Some(server(ago(hours(40))));
            over
        });
        let operations = waits.chain(ended).collect();
        (bound_policy(policy.clone()), operations)
    }

    fn stuck_on(name: &str, n: usize) -> Secret {
        let mut secret = stuck(&format!("prod/{name}/{n}"));
        if let Rotation::Enabled { function: own, .. } = &mut secret.rotation {
            *own = Some(function(name));
        }
        secret
    }

    struct Cluster {
        policies: PolicyIndex,
        operations: OperationIndex,
    }

    /// Returns a cluster of this number of policies, each with 10 waiting and 200 ended operations.
    fn cluster_of(policies: usize) -> Cluster {
        let names = (0..policies).map(|n| format!("p{n:03}"));
        let (mut bound_policies, mut all) = (PolicyIndex::default(), OperationIndex::default());
        for name in names {
            let (policy, operations) = neighborhood(&name, 10, 200);
            bound_policies.insert(&policy.into());
            for own in operations {
                let on = own.arn.clone().expect("a secret");
                all.insert(&own.into());
                let seen: FunctionArn = function(&name);
                all.record_function(&on, Some(&seen));
            }
        }
        Cluster {
            policies: bound_policies,
            operations: all,
        }
    }

    /// Returns the number of policies and operations that each decision about the first policy looks at.
    fn visits(mut cluster_of: Cluster) -> Vec<(&'static str, usize)> {
        let own = cluster_of
            .policies
            .get(&key("prod", "p000"))
            .cloned()
            .expect("known");
        let stuck: Vec<_> = (0..40)
            .map(|n| observation(stuck_on("p000", n), Some(with_value())))
            .collect();
        let survey = survey_after(&own, stuck, &[]);
        let (stability, deferred, gates) = (
            StabilityTracker::default(),
            DeferredOperations::default(),
            RegionGates::default(),
        );
        let id = cluster();
        let mut seen = Vec::new();
        take_visits();
        let input = PlanInput {
            own: &own,
            bound_policies: &cluster_of.policies,
            operations: &cluster_of.operations,
            region_gates: &gates,
            stability: &stability,
            deferred: &deferred,
            cluster: &id,
            now: now(),
        };
        let planned = plan(&survey, &input);
        let mut blocked = planned.blocked.values().map(|block| block.reason);
        assert!(
            blocked.any(|reason| reason == BlockReason::ConcurrencyLimit),
            "{planned}"
        );
        seen.push(("a plan", take_visits()));
        let waiting = cluster_of
            .operations
            .get(&key("prod", "p000-3"))
            .cloned()
            .expect("known");
        gate(&waiting, Some(&function("p000")), None, &input);
        seen.push(("a gate", take_visits()));
        let window = |one: &Operation| retention::window(one, |_| None, &cluster_of.policies);
        let _ = window(&waiting);
        seen.push(("the retention of one record", take_visits()));
        let mut begun = (*waiting).clone();
        record_step(
            &mut begun,
            Step::Rotate,
            ago(minutes(1)),
            ResultKind::Applied,
        );
        cluster_of.operations.insert(&begun.clone().into());
        seen.push(("a write of a status", take_visits()));
        cluster_of.operations.remove(&begun.key);
        seen.push(("a deletion", take_visits()));
        cluster_of.policies.insert(&own.clone().into());
        seen.push(("an event of a policy", take_visits()));
        seen
    }

    /// 100 policies have 1,000 waiting and 20,000 ended operations.
    #[test]
    fn a_decision_costs_the_same_in_a_large_cluster_as_in_a_small_one() {
        let alone = visits(cluster_of(1));
        assert!(alone.iter().any(|(_, visits)| *visits > 0));
        assert_eq!(visits(cluster_of(100)), alone);
    }
}
