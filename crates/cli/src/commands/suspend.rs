//! `suspend`: suspends a policy. `resume` shares it.

use std::process::ExitCode;

use clap::Args;
use secret_rotation_api::policy::SecretRotationPolicy;
use serde_json::json;

use crate::CommandError;
use crate::app::App;
use crate::kubernetes::type_and_name;
use crate::ui::output;

/// Suspend a policy: no checks run and no operation starts or continues.
#[derive(Args, Clone, Debug)]
pub struct SuspendArgs {
    /// Policy to suspend.
    #[arg(value_name = "POLICY")]
    pub name: String,
}

/// Suspends a policy.
pub(crate) async fn run(app: &App, args: &SuspendArgs) -> Result<ExitCode, CommandError> {
    set_suspended(app, &args.name, true).await
}

/// Suspends or resumes a policy.
pub(super) async fn set_suspended(
    app: &App,
    name: &str,
    suspend: bool,
) -> Result<ExitCode, CommandError> {
    let cluster = app.cluster().await?;
    let policy: SecretRotationPolicy = cluster.get(name).await?;
    let verb = if suspend { "suspended" } else { "resumed" };
    let title = type_and_name::<SecretRotationPolicy>(name);
    if policy.spec.suspend == suspend {
        output::print(&format!("{title} {verb} (no change)\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let change = json!({"spec": {"suspend": suspend}});
    cluster.patch::<SecretRotationPolicy>(name, &change).await?;
    output::print(&format!("{title} {verb}\n"))?;
    Ok(ExitCode::SUCCESS)
}
