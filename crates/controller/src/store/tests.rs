//! After any sequence of events, writes and lists, the indexes hold what a search through all objects finds.

use std::collections::{BTreeMap, BTreeSet};

use fixtures::{arn, condition, function, key, merged, operation_resource, profile_name, resource};
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::watcher::Event;
use proptest::prelude::*;
use proptest::sample::select;
use secret_rotation_core::names::{Arn, FunctionArn, ObjectKey};
use secret_rotation_core::operation::Operation;
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::time::ServerTime;
use serde_json::{Value, json};

use super::entry::{OperationEntry, PolicyEntry, ProfileEntry};
use super::state::State;

const NAMESPACES: [&str; 2] = ["a", "b"];
const NAMES: [&str; 3] = ["one", "two", "three"];
const PROFILES: [&str; 2] = ["default", "other"];
const SECRETS: [&str; 2] = ["app/x", "app/y"];
const TIME: &str = "2026-11-23T10:00:00Z";

/// How a state of an object becomes known.
#[derive(Clone, Copy, Debug)]
enum Source {
    Watch,
    /// The watch shows a state that is older than the known one.
    LateWatch,
    OwnWrite,
    Deletion,
}

#[derive(Clone, Debug)]
enum Happening {
    Operation(Source, (usize, usize), Value),
    Policy(Source, (usize, usize), Value),
    Profile(bool, usize, Value),
    Namespace(bool, usize, u8),
    /// A new list of one namespace, in which only some objects are left.
    Relist(usize, bool, BTreeSet<usize>),
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        4 => Just(Source::Watch),
        1 => Just(Source::LateWatch),
        3 => Just(Source::OwnWrite),
        1 => Just(Source::Deletion),
    ]
}

fn place() -> impl Strategy<Value = (usize, usize)> {
    (0..NAMESPACES.len(), 0..NAMES.len())
}

fn any_operation() -> impl Strategy<Value = Value> {
    let stage = select(vec![
        "waiting",
        "begun",
        "ended",
        "unparsed",
        "unparsed and ended",
    ]);
    let action = select(&["Rotate", "ClearPending"]);
    (stage, action, select(&NAMES), select(&SECRETS)).prop_map(|(stage, action, policy, secret)| {
        let steps = json!([{"name": "Pin", "versionId": "p", "tries": 1, "intentTime": TIME}]);
        let over = [("Complete", "False"), ("Failed", "True")];
        let over = over.map(|(kind, status)| condition(kind, status, "Superseded", ""));
        let over = json!({"conditions": over, "completionTime": TIME});
        let spec = json!({
            "action": action, "policyRef": {"name": policy}, "secret": {"arn": arn(secret).as_str()},
        });
        let more = match stage {
            "begun" => json!({"status": {"steps": steps}}),
            "ended" => json!({"status": over}),
            "unparsed" => json!({"spec": {"deadline": "soon"}}),
            "unparsed and ended" => json!({"spec": {"deadline": "soon"}, "status": over}),
            _ => json!({}),
        };
        merged(json!({"spec": spec}), &more)
    })
}

fn any_policy() -> impl Strategy<Value = Value> {
    let prefix = select(&["app/", "other/"]);
    let window = select(&["24h", "not a duration"]);
    (select(&PROFILES), prefix, window).prop_map(|(profile, prefix, window)| {
        json!({"spec": {
            "profileRef": {"name": profile},
            "selector": {"include": [{"namePrefix": prefix}]},
            "remediation": {"limits": {"attemptWindow": window}},
        }})
    })
}

fn happening() -> impl Strategy<Value = Happening> {
    let profile = select(&["5m", "not a duration"]);
    let left = prop::collection::btree_set(0..NAMES.len(), 0..NAMES.len());
    prop_oneof![
        6 => (source(), place(), any_operation()).prop_map(|(source, place, more)| Happening::Operation(source, place, more)),
        4 => (source(), place(), any_policy()).prop_map(|(source, place, more)| Happening::Policy(source, place, more)),
        2 => (any::<bool>(), 0..PROFILES.len(), profile).prop_map(|(exists, n, interval)| {
            Happening::Profile(exists, n, json!({"spec": {"minCheckInterval": interval}}))
        }),
        2 => (any::<bool>(), 0..NAMESPACES.len(), 0..3_u8).prop_map(|(exists, n, tier)| Happening::Namespace(exists, n, tier)),
        1 => (0..NAMESPACES.len(), any::<bool>(), left).prop_map(|(n, operations, left)| Happening::Relist(n, operations, left)),
    ]
}

/// The store, and the objects as the API server has them.
struct Cluster {
    state: State,
    version: u64,
    operations: BTreeMap<(usize, usize), Value>,
    policies: BTreeMap<(usize, usize), Value>,
}

impl Cluster {
    fn new() -> Self {
        Self {
            state: State::new(),
            version: 100,
            operations: BTreeMap::new(),
            policies: BTreeMap::new(),
        }
    }

