//! `suspend` and `resume`: whether a policy stands still.

use std::process::ExitCode;

use clap::Args;
use secret_rotation_api::policy::SecretRotationPolicy;
use serde_json::json;

use crate::CommandError;
use crate::kubernetes::ClusterOptions;
use crate::kubernetes::{Cluster, type_and_name};
use crate::ui::output;

/// Flags of `suspend` and `resume`.
#[derive(Args, Clone, Debug)]
pub struct SuspendArgs {
    /// The policy.
    #[arg(value_name = "POLICY")]
    pub name: String,
}

/// Makes a policy stand still, or go on.
pub(crate) async fn run(
    options: &ClusterOptions,
    arguments: &SuspendArgs,
    suspend: bool,
) -> Result<ExitCode, CommandError> {
    let cluster = Cluster::connect(options).await?;
    let policy: SecretRotationPolicy = cluster.get(&arguments.name).await?;
    let verb = if suspend { "suspended" } else { "resumed" };
    let name = type_and_name::<SecretRotationPolicy>(&arguments.name);
    if policy.spec.suspend == suspend {
        output::print(&format!("{name} {verb} (no change)\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let change = json!({"spec": {"suspend": suspend}});
    cluster
        .patch::<SecretRotationPolicy>(&arguments.name, &change)
        .await?;
    output::print(&format!("{name} {verb}\n"))?;
    Ok(ExitCode::SUCCESS)
}
