//! Adds a scenario to the state: completely, or not at all.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};

use crate::entries::{Rotating, SecretEntry, VersionEntry};
use crate::estate::Estate;
use crate::event::Event;
use crate::functions::STEPS;
use crate::instant::instant;
use crate::model::{CURRENT, Deletion, Rotation, Secret, Target, Version};
use crate::scenario::Scenario;
use crate::templates::Generate;

const ACCOUNT: &str = "111122223333";

/// A secret, and the end of its running step.
type Made = (Secret, Option<(Timestamp, Event)>);

impl Scenario {
    /// Adds the whole scenario. Adds nothing if any part of it is invalid.
    pub(crate) fn enter(self, estate: &mut Estate) -> Result<()> {
        let now = estate.catch_up();
        for (function, script) in &self.functions {
            script
                .check()
                .with_context(|| format!("function {function:?}"))?;
        }
        for fault in &self.faults {
            fault.check()?;
        }
        let made = self.secrets(estate, now)?;
        if let Some(change) = &self.world {
            estate.world = change.apply(&estate.world);
        }
        for (arn, (secret, running)) in made {
            estate.secrets.insert(arn.clone(), secret);
            estate.plan_next(&arn, now);
            if let Some((ends, event)) = running {
                estate.schedule(ends, event);
            }
        }
        for (function, script) in self.functions {
            estate.set_script(function, script);
        }
        estate.faults.0.extend(self.faults);
        for queue in &self.queues {
            let region = queue.region.as_deref().unwrap_or("eu-west-1");
            estate.queues.make(&queue.name, region, ACCOUNT);
        }
        Ok(())
    }

    fn secrets(&self, estate: &Estate, now: Timestamp) -> Result<BTreeMap<String, Made>> {
        let generated = self.generate.iter().map(Generate::secrets);
        let generated = generated.collect::<Result<Vec<_>>>()?;
        let mut all = BTreeMap::new();
        for entry in self.secrets.iter().chain(generated.iter().flatten()) {
            let context = || format!("secret {:?}", entry.name);
            let made = entry.made(estate, now).with_context(context)?;
            let arn = made.0.arn.clone();
            let there = estate.secrets.contains_key(&arn) || all.insert(arn, made).is_some();
            ensure!(!there, "secret {:?} exists already", entry.name);
        }
        Ok(all)
    }
}

impl SecretEntry {
    fn made(&self, estate: &Estate, now: Timestamp) -> Result<Made> {
        ensure!(!self.name.is_empty(), "the name is missing");
        let region = self.region.as_deref().unwrap_or("eu-west-1");
        let arn = estate.new_arn(&self.name, region, ACCOUNT);
        let mut secret = Secret::blank(&arn, &self.name, region, ACCOUNT, now);
        self.date(&mut secret, now)?;
        self.describe(&mut secret);
        for version in &self.versions {
            version.enter(&mut secret, now)?;
        }
        secret.target = self.target(&secret)?;
        let Some(rotating) = &self.rotating else {
            return Ok((secret, None));
        };
        let Some(token) = secret.unfinished().map(str::to_owned) else {
            bail!("`rotating` needs a version with AWSPENDING and without AWSCURRENT");
        };
        let running = rotating.step_end(&arn, &token, now)?;
        secret.running = Some(token);
        Ok((secret, Some(running)))
    }

    fn describe(&self, secret: &mut Secret) {
        secret.tags.clone_from(&self.tags);
        secret.owning_service.clone_from(&self.owning_service);
        secret.kind.clone_from(&self.kind);
        secret.primary_region.clone_from(&self.primary_region);
    }

    fn date(&self, secret: &mut Secret, now: Timestamp) -> Result<()> {
        let time = |text: &Option<String>| {
            let text = text.as_ref();
            text.map(|text| instant(text, now)).transpose()
        };
        let year_ago = now - SignedDuration::from_hours(24 * 365);
        secret.created = time(&self.created)?.unwrap_or(year_ago);
        secret.last_changed = time(&self.last_changed)?.unwrap_or(secret.created);
        secret.deleted = time(&self.deleted)?.map(|requested| Deletion {
            requested,
            window_days: 30,
        });
        secret.rotation = self.rotation(&secret.region);
        let rotation = self.rotation.clone().unwrap_or_default();
        secret.last_rotated = time(&rotation.last_rotated)?;
        let computed = crate::schedule::next(&secret.rotation, now);
        secret.next_rotation = time(&rotation.next)?.or(computed);
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
            "its target accepts a version that does not exist or has no value"
        );
        Ok(Target {
            strategy: entry.strategy,
            accepts: value.into_iter().collect(),
        })
    }
}

impl VersionEntry {
    fn enter(&self, secret: &mut Secret, now: Timestamp) -> Result<()> {
        ensure!(!self.id.is_empty(), "the id of a version is missing");
        for label in &self.labels {
            ensure!(
                secret.holder(label).is_none(),
                "two versions have {label}; a label can be on one version only"
            );
        }
        let created = self.created.as_ref();
        let created = created.map(|text| instant(text, now)).transpose()?;
        let written = (!self.empty).then(|| created.unwrap_or(secret.last_changed));
        let version = Version {
            labels: self.labels.iter().cloned().collect(),
            value: (!self.empty).then(|| format!("value of {}", self.id)),
            created: written,
        };
        let before = secret.versions.insert(self.id.clone(), version);
        ensure!(before.is_none(), "version {:?} is defined twice", self.id);
        Ok(())
    }
}

impl Rotating {
    fn step_end(&self, arn: &str, token: &str, now: Timestamp) -> Result<(Timestamp, Event)> {
        let step = STEPS.iter().position(|step| *step == self.step);
        let step =
            step.with_context(|| format!("{:?} is not one of {}", self.step, STEPS.join(", ")))?;
        let event = Event::Step {
            arn: arn.to_owned(),
            token: token.to_owned(),
            step,
            attempt: 0,
        };
        Ok((instant(&self.ends, now)?, event))
    }
}
