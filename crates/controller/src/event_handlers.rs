//! Applies the events of the watches. [`triggers`](crate::triggers) knows the work that follows from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::Api;
use kube::api::PartialObjectMeta;
use kube::runtime::watcher::Event;
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_api::policy::SecretRotationPolicy;
use secret_rotation_api::profile::AWSAccessProfile;
use secret_rotation_core::names::{Namespace, ObjectKey, ProfileName, Uid};

use crate::context::Context;
use crate::kubernetes::watches;
use crate::metrics::WatchedKind;
use crate::store::{Change, Labels, OperationEntry};
use crate::triggers;

/// The operations as their watch showed them last.
type KnownOperations = BTreeMap<ObjectKey, Arc<OperationEntry>>;

/// Handles the events of policies, forever.
pub(crate) async fn handle_policies(context: Arc<Context>, namespaces: Vec<String>) {
    let mut stream = watches::merged(watches::namespaced::<SecretRotationPolicy>(
        &context.client,
        &namespaces,
        &context.identity,
    ));
    let mut known: BTreeMap<ObjectKey, (i64, Option<Uid>)> = BTreeMap::new();
    let mut watch_errors = WatchErrors::new(WatchedKind::SecretRotationPolicy);
    while let Some((number, event)) = stream.next().await {
        let Some(event) = watch_errors.record_error(&context, event) else {
            continue;
        };
        for change in context.store.apply_policy(number, event) {
            policy_changed(&context, &mut known, change);
        }
    }
}

/// Handles the events of operations, forever.
pub(crate) async fn handle_operations(context: Arc<Context>, namespaces: Vec<String>) {
    let mut stream = watches::merged(watches::namespaced::<SecretRotationOperation>(
        &context.client,
        &namespaces,
        &context.identity,
    ));
    let mut known = KnownOperations::new();
    let mut watch_errors = WatchErrors::new(WatchedKind::SecretRotationOperation);
    while let Some((number, event)) = stream.next().await {
        let Some(event) = watch_errors.record_error(&context, event) else {
            continue;
        };
        for change in context.apply_operation(number, event) {
            operation_changed(&context, &mut known, change);
        }
    }
}

/// Handles the events of profiles, forever.
pub(crate) async fn handle_profiles(context: Arc<Context>) {
    let api = Api::all(context.client.clone());
    let mut stream = watches::guarded::<AWSAccessProfile>(api, &context.identity);
    let mut known: BTreeMap<ProfileName, i64> = BTreeMap::new();
    let mut watch_errors = WatchErrors::new(WatchedKind::AwsAccessProfile);
    while let Some(event) = stream.next().await {
        let Some(event) = watch_errors.record_error(&context, event) else {
            continue;
        };
        for change in context.store.apply_profile(event) {
            profile_changed(&context, &mut known, change);
        }
    }
}

/// Handles the events of namespaces, forever. Only their labels matter.
pub(crate) async fn handle_namespaces(context: Arc<Context>) {
    let api: Api<PartialObjectMeta<NamespaceObject>> = Api::all(context.client.clone());
    let mut stream = watches::metadata(api, &context.identity);
    let mut known: BTreeMap<Namespace, Labels> = BTreeMap::new();
    let mut watch_errors = WatchErrors::new(WatchedKind::Namespace);
    while let Some(event) = stream.next().await {
        let Some(event) = watch_errors.record_error(&context, event) else {
            continue;
        };
        for change in context.store.apply_namespace(event) {
            namespace_changed(&context, &mut known, &change);
        }
    }
}

fn policy_changed(
    context: &Context,
    known: &mut BTreeMap<ObjectKey, (i64, Option<Uid>)>,
    change: Change<ObjectKey>,
) {
    match change {
        Change::Applied(key) => policy_applied(context, known, key),
        Change::Deleted(key) => policy_deleted(context, known, &key),
    }
}

