//! `undo`: takes a clear back.

use std::process::ExitCode;

use clap::Args;
use secret_rotation_api::operation::Action;

use super::actions::{self, ActionArgs};
use crate::CommandError;
use crate::app::App;

/// Take a clear back: put AWSPENDING back on the version that was pinned.
#[derive(Args, Clone, Debug)]
pub struct UndoArgs {
    /// What all actions have.
    #[command(flatten)]
    pub action: ActionArgs,
}

/// Creates an operation `RestorePending`.
pub(crate) async fn run(app: &App, args: &UndoArgs) -> Result<ExitCode, CommandError> {
    actions::request(app, &args.action, Action::RestorePending, None).await
}
