//! `--wait` of a manual operation: one line per step until it ends.

use std::process::ExitCode;
use std::time::Duration;

use kube::ResourceExt as _;
use secret_rotation_api::operation::{SecretRotationOperation, StepStatus};
use secret_rotation_core::advance::Phase;

use crate::CommandError;
use crate::kubernetes::wait;
use crate::kubernetes::{Cluster, type_and_name};
use crate::ui::output;
use crate::ui::style::printable;
use crate::view::reasons;
use crate::view::version_id::short;

/// Prints each step of an operation on standard error until the operation ends, then its result on standard output.
///
/// # Errors
///
/// Returns an error if the operation failed, or has not ended within `timeout`.
pub(super) async fn run(
    cluster: &Cluster,
    name: &str,
    timeout: Duration,
) -> Result<ExitCode, CommandError> {
    let mut printed = Vec::new();
    let done = |operation: &SecretRotationOperation| {
        for line in lines(operation) {
            if !printed.contains(&line) {
                output::note(&line);
                printed.push(line);
            }
        }
        operation.is_finished().then(|| operation.clone())
    };
    let Some(operation) = wait::until(cluster, name, timeout, done).await? else {
        let namespace = cluster.namespace();
        return Err(CommandError::new(format!(
            "operation {name} has not ended within the timeout; it continues"
        ))
        .with_hint(format!(
            "kubectl secret-rotation describe sro/{name} -n {namespace}"
        )));
    };
    let (phase, message) = (operation.phase(), printable(operation.message()));
    if operation.succeeded() == Some(true) {
        let title = type_and_name::<SecretRotationOperation>(name);
        output::print(&format!("{title} succeeded: {message}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let failure = CommandError::new(format!("operation {name} failed: {phase}: {message}"));
    Err(match reasons::about(phase) {
        Some(advice) => failure.with_hint(advice),
        None => failure,
    })
}

/// Formats the steps done, and what the operation waits for.
fn lines(operation: &SecretRotationOperation) -> Vec<String> {
    let steps = operation.status.iter().flat_map(|status| &status.steps);
    let mut lines: Vec<_> = steps.map(step).collect();
    let message = printable(operation.message());
    if !operation.is_finished() && !message.is_empty() {
        let phase = operation.phase();
        lines.push(format!("{phase}: {message}{}", approval(operation)));
    }
    lines
}

fn step(step: &StepStatus) -> String {
    let version = step.version_id.as_ref();
    let version = version.map_or_else(String::new, |id| format!(" {}", short(id)));
    let result = step.result.as_deref().unwrap_or("sent");
    format!("{}  {}{version}: {result}", step.intent_time, step.name)
}

/// Returns the command that approves an operation, if it waits for approval.
fn approval(operation: &SecretRotationOperation) -> String {
    if operation.phase() != Phase::AwaitingApproval.name() {
        return String::new();
    }
    let name = operation.name_any();
    let namespace = operation.namespace().unwrap_or_default();
    format!(" (`kubectl secret-rotation approve {name} -n {namespace} -m TEXT`, by another person)")
}
