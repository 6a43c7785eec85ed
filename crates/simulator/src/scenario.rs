//! Scenario files: an estate as YAML.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::engine::Event;
use crate::estate::Estate;
use crate::faults::Fault;
use crate::functions::{STEPS, Script};
use crate::instant::instant;
use crate::model::{CURRENT, Deletion, Rotation, Secret, Strategy, Target, Version};
use crate::operations::blank;
use crate::templates::Generate;
use crate::world::World;

const ACCOUNT: &str = "111122223333";

/// What a scenario file holds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Scenario {
    /// Switches for what AWS does not document.
    pub world: Option<World>,
    /// Scripts of rotation functions, by name.
    pub functions: BTreeMap<String, Script>,
    /// Secrets one by one.
    pub secrets: Vec<SecretEntry>,
    /// Secrets by the dozen.
    pub generate: Vec<Generate>,
    /// Faults on the wire.
    pub faults: Vec<Fault>,
}

/// One secret.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct SecretEntry {
    /// Its name.
    pub name: String,
    /// `eu-west-1` if left out.
    pub region: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its versions.
    pub versions: Vec<VersionEntry>,
    /// Whether and how it rotates.
    pub rotation: Option<RotationEntry>,
    /// When it was created: RFC 3339, or `-6h` for six hours ago.
    pub created: Option<String>,
    /// `LastChangedDate`, likewise.
    pub last_changed: Option<String>,
    /// `DeletedDate`, likewise.
    pub deleted: Option<String>,
    /// The AWS service that manages it.
    pub owning_service: Option<String>,
    /// The type of a managed external secret.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The primary's region.
    pub primary_region: Option<String>,
    /// What its value opens.
    pub target: Option<TargetEntry>,
    /// A rotation under way.
    pub rotating: Option<Rotating>,
}

/// One version.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct VersionEntry {
    /// Its id.
    pub id: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// When its value was written: RFC 3339 or `-6h`.
    pub created: Option<String>,
    /// Whether it has no value.
    pub empty: bool,
}

/// Whether and how a secret rotates.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct RotationEntry {
    /// The function's name or ARN.
    pub function: Option<String>,
    /// Switched on unless it says false.
    pub enabled: Option<bool>,
    /// `cron(…)` or `rate(…)`.
    pub schedule: Option<String>,
    /// Length of the window, such as `3h`.
    pub duration: Option<String>,
    /// Days between rotations.
    pub every_days: Option<i64>,
    /// `LastRotatedDate`.
    pub last_rotated: Option<String>,
    /// `NextRotationDate`.
    pub next: Option<String>,
}

/// What a secret's value opens.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TargetEntry {
    /// How its users rotate.
    pub strategy: Strategy,
    /// The version whose value it lets in; the current one if left out.
    pub accepts: Option<String>,
}

/// A rotation that is under way when the scenario begins.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rotating {
    /// The step that runs.
    pub step: String,
    /// When it ends: `+30s` from now.
    pub ends: String,
}

impl Scenario {
    /// Reads a scenario file; the error says where it is wrong.
    pub fn parse(yaml: &str) -> Result<Self> {
        serde_saphyr::from_str(yaml).context("the scenario is not valid")
    }

    pub(crate) fn enter(self, estate: &mut Estate) -> Result<()> {
        let now = estate.catch_up();
        if let Some(world) = self.world {
            estate.world = world;
        }
        for (function, script) in self.functions {
            estate.set_script(function, script);
        }
        estate.faults.0.extend(self.faults);
        let generated = self
            .generate
            .iter()
            .map(Generate::secrets)
            .collect::<Result<Vec<_>>>()?;
        for entry in self
            .secrets
            .into_iter()
            .chain(generated.into_iter().flatten())
        {
            let name = entry.name.clone();
            entry
                .enter(estate, now)
                .with_context(|| format!("secret {name:?}"))?;
        }
        Ok(())
    }
}

