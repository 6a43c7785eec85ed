//! `approve` and `deny`: a person's decision about an operation that waits for one.

use std::process::ExitCode;

use clap::Args;
use secret_rotation_api::operation::SecretRotationOperation;
use serde_json::json;

use crate::CommandError;
use crate::kubernetes::ClusterOptions;
use crate::kubernetes::{Cluster, type_and_name};
use crate::ui::output;

/// Flags of `approve` and `deny`.
#[derive(Args, Clone, Debug)]
pub struct DecideArgs {
    /// The operation.
    #[arg(value_name = "OPERATION")]
    pub name: String,

    /// Why, for the audit trail.
    #[arg(short, long, value_name = "TEXT")]
    pub message: String,
}

/// Writes the decision down as the user that the API server knows. Whether they may decide, it judges.
pub(crate) async fn run(
    options: &ClusterOptions,
    arguments: &DecideArgs,
    approve: bool,
) -> Result<ExitCode, CommandError> {
    let cluster = Cluster::connect(options).await?;
    let operation: SecretRotationOperation = cluster.get(&arguments.name).await?;
    refuse_late(&operation, &arguments.name, cluster.namespace())?;
    let by = cluster.whoami().await?;
    let verdict = if approve { "Approve" } else { "Deny" };
    let decision = json!({"verdict": verdict, "by": by, "message": arguments.message});
    cluster
        .patch::<SecretRotationOperation>(&arguments.name, &json!({"spec": {"decision": decision}}))
        .await?;
    let verb = if approve { "approved" } else { "denied" };
    let name = type_and_name::<SecretRotationOperation>(&arguments.name);
    output::print(&format!("{name} {verb}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// A decision is made once, and before the end.
fn refuse_late(
    operation: &SecretRotationOperation,
    name: &str,
    namespace: &str,
) -> Result<(), CommandError> {
    if let Some(decision) = &operation.spec.decision {
        let said = format!(
            "{} has decided about operation {name} already: {:?}",
            decision.by, decision.verdict
        );
        return Err(
            CommandError::new(said).with_hint("a decision is made once; create another operation")
        );
    }
    if operation.succeeded().is_some() {
        let said = format!("operation {name} has ended as {}", operation.phase());
        return Err(CommandError::new(said).with_hint(format!(
            "kubectl secret-rotation describe sro/{name} -n {namespace}"
        )));
    }
    Ok(())
}
