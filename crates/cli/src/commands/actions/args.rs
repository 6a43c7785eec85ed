//! Flags of operations by hand.

use clap::{Args, ValueEnum};
use secret_rotation_core::names::Region;

use crate::aws::SecretId;
use crate::aws::{AwsOptions, parse_region};
use crate::kubernetes::wait::WaitArgs;

/// Flags that all operations by hand have.
#[derive(Args, Clone, Debug)]
pub struct ActionArgs {
    /// The name of the secret, or its ARN, with or without the six characters at its end.
    #[arg(value_name = "SECRET", value_parser = SecretId::parse)]
    pub secret: SecretId,

    /// The policy that holds it; found by its findings and selector if it is left out.
    #[arg(short, long, value_name = "POLICY")]
    pub policy: Option<String>,

    /// The AWS region of the secret; that of the ARN, of its policy or profile, or of the AWS profile if left out.
    #[arg(long, value_name = "REGION", value_parser = parse_region, help_heading = "AWS")]
    pub region: Option<Region>,

    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// Whether to follow the operation to its end.
    #[command(flatten)]
    pub wait: WaitArgs,

    /// Print the operation and create nothing; with server, also ask the API server whether it would be created.
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "client", conflicts_with = "wait")]
    pub dry_run: Option<DryRun>,

    /// As whom AWS is asked for what the policy does not report.
    #[command(flatten)]
    pub aws: AwsOptions,

    /// What must be so.
    #[command(flatten)]
    pub expect: ExpectArgs,
}

/// Versions to expect, where neither the policy's status nor AWS tells them, or others are meant.
#[derive(Args, Clone, Debug, Default)]
#[command(
    next_help_heading = "What is expected; filled in from the policy and, with your own credentials, from AWS"
)]
pub struct ExpectArgs {
    /// The version with AWSCURRENT.
    #[arg(long, value_name = "ID")]
    pub current_version: Option<String>,

    /// The version with AWSPENDING.
    #[arg(long, value_name = "ID")]
    pub pending_version: Option<String>,

    /// The version with AWSPREVIOUS.
    #[arg(long, value_name = "ID")]
    pub previous_version: Option<String>,

    /// The version that the controller pinned.
    #[arg(long, value_name = "ID")]
    pub pinned_version: Option<String>,

    /// When the secret was scheduled for deletion (`DeletedDate`).
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub deleted_time: Option<jiff::Timestamp>,
}

/// What is done instead of creating.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// Print the operation.
    Client,
    /// Have the API server judge it.
    Server,
}

fn time(text: &str) -> Result<jiff::Timestamp, String> {
    text.parse().map_err(|error| format!("{error}"))
}
