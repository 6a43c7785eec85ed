//! `approve`: the decision of a person that an operation may run. `deny` shares it.

use std::process::ExitCode;

use clap::Args;
use secret_rotation_api::operation::{DecisionVerdict, SecretRotationOperation};
use serde_json::json;

use crate::CommandError;
use crate::app::App;
use crate::kubernetes::type_and_name;
use crate::ui::output;

/// Approve an operation that waits for a person.
#[derive(Args, Clone, Debug)]
pub struct ApproveArgs {
    /// Which operation, and why.
    #[command(flatten)]
    pub decision: DecisionArgs,
}

/// Arguments of a decision.
#[derive(Args, Clone, Debug)]
pub struct DecisionArgs {
    /// The operation.
    #[arg(value_name = "OPERATION")]
    pub name: String,

    /// Why, for the audit trail.
    #[arg(short, long, value_name = "TEXT")]
    pub message: String,
}

/// Approves an operation.
pub(crate) async fn run(app: &App, args: &ApproveArgs) -> Result<ExitCode, CommandError> {
    decide(app, &args.decision, DecisionVerdict::Approve).await
}

/// Records a decision under the name by which the API server knows the user, and lets the API server check whether this user
/// may decide.
pub(super) async fn decide(
    app: &App,
    args: &DecisionArgs,
    verdict: DecisionVerdict,
) -> Result<ExitCode, CommandError> {
    let cluster = app.cluster().await?;
    let operation: SecretRotationOperation = cluster.get(&args.name).await?;
    refuse_late(&operation, &args.name, cluster.namespace())?;
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
