//! What can be typed.

use clap::{Parser, Subcommand};

use crate::commands::actions::{ActionArgs, ClearArgs, RotateArgs};
use crate::commands::approve::DecideArgs;
use crate::commands::audit::AuditArguments;
use crate::commands::check::CheckArgs;
use crate::commands::completion::{CompleteArgs, CompletionArgs};
use crate::commands::describe::DescribeArgs;
use crate::commands::doctor::DoctorArguments;
use crate::commands::explain::ExplainArguments;
use crate::commands::history::HistoryArgs;
use crate::commands::iam_policy::IamPolicyArguments;
use crate::commands::list::ListArguments;
use crate::commands::put::PutArguments;
use crate::commands::status::StatusArgs;
use crate::commands::suspend::SuspendArgs;
use crate::commands::versions::VersionsArguments;
use crate::kubernetes::ClusterOptions;

/// Sees and mends the rotations of AWS Secrets Manager secrets; never reads a value.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "kubectl-secret_rotation",
    bin_name = "kubectl secret-rotation",
    version,
    arg_required_else_help = true
)]
pub struct Arguments {
    /// Which cluster, and where in it.
    #[command(flatten)]
    pub cluster: ClusterOptions,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Show policies and their secrets; live with --watch.
    Status(StatusArgs),
    /// Show all that is known of a policy or an operation, and what to do about it.
    Describe(DescribeArgs),
    /// Ask for a check of a policy now.
    Check(CheckArgs),
    /// Show operations that have ended, newest first.
    History(HistoryArgs),
    /// Approve an operation that waits for a person.
    Approve(DecideArgs),
    /// Deny an operation.
    Deny(DecideArgs),
    /// Make a policy stand still: nothing is checked, no operation starts or goes on.
    Suspend(SuspendArgs),
    /// Make a suspended policy go on.
    Resume(SuspendArgs),
    /// Start a rotation of a secret.
    Rotate(RotateArgs),
    /// Take AWSPENDING from a stuck version, and with --rotate rotate after that.
    Clear(ClearArgs),
    /// Make the pending version current, because the target accepts its value.
    Promote(ActionArgs),
    /// Take a clear back: put AWSPENDING back on the version that was pinned.
    Undo(ActionArgs),
    /// Make the previous version current again.
    Revert(ActionArgs),
    /// Call a scheduled deletion off.
    Restore(ActionArgs),
    /// Remove pins of a secret: labels that keep cleared versions, so that a clear can be undone.
    Release(ActionArgs),
    /// Print a script that completes commands, flags and names in a shell.
    Completion(CompletionArgs),
    /// Complete a command line for kubectl.
    #[command(name = "__complete", hide = true)]
    Complete(CompleteArgs),
    Audit(AuditArguments),
    List(ListArguments),
    Versions(VersionsArguments),
    Put(PutArguments),
    IamPolicy(IamPolicyArguments),
    Doctor(DoctorArguments),
    Explain(ExplainArguments),
    /// Print the version of this plugin.
    Version,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