impl SecretEntry {
    fn enter(self, estate: &mut Estate, now: Timestamp) -> Result<()> {
        ensure!(!self.name.is_empty(), "it has no name");
        let region = self
            .region
            .clone()
            .unwrap_or_else(|| "eu-west-1".to_owned());
        let arn = estate.new_arn(&self.name, &region, ACCOUNT);
        ensure!(!estate.secrets.contains_key(&arn), "it is there twice");
        let mut secret = blank(&arn, &self.name, &region, ACCOUNT, now);
        self.fill(&mut secret, now)?;
        let pending = secret.unfinished().map(str::to_owned);
        estate.secrets.insert(arn.clone(), secret);
        estate.plan_next(&arn, now);
        match (self.rotating, pending) {
            (None, _) => Ok(()),
            (Some(_), None) => bail!("it is said to rotate, but no version holds AWSPENDING alone"),
            (Some(rotating), Some(token)) => rotating.enter(estate, &arn, &token, now),
        }
    }

    fn fill(&self, secret: &mut Secret, now: Timestamp) -> Result<()> {
        let time = |text: &Option<String>, otherwise| {
            text.as_ref()
                .map_or(Ok(otherwise), |text| instant(text, now))
        };
        secret.created = time(&self.created, now - SignedDuration::from_hours(24 * 365))?;
        secret.last_changed = time(&self.last_changed, secret.created)?;
        secret.tags.clone_from(&self.tags);
        for version in &self.versions {
            let created = time(&version.created, secret.last_changed)?;
            secret
                .versions
                .insert(version.id.clone(), version.made(created)?);
        }
        secret.rotation = self.rotation(&secret.region);
        let rotation = self.rotation.clone().unwrap_or_default();
        secret.last_rotated = rotation
            .last_rotated
            .map(|text| instant(&text, now))
            .transpose()?;
        let computed = crate::schedule::next(&secret.rotation, now);
        secret.next_rotation = rotation
            .next
            .map(|text| instant(&text, now))
            .transpose()?
            .or(computed);
        let deleted = self
            .deleted
            .as_ref()
            .map(|text| instant(text, now))
            .transpose()?;
        secret.deleted = deleted.map(|requested| Deletion {
            requested,
            window_days: 30,
        });
        secret.owning_service.clone_from(&self.owning_service);
        secret.kind.clone_from(&self.kind);
        secret.primary_region.clone_from(&self.primary_region);
        secret.target = self.target(secret)?;
        Ok(())
    }

    fn rotation(&self, region: &str) -> Rotation {
        let Some(entry) = &self.rotation else {
            return Rotation::default();
        };
        let arn = |name: &String| {
            if name.starts_with("arn:") {
                name.clone()
            } else {
                format!("arn:aws:lambda:{region}:{ACCOUNT}:function:{name}")
            }
        };
        Rotation {
            enabled: Some(entry.enabled.unwrap_or(true)),
            function: entry.function.as_ref().map(arn),
            schedule: entry.schedule.clone(),
            duration: entry.duration.clone(),
            days: entry.every_days,
        }
    }

    fn target(&self, secret: &Secret) -> Result<Target> {
        let entry = self.target.clone().unwrap_or_default();
        let accepted = entry.accepts.as_deref().or_else(|| secret.holder(CURRENT));
        let value = secret.value_of(accepted).cloned();
        ensure!(
            entry.accepts.is_none() || value.is_some(),
            "its target accepts a version that is not there or has no value"
        );
        Ok(Target {
            strategy: entry.strategy,
            accepts: value.into_iter().collect(),
        })
    }
}

impl VersionEntry {
    fn made(&self, created: Timestamp) -> Result<Version> {
        ensure!(!self.id.is_empty(), "a version has no id");
        let value = (!self.empty).then(|| format!("value of {}", self.id));
        let created = value.is_some().then_some(created);
        Ok(Version {
            labels: self.labels.iter().cloned().collect(),
            value,
            created,
        })
    }
}

impl Rotating {
    fn enter(self, estate: &mut Estate, arn: &str, token: &str, now: Timestamp) -> Result<()> {
        let step = STEPS.iter().position(|step| *step == self.step);
        let step =
            step.with_context(|| format!("{:?} is not one of {}", self.step, STEPS.join(", ")))?;
        if let Some(secret) = estate.secrets.get_mut(arn) {
            secret.running = Some(token.to_owned());
        }
        let event = Event::Step {
            arn: arn.to_owned(),
            token: token.to_owned(),
            step,
            attempt: 0,
        };
        estate.schedule(instant(&self.ends, now)?, event);
        Ok(())
    }
}
