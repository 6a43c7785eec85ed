//! `list`: lists every secret of an account with its state, labels and dates, directly from AWS.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use secret_rotation_core::engine::Engine;
use secret_rotation_core::inventory::Observation;
use secret_rotation_core::names::VersionId;
use secret_rotation_core::policy::Detection;
use secret_rotation_core::secret::Rotation;
use secret_rotation_core::survey::State;
use secret_rotation_core::time::AwsTime;
use secret_rotation_core::verdict::{self, VerdictInput};
use serde::Serialize;

use crate::CommandError;
use crate::app::App;
use crate::aws::{AwsQuery, Criteria, Progress, RegionSweep, collect};
use crate::ui::duration;
use crate::ui::output;
use crate::ui::style::Style;
use crate::ui::table::{Cell, Table};
use crate::view::version_id::distinguish_or_dash;

/// The exit status if some secrets could not be listed.
const INCOMPLETE: u8 = 3;

/// List all secrets of an account with their states, versions and dates.
///
/// Exit status: 0 everything was read; 3 something could not be read, which standard error names.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// Output format.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub output: Format,

    /// What to read from AWS, and how.
    #[command(flatten)]
    pub aws: AwsQuery,
}

/// The format of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table.
    Table,
    /// A table with more columns.
    Wide,
    /// JSON.
    Json,
}

/// One secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: String,
    region: String,
    arn: String,
    state: &'static str,
    message: String,
    current_version_id: Option<String>,
    pending_version_id: Option<String>,
    last_rotated: Option<String>,
    next_rotation: Option<String>,
    created: Option<String>,
    rotation: &'static str,
    function: Option<String>,
    labels: usize,
    #[serde(skip)]
    ages: Ages,
}

/// The dates of a secret as the table shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ages {
    last_rotated: String,
    next_rotation: String,
    created: String,
}

/// Reads the account and prints the list.
pub(crate) async fn run(_app: &App, args: &ListArgs) -> Result<ExitCode, CommandError> {
    let session = args.aws.options.session().await?;
    let criteria = Criteria::everything(session.regions(&args.aws.regions)?)?;
    let progress = Progress::new(&criteria.regions());
    let swept = collect(
        &session,
        args.aws.rate,
        &criteria,
        &progress,
        Engine::of_everything,
    )
    .await;
    progress.finish();
    let rows = rows(&swept, &criteria.policy.detection);
    output::print(&rendered(&rows, args.output, swept.len() > 1)?)?;
    let problems = || swept.iter().flat_map(|swept| &swept.problems);
    for one in problems() {
        output::print_error(&CommandError::from(one.clone()));
    }
    Ok(match problems().next() {
        Some(_) => ExitCode::from(INCOMPLETE),
        None => ExitCode::SUCCESS,
    })
}

fn rows(swept: &[RegionSweep], detection: &Detection) -> Vec<Row> {
    let mut rows = Vec::new();
    for swept in swept {
        let Some(time) = swept.time else { continue };
        let secrets = swept.engine.observations();
        rows.extend(secrets.map(|seen| Row::of(&seen, detection, time)));
    }
    rows.sort_by(|a, b| (&a.name, &a.region).cmp(&(&b.name, &b.region)));
    rows
}

impl Row {
    fn of(seen: &Observation, detection: &Detection, now: AwsTime) -> Self {
        let secret = &seen.secret;
        let verdict = verdict::of(seen, detection, VerdictInput::default(), now);
        let id = |id: Option<&VersionId>| id.map(ToString::to_string);
        let time = |time: Option<AwsTime>| time.map(|time| time.to_string());
        Self {
            name: secret.name.to_string(),
            region: secret.arn.region().to_string(),
            arn: secret.arn.to_string(),
            state: verdict.state.name(),
            message: verdict.message,
            current_version_id: id(secret.current()),
            pending_version_id: id(secret.unfinished()),
            last_rotated: time(secret.last_rotated),
            next_rotation: time(secret.next_rotation),
            created: time(secret.created),
            rotation: rotation(&secret.rotation),
            function: secret.function().map(ToString::to_string),
            labels: secret.label_count(),
            ages: Ages {
                last_rotated: duration::age_or_dash(secret.last_rotated, now),
                next_rotation: duration::wait_or_dash(secret.next_rotation, now),
                created: duration::age_or_dash(secret.created, now),
            },
        }
    }

    fn cells(&self, format: Format, with_region: bool) -> Vec<Cell> {
        let mut cells = vec![Cell::from(&self.name)];
        if with_region {
            cells.push((&self.region).into());
        }
        let [current, pending] = distinguish_or_dash(
            self.current_version_id.as_deref(),
            self.pending_version_id.as_deref(),
        );
        cells.extend([
            self.state.into(),
            current.into(),
            pending.into(),
            (&self.ages.last_rotated).into(),
            (&self.ages.next_rotation).into(),
        ]);
        if format == Format::Wide {
            cells.extend([
                self.rotation.into(),
                function_name(self.function.as_deref()).into(),
                self.labels.to_string().into(),
                (&self.arn).into(),
            ]);
        }
        cells.push((&self.ages.created).into());
        cells
    }
}

const fn rotation(rotation: &Rotation) -> &'static str {
    match rotation {
        Rotation::NotConfigured => "NotConfigured",
        Rotation::Disabled => "Disabled",
        Rotation::Enabled { .. } => "Enabled",
    }
}

/// Returns the last part of a function's ARN.
fn function_name(arn: Option<&str>) -> String {
    arn.and_then(|arn| arn.rsplit(':').next())
        .map_or_else(duration::dash, str::to_owned)
}

fn titles(format: Format, with_region: bool) -> Vec<&'static str> {
    let mut titles = vec!["NAME"];
    if with_region {
        titles.push("REGION");
    }
    titles.extend(["STATE", "CURRENT", "PENDING", "LAST-ROTATION", "NEXT"]);
    if format == Format::Wide {
        titles.extend(["ROTATION", "FUNCTION", "LABELS", "ARN"]);
    }
    titles.push("AGE");
    titles
}

fn rendered(rows: &[Row], format: Format, several_regions: bool) -> Result<String, CommandError> {
    if format == Format::Json {
        let text = serde_json::to_string_pretty(rows);
        let failed = |error| CommandError::new(format!("cannot format the list as JSON: {error}"));
        return text.map(|text| text + "\n").map_err(failed);
    }
    if rows.is_empty() {
        return Ok(String::new());
    }
    let with_region = several_regions || format == Format::Wide;
    let mut table = Table::new(&titles(format, with_region));
    for row in rows {
        table.push(row.cells(format, with_region));
    }
    Ok(table.render(Style::PLAIN) + &footer(rows))
}

/// Returns a hint about stuck secrets, if there are any.
fn footer(rows: &[Row]) -> String {
    let stuck = rows
        .iter()
        .filter(|row| row.state == State::Stuck.name())
        .count();
    if stuck == 0 {
        return String::new();
    }
    format!("\nstuck: {stuck}; see `kubectl secret-rotation explain Stuck`\n")
}
