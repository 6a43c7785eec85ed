//! What an operator may set: flags, each also as a `SECRET_ROTATION_…` environment variable.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};

/// Watches `SecretRotationPolicies` and recovers stuck rotations in AWS Secrets Manager.
#[derive(Clone, Debug, Parser)]
#[command(name = "secret-rotation-controller", version)]
pub struct Options {
    /// Where /metrics is served.
    #[arg(
        long,
        env = "SECRET_ROTATION_METRICS_ADDRESS",
        default_value = "[::]:8080",
        value_name = "ADDRESS"
    )]
    pub metrics_address: SocketAddr,

    /// Where /livez and /readyz are served.
    #[arg(
        long,
        env = "SECRET_ROTATION_HEALTH_ADDRESS",
        default_value = "[::]:8081",
        value_name = "ADDRESS"
    )]
    pub health_address: SocketAddr,

    /// Watch policies and operations in this namespace only; may be repeated. Default: all namespaces.
    #[arg(
        long = "namespace",
        env = "SECRET_ROTATION_NAMESPACE",
        value_delimiter = ',',
        value_name = "NAMESPACE"
    )]
    pub namespaces: Vec<String>,

    /// Where the Lease lives. Default: the namespace of the pod, or of the kubeconfig's context.
    #[arg(
        long,
        env = "SECRET_ROTATION_LEASE_NAMESPACE",
        value_name = "NAMESPACE"
    )]
    pub lease_namespace: Option<String>,

    /// How log lines are written to stderr.
    #[arg(long, env = "SECRET_ROTATION_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,

    /// Least severe level that is logged, or a filter such as info,kube=debug.
    #[arg(
        long,
        env = "SECRET_ROTATION_LOG_LEVEL",
        default_value = "info",
        value_name = "LEVEL"
    )]
    pub log_level: String,

    /// Accept a custom AWS endpoint from the environment although it is not on loopback.
    #[arg(long, env = "SECRET_ROTATION_ALLOW_CUSTOM_ENDPOINT")]
    pub allow_custom_endpoint: bool,

    /// Export at most this many secrets one by one, those that need attention first.
    #[arg(
        long,
        env = "SECRET_ROTATION_METRICS_MAX_SECRETS",
        default_value_t = 2000,
        value_name = "NUMBER"
    )]
    pub metrics_max_secrets: usize,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed_and_has_defaults() {
        Options::command().debug_assert();
        let options = Options::try_parse_from(["secret-rotation-controller"])
            .expect("every flag has a default");
        assert_eq!(
            (
                options.metrics_address.port(),
                options.health_address.port()
            ),
            (8080, 8081)
        );
        assert!(options.namespaces.is_empty());
    }

    #[test]
    fn every_flag_can_be_set_by_the_environment() {
        let missing: Vec<_> = Options::command()
            .get_arguments()
            .filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"))
            .filter(|argument| {
                argument
                    .get_env()
                    .is_none_or(|name| !name.to_string_lossy().starts_with("SECRET_ROTATION_"))
            })
            .map(|argument| argument.get_id().to_string())
            .collect();
        assert_eq!(missing, Vec::<String>::new());
    }
}
