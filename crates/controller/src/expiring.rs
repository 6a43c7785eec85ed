//! Deletes the records of operations that ended long ago.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_core::clock::{AwsTime, ServerTime};
use secret_rotation_core::identity::Uid;
use secret_rotation_core::operation::Operation;
use secret_rotation_core::retention::deletable;

use crate::context::Context;
use crate::error::Error;
use crate::kubernetes::bounded;
use crate::sweeps;
use crate::world::{Facts, PolicyEntry, World};

/// Between two looks at all operations, which are in memory.
const INTERVAL: Duration = Duration::from_secs(15);

/// At one look, so that a long absence makes no storm.
const MAX_DELETED: usize = 100;

/// Attempts count for at least this long, whatever policies there are.
const SHORTEST_WINDOW: Duration = Duration::from_hours(24);

/// The longest window that the API admits: that of a policy that cannot be understood.
const LONGEST_WINDOW: Duration = Duration::from_hours(720);

/// Deletes what nobody needs any more, until the process is to end.
pub(crate) async fn run(context: Arc<Context>) {
    loop {
        tokio::select! {
            () = context.shutdown.begun() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        if context.tenure().is_ok() && context.world.missing().is_none() {
            once(&context).await;
        }
    }
}

async fn once(context: &Arc<Context>) {
    let facts = context.world.facts();
    let Ok(server_now) = context.server_time() else {
        return;
    };
    let now = aws_now(context, &facts, server_now);
    let window = longest_window(&context.world);
    let policies = known(&context.world);
    let old = deletable(&facts.operations, window, &policies, now, server_now);
    for operation in old.into_iter().take(MAX_DELETED) {
        match delete(context, operation).await {
            Ok(()) => tracing::info!(operation = %operation.key, "record of an operation deleted"),
            Err(Error::NotFound | Error::Conflict | Error::AlreadyExists) => {}
            Err(error) => {
                tracing::warn!(operation = %operation.key, %error, "record of an operation could not be deleted");
                return;
            }
        }
    }
}

async fn delete(context: &Context, operation: &Operation) -> Result<(), Error> {
    let Some(entry) = context.world.operation(&operation.key) else {
        return Ok(());
    };
    context.tenure()?;
    let api: Api<SecretRotationOperation> =
        Api::namespaced(context.client.clone(), operation.key.namespace.as_str());
    let unchanged = DeleteParams::default().preconditions(Preconditions {
        resource_version: Some(entry.resource_version.clone()),
        uid: Some(operation.uid.as_str().to_owned()),
    });
    bounded(api.delete(operation.key.name.as_str(), &unchanged))
        .await
        .map(drop)
}

fn known(world: &World) -> BTreeSet<Uid> {
    let policies = world.policies().into_iter();
    let uid = |(_, entry): (_, Arc<PolicyEntry>)| {
        let policy = entry.core.as_ref().ok();
        policy.map(|(policy, _)| policy.uid.clone())
    };
    policies.filter_map(uid).collect()
}

/// Over all policies, also those whose profile is missing just now.
fn longest_window(world: &World) -> Duration {
    let policies = world.policies().into_iter();
    let windows = policies.map(|(_, entry)| {
        let policy = entry.core.as_ref().map(|(policy, _)| policy);
        policy.map_or(LONGEST_WINDOW, |policy| policy.remediation.attempt_window)
    });
    windows.max().unwrap_or_default().max(SHORTEST_WINDOW)
}

/// The earliest time that AWS told any policy. Where it has told none, the API server's clock must do.
fn aws_now(context: &Context, facts: &Facts, server_now: ServerTime) -> AwsTime {
    let views = facts
        .claimants
        .iter()
        .map(|one| context.sweeps.view(&sweeps::places(one)));
    views
        .filter_map(|view| view.now)
        .min()
        .unwrap_or_else(|| AwsTime::new(server_now.timestamp()))
}

#[cfg(test)]
mod tests {
    use kube::core::DeserializeGuard;
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::*;

    /// There is no profile in this world, so no policy can act.
    #[test]
    fn records_are_kept_for_the_longest_window_of_any_policy_also_one_that_cannot_act() {
        let world = World::new(0);
        assert_eq!(longest_window(&world), SHORTEST_WINDOW);
        hear(&world, "far", &json!({"limits": {"attemptWindow": "300h"}}));
        hear(&world, "near", &json!({"limits": {"attemptWindow": "1h"}}));
        assert_eq!(longest_window(&world), Duration::from_hours(300));
        hear(
            &world,
            "odd",
            &json!({"backoff": {"initial": "4h", "max": "1h"}}),
        );
        assert_eq!(longest_window(&world), LONGEST_WINDOW);
        let known: Vec<_> = known(&world).iter().map(ToString::to_string).collect();
        assert_eq!(known, ["far", "near"]);
    }

    fn hear(world: &World, name: &str, remediation: &Value) {
        let policy = json!({
            "apiVersion": "secretrotation.dev/v1alpha1",
            "kind": "SecretRotationPolicy",
            "metadata": {"name": name, "namespace": "team", "uid": name, "creationTimestamp": "2026-11-01T00:00:00Z"},
            "spec": {"selector": {"include": [{"namePrefix": "team/"}]}, "remediation": remediation},
        });
        let policy = serde_json::from_value(policy).expect("a policy");
        world.hear_policy(0, Event::Apply(DeserializeGuard(Ok(policy))));
    }
}
