//! `release`: removes pins of a secret.

use std::process::ExitCode;

use clap::Args;
use secret_rotation_api::operation::Action;

use super::actions::{self, ActionArgs};
use crate::CommandError;
use crate::app::App;

/// Remove pins of a secret: labels that keep cleared versions, so that a clear can be undone.
#[derive(Args, Clone, Debug)]
pub struct ReleaseArgs {
    /// The secret, its policy and what to expect.
    #[command(flatten)]
    pub action: ActionArgs,
}

/// Creates an operation `ReleasePins`.
pub(crate) async fn run(app: &App, args: &ReleaseArgs) -> Result<ExitCode, CommandError> {
    actions::request(app, &args.action, Action::ReleasePins, None).await
}
