//! Groups of secrets: one state, many names.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::entries::{Rotating, RotationEntry, SecretEntry, TargetEntry, VersionEntry};

/// A group of secrets in one state.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Generate {
    /// The number of secrets.
    pub count: usize,
    /// Their name. `{n}` counts from 1, `{n:06}` with six digits, and `{n%50}` is the remainder.
    pub name: String,
    /// Their state.
    pub state: Template,
    /// The state of some of them instead.
    #[serde(default)]
    pub exception: Option<Exception>,
    /// Their rotation function, with the same placeholders. `ok-{n}` if absent.
    #[serde(default)]
    pub function: Option<String>,
    /// Their tags, with the same placeholders in the values.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Their region.
    #[serde(default)]
    pub region: Option<String>,
}

/// A state that every so many secrets of a group have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Exception {
    /// The number of secrets per exception: with 50, the secrets 50, 100, 150 and so on.
    pub every: usize,
    /// Their state.
    pub state: Template,
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
    /// Returns the secrets one by one. All of them together would take much memory.
    pub(crate) fn secrets(&self) -> Result<impl Iterator<Item = SecretEntry>> {
        let name = Numbered::parse(&self.name)?;
        ensure!(
            self.count <= 1 || name.is_unique(),
            "the name {:?} of several secrets must contain {{n}}",
            self.name
        );
        ensure!(
            self.exception.is_none_or(|exception| exception.every > 0),
            "`every` of the exception of {:?} must not be 0",
            self.name
        );
        let function = Numbered::parse(self.function.as_deref().unwrap_or("ok-{n}"))?;
        let tags = self.tags.iter();
        let tags = tags.map(|(key, value)| Ok((key, Numbered::parse(value)?)));
        let tags = tags.collect::<Result<Vec<_>>>()?;
        Ok((1..=self.count).map(move |number| {
            let name = name.with(number);
            let mut entry = healthy(&name, &function.with(number));
            entry.region.clone_from(&self.region);
            let numbered = tags
                .iter()
                .map(|(key, value)| ((*key).clone(), value.with(number)));
            entry.tags = numbered.collect();
            self.state_of(number).apply(&mut entry, &name);
            entry
        }))
    }

    fn state_of(&self, number: usize) -> Template {
        let exception = self
            .exception
            .filter(|one| number.is_multiple_of(one.every));
        exception.map_or(self.state, |exception| exception.state)
    }
}

/// A text with placeholders for a number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Numbered(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Number {
        modulo: Option<usize>,
        digits: usize,
    },
}

impl Numbered {
    fn parse(text: &str) -> Result<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{n") {
            let (placeholder, behind) = after
                .split_once('}')
                .with_context(|| format!("{text:?} has a placeholder without its closing brace"))?;
            let number = Part::number(placeholder);
            parts.push(Part::Text(before.to_owned()));
            parts.push(number.with_context(|| {
                format!(
                    "{{n{placeholder}}} is not a placeholder such as {{n}}, {{n:06}} or {{n%50}}"
                )
            })?);
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// Returns whether different numbers give different texts.
    fn is_unique(&self) -> bool {
        let is_whole = |part: &Part| matches!(part, Part::Number { modulo: None, .. });
        self.0.iter().any(is_whole)
    }

    fn with(&self, number: usize) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Number { modulo, digits } => {
                    let number = modulo.map_or(number, |modulo| number % modulo);
                    let number = format!("{number:0digits$}");
                    text.push_str(&number);
                }
            }
        }
        text
    }
}

impl Part {
    /// Parses what is behind the `n`: nothing, `%50`, `:06` or `%50:06`.
    fn number(placeholder: &str) -> Option<Self> {
        let (modulo, digits) = placeholder.split_once(':').unwrap_or((placeholder, "0"));
        let modulo = if modulo.is_empty() {
            None
        } else {
            let modulo: usize = modulo.strip_prefix('%')?.parse().ok()?;
            Some(modulo).filter(|modulo| *modulo > 0)
        };
        let digits = digits.parse().ok().filter(|digits| *digits <= 20)?;
        (modulo.is_some() || !placeholder.starts_with('%'))
            .then_some(Self::Number { modulo, digits })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_by_the_number() {
        for (text, expected) in [
            ("app", "app"),
            ("app-{n}", "app-1207"),
            ("{n:06}/{n%50}", "001207/7"),
            ("{n%50:03}{x}", "007{x}"),
        ] {
            assert_eq!(Numbered::parse(text).unwrap().with(1207), expected);
        }
    }

    #[test]
    fn an_invalid_placeholder_is_refused() {
        for text in ["{n", "{n%0}", "{n%}", "{n:x}", "{n:99}", "{name}"] {
            Numbered::parse(text).unwrap_err();
        }
    }
}
