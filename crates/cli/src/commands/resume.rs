//! `resume`: resumes a suspended policy.

use std::process::ExitCode;

use clap::Args;

use super::suspend;
use crate::CommandError;
use crate::app::App;

/// Resume a suspended policy.
#[derive(Args, Clone, Debug)]
pub struct ResumeArgs {
    /// Policy to resume.
    #[arg(value_name = "POLICY")]
    pub name: String,
}

/// Resumes a policy.
pub(crate) async fn run(app: &App, args: &ResumeArgs) -> Result<ExitCode, CommandError> {
    suspend::set_suspended(app, &args.name, false).await
}
