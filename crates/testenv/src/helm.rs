//! The Helm command, isolated from the configuration of the user.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::{assets, project};

/// Returns a Helm command that ignores the configuration of the user.
///
/// # Errors
///
/// Returns an error if Helm cannot be built.
pub fn command() -> Result<Command> {
    let home = project::cache("helm-home")?;
    let mut command = Command::new(assets::helm()?);
    for (variable, folder) in [
        ("HELM_CACHE_HOME", "cache"),
        ("HELM_CONFIG_HOME", "config"),
        ("HELM_DATA_HOME", "data"),
    ] {
        command.env(variable, home.join(folder));
    }
    command
        .env_remove("KUBECONFIG")
        .env_remove("HELM_NAMESPACE")
        .stdin(Stdio::null());
    Ok(command)
}