/// Queues a policy that is new or changed. The echo of a status write queues nothing. A new generation also queues
/// the operations of the policy.
fn policy_applied(
    context: &Context,
    known: &mut BTreeMap<ObjectKey, (i64, Option<Uid>)>,
    key: ObjectKey,
) {
    let Some(entry) = context.store.policy(&key) else {
        return;
    };
    if let Err(why) = &entry.core {
        tracing::warn!(policy = %key, why, "policy cannot be parsed");
    }
    let uid = entry
        .core
        .as_ref()
        .ok()
        .map(|(policy, _)| policy.uid.clone());
    let before = known.insert(key.clone(), (entry.generation, uid.clone()));
    if before.as_ref() != Some(&(entry.generation, uid)) {
        context.metrics.expect_policy(&key);
        triggers::policy_changed(context, &key);
    }
    triggers::policy_seen(context, key, &entry);
}

fn policy_deleted(
    context: &Context,
    known: &mut BTreeMap<ObjectKey, (i64, Option<Uid>)>,
    key: &ObjectKey,
) {
    if let Some((_, Some(uid))) = known.remove(key) {
        context.evaluations.forget(&uid);
        context.written_statuses.forget(&uid);
        context.sweeps.forget(&uid);
    }
    context.queues.policies.forget(key);
    context.metrics.forget_policy(key);
    triggers::operations_of_policy(context, key);
}

fn operation_changed(context: &Context, known: &mut KnownOperations, change: Change<ObjectKey>) {
    match change {
        Change::Applied(key) => operation_applied(context, known, &key),
        Change::Deleted(key) => {
            context.queues.operations.forget(&key);
            context.look_failures.forget(&key);
            if let Some(removed) = known.remove(&key) {
                triggers::operation_deleted(context, &key, &removed);
            }
        }
    }
}

/// Queues an operation that is new or changed. Its policy is evaluated again when the operation appears, begins or
/// ends, but not at each step.
fn operation_applied(context: &Context, known: &mut KnownOperations, key: &ObjectKey) {
    let Some(entry) = context.store.operation(key) else {
        return;
    };
    if let Err(why) = &entry.core {
        tracing::warn!(operation = %key, why, "operation cannot be parsed");
    }
    triggers::operation_seen(context, key, &entry);
    let before = known.insert(key.clone(), Arc::clone(&entry));
    if before.is_none_or(|before| before.stage() != entry.stage()) {
        triggers::operation_moved(context, key, &entry);
    }
}

fn profile_changed(
    context: &Context,
    known: &mut BTreeMap<ProfileName, i64>,
    change: Change<ProfileName>,
) {
    match change {
        Change::Applied(name) => profile_applied(context, known, &name),
        Change::Deleted(name) => {
            known.remove(&name);
            context.queues.profiles.forget(&name);
            context.published_statuses.forget(&name);
            context.queues.rotation_events.forget(&name);
            triggers::policies_of_profile(context, &name);
        }
    }
}

fn profile_applied(context: &Context, known: &mut BTreeMap<ProfileName, i64>, name: &ProfileName) {
    let Some(entry) = context.store.profile(name) else {
        return;
    };
    if known.insert(name.clone(), entry.generation) != Some(entry.generation) {
        triggers::profile_changed(context, name);
    }
    triggers::profile_seen(context, name, &entry);
}

/// Labels decide whether a namespace is admitted. Operations that may no longer act there block no others. Other
/// metadata is ignored.
fn namespace_changed(
    context: &Context,
    known: &mut BTreeMap<Namespace, Labels>,
    change: &Change<Namespace>,
) {
    let (Change::Applied(name) | Change::Deleted(name)) = change;
    let labels = context.store.tenant(name).labels;
    let before = match change {
        Change::Applied(_) => known.insert(name.clone(), labels.clone()),
        Change::Deleted(_) => known.remove(name),
    };
    if before.as_ref() == Some(&labels) {
        return;
    }
    triggers::namespace_changed(context, name);
}

/// Counts the errors of a watch, and logs when they begin and when they are over.
struct WatchErrors {
    kind: WatchedKind,
    lasting: bool,
}

