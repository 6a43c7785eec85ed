//! An operation followed to its end, a line for each step.

use std::process::ExitCode;
use std::time::Duration;

use kube::ResourceExt as _;
use secret_rotation_api::operation::SecretRotationOperation;

use crate::CommandError;
use crate::kubernetes::wait;
use crate::kubernetes::{Cluster, type_and_name};
use crate::ui::output;
use crate::view::policy::{ended, message, phase};
use crate::view::reasons;
use crate::view::version_id::short;

/// Follows an operation on standard error; how it ended goes to standard output, or is the failure.
pub(crate) async fn run(
    cluster: &Cluster,
    name: &str,
    timeout: Duration,
) -> Result<ExitCode, CommandError> {
    let mut told = Vec::new();
    let end = wait::until(
        cluster,
        name,
        timeout,
        |operation: &SecretRotationOperation| {
            for line in lines(operation) {
                if !told.contains(&line) {
                    output::note(&line);
                    told.push(line);
                }
            }
            ended(operation).map(|success| (success, phase(operation), message(operation)))
        },
    )
    .await?;
    match end {
        Some((true, _, message)) => {
            let title = type_and_name::<SecretRotationOperation>(name);
            output::print(&format!("{title} succeeded: {message}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Some((false, reason, message)) => {
            let failure =
                CommandError::new(format!("operation {name} failed: {reason}: {message}"));
            Err(match reasons::about(&reason) {
                Some(advice) => failure.with_hint(advice),
                None => failure,
            })
        }
        None => Err(CommandError::new(format!(
            "operation {name} has not ended in time; it goes on"
        ))
        .with_hint(format!(
            "kubectl secret-rotation describe sro/{name} -n {}",
            cluster.namespace()
        ))),
    }
}

/// What is so of it by now: its steps, and what it waits for.
fn lines(operation: &SecretRotationOperation) -> Vec<String> {
    let steps = operation.status.iter().flat_map(|status| &status.steps);
    let mut lines: Vec<_> = steps
        .map(|step| {
            let version = step.version_id.as_ref();
            let version = version.map_or_else(String::new, |id| format!(" {}", short(id)));
            let result = step.result.as_deref().unwrap_or("sent");
            format!("{}  {}{version}: {result}", step.intent_time, step.name)
        })
        .collect();
    let waits = Some(message(operation)).filter(|message| !message.is_empty());
    if let (None, Some(message)) = (ended(operation), waits) {
        let phase = phase(operation);
        let advice = if phase == "AwaitingApproval" {
            let name = operation.name_any();
            let namespace = operation.namespace().unwrap_or_default();
            format!(
                " (`kubectl secret-rotation approve {name} -n {namespace} -m TEXT`, by another person)"
            )
        } else {
            String::new()
        };
        lines.push(format!("{phase}: {message}{advice}"));
    }
    lines
}
