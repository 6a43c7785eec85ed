//! The request for a check of a policy.

use std::process::id;

use secret_rotation_api::CHECK_REQUESTED_ANNOTATION;
use secret_rotation_api::policy::{SecretRotationPolicy, SuspendedBy};
use serde_json::json;

use super::client::Cluster;
use crate::CommandError;

/// Requests a check. Returns the token that the status will repeat when the check is done.
///
/// # Errors
///
/// Returns an error if the policy does not exist or is suspended, or if the request fails.
pub(crate) async fn request_check(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
) -> Result<String, CommandError> {
    let api = cluster.within(namespace);
    let policy: SecretRotationPolicy = api.get(name).await?;
    if let Some(brake) = policy.suspended_by() {
        return Err(suspended(&policy, namespace, name, brake));
    }
    // The API server's time in nanoseconds and the process id make the token unique.
    let time = cluster.now().unwrap_or_default();
    let token = format!("{time}/{}", id());
    let change = json!({"metadata": {"annotations": {CHECK_REQUESTED_ANNOTATION: token}}});
    api.patch::<SecretRotationPolicy>(name, &change).await?;
    Ok(token)
}

/// Returns the error that the policy or its profile is suspended.
pub(crate) fn suspended(
    policy: &SecretRotationPolicy,
    namespace: &str,
    name: &str,
    brake: SuspendedBy,
) -> CommandError {
    let profile = &*policy.spec.profile_ref.name;
    match brake {
        SuspendedBy::Policy => {
            CommandError::new(format!("policy {name} is suspended: no checks run")).with_hint(
                format!("kubectl secret-rotation resume {name} -n {namespace}"),
            )
        }
        SuspendedBy::Profile => CommandError::new(format!(
            "AWSAccessProfile {profile} of policy {name} is suspended: no checks run"
        ))
        .with_hint(format!(
            "ask an admin to set spec.suspend of AWSAccessProfile {profile} to false"
        )),
    }
}
