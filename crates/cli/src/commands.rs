//! The commands, one module each: its arguments, and one `run`.

mod actions;
mod approve;
mod audit;
mod check;
mod clear;
mod complete;
pub(crate) mod completion;
mod deny;
mod describe;
mod doctor;
mod explain;
mod history;
mod iam_policy;
mod list;
mod promote;
mod put;
mod release;
mod restore;
mod resume;
mod revert;
mod rotate;
mod status;
mod suspend;
mod undo;
mod version;
mod versions;

use std::process::ExitCode;

use clap::Subcommand;

use crate::CommandError;
use crate::app::App;

use self::approve::ApproveArgs;
use self::audit::AuditArgs;
pub use self::audit::schema_text as audit_schema;
use self::check::CheckArgs;
use self::clear::ClearArgs;
use self::complete::CompleteArgs;
use self::completion::CompletionArgs;
use self::deny::DenyArgs;
use self::describe::DescribeArgs;
use self::doctor::DoctorArgs;
use self::explain::ExplainArgs;
use self::history::HistoryArgs;
use self::iam_policy::IamPolicyArgs;
use self::list::ListArgs;
use self::promote::PromoteArgs;
use self::put::PutArgs;
use self::release::ReleaseArgs;
use self::restore::RestoreArgs;
use self::resume::ResumeArgs;
use self::revert::RevertArgs;
use self::rotate::RotateArgs;
use self::status::StatusArgs;
use self::suspend::SuspendArgs;
use self::undo::UndoArgs;
use self::version::VersionArgs;
use self::versions::VersionsArgs;

/// The commands, in the order in which help lists them. The help of a command is the doc comment of its arguments.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    Status(StatusArgs),
    Describe(DescribeArgs),
    Check(CheckArgs),
    History(HistoryArgs),
    Approve(ApproveArgs),
    Deny(DenyArgs),
    Suspend(SuspendArgs),
    Resume(ResumeArgs),
    Rotate(RotateArgs),
    Clear(ClearArgs),
    Promote(PromoteArgs),
    Undo(UndoArgs),
    Revert(RevertArgs),
    Restore(RestoreArgs),
    Release(ReleaseArgs),
    Completion(CompletionArgs),
    #[command(name = "__complete", hide = true)]
    Complete(CompleteArgs),
    Audit(AuditArgs),
    List(ListArgs),
    Versions(VersionsArgs),
    Put(PutArgs),
    IamPolicy(IamPolicyArgs),
    Doctor(DoctorArgs),
    Explain(ExplainArgs),
    Version(VersionArgs),
}

/// Runs a command.
///
/// # Errors
///
/// Returns the error of the command.
pub(crate) async fn run(app: &App, command: &Command) -> Result<ExitCode, CommandError> {
    match command {
        Command::Status(args) => status::run(app, args).await,
        Command::Describe(args) => describe::run(app, args).await,
        Command::Check(args) => check::run(app, args).await,
        Command::History(args) => history::run(app, args).await,
        Command::Approve(args) => approve::run(app, args).await,
        Command::Deny(args) => deny::run(app, args).await,
        Command::Suspend(args) => suspend::run(app, args).await,
        Command::Resume(args) => resume::run(app, args).await,
        Command::Rotate(args) => rotate::run(app, args).await,
        Command::Clear(args) => clear::run(app, args).await,
        Command::Promote(args) => promote::run(app, args).await,
        Command::Undo(args) => undo::run(app, args).await,
        Command::Revert(args) => revert::run(app, args).await,
        Command::Restore(args) => restore::run(app, args).await,
        Command::Release(args) => release::run(app, args).await,
        Command::Completion(args) => completion::run(app, args).await,
        Command::Complete(args) => complete::run(app, args).await,
        Command::Audit(args) => audit::run(app, args).await,
        Command::List(args) => list::run(app, args).await,
        Command::Versions(args) => versions::run(app, args).await,
        Command::Put(args) => put::run(app, args).await,
        Command::IamPolicy(args) => iam_policy::run(app, args).await,
        Command::Doctor(args) => doctor::run(app, args).await,
        Command::Explain(args) => explain::run(app, args).await,
        Command::Version(args) => version::run(app, args).await,
    }
}
