//! Deletes the records of operations that ended long ago.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_api::policy::LONGEST_ATTEMPT_WINDOW;
use secret_rotation_core::names::{ObjectKey, Uid};
use secret_rotation_core::operation::Operation;
use secret_rotation_core::retention::{deletable, window};
use secret_rotation_core::time::{AwsTime, ServerTime};
use tokio::time::Instant;

use crate::clock;
use crate::context::Context;
use crate::error::Error;
use crate::kubernetes::with_call_timeout;
use crate::store::{Snapshot, Store};
use crate::sweep;

/// The time between two checks of all operations, which are in memory.
const INTERVAL: Duration = Duration::from_secs(15);

/// Maximum number of deletions per check, so that a long downtime does not cause a burst of requests.
const MAX_TRIED: usize = 100;

/// How long to leave a record alone whose deletion was refused.
const AFTER_REFUSAL: Duration = Duration::from_mins(10);

/// The longest attempt window that the API allows. It is used for a policy that cannot be parsed.
const LONGEST_WINDOW: Duration = Duration::from_secs(LONGEST_ATTEMPT_WINDOW);

/// Records whose deletion was refused, and until when they are left alone.
type Refused = BTreeMap<ObjectKey, Instant>;

/// Deletes records that are no longer needed, until the shutdown begins.
pub(crate) async fn run(context: Arc<Context>) {
    let mut refused = Refused::new();
    loop {
        tokio::select! {
            () = context.shutdown.begun() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        if context.claim().is_ok() && context.store.missing().is_none() {
            collect(&context, &mut refused).await;
        }
    }
}

async fn collect(context: &Arc<Context>, refused: &mut Refused) {
    let snapshot = context.store.snapshot();
    let Ok(server_now) = context.server_time() else {
        return;
    };
    let has_expired = snapshot.operations.expired(server_now).next().is_some();
    // What the sweeps of all policies know is gathered only if it decides something.
    let aws_now = if has_expired {
        earliest_aws_time(context, &snapshot, server_now)
    } else {
        AwsTime::new(server_now.timestamp())
    };
    let own = |policy: &ObjectKey| attempt_window(&context.store, policy);
    let window = |operation: &Operation| window(operation, own, &snapshot.bound_policies);
    let old = deletable(&snapshot.operations, window, aws_now, server_now);
    let old = old.into_iter().map(|old| (&old.key, &old.uid));
    let unread = context.store.expired_unparsed_operations(server_now);
    let unread = unread.iter().map(|(key, uid)| (key, uid));
    let old: Vec<_> = old.chain(unread).collect();
    delete_all(old, refused, |key, uid| delete(context, key, uid)).await;
}

/// Deletes all of them. A refusal of one does not stop the others.
async fn delete_all<'a, F>(
    old: Vec<(&'a ObjectKey, &'a Uid)>,
    refused: &mut Refused,
    delete: impl Fn(&'a ObjectKey, &'a Uid) -> F,
) where
    F: Future<Output = Result<(), Error>>,
{
    let now = clock::now();
    refused.retain(|key, _| old.iter().any(|(old, _)| *old == key));
    let mut due = old;
    due.retain(|(key, _)| refused.get(*key).is_none_or(|until| *until <= now));
    for (key, uid) in due.into_iter().take(MAX_TRIED) {
        match delete(key, uid).await {
            Ok(()) => tracing::info!(operation = %key, "record of an operation deleted"),
            Err(Error::NotFound | Error::Conflict | Error::AlreadyExists) => {}
            // Other deletions would fail in the same way now.
            Err(error @ (Error::Unreachable(_) | Error::ServerBusy(_) | Error::Stale(_))) => {
                tracing::debug!(operation = %key, %error, "deletion of records postponed");
                return;
            }
            Err(
                error @ (Error::Kubernetes { .. }
                | Error::Forbidden(_)
                | Error::Invalid(_)
                | Error::Aws(_)),
            ) => {
                if refused.insert(key.clone(), now + AFTER_REFUSAL).is_none() {
                    tracing::warn!(operation = %key, %error, "deletion of an operation record failed");
                }
            }
        }
    }
}

async fn delete(context: &Context, key: &ObjectKey, uid: &Uid) -> Result<(), Error> {
    let Some(entry) = context.store.operation(key) else {
        return Ok(());
    };
    context.claim()?;
    let api: Api<SecretRotationOperation> =
        Api::namespaced(context.client.clone(), key.namespace.as_str());
    let unchanged = DeleteParams::default().preconditions(Preconditions {
        resource_version: Some(entry.resource_version.clone()),
        uid: Some(uid.as_str().to_owned()),
    });
    with_call_timeout(api.delete(key.name.as_str(), &unchanged))
        .await
        .map(drop)
}

