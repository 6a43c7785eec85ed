//! The settings of the controller: flags, each also as a `SECRET_ROTATION_…` environment variable.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Watches `SecretRotationPolicies` and recovers stuck rotations in AWS Secrets Manager.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "secret-rotation-controller",
    version,
    disable_help_subcommand = true
)]
pub struct Options {
    /// The command to run instead of the controller.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Serve /metrics on this address.
    #[arg(
        long,
        env = "SECRET_ROTATION_METRICS_ADDRESS",
        default_value = "[::]:8080",
        value_name = "ADDRESS"
    )]
    pub metrics_address: SocketAddr,

    /// Serve /livez and /readyz on this address.
    #[arg(
        long,
        env = "SECRET_ROTATION_HEALTH_ADDRESS",
        default_value = "[::]:8081",
        value_name = "ADDRESS"
    )]
    pub health_address: SocketAddr,

    /// Serve /metrics over TLS with the certificate chain in this PEM file; the file is read again when it changes.
    #[arg(
        long,
        env = "SECRET_ROTATION_METRICS_TLS_CERT",
        requires = "metrics_tls_key",
        value_name = "FILE"
    )]
    pub metrics_tls_cert: Option<PathBuf>,

    /// Use the private key in this PEM file for that certificate.
    #[arg(
        long,
        env = "SECRET_ROTATION_METRICS_TLS_KEY",
        requires = "metrics_tls_cert",
        value_name = "FILE"
    )]
    pub metrics_tls_key: Option<PathBuf>,

    /// Serve /metrics only to clients that the API server authenticates by bearer token and allows to get it.
    #[arg(long, env = "SECRET_ROTATION_METRICS_AUTH", global = true)]
    pub metrics_auth: bool,

    /// Watch policies and operations in this namespace only; may be repeated. Default: all namespaces.
    #[arg(
        long = "namespace",
        global = true,
        env = "SECRET_ROTATION_NAMESPACE",
        value_delimiter = ',',
        value_name = "NAMESPACE"
    )]
    pub namespaces: Vec<String>,

    /// Keep the Lease in this namespace. Default: the namespace of the pod, or of the context of the kubeconfig.
    #[arg(
        long,
        env = "SECRET_ROTATION_LEASE_NAMESPACE",
        global = true,
        value_name = "NAMESPACE"
    )]
    pub lease_namespace: Option<String>,

    /// Write log lines to stderr in this format.
    #[arg(long, env = "SECRET_ROTATION_LOG_FORMAT", global = true, value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,

    /// Log this level and more severe ones, or what a filter such as info,kube=debug selects.
    #[arg(
        long,
        env = "SECRET_ROTATION_LOG_LEVEL",
        global = true,
        default_value = "info",
        value_name = "LEVEL"
    )]
    pub log_level: String,

    /// Accept a custom AWS endpoint that is not on loopback, from the environment.
    #[arg(long, env = "SECRET_ROTATION_ALLOW_CUSTOM_ENDPOINT", global = true)]
    pub allow_custom_endpoint: bool,

    /// Export series of at most this many secrets, those that need attention first.
    #[arg(
        long,
        env = "SECRET_ROTATION_METRICS_MAX_SECRETS",
        default_value_t = 2000,
        value_name = "NUMBER"
    )]
    pub metrics_max_secrets: usize,

    /// Set label secret of those series to the name or to a hash of it, or export no series of single secrets.
    #[arg(long, env = "SECRET_ROTATION_METRICS_SECRET_LABEL", value_enum, default_value_t = SecretLabel::Name)]
    pub metrics_secret_label: SecretLabel,
}

/// The commands besides running the controller.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Check what the controller needs, one line per item, and exit with status 1 if something is missing.
    Selftest(SelftestOptions),
}

/// What a self-test checks besides the API server and AWS.
#[derive(Args, Clone, Debug, Default)]
pub struct SelftestOptions {
    /// Check that a running controller serves metrics at this URL, with scheme; the default path is /metrics.
    #[arg(long, env = "SECRET_ROTATION_SELFTEST_METRICS_URL", value_name = "URL")]
    pub metrics_url: Option<http::Uri>,

    /// Trust the certificate authority in this PEM file for the metrics URL. Default: those of the system.
    #[arg(long, env = "SECRET_ROTATION_SELFTEST_METRICS_CA", value_name = "FILE")]
    pub metrics_ca: Option<PathBuf>,

    /// Check that a running controller is ready at this URL, with scheme; the default path is /readyz.
    #[arg(long, env = "SECRET_ROTATION_SELFTEST_HEALTH_URL", value_name = "URL")]
    pub health_url: Option<http::Uri>,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Text for people.
    Text,
}

/// How series of single secrets name their secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SecretLabel {
    /// The name of the secret.
    #[default]
    Name,
    /// The first 16 hexadecimal digits of the SHA-256 of the name.
    Hash,
    /// No series of single secrets.
    None,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

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
    fn certificate_and_key_must_be_given_together() {
        let parse = |flags: &[&str]| {
            Options::try_parse_from([&["secret-rotation-controller"], flags].concat())
        };
        for (given, missing) in [
            ("--metrics-tls-cert=tls.crt", "--metrics-tls-key <FILE>"),
            ("--metrics-tls-key=tls.key", "--metrics-tls-cert <FILE>"),
        ] {
            let error = parse(&[given]).expect_err("one is not enough");
            assert_eq!(error.kind(), ErrorKind::MissingRequiredArgument);
            assert!(error.to_string().contains(missing), "{error}");
        }
        let both = parse(&["--metrics-tls-cert=tls.crt", "--metrics-tls-key=tls.key"]);
        let both = both.expect("both are enough");
        assert_eq!(
            both.metrics_tls_cert.zip(both.metrics_tls_key),
            Some(("tls.crt".into(), "tls.key".into()))
        );
    }

    #[test]
    fn a_self_test_takes_global_flags_before_and_after_its_name() {
        for flags in [
            ["--namespace=a", "--namespace=b", "selftest"],
            ["selftest", "--namespace=a", "--namespace=b"],
        ] {
            let options =
                Options::try_parse_from([&["secret-rotation-controller"], &flags[..]].concat())
                    .expect("valid flags");
            assert_eq!(options.namespaces, ["a", "b"]);
            assert!(matches!(options.command, Some(Command::Selftest(_))));
        }
    }

    #[test]
    fn every_flag_can_be_set_by_the_environment() {
        let command = Options::command();
        let missing: Vec<_> = std::iter::once(&command)
            .chain(command.get_subcommands())
            .flat_map(clap::Command::get_arguments)
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
