//! `audit`: evaluates an account as the controller does, without a cluster and without a write.
//!
//! Crate `aws` reads and core evaluates; this module reports. An audit has no memory of earlier ones: it knows the age
//! of a pending version without a value only by the last change of the secret.

mod age_buckets;
mod fail_on;
mod html;
mod markdown;
mod report;
mod sarif;
mod table;
#[cfg(test)]
mod testing;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use schemars::Schema;
use secret_rotation_core::engine::{self, Engine, Facts};
use secret_rotation_core::operation_index::OperationIndex;
use secret_rotation_core::stability::StabilityTracker;
use secret_rotation_core::survey::{PreviousFindings, Survey};

use crate::CommandError;
use crate::app::App;
use crate::aws::{AwsQuery, Criteria, Progress, RegionSweep, collect};
use crate::ui::output;

pub(crate) use fail_on::FailOn;
pub(crate) use report::Report;

/// The exit status if something could not be read and nothing named by `--fail-on` was found.
const INCOMPLETE: u8 = 3;

/// Evaluate the rotations of an AWS account as the controller does, without a cluster.
///
/// Exit status: 0 nothing named by --fail-on was found; 1 something was found; 2 the command line or the policy file is
/// invalid; 3 something could not be read, and nothing named by --fail-on was found in the rest.
#[derive(Args, Clone, Debug)]
pub struct AuditArgs {
    /// File with a `SecretRotationPolicy`, whose regions are the default, and optionally its `AWSAccessProfile`; - is
    /// standard input.
    #[arg(short, long, value_name = "FILE")]
    pub filename: Option<PathBuf>,

    /// Time without progress after which a pending version is stuck; overrides the policy.
    #[arg(long, value_name = "DURATION")]
    pub stuck_after: Option<String>,

    /// Output format.
    #[arg(short, long, alias = "format", value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub output: Format,

    /// Write the report to a file instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub output_file: Option<PathBuf>,

    /// States that make the exit status 1, separated by commas; any is every state that needs attention.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        ignore_case = true,
        value_name = "STATE",
        default_value = "never"
    )]
    pub fail_on: Vec<FailOn>,

    /// What to read from AWS, and how.
    #[command(flatten)]
    pub aws: AwsQuery,
}

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for a terminal.
    Table,
    /// JSON according to `docs/reference/audit.schema.json`.
    Json,
    /// SARIF 2.1.0 for code scanning.
    Sarif,
    /// Markdown for a comment on a pull request.
    Markdown,
    /// One self-contained HTML page.
    Html,
}

/// Reads the account, evaluates it and prints the report.
pub(crate) async fn run(_app: &App, args: &AuditArgs) -> Result<ExitCode, CommandError> {
    let session = args.aws.options.session().await?;
    let policy = args.filename.as_deref();
    let criteria = Criteria::read(policy, args.stuck_after.as_deref(), || {
        session.regions(&args.aws.regions)
    })?
    .within(&args.aws.regions)?;
    let progress = Progress::new(&criteria.regions());
    let sweeps = collect(&session, args.aws.rate, &criteria, &progress, Engine::new).await;
    progress.finish();
    let survey = evaluate(&criteria, &sweeps);
    let report = Report::of(&criteria, &sweeps, &survey);
    publish(
        &rendered(&report, args.output)?,
        args.output_file.as_deref(),
    )?;
    print_problems(&report);
    Ok(exit_code(&report, &survey, &args.fail_on))
}

/// Evaluates the regions with core. A region that returned nothing is left out: nothing is known about it.
pub(crate) fn evaluate(criteria: &Criteria, sweeps: &[RegionSweep]) -> Survey {
    let answered = sweeps.iter().filter(|swept| swept.is_answered);
    let engines: Vec<_> = answered.map(|swept| &swept.engine).collect();
    let facts = Facts {
        operations: &OperationIndex::default(),
        stability: &StabilityTracker::default(),
    };
    let bound_policy = criteria.bound_policy();
    engine::survey(&bound_policy, &engines, &PreviousFindings::default(), facts)
}

fn rendered(report: &Report, format: Format) -> Result<String, CommandError> {
    match format {
        Format::Table => Ok(table::render(report)),
        Format::Json => report::json(report),
        Format::Sarif => sarif::render(report),
        Format::Markdown => Ok(markdown::render(report)),
        Format::Html => Ok(html::render(report)),
    }
}

fn publish(text: &str, to: Option<&std::path::Path>) -> Result<(), CommandError> {
    let Some(path) = to else {
        return output::print(text);
    };
    fs::write(path, text)
        .map_err(|error| CommandError::usage(format!("cannot write {}: {error}", path.display())))
}

/// Prints what could not be read on standard error too, for every format and destination.
fn print_problems(report: &Report) {
    for (_, problem) in report.problems() {
        output::print_error(&CommandError::from(problem.clone()));
    }
}

fn exit_code(report: &Report, survey: &Survey, fail_on: &[FailOn]) -> ExitCode {
    if survey
        .counts
        .iter()
        .any(|(state, count)| *count > 0 && fail_on.iter().any(|word| word.matches(*state)))
    {
        return ExitCode::FAILURE;
    }
    if report.complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(INCOMPLETE)
    }
}

/// Returns the JSON schema of a report.
pub(crate) fn schema() -> Schema {
    schemars::schema_for!(Report)
}

/// Returns the JSON schema of a report as text, the content of `docs/reference/audit.schema.json`.
///
/// # Errors
///
/// Returns an error if the schema cannot be serialized.
pub fn schema_text() -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&schema()).map(|text| text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_schema_is_fresh() {
        let published = include_str!("../../../../docs/reference/audit.schema.json");
        assert_eq!(
            schema_text().expect("JSON"),
            published,
            "run: cargo run -p secret-rotation-cli --example audit-schema > docs/reference/audit.schema.json"
        );
    }
}
