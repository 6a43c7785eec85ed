//! `revert`: makes the previous version current again.

use std::process::ExitCode;

use clap::Args;
use secret_rotation_api::operation::Action;

use super::actions::{self, ActionArgs};
use crate::CommandError;
use crate::app::App;

/// Make the previous version current again.
#[derive(Args, Clone, Debug)]
pub struct RevertArgs {
    /// The secret, its policy and what to expect.
    #[command(flatten)]
    pub action: ActionArgs,
}

/// Creates an operation `RevertToPrevious`.
pub(crate) async fn run(app: &App, args: &RevertArgs) -> Result<ExitCode, CommandError> {
    actions::request(app, &args.action, Action::RevertToPrevious, None).await
}
