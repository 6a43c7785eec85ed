//! `restore`: cancels a scheduled deletion.

use std::process::ExitCode;

use clap::Args;
use secret_rotation_api::operation::Action;

use super::actions::{self, ActionArgs};
use crate::CommandError;
use crate::app::App;

/// Cancel a scheduled deletion.
#[derive(Args, Clone, Debug)]
pub struct RestoreArgs {
    /// The secret, its policy and what to expect.
    #[command(flatten)]
    pub action: ActionArgs,
}

/// Creates an operation `RestoreSecret`.
pub(crate) async fn run(app: &App, args: &RestoreArgs) -> Result<ExitCode, CommandError> {
    actions::request(app, &args.action, Action::RestoreSecret, None).await
}
