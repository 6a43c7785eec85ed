//! `approve`: records that an operation may run. `deny` shares it.

use std::process::ExitCode;

use clap::Args;
use secret_rotation_api::operation::{DecisionVerdict, SecretRotationOperation};
use serde_json::json;

use crate::CommandError;
use crate::app::App;
use crate::kubernetes::type_and_name;
use crate::ui::output;

/// Approve an operation that waits for approval.
#[derive(Args, Clone, Debug)]
pub struct ApproveArgs {
    /// The operation and the reason.
    #[command(flatten)]
    pub decision: DecisionArgs,
}

/// Arguments of a decision.
#[derive(Args, Clone, Debug)]
pub struct DecisionArgs {
    /// Operation to decide on.
    #[arg(value_name = "OPERATION")]
    pub name: String,

    /// Reason for the audit trail.
    #[arg(short, long, value_name = "TEXT")]
    pub message: String,
}

/// Approves an operation.
pub(crate) async fn run(app: &App, args: &ApproveArgs) -> Result<ExitCode, CommandError> {
    decide(app, &args.decision, DecisionVerdict::Approve).await
}

/// Records a decision with the user name that the API server reports. An admission policy checks whether the user may
/// decide.
pub(super) async fn decide(
    app: &App,
    args: &DecisionArgs,
    verdict: DecisionVerdict,
) -> Result<ExitCode, CommandError> {
    let cluster = app.cluster().await?;
    let operation: SecretRotationOperation = cluster.get(&args.name).await?;
    reject_late(&operation, &args.name, cluster.namespace())?;
    let by = cluster.whoami().await?;
    let decision = json!({"verdict": verdict, "by": by, "message": args.message});
    cluster
        .patch::<SecretRotationOperation>(&args.name, &json!({"spec": {"decision": decision}}))
        .await?;
    let verb = match verdict {
        DecisionVerdict::Approve => "approved",
        DecisionVerdict::Deny => "denied",
    };
    let name = type_and_name::<SecretRotationOperation>(&args.name);
    output::print(&format!("{name} {verb}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Rejects a second decision, and a decision about an operation that has ended.
fn reject_late(
    operation: &SecretRotationOperation,
    name: &str,
    namespace: &str,
) -> Result<(), CommandError> {
    if let Some(decision) = &operation.spec.decision {
        let said = format!(
            "{} has already decided about operation {name}: {:?}",
            decision.by, decision.verdict
        );
        return Err(CommandError::new(said)
            .with_hint("a decision cannot be changed; create another operation"));
    }
    if operation.succeeded().is_some() {
        let said = format!("operation {name} has already ended: {}", operation.phase());
        return Err(CommandError::new(said).with_hint(format!(
            "kubectl secret-rotation describe sro/{name} -n {namespace}"
        )));
    }
    Ok(())
}
