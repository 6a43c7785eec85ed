//! Helm as a command, apart from the configuration of the user.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::{assets, project};

/// Helm, with nothing of the user's own configuration.
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
