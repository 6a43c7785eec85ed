//! Adds a scenario to the state: completely, or not at all.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};

use crate::entries::{Rotating, SecretEntry, VersionEntry};
use crate::event::Event;
use crate::functions::STEPS;
use crate::model::{CURRENT, Deletion, Rotation, Secret, Target, Version};
use crate::relative_time::parse;
use crate::scenario::Scenario;
use crate::state::SimulatedAws;
use crate::templates::Generate;

const ACCOUNT: &str = "111122223333";

/// A secret, and the end of its running step.
type Made = (Secret, Option<(Timestamp, Event)>);

impl Scenario {
    /// Adds the whole scenario. Adds nothing if any part of it is invalid.
    pub(crate) fn load(self, state: &mut SimulatedAws) -> Result<()> {
        let now = state.catch_up();
        for (function, script) in &self.functions {
            script
                .check()
                .with_context(|| format!("function {function:?}"))?;
        }
        for fault in &self.faults {
            fault.check()?;
        }
        let made = self.secrets(state, now)?;
        if let Some(change) = &self.quirks {
            state.quirks = change.apply(&state.quirks);
        }
        for (arn, (secret, running)) in made {
            state.secrets.insert(arn.clone(), secret);
            state.plan_next(&arn, now);
            if let Some((ends, event)) = running {
                state.schedule(ends, event);
            }
        }
        for (function, script) in self.functions {
            state.set_script(function, script);
        }
        state.faults.0.extend(self.faults);
        for queue in &self.queues {
            let region = queue.region.as_deref().unwrap_or("eu-west-1");
            state.queues.make(&queue.name, region, ACCOUNT);
        }
        Ok(())
    }

    fn secrets(&self, state: &SimulatedAws, now: Timestamp) -> Result<BTreeMap<String, Made>> {
        let generated = self.generate.iter().map(Generate::secrets);
        let generated = generated.collect::<Result<Vec<_>>>()?;
        let mut all = BTreeMap::new();
        for entry in self.secrets.iter().chain(generated.iter().flatten()) {
            let context = || format!("secret {:?}", entry.name);
            let made = entry.build(state, now).with_context(context)?;
            let arn = made.0.arn.clone();
            let there = state.secrets.contains_key(&arn) || all.insert(arn, made).is_some();
            ensure!(!there, "secret {:?} exists already", entry.name);
        }
        Ok(all)
    }
}

impl SecretEntry {
    fn build(&self, state: &SimulatedAws, now: Timestamp) -> Result<Made> {
        ensure!(!self.name.is_empty(), "the name is missing");
        let region = self.region.as_deref().unwrap_or("eu-west-1");
        let arn = state.new_arn(&self.name, region, ACCOUNT);
        let mut secret = Secret::blank(&arn, &self.name, region, ACCOUNT, now);
        self.set_dates(&mut secret, now)?;
        self.set_details(&mut secret);
        for version in &self.versions {
            version.load(&mut secret, now)?;
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

    fn set_details(&self, secret: &mut Secret) {
        secret.tags.clone_from(&self.tags);
        secret.owning_service.clone_from(&self.owning_service);
        secret.kind.clone_from(&self.kind);
        secret.primary_region.clone_from(&self.primary_region);
    }

    fn set_dates(&self, secret: &mut Secret, now: Timestamp) -> Result<()> {
        let time = |text: &Option<String>| {
            let text = text.as_ref();
            text.map(|text| parse(text, now)).transpose()
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
    fn load(&self, secret: &mut Secret, now: Timestamp) -> Result<()> {
        ensure!(!self.id.is_empty(), "the id of a version is missing");
        for label in &self.labels {
            ensure!(
                secret.holder(label).is_none(),
                "two versions have {label}; a label can be on one version only"
            );
        }
        let created = self.created.as_ref();
        let created = created.map(|text| parse(text, now)).transpose()?;
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
        Ok((parse(&self.ends, now)?, event))
    }
}