/// Returns the attempt window of a policy, even if its profile is missing.
fn attempt_window(store: &Store, policy: &ObjectKey) -> Option<Duration> {
    let entry = store.policy(policy)?;
    let policy = entry.core.as_ref().map(|(policy, _)| policy);
    Some(policy.map_or(LONGEST_WINDOW, |policy| policy.remediation.attempt_window))
}

/// Returns the earliest AWS time that any policy knows, or the time of the API server if there is none.
fn earliest_aws_time(context: &Context, snapshot: &Snapshot, server_now: ServerTime) -> AwsTime {
    let policies = snapshot.bound_policies.iter();
    policies
        .filter_map(|one| context.sweeps.aws_time(&sweep::profile_regions(one)))
        .min()
        .unwrap_or_else(|| AwsTime::new(server_now.timestamp()))
}

#[cfg(test)]
mod tests {
    use fixtures::{key, merged, policy_resource, stored};
    use kube::core::DeserializeGuard;
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::*;

    /// No profile exists here, so no policy can act.
    #[test]
    fn a_policy_has_a_window_even_if_it_cannot_act_or_be_parsed() {
        let store = Store::new(0);
        apply_policy(&store, "far", &json!({"limits": {"attemptWindow": "300h"}}));
        apply_policy(
            &store,
            "odd",
            &json!({"backoff": {"initial": "4h", "max": "1h"}}),
        );
        let of = |name| attempt_window(&store, &key("team", name));
        assert_eq!(of("far"), Some(Duration::from_hours(300)));
        assert_eq!(of("odd"), Some(LONGEST_WINDOW));
        assert_eq!(of("gone"), None);
    }

    /// As an admission policy in one namespace, or a Role without `delete`, would do.
    #[tokio::test(start_paused = true)]
    async fn records_are_deleted_although_deletions_of_others_are_refused() {
        let keys: Vec<_> = (0..150)
            .map(|n| key("team", &format!("bad-{n:03}")))
            .chain([key("team", "good")])
            .collect();
        let uid = fixtures::uid("uid");
        let (mut refused, tried) = (Refused::new(), std::cell::RefCell::new(Vec::new()));
        let mut look = async || {
            let old = keys.iter().map(|key| (key, &uid)).collect();
            tried.borrow_mut().clear();
            let delete = |key: &ObjectKey, _: &Uid| {
                tried.borrow_mut().push(key.name.to_string());
                let good = key.name.as_str() == "good";
                std::future::ready(if good { Ok(()) } else { Err(forbidden()) })
            };
            delete_all(old, &mut refused, delete).await;
            tried.borrow().clone()
        };
        assert_eq!(look().await.len(), MAX_TRIED);
        let second = look().await;
        assert_eq!(
            (second.len(), second.last()),
            (51, Some(&"good".to_owned()))
        );
        assert_eq!(look().await, ["good"]);
        tokio::time::advance(AFTER_REFUSAL).await;
        assert_eq!(look().await.len(), MAX_TRIED, "they are tried again");
    }

    #[tokio::test]
    async fn an_api_server_that_does_not_answer_is_asked_once() {
        let keys = ["a", "b"].map(|name| key("team", name));
        let uid = fixtures::uid("uid");
        let tried = std::cell::Cell::new(0);
        let delete = |_: &ObjectKey, _: &Uid| {
            tried.set(tried.get() + 1);
            std::future::ready(Err(Error::Unreachable("no answer in time".to_owned())))
        };
        let old = keys.iter().map(|key| (key, &uid)).collect();
        delete_all(old, &mut Refused::new(), delete).await;
        assert_eq!(tried.get(), 1);
    }

    fn forbidden() -> Error {
        Error::Kubernetes {
            code: 403,
            reason: "Forbidden".to_owned(),
        }
    }

    fn apply_policy(store: &Store, name: &str, remediation: &Value) {
        let policy = policy_resource("team", name, "team/");
        let changes = json!({"spec": {"remediation": remediation}});
        let policy = serde_json::from_value(merged(stored(policy), &changes)).expect("a policy");
        store.apply_policy(0, Event::Apply(DeserializeGuard(Ok(policy))));
    }
}
