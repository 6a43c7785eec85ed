//! The flags that choose a cluster, as kubectl has them.

use std::path::PathBuf;

use clap::Args;

/// The flags that kubectl has, too. Commands that ask no cluster take them and do without.
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
