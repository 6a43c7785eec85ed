//! `versions`: lists all versions of one secret with their labels, and explains the controller's own labels.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use secret_rotation_core::names::{StageLabel, VersionId};
use secret_rotation_core::pin::{self, Pin};
use secret_rotation_core::secret::{Look, Secret, Seen, VersionListing};
use secret_rotation_core::time::AwsTime;
use serde::Serialize;

use crate::CommandError;
use crate::app::App;
use crate::aws::AwsOptions;
use crate::aws::SecretArg;
use crate::ui::duration;
use crate::ui::output;
use crate::ui::style::Style;
use crate::ui::table::Table;

/// List all versions of a secret, including those without a label; no value is read.
#[derive(Args, Clone, Debug)]
pub struct VersionsArgs {
    /// The secret.
    #[command(flatten)]
    pub place: SecretArg,

    /// Output format.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub output: Format,

    /// AWS credentials and endpoint.
    #[command(flatten)]
    pub aws: AwsOptions,
}

/// The format of a list of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table, and a sentence per pin.
    Table,
    /// JSON.
    Json,
}

/// One version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    version_id: String,
    labels: Vec<String>,
    created: Option<String>,
    /// Whether it has a value, if that is known without reading it.
    value: &'static str,
    pins: Vec<String>,
    #[serde(skip)]
    born: Option<AwsTime>,
}

/// Reads the secret and prints its versions.
pub(crate) async fn run(_app: &App, args: &VersionsArgs) -> Result<ExitCode, CommandError> {
    let session = args.aws.session().await?;
    let region = args.place.region(&session)?;
    let account = session.account(region);
    let look = args.place.look(&session, &account, true).await?;
    let Seen::Present(secret) = &look.secret else {
        return Err(args.place.absent(account.region()));
    };
    let rows = rows(secret, &look.versions.clone().unwrap_or_default());
    output::print(&match args.output {
        Format::Json => json(&rows)?,
        Format::Table => table(&rows, secret, &look),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the newest first; versions without a date come before all others.
fn rows(secret: &Secret, listing: &VersionListing) -> Vec<Row> {
    let labelled = secret.labels.keys();
    let mut ids: Vec<_> = listing.created.keys().chain(labelled).collect();
    ids.sort();
    ids.dedup();
    let mut rows: Vec<_> = ids.into_iter().map(|id| row(id, secret, listing)).collect();
    let latest = AwsTime::new(jiff::Timestamp::MAX);
    rows.sort_by_key(|row| std::cmp::Reverse(row.born.unwrap_or(latest)));
    rows
}

fn row(id: &VersionId, secret: &Secret, listing: &VersionListing) -> Row {
    let none = std::collections::BTreeSet::new();
    let labels = secret.labels.get(id).unwrap_or(&none);
    let born = listing.created(id);
    Row {
        version_id: id.to_string(),
        labels: labels.iter().map(ToString::to_string).collect(),
        created: born.map(|time| time.to_string()),
        // AWS lists a version once it has a value; see VersionListing::lists.
        value: if listing.lists(id) { "Yes" } else { "No" },
        pins: labels
            .iter()
            .filter_map(|label| explained(label, id))
            .collect(),
        born,
    }
}

/// Explains a label of the controller; `None` for other labels.
fn explained(label: &StageLabel, holder: &VersionId) -> Option<String> {
    if !label.as_str().starts_with(pin::PREFIX) {
        return None;
    }
    let Some(pin) = Pin::parse(label) else {
        return Some(format!("{label} looks like a pin but is not a valid one"));
    };
    let whose = if pin.version == *holder {
        "so that AWS keeps it".to_owned()
    } else {
        format!("but its name refers to {}", pin.version)
    };
    Some(format!(
        "pinned by cluster {} for an operation of {}, {whose}",
        pin.cluster.as_str(),
        pin.time()
    ))
}

fn table(rows: &[Row], secret: &Secret, look: &Look) -> String {
    let mut table = Table::new(&["VERSION", "LABELS", "VALUE", "CREATED", "AGE"]);
    for row in rows {
        let labels = if row.labels.is_empty() {
            "(deprecated)".to_owned()
        } else {
            row.labels.join(",")
        };
        let created = row.created.clone().unwrap_or_else(duration::dash);
        table.push(vec![
            (&row.version_id).into(),
            labels.into(),
            row.value.into(),
            created.into(),
            duration::age_or_dash(row.born, look.at).into(),
        ]);
    }
    table.render(Style::PLAIN) + &remarks(rows, secret)
}

fn remarks(rows: &[Row], secret: &Secret) -> String {
    let mut remarks = Vec::new();
    if let Some(pending) = secret.unfinished() {
        remarks.push(format!(
            "{pending} belongs to an unfinished rotation: AWSPENDING is not on the current version"
        ));
    }
    let pins = rows.iter().flat_map(|row| {
        row.pins
            .iter()
            .map(move |pin| format!("{} is {pin}", row.version_id))
    });
    remarks.extend(pins);
    if rows.iter().any(|row| row.value == "No") {
        remarks.push(
            "VALUE is No if AWS does not list the version, which it does as soon as there is a value"
                .to_owned(),
        );
    }
    if remarks.is_empty() {
        return String::new();
    }
    format!("\n{}\n", remarks.join("\n"))
}

fn json(rows: &[Row]) -> Result<String, CommandError> {
    let text = serde_json::to_string_pretty(rows);
    let failed = |error| CommandError::new(format!("cannot format the versions as JSON: {error}"));
    text.map(|text| text + "\n").map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(label: &str, holder: &str) -> Option<String> {
        let label = StageLabel::parse(label).expect("a label");
        explained(&label, &VersionId::parse(holder).expect("an id"))
    }

    #[test]
    fn pins_are_explained_and_other_labels_are_not() {
        assert_eq!(
            explain("srp-pin-abc123-htdd8-v1", "v1").as_deref(),
            Some(
                "pinned by cluster abc123 for an operation of 2026-11-23T10:20:00Z, so that AWS keeps it"
            )
        );
        assert_eq!(
            explain("srp-pin-abc123-htdd8-v1", "v2").as_deref(),
            Some(
                "pinned by cluster abc123 for an operation of 2026-11-23T10:20:00Z, but its name refers to v1"
            )
        );
        assert_eq!(
            explain("srp-pin-x", "v1").as_deref(),
            Some("srp-pin-x looks like a pin but is not a valid one")
        );
        assert_eq!(explain("AWSCURRENT", "v1"), None);
    }
}
