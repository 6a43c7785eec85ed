//! `clear`: removes AWSPENDING from a stuck version, and with `--rotate` rotates afterwards.

use std::process::ExitCode;

use clap::Args;
use secret_rotation_api::operation::Action;

use super::actions::{self, ActionArgs};
use crate::CommandError;
use crate::app::App;

/// Remove AWSPENDING from a stuck version, and with --rotate rotate afterwards.
#[derive(Args, Clone, Debug)]
pub struct ClearArgs {
    /// Rotate after the clear.
    #[arg(long)]
    pub rotate: bool,

    /// Time between pin and clear, from 30s to 6h; by default 5m.
    #[arg(long, value_name = "DURATION")]
    pub confirm_after: Option<String>,

    /// The secret, its policy and what to expect.
    #[command(flatten)]
    pub action: ActionArgs,
}

/// Creates an operation `ClearPending`, or `ClearAndRotate` with `--rotate`.
pub(crate) async fn run(app: &App, args: &ClearArgs) -> Result<ExitCode, CommandError> {
    let action = if args.rotate {
        Action::ClearAndRotate
    } else {
        Action::ClearPending
    };
    actions::request(app, &args.action, action, args.confirm_after.as_deref()).await
}
