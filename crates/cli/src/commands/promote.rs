//! `promote`: makes the pending version current.

use std::process::ExitCode;

use clap::Args;
use secret_rotation_api::operation::Action;

use super::actions::{self, ActionArgs};
use crate::CommandError;
use crate::app::App;

/// Make the pending version current, because the target accepts its value.
#[derive(Args, Clone, Debug)]
pub struct PromoteArgs {
    /// The secret, its policy and what to expect.
    #[command(flatten)]
    pub action: ActionArgs,
}

/// Creates an operation `PromotePending`.
pub(crate) async fn run(app: &App, args: &PromoteArgs) -> Result<ExitCode, CommandError> {
    actions::request(app, &args.action, Action::PromotePending, None).await
}
