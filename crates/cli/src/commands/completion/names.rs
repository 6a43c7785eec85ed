//! Names of resources for completion, from the cluster, within a short time limit.

use std::time::Duration;

use kube::ResourceExt as _;
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_api::policy::SecretRotationPolicy;
use secret_rotation_core::permit::Phase;
use tokio::time::timeout;

use crate::CommandError;
use crate::kubernetes::Cluster;
use crate::kubernetes::ClusterOptions;

/// The time limit: the user waits for the reaction to a key.
const LIMIT: Duration = Duration::from_secs(3);

/// Which names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Policies.
    Policies,
    /// Policies and operations.
    Everything,
    /// Operations that wait for approval.
    Undecided,
    /// Secrets that need attention.
    Secrets,
}

/// Returns names with their descriptions. Returns none on any error: a prompt is no place for error messages.
pub(super) fn fetch(options: &ClusterOptions, wanted: Wanted) -> Vec<(String, String)> {
    let options = options.clone();
    // A completion can start inside or outside a runtime; a new thread is always outside.
    let looking = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .ok()?;
        runtime.block_on(async { timeout(LIMIT, names(&options, wanted)).await.ok()?.ok() })
    });
    looking.join().ok().flatten().unwrap_or_default()
}

async fn names(
    options: &ClusterOptions,
    wanted: Wanted,
) -> Result<Vec<(String, String)>, CommandError> {
    let cluster = Cluster::connect(options).await?;
    let scope = Some(cluster.namespace());
    Ok(match wanted {
        Wanted::Policies => cluster.list(scope).await?.iter().map(of_policy).collect(),
        Wanted::Undecided => {
            let operations: Vec<SecretRotationOperation> = cluster.list(scope).await?;
            let waiting = operations.iter().filter(|one| {
                one.phase() == Phase::AwaitingApproval.name() && one.spec.decision.is_none()
            });
            waiting.map(of_operation).collect()
        }
        Wanted::Everything => {
            let policies: Vec<SecretRotationPolicy> = cluster.list(scope).await?;
            let operations: Vec<SecretRotationOperation> = cluster.list(scope).await?;
            let policies = policies.iter().map(of_policy);
            policies
                .chain(operations.iter().map(of_operation))
                .collect()
        }
        Wanted::Secrets => {
            let policies: Vec<SecretRotationPolicy> = cluster.list(scope).await?;
            let findings = policies
                .iter()
                .flat_map(|policy| policy.status.iter().flat_map(|status| &status.findings));
            let mut names: Vec<_> = findings
                .map(|finding| (finding.name.to_string(), finding.state.to_string()))
                .collect();
            names.sort();
            names.dedup_by(|a, b| a.0 == b.0);
            names
        }
    })
}

fn of_policy(policy: &SecretRotationPolicy) -> (String, String) {
    (policy.name_any(), format!("policy, {:?}", policy.spec.mode))
}

fn of_operation(operation: &SecretRotationOperation) -> (String, String) {
    let secret = operation
        .secret_and_region()
        .map_or_else(String::new, |(name, _)| format!(" of {name}"));
    let action = operation.spec.action.name();
    (
        operation.name_any(),
        format!("{action}{secret}, {}", operation.phase()),
    )
}
