//! Arguments of manual operations.

use clap::{Args, ValueEnum};
use secret_rotation_core::names::Region;

use crate::aws::SecretId;
use crate::aws::{AwsOptions, parse_region};
use crate::kubernetes::wait::WaitArgs;

/// Arguments that all manual operations have.
#[derive(Args, Clone, Debug)]
pub struct ActionArgs {
    /// Name of the secret, or its ARN with or without its six-character suffix.
    #[arg(value_name = "SECRET", value_parser = SecretId::parse)]
    pub secret: SecretId,

    /// Policy that selects the secret; by default found by its findings and selector.
    #[arg(short, long, value_name = "POLICY")]
    pub policy: Option<String>,

    /// AWS region of the secret; by default that of the ARN, else of the policy, the profile or the AWS profile.
    #[arg(long, value_name = "REGION", value_parser = parse_region, help_heading = "AWS")]
    pub region: Option<Region>,

    /// Reason for the audit trail.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// Whether to wait for the end of the operation.
    #[command(flatten)]
    pub wait: WaitArgs,

    /// Print the operation and do not create it; with =server, also validate it with the API server.
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "client", conflicts_with = "wait")]
    pub dry_run: Option<DryRun>,

    /// AWS credentials, for what the policy does not report.
    #[command(flatten)]
    pub aws: AwsOptions,

    /// What the operation expects.
    #[command(flatten)]
    pub expect: ExpectArgs,
}

/// Facts to expect, if the status of the policy and AWS do not provide them or others are meant.
#[derive(Args, Clone, Debug, Default)]
#[command(
    next_help_heading = "Expected facts; by default from the policy and, with your own credentials, from AWS"
)]
pub struct ExpectArgs {
    /// Version with AWSCURRENT.
    #[arg(long, value_name = "ID")]
    pub current_version: Option<String>,

    /// Version with AWSPENDING.
    #[arg(long, value_name = "ID")]
    pub pending_version: Option<String>,

    /// Version with AWSPREVIOUS.
    #[arg(long, value_name = "ID")]
    pub previous_version: Option<String>,

    /// Version that the controller pinned.
    #[arg(long, value_name = "ID")]
    pub pinned_version: Option<String>,

    /// Time when the secret was scheduled for deletion (`DeletedDate`).
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub deleted_time: Option<jiff::Timestamp>,
}

/// What to do instead of creating the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// Print the operation.
    Client,
    /// Validate it with the API server.
    Server,
}

fn time(text: &str) -> Result<jiff::Timestamp, String> {
    text.parse().map_err(|error| format!("{error}"))
}
