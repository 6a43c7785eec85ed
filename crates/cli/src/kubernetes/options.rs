//! The flags that select a cluster, named as in kubectl.

use std::path::PathBuf;

use clap::Args;

/// Cluster flags. Commands that do not contact a cluster accept and ignore them.
#[derive(Args, Clone, Debug, Default)]
pub struct ClusterOptions {
    /// Kubeconfig file.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Cluster")]
    pub kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Cluster")]
    pub context: Option<String>,

    /// Namespace; by default that of the context.
    #[arg(
        short,
        long,
        global = true,
        value_name = "NAME",
        help_heading = "Cluster"
    )]
    pub namespace: Option<String>,
}
