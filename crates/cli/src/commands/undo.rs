//! `undo`: undoes a clear.

use std::process::ExitCode;

use clap::Args;
use secret_rotation_api::operation::Action;

use super::actions::{self, ActionArgs};
use crate::CommandError;
use crate::app::App;

/// Undo a clear: put AWSPENDING back on the pinned version.
#[derive(Args, Clone, Debug)]
pub struct UndoArgs {
    /// The secret, its policy and what to expect.
    #[command(flatten)]
    pub action: ActionArgs,
}

/// Creates an operation `RestorePending`.
pub(crate) async fn run(app: &App, args: &UndoArgs) -> Result<ExitCode, CommandError> {
    actions::request(app, &args.action, Action::RestorePending, None).await
}
