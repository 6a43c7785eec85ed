//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::audit::AuditArguments;
use crate::doctor::DoctorArguments;
use crate::explain::ExplainArguments;
use crate::iam_policy::IamPolicyArguments;
use crate::list::ListArguments;
use crate::put::PutArguments;
use crate::versions::VersionsArguments;

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

/// The flags that kubectl has, too.
#[derive(Args, Clone, Debug, Default)]
pub struct ClusterOptions {
    /// The kubeconfig file to use.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Cluster")]
    pub kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig to use.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Cluster")]
    pub context: Option<String>,

    /// The namespace to work in; that of the context if it is left out.
    #[arg(
        short,
        long,
        global = true,
        value_name = "NAME",
        help_heading = "Cluster"
    )]
    pub namespace: Option<String>,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
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
