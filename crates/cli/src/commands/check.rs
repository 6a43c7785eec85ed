//! `check`: requests a check of a policy, and can wait for its result.

use std::process::ExitCode;

use clap::Args;
use secret_rotation_api::conditions::{ConditionType, find};
use secret_rotation_api::policy::SecretRotationPolicy;

use crate::CommandError;
use crate::app::App;
use crate::kubernetes::wait::{self, WaitArgs};
use crate::kubernetes::{Cluster, request_check, suspended, type_and_name};
use crate::ui::output;
use crate::ui::style::printable;

/// Request a check of a policy now.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// Policy to check.
    #[arg(value_name = "POLICY")]
    pub name: String,

    /// Whether to wait for the result of this check.
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// Requests a check of a policy.
pub(crate) async fn run(app: &App, args: &CheckArgs) -> Result<ExitCode, CommandError> {
    let cluster = app.cluster().await?;
    let token = request_check(&cluster, cluster.namespace(), &args.name).await?;
    let name = type_and_name::<SecretRotationPolicy>(&args.name);
    if !args.wait.wait {
        output::print(&format!("{name} check requested\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let handled = |policy: &SecretRotationPolicy| {
        let echo = policy.status.as_ref()?.last_handled_request.as_ref();
        if echo.is_some_and(|echo| echo.as_str() == token) {
            return Some(Ok(verdict(policy)));
        }
        let brake = policy.suspended_by()?;
        let name = &args.name;
        Some(Err(suspended(policy, cluster.namespace(), name, brake)))
    };
    let timeout = args.wait.timeout;
    let verdict = wait::until(&cluster, &args.name, timeout, handled).await?;
    match verdict {
        Some(verdict) => output::print(&format!("{name} checked: {}\n", verdict?))?,
        None => return Err(late(&cluster, &args.name).await),
    }
    Ok(ExitCode::SUCCESS)
}

fn verdict(policy: &SecretRotationPolicy) -> String {
    let conditions = policy.status.as_ref().map(|status| &status.conditions);
    let healthy = conditions.and_then(|conditions| find(conditions, ConditionType::Healthy));
    healthy.map_or_else(
        || "the result is unknown".to_owned(),
        |healthy| printable(&format!("{}: {}", healthy.reason, healthy.message)),
    )
}

/// Returns the error of a check that is not complete in time, with condition `Ready` as the hint.
async fn late(cluster: &Cluster, name: &str) -> CommandError {
    let failure = CommandError::new(format!(
        "the check of policy {name} did not complete within the timeout"
    ));
    let policy = cluster.find::<SecretRotationPolicy>(name).await;
    let status = policy.ok().flatten().and_then(|policy| policy.status);
    let ready = status
        .as_ref()
        .and_then(|status| find(&status.conditions, ConditionType::Ready));
    match ready {
        Some(ready) => failure.with_hint(format!(
            "its condition Ready is {} ({}): {}",
            ready.status, ready.reason, ready.message
        )),
        None => failure.with_hint("no controller has checked it: check that one is running"),
    }
}