    fn meta(&mut self, name: &str, source: Source) -> Value {
        self.version += 1;
        let version = match source {
            Source::LateWatch => 50,
            Source::Watch | Source::OwnWrite | Source::Deletion => self.version,
        };
        json!({"metadata": {
            "uid": format!("uid-{name}"), "generation": 1, "creationTimestamp": TIME,
            "resourceVersion": version.to_string(),
        }})
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Operation(source, at, more) => {
                let (of, name) = (NAMESPACES[at.0], NAMES[at.1]);
                let object = operation_resource(of, name, "Rotate", "app/x");
                let object = merged(merged(object, &self.meta(name, source)), &more);
                if let Source::OwnWrite = source {
                    if let Some(observed) = OperationEntry::observed(&read(&object)) {
                        self.state.insert_operation(observed, seen);
                    }
                } else if let Source::Deletion = source {
                    self.operations.remove(&at);
                    self.state
                        .apply_operation(at.0, Event::Delete(read(&object)), seen);
                } else {
                    self.operations.insert(at, object.clone());
                    self.state
                        .apply_operation(at.0, Event::Apply(read(&object)), seen);
                }
            }
            Happening::Policy(source, at, more) => {
                let (of, name) = (NAMESPACES[at.0], NAMES[at.1]);
                let object = resource("SecretRotationPolicy", of, name, &json!({}));
                let object = merged(merged(object, &self.meta(name, source)), &more);
                if let Source::OwnWrite = source {
                    if let Some(observed) = PolicyEntry::observed(&read(&object)) {
                        self.state.insert_policy(observed);
                    }
                } else if let Source::Deletion = source {
                    self.policies.remove(&at);
                    self.state.apply_policy(at.0, Event::Delete(read(&object)));
                } else {
                    self.policies.insert(at, object.clone());
                    self.state.apply_policy(at.0, Event::Apply(read(&object)));
                }
            }
            Happening::Profile(exists, n, more) => {
                let spec = json!({"regions": ["eu-west-1"], "allowedNamespaces": {"names": ["*"]}});
                let object = resource("AWSAccessProfile", "", PROFILES[n], &spec);
                let object = merged(
                    merged(object, &self.meta(PROFILES[n], Source::Watch)),
                    &more,
                );
                let object = read(&object);
                let event = if exists {
                    Event::Apply(object)
                } else {
                    Event::Delete(object)
                };
                self.state.apply_profile(event);
            }
            Happening::Namespace(exists, n, tier) => {
                let meta = self.meta(NAMESPACES[n], Source::Watch);
                let labels = json!({"metadata": {"name": NAMESPACES[n], "labels": {"tier": tier.to_string()}}});
                let object = serde_json::from_value(merged(meta, &labels)).expect("a namespace");
                let event = if exists {
                    Event::Apply(object)
                } else {
                    Event::Delete(object)
                };
                self.state.apply_namespace(event);
            }
            Happening::Relist(n, true, left) => {
                self.operations
                    .retain(|(of, name), _| *of != n || left.contains(name));
                for event in relisted(&self.operations, n) {
                    self.state.apply_operation(n, event, seen);
                }
            }
            Happening::Relist(n, false, left) => {
                self.policies
                    .retain(|(of, name), _| *of != n || left.contains(name));
                for event in relisted(&self.policies, n) {
                    self.state.apply_policy(n, event);
                }
            }
        }
    }

    fn compare(&self) {
        self.compare_operations();
        self.compare_unparsed();
        self.compare_policies();
    }

    fn compare_operations(&self) {
        let all = self
            .state
            .operations
            .iter()
            .filter_map(|(_, entry)| entry.parsed());
        let all: Vec<_> = all.collect();
        let search = |wanted: &dyn Fn(&Operation) -> bool| {
            let found = all.iter().filter(|one| wanted(one));
            found.map(|one| (**one).clone()).collect::<Vec<_>>()
        };
        let index = &self.state.snapshot.operations;
        for on in SECRETS.map(arn) {
            let found: Vec<_> = index.on_secret(&on).cloned().collect();
            assert_eq!(found, search(&|one| one.arn.as_ref() == Some(&on)));
            let rotates = |one: &Operation| {
                one.arn.as_ref() == Some(&on) && one.action.rotates() && !one.is_finished()
            };
            let on = seen(&on).expect("every secret has one");
            assert_eq!(
                index.on_function(&on).cloned().collect::<Vec<_>>(),
                search(&rotates)
            );
        }
        for policy in NAMESPACES
            .iter()
            .flat_map(|of| NAMES.map(|name| key(of, name)))
        {
            let found: Vec<_> = index.of_policy(&policy).cloned().collect();
            assert_eq!(
                found,
                search(&|one| one.policy_key() == policy && !one.is_finished())
            );
        }
        let found = index.expired(at_last()).count();
        assert_eq!(found, search(&|one| one.ended.is_some()).len());
    }

    fn compare_unparsed(&self) {
        let all = self
            .state
            .operations
            .iter()
            .filter(|(_, entry)| entry.core.is_err());
        let (ended, unfinished): (Vec<_>, Vec<_>) =
            all.partition(|(_, entry)| entry.unread.is_some());
        let unparsed = &self.state.unparsed;
        let found: BTreeSet<_> = unparsed.unfinished().collect();
        assert_eq!(found, unfinished.iter().map(|(key, _)| *key).collect());
        for policy in NAMESPACES
            .iter()
            .flat_map(|of| NAMES.map(|name| key(of, name)))
        {
            let names = |(key, entry): &&(&ObjectKey, &std::sync::Arc<OperationEntry>)| {
                key.namespace == policy.namespace && entry.policy.as_ref() == Some(&policy.name)
            };
            let expected: BTreeSet<_> = unfinished
                .iter()
                .filter(names)
                .map(|(key, _)| *key)
                .collect();
            assert_eq!(
                unparsed.of_policy(&policy).collect::<BTreeSet<_>>(),
                expected
            );
        }
        let expired = unparsed.expired(at_last()).into_iter().map(|(key, _)| key);
        let expected = ended.iter().map(|(key, _)| (*key).clone());
        assert_eq!(expired.collect::<BTreeSet<_>>(), expected.collect());
    }

    fn compare_policies(&self) {
        let state = &self.state;
        let entries = state.policies.iter().map(|(_, entry)| entry);
        let parsed: Vec<_> = entries
            .filter_map(|entry| entry.core.as_ref().ok())
            .map(|(policy, _)| policy)
            .collect();
        let bound = parsed.iter().filter_map(|policy| {
            let profile = state.profiles.get(&policy.profile)?;
            Some(BoundPolicy {
                tenant: state.tenant(&policy.key.namespace),
                profile: profile.core.as_ref().ok()?.clone(),
                policy: (*policy).clone(),
            })
        });
        let found: Vec<_> = state.snapshot.bound_policies.iter().cloned().collect();
        assert_eq!(found, bound.collect::<Vec<_>>());
        for profile in PROFILES.map(profile_name) {
            let naming = parsed.iter().filter(|policy| policy.profile == profile);
            let expected: Vec<_> = naming.map(|policy| &policy.key).collect();
            assert_eq!(state.policies_of(&profile).collect::<Vec<_>>(), expected);
        }
    }
}

