//! `deny`: records that an operation must not run.

use std::process::ExitCode;

use clap::Args;
use secret_rotation_api::operation::DecisionVerdict;

use super::approve::{self, DecisionArgs};
use crate::CommandError;
use crate::app::App;

/// Deny an operation.
#[derive(Args, Clone, Debug)]
pub struct DenyArgs {
    /// The operation and the reason.
    #[command(flatten)]
    pub decision: DecisionArgs,
}

/// Denies an operation.
pub(crate) async fn run(app: &App, args: &DenyArgs) -> Result<ExitCode, CommandError> {
    approve::decide(app, &args.decision, DecisionVerdict::Deny).await
}
