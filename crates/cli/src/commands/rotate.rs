//! `rotate`: starts a rotation, or with `--retry` retries the pending one.

use std::process::ExitCode;

use clap::Args;
use secret_rotation_api::operation::Action;

use super::actions::{self, ActionArgs};
use crate::CommandError;
use crate::app::App;

/// Start a rotation of a secret.
#[derive(Args, Clone, Debug)]
pub struct RotateArgs {
    /// Retry the pending version of a stuck rotation; nothing is cleared.
    #[arg(long)]
    pub retry: bool,

    /// The secret, its policy and what to expect.
    #[command(flatten)]
    pub action: ActionArgs,
}

/// Creates an operation `Rotate`, or `RetryRotation` with `--retry`.
pub(crate) async fn run(app: &App, args: &RotateArgs) -> Result<ExitCode, CommandError> {
    let action = if args.retry {
        Action::RetryRotation
    } else {
        Action::Rotate
    };
    actions::request(app, &args.action, action, None).await
}
