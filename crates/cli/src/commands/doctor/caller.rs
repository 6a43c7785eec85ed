//! Checks the permissions of the user in the cluster, according to the API server.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use secret_rotation_api::GROUP;

use super::CheckResult;

/// A permission, and the commands that need it.
struct Need {
    verb: &'static str,
    resource: &'static str,
    commands: &'static str,
}

const NEEDS: [Need; 5] = [
    Need {
        verb: "list",
        resource: "secretrotationpolicies",
        commands: "status, describe",
    },
    Need {
        verb: "patch",
        resource: "secretrotationpolicies",
        commands: "check, suspend, resume",
    },
    Need {
        verb: "list",
        resource: "secretrotationoperations",
        commands: "history, describe",
    },
    Need {
        verb: "create",
        resource: "secretrotationoperations",
        commands: "rotate, clear, promote, undo, revert, restore",
    },
    Need {
        verb: "approve",
        resource: "secretrotationoperations",
        commands: "approve, deny",
    },
];

/// Checks each permission. A missing one is a warning: not everyone needs it.
pub(super) async fn check(client: &Client, namespace: &str) -> Vec<CheckResult> {
    let mut results = Vec::new();
    for need in &NEEDS {
        results.push(ask(client, namespace, need).await);
    }
    results
}

async fn ask(client: &Client, namespace: &str, need: &Need) -> CheckResult {
    let what = format!("you in {namespace}");
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(GROUP.to_owned()),
                resource: Some(need.resource.to_owned()),
                verb: Some(need.verb.to_owned()),
                namespace: Some(namespace.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = Api::<SelfSubjectAccessReview>::all(client.clone())
        .create(&PostParams::default(), &review)
        .await;
    let deed = format!("{} {} ({})", need.verb, need.resource, need.commands);
    match answer {
        Err(error) => CheckResult::unreadable(what, &error),
        Ok(answer) if answer.status.as_ref().is_some_and(|status| status.allowed) => {
            CheckResult::ok(what, format!("may {deed}"))
        }
        Ok(_) => CheckResult::warn(what, format!("may not {deed}"))
            .with_hint("ask an admin for a role with this verb if you need these commands"),
    }
}