/// Returns the events of a new list of one namespace.
fn relisted<K: serde::de::DeserializeOwned>(
    objects: &BTreeMap<(usize, usize), Value>,
    of: usize,
) -> Vec<Event<DeserializeGuard<K>>> {
    let here = objects
        .iter()
        .filter(|((namespace, _), _)| *namespace == of);
    let listed = here.map(|(_, object)| Event::InitApply(read(object)));
    let listed: Vec<_> = listed.collect();
    let all = [Event::Init].into_iter().chain(listed);
    all.chain([Event::InitDone]).collect()
}

/// The rotation function of a secret, as the sweeps see it.
#[expect(clippy::unnecessary_wraps, reason = "a sweep may see no function")]
fn seen(on: &Arn) -> Option<FunctionArn> {
    Some(function(on.name()))
}

/// A time at which every record has expired.
fn at_last() -> ServerTime {
    ServerTime::new("2030-01-01T00:00:00Z".parse().expect("a time"))
}

/// Decodes an object as the watch does: what does not match the CRD keeps its metadata.
fn read<K: serde::de::DeserializeOwned>(object: &Value) -> DeserializeGuard<K> {
    DeserializeGuard(
        serde_json::from_value(object.clone()).map_err(|error| InvalidObject {
            error: error.to_string(),
            metadata: serde_json::from_value(object["metadata"].clone()).expect("metadata"),
        }),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_indexes_equal_a_search(happenings in prop::collection::vec(happening(), 1..40)) {
        let mut cluster = Cluster::new();
        for happening in happenings {
            cluster.happen(happening);
            cluster.compare();
        }
    }
}

/// Otherwise the sequences above would not reach what they compare.
#[test]
fn the_objects_of_the_sequences_are_parsed_or_not_as_they_should_be() {
    let profile = |interval: &str| {
        let spec = json!({"regions": ["eu-west-1"], "allowedNamespaces": {"names": ["*"]}, "minCheckInterval": interval});
        let mut object = resource("AWSAccessProfile", "", "default", &spec);
        object["metadata"]["uid"] = json!("uid");
        let observed = ProfileEntry::observed(&read(&object)).expect("a name");
        observed.value.core.is_ok()
    };
    assert_eq!((profile("5m"), profile("not a duration")), (true, false));
    let policy = |window: &str| {
        let spec = json!({
            "profileRef": {"name": "default"}, "selector": {"include": [{"namePrefix": "app/"}]},
            "remediation": {"limits": {"attemptWindow": window}},
        });
        let meta = Cluster::new().meta("one", Source::Watch);
        let object = merged(resource("SecretRotationPolicy", "a", "one", &spec), &meta);
        let observed = PolicyEntry::observed(&read(&object)).expect("a name");
        observed.value.core.is_ok()
    };
    assert_eq!((policy("24h"), policy("not a duration")), (true, false));
}
