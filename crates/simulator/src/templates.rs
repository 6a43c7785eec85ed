//! Groups of secrets: one state, many names.

use anyhow::{Result, ensure};
use serde::Deserialize;

use crate::entries::{Rotating, RotationEntry, SecretEntry, TargetEntry, VersionEntry};

/// A group of secrets in one state.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Generate {
    /// The number of secrets.
    pub count: usize,
    /// Their name. `{n}` counts from 1.
    pub name: String,
    /// Their state.
    pub state: Template,
    /// Their rotation function. `{n}` counts from 1. `ok-{n}` if absent.
    #[serde(default)]
    pub function: Option<String>,
    /// Their region.
    #[serde(default)]
    pub region: Option<String>,
}

/// States to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Template {
    /// At rest, rotated twelve days ago.
    Healthy,
    /// AWSPENDING and AWSCURRENT on one version.
    PendingOnCurrent,
    /// A pending version without a value, unchanged for 26 hours.
    StuckEmpty,
    /// A pending version whose value never reached the target, unchanged for 26 hours.
    StuckValued,
    /// A pending version whose value is the only one that the target accepts, unchanged for 26 hours.
    StuckAfterSet,
    /// A rotation in progress.
    Rotating,
    /// `NextRotationDate` two days ago.
    Overdue,
    /// Rotation turned off.
    Disabled,
    /// Scheduled for deletion.
    Deleted,
    /// Managed by another service.
    Managed,
    /// A replica.
    Replica,
    /// No AWSCURRENT.
    Broken,
}

impl Generate {
    pub(crate) fn secrets(&self) -> Result<Vec<SecretEntry>> {
        ensure!(
            self.count <= 1 || self.name.contains("{n}"),
            "the name {:?} of several secrets must contain {{n}}",
            self.name
        );
        Ok((1..=self.count).map(|number| self.secret(number)).collect())
    }

    fn secret(&self, number: usize) -> SecretEntry {
        let numbered = |text: &str| text.replace("{n}", &number.to_string());
        let name = numbered(&self.name);
        let function = numbered(self.function.as_deref().unwrap_or("ok-{n}"));
        let mut entry = healthy(&name, &function);
        entry.region.clone_from(&self.region);
        self.state.apply(&mut entry, &name);
        entry
    }
}

impl Template {
    fn apply(self, entry: &mut SecretEntry, name: &str) {
        let rotation = entry.rotation.get_or_insert_default();
        match self {
            Self::Healthy => {}
            Self::PendingOnCurrent => entry.versions[0].labels.push("AWSPENDING".to_owned()),
            Self::StuckEmpty => stuck(entry, name, true),
            Self::StuckValued => stuck(entry, name, false),
            Self::StuckAfterSet => {
                stuck(entry, name, false);
                entry.target = Some(accepting(id(name, "pending")));
            }
            Self::Rotating => rotating(entry, name),
            Self::Overdue => {
                rotation.last_rotated = Some("-32d".to_owned());
                rotation.next = Some("-2d".to_owned());
            }
            Self::Disabled => rotation.enabled = Some(false),
            Self::Deleted => entry.deleted = Some("-3d".to_owned()),
            Self::Managed => {
                entry.owning_service = Some("rds".to_owned());
                rotation.function = None;
            }
            Self::Replica => entry.primary_region = Some(elsewhere(entry.region.as_deref())),
            Self::Broken => {
                entry.versions = vec![VersionEntry {
                    id: id(name, "pending"),
                    labels: vec!["AWSPENDING".to_owned()],
                    empty: true,
                    created: None,
                }];
            }
        }
    }
}

fn healthy(name: &str, function: &str) -> SecretEntry {
    let version = |what: &str, label: &str, created: &str| VersionEntry {
        id: id(name, what),
        labels: vec![label.to_owned()],
        created: Some(created.to_owned()),
        empty: false,
    };
    SecretEntry {
        name: name.to_owned(),
        versions: vec![
            version("current", "AWSCURRENT", "-12d"),
            version("previous", "AWSPREVIOUS", "-42d"),
        ],
        rotation: Some(RotationEntry {
            function: Some(function.to_owned()),
            every_days: Some(30),
            last_rotated: Some("-12d".to_owned()),
            next: Some("+18d".to_owned()),
            ..RotationEntry::default()
        }),
        last_changed: Some("-12d".to_owned()),
        ..SecretEntry::default()
    }
}

fn stuck(entry: &mut SecretEntry, name: &str, empty: bool) {
    let pending = VersionEntry {
        id: id(name, "pending"),
        labels: vec!["AWSPENDING".to_owned()],
        created: Some("-26h".to_owned()),
        empty,
    };
    entry.versions.insert(1, pending);
    entry.last_changed = Some("-26h".to_owned());
    if let Some(rotation) = &mut entry.rotation {
        rotation.next = Some("-1d".to_owned());
    }
}

fn rotating(entry: &mut SecretEntry, name: &str) {
    stuck(entry, name, false);
    entry.last_changed = Some("-60s".to_owned());
    entry.versions[1].created = Some("-60s".to_owned());
    entry.rotating = Some(Rotating {
        step: "setSecret".to_owned(),
        ends: "+1800s".to_owned(),
    });
}

fn accepting(version: String) -> TargetEntry {
    TargetEntry {
        accepts: Some(version),
        ..TargetEntry::default()
    }
}

/// Returns a region other than `region`.
fn elsewhere(region: Option<&str>) -> String {
    let other = if region == Some("us-east-1") {
        "eu-west-1"
    } else {
        "us-east-1"
    };
    other.to_owned()
}

/// Returns a version id in the format of AWS. The same arguments give the same id.
fn id(name: &str, what: &str) -> String {
    uuid::Uuid::new_v5(
        &uuid::Uuid::NAMESPACE_URL,
        format!("{name} {what}").as_bytes(),
    )
    .to_string()
}
