//! What every command gets: the global flags, and the cluster that they name.

use crate::CommandError;
use crate::kubernetes::{Cluster, ClusterOptions};

/// The program around a command.
#[derive(Clone, Debug)]
pub(crate) struct App {
    cluster: ClusterOptions,
    command_line: fn() -> clap::Command,
}

impl App {
    /// Builds the program from the global flags and from the function that makes its command line.
    pub(crate) const fn new(cluster: ClusterOptions, command_line: fn() -> clap::Command) -> Self {
        Self {
            cluster,
            command_line,
        }
    }

    /// Connects to the cluster that the global flags name. Sends no request.
    ///
    /// # Errors
    ///
    /// Returns an error if no kubeconfig names a cluster, or if no client can be made from it.
    pub(crate) async fn cluster(&self) -> Result<Cluster, CommandError> {
        Cluster::connect(&self.cluster).await
    }

    /// Returns the whole command line, as clap describes it.
    pub(crate) fn command_line(&self) -> clap::Command {
        (self.command_line)()
    }
}