impl WatchErrors {
    const fn new(kind: WatchedKind) -> Self {
        Self {
            kind,
            lasting: false,
        }
    }

    fn record_error<K>(
        &mut self,
        context: &Context,
        event: Result<Event<K>, watches::Error>,
    ) -> Option<Event<K>> {
        match event {
            Ok(event) => {
                // The beginning of a list proves nothing. A list that has returned objects does.
                if self.lasting && !matches!(event, Event::Init) {
                    self.lasting = false;
                    tracing::info!(kind = self.kind.name(), "watch recovered");
                }
                Some(event)
            }
            Err(error) => {
                context.metrics.watch_failed(self.kind);
                if !self.lasting {
                    self.lasting = true;
                    tracing::warn!(
                        kind = self.kind.name(),
                        error = short(&error),
                        "watch interrupted"
                    );
                }
                None
            }
        }
    }
}

/// Returns the beginning of the error: `Display` of an API error prints a whole Status.
fn short(error: &watches::Error) -> String {
    error
        .to_string()
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use fixtures::{condition, key, merged, operation_resource, policy_resource, resource};
    use kube::core::DeserializeGuard;
    use secret_rotation_core::names::Arn;
    #[cfg(debug_assertions)]
    use secret_rotation_core::operation_index::take_visits;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing;

    /// What happens, how it is caused, and which operations are evaluated again.
    type Row = (&'static str, fn(&mut Stage), &'static [&'static str]);

    /// Every row is a change, and the operations that are evaluated again because of it. Of the first policy, `a`
    /// waits, `b` is in progress and `c` has acted. `d` of the second policy waits on the secret of `b`, and `e` of a
    /// policy in another namespace on its own secret.
    #[tokio::test]
    async fn an_operation_is_queued_when_what_it_waits_for_happens() {
        let rows: [Row; 15] = [
            (
                "a decision",
                |s| {
                    s.operation(
                        "a",
                        "first",
                        &json!({"spec": {"decision": {"verdict": "Approve", "by": "bob"}}}),
                    );
                },
                &["a"],
            ),
            (
                "the deletion of an operation",
                |s| {
                    s.operation(
                        "b",
                        "first",
                        &merged(at_work(), &json!({"metadata": {"deletionTimestamp": TIME}})),
                    );
                },
                &["b"],
            ),
            (
                "a step of one at work",
                |s| s.operation("b", "first", &settled()),
                &["b"],
            ),
            (
                "a slot that is taken",
                |s| s.operation("a", "first", &at_work()),
                &["a", "b", "d", "e"],
            ),
            (
                "a slot that is freed",
                |s| s.operation("b", "first", &ended()),
                &["a", "d", "e"],
            ),
            (
                "a record that goes",
                |s| s.no_operation("c"),
                &["a", "b", "d", "e"],
            ),
            (
                "an echo of a policy",
                |s| s.policy("team", "first", 1, &json!({})),
                &[],
            ),
            (
                "a suspension, or its end",
                |s| s.policy("team", "first", 2, &json!({})),
                &["a", "b", "c", "d", "e"],
            ),
            (
                "the deletion of a policy",
                |s| {
                    s.policy(
                        "team",
                        "second",
                        2,
                        &json!({"metadata": {"deletionTimestamp": TIME}}),
                    );
                },
                &["a", "b", "d", "e"],
            ),
            (
                "a policy that is gone",
                |s| s.no_policy("first"),
                &["a", "b", "c"],
            ),
            ("an echo of a profile", |s| s.profile(1), &[]),
            (
                "a change of a profile",
                |s| s.profile(2),
                &["a", "b", "c", "d", "e"],
            ),
            (
                "an annotation of a namespace",
                |s| s.namespace("team", "prod"),
                &[],
            ),
            (
                "a label of a namespace",
                |s| s.namespace("elsewhere", "test"),
                &["a", "b", "d", "e"],
            ),
            (
                "a evaluation",
                |s| triggers::operations_of_policy(&s.context, &key("elsewhere", "third")),
                &["e"],
            ),
        ];
        for (what, change, expected) in rows {
            let mut stage = Stage::new();
            change(&mut stage);
            let woken = stage.context.queues.operations.due().into_keys();
            let woken: BTreeSet<_> = woken.map(|key| key.name.as_str().to_owned()).collect();
            let expected: BTreeSet<_> = expected.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(woken, expected, "{what}");
        }
    }

    /// Each event looks up as many operations and policies as the same event in a cluster without the others, and
    /// wakes no other one.
    #[cfg(debug_assertions)]
    #[tokio::test]
    async fn an_event_costs_the_same_in_a_large_cluster_as_in_a_small_one() {
        type Change = fn(&mut Stage);
        let changes: [(&str, Change); 5] = [
            ("it begins", |s| s.operation("a", "first", &at_work())),
            ("it ends", |s| s.operation("b", "first", &ended())),
            ("it is deleted", |s| s.no_operation("c")),
            ("it is new", |s| s.operation("new", "first", &json!({}))),
            ("its policy changes", |s| {
                s.policy("team", "first", 2, &json!({}));
            }),
        ];
        let cost = |strangers: usize, change: fn(&mut Stage)| {
            let mut stage = Stage::new();
            for policy in 0..strangers {
                let policy = format!("stranger-{policy}");
                stage.policy("team", &policy, 1, &json!({}));
                for n in 0..20 {
                    let more = if n < 5 { json!({}) } else { ended() };
                    stage.operation(&format!("{policy}-{n}"), &policy, &more);
                }
            }
            stage.context.clear_queues();
            take_visits();
            change(&mut stage);
            let queued: Vec<_> = stage.context.queues.operations.due().into_keys().collect();
            (take_visits(), queued)
        };
        for (what, change) in changes {
            let alone = cost(0, change);
            assert!(alone.0 > 0 && !alone.1.is_empty(), "{what}");
            assert_eq!(cost(50, change), alone, "{what}");
        }
    }

    const TIME: &str = "2026-11-23T10:00:00Z";

    struct Stage {
        context: Context,
        policies: BTreeMap<ObjectKey, (i64, Option<Uid>)>,
        operations: KnownOperations,
        profiles: BTreeMap<ProfileName, i64>,
        namespaces: BTreeMap<Namespace, Labels>,
        version: u64,
    }

    impl Stage {
        fn new() -> Self {
            let mut stage = Self {
                context: testing::context(),
                policies: BTreeMap::new(),
                operations: BTreeMap::new(),
                profiles: BTreeMap::new(),
                namespaces: BTreeMap::new(),
                version: 100,
            };
            stage.namespace("team", "prod");
            stage.namespace("elsewhere", "prod");
            stage.profile(1);
            for (namespace, name) in [
                ("team", "first"),
                ("team", "second"),
                ("elsewhere", "third"),
            ] {
                stage.policy(namespace, name, 1, &json!({}));
            }
            for (name, policy, more) in [
                ("a", "first", json!({})),
                ("b", "first", at_work()),
                ("c", "first", cleared()),
                ("d", "second", json!({})),
                ("e", "third", json!({})),
            ] {
                stage.operation(name, policy, &more);
            }
            stage.context.clear_queues();
            stage
        }

        /// Returns the metadata of another version of an object.
        fn meta(&mut self, name: &str, generation: i64) -> Value {
            self.version += 1;
            json!({"metadata": {
                "uid": name, "generation": generation, "resourceVersion": self.version.to_string(),
                "creationTimestamp": "2026-11-23T09:00:00Z",
            }})
        }

        fn policy(&mut self, namespace: &str, name: &str, generation: i64, more: &Value) {
            let object = policy_resource(namespace, name, "app/");
            let object = merged(object, &self.meta(name, generation));
            let event = Event::Apply(read(merged(object, more)));
            for change in self.context.store.apply_policy(0, event) {
                policy_changed(&self.context, &mut self.policies, change);
            }
        }

        fn no_policy(&mut self, name: &str) {
            let object = policy_resource("team", name, "app/");
            let object = merged(object, &self.meta(name, 1));
            for change in self
                .context
                .store
                .apply_policy(0, Event::Delete(read(object)))
            {
                policy_changed(&self.context, &mut self.policies, change);
            }
        }

        fn operation(&mut self, name: &str, policy: &str, more: &Value) {
            let event = Event::Apply(read(self.operation_object(name, policy, more)));
            for change in self.apply_operation(event) {
                operation_changed(&self.context, &mut self.operations, change);
            }
        }

        fn no_operation(&mut self, name: &str) {
            let event = Event::Delete(read(self.operation_object(name, "first", &json!({}))));
            for change in self.apply_operation(event) {
                operation_changed(&self.context, &mut self.operations, change);
            }
        }

        /// All secrets but those of strangers have the same rotation function.
        fn apply_operation(
            &self,
            event: Event<DeserializeGuard<SecretRotationOperation>>,
        ) -> Vec<Change<ObjectKey>> {
            let function = |arn: &Arn| {
                let is_strange = arn.name().starts_with("app/stranger");
                (!is_strange).then(|| fixtures::function("shared"))
            };
            self.context.store.apply_operation(0, event, function)
        }

        fn operation_object(&mut self, name: &str, policy: &str, more: &Value) -> Value {
            let namespace = if policy == "third" {
                "elsewhere"
            } else {
                "team"
            };
            let secret = if name == "d" { "b" } else { name };
            let secret = format!("app/{secret}");
            let object = operation_resource(namespace, name, "ClearAndRotate", &secret);
            let of_policy = json!({"spec": {"policyRef": {"name": policy}}});
            let object = merged(merged(object, &of_policy), &self.meta(name, 1));
            merged(object, more)
        }

        fn profile(&mut self, generation: i64) {
            let spec = json!({"regions": ["eu-west-1"], "allowedNamespaces": {"names": ["*"]}});
            let object = resource("AWSAccessProfile", "", "default", &spec);
            let object = merged(object, &self.meta("default", generation));
            for change in self.context.store.apply_profile(Event::Apply(read(object))) {
                profile_changed(&self.context, &mut self.profiles, change);
            }
        }

        fn namespace(&mut self, name: &str, tier: &str) {
            let meta = self.meta(name, 1);
            let version = &meta["metadata"]["resourceVersion"];
            let changes = json!({"metadata": {
                "name": name, "labels": {"tier": tier}, "annotations": {"written": version},
            }});
            let object = merged(meta, &changes);
            let object = serde_json::from_value(object).expect("a namespace");
            for change in self.context.store.apply_namespace(Event::Apply(object)) {
                namespace_changed(&self.context, &mut self.namespaces, &change);
            }
        }
    }

    fn at_work() -> Value {
        json!({"status": {"steps": [{"name": "Pin", "versionId": "p", "tries": 1, "intentTime": TIME}]}})
    }

    fn settled() -> Value {
        let result = json!({"resultTime": TIME, "result": "Applied"});
        json!({"status": {"steps": [merged(at_work()["status"]["steps"][0].clone(), &result)]}})
    }

    fn cleared() -> Value {
        json!({"status": {
            "baseline": {"pendingValue": "None", "functionArn": fixtures::function("shared").as_str()},
            "steps": [{"name": "Clear", "versionId": "p", "tries": 1, "intentTime": TIME, "resultTime": TIME, "result": "Applied"}],
        }})
    }

    fn ended() -> Value {
        let failed = |kind: &str, status: &str| condition(kind, status, "Superseded", "");
        let conditions = json!([failed("Complete", "False"), failed("Failed", "True")]);
        merged(
            settled(),
            &json!({"status": {"conditions": conditions, "completionTime": TIME}}),
        )
    }

    fn read<K: serde::de::DeserializeOwned>(object: Value) -> DeserializeGuard<K> {
        DeserializeGuard(Ok(serde_json::from_value(object).expect("an object")))
    }
}
