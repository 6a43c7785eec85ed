//! `clear`: takes AWSPENDING from a stuck version, and with `--rotate` rotates after that.

use std::process::ExitCode;

use clap::Args;
use secret_rotation_api::operation::Action;

use super::actions::{self, ActionArgs};
use crate::CommandError;
use crate::app::App;

/// Take AWSPENDING from a stuck version, and with --rotate rotate after that.
#[derive(Args, Clone, Debug)]
pub struct ClearArgs {
    /// Rotate once it is cleared.
    #[arg(long)]
    pub rotate: bool,

    /// How long to wait between pin and clear, from 30s to 6h; 5m if it is left out.
    #[arg(long, value_name = "DURATION")]
    pub confirm_after: Option<String>,

    /// What all actions have.
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
