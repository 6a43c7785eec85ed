//! Adds a scenario to the state: completely, or not at all.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};

use crate::arn::Arn;
use crate::entries::{Rotating, SecretEntry, VersionEntry};
use crate::event::{Event, RunEventKind};
use crate::functions::STEPS;
use crate::labels::CURRENT;
use crate::model::{Deletion, Rotation, Secret, SecretValue, Target, Version};
use crate::relative_time::parse;
use crate::scenario::Scenario;
use crate::state::SimulatedAws;

const ACCOUNT: &str = "111122223333";

/// An added group is merged with the secrets that exist if it is at least this part of them; otherwise each secret is
/// inserted.
const MERGED_PART: usize = 16;

/// The new secrets, and the ends of their running steps.
#[derive(Default)]
struct Made {
    secrets: Vec<Secret>,
    steps: Vec<(Timestamp, Event)>,
    shared: Shared,
}

/// Equal parts of secrets, to keep them once.
#[derive(Default)]
struct Shared {
    texts: BTreeSet<Arc<str>>,
    rotations: BTreeSet<Arc<Rotation>>,
}

impl Shared {
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&new));
        new
    }

    fn rotation(&mut self, rotation: Rotation) -> Arc<Rotation> {
        if let Some(known) = self.rotations.get(&rotation) {
            return Arc::clone(known);
        }
        let new = Arc::new(rotation);
        self.rotations.insert(Arc::clone(&new));
        new
    }
}

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
        let Made { secrets, steps, .. } = self.make(state, now)?;
        if let Some(change) = &self.quirks {
            state.quirks = change.apply(&state.quirks);
        }
        state.add(secrets, now);
        state.schedule_all(steps);
        state.set_scripts(self.functions);
        state.faults.0.extend(self.faults);
        for queue in &self.queues {
            let region = queue.region.as_deref().unwrap_or("eu-west-1");
            state.queues.make(&queue.name, region, ACCOUNT);
        }
        Ok(())
    }

    /// Makes the secrets, in the order of their ARNs.
    fn make(&self, state: &SimulatedAws, now: Timestamp) -> Result<Made> {
        let mut made = Made::default();
        for entry in &self.secrets {
            made.add(entry, state, now)?;
        }
        for group in &self.generate {
            made.secrets.reserve_exact(group.count);
            for entry in group.secrets()? {
                made.add(&entry, state, now)?;
            }
        }
        made.secrets.sort_by(|a, b| a.arn.cmp(&b.arn));
        let twice = made
            .secrets
            .windows(2)
            .find(|pair| pair[0].arn == pair[1].arn);
        if let Some(pair) = twice {
            bail!("secret {:?} exists already", pair[0].name());
        }
        Ok(made)
    }
}

impl Made {
    fn add(&mut self, entry: &SecretEntry, state: &SimulatedAws, now: Timestamp) -> Result<()> {
        let context = || format!("secret {:?}", entry.name);
        let (secret, step) = entry
            .build(state, now, &mut self.shared)
            .with_context(context)?;
        let there = state.secrets.contains_key(&secret.arn);
        ensure!(!there, "secret {:?} exists already", entry.name);
        self.secrets.push(secret);
        self.steps.extend(step);
        Ok(())
    }
}

impl SimulatedAws {
    /// Adds new secrets, and schedules their next rotations.
    fn add(&mut self, secrets: Vec<Secret>, now: Timestamp) {
        let planned = secrets.iter().filter_map(|secret| {
            let next = secret.next_rotation.filter(|next| *next > now)?;
            let arn = secret.arn.clone();
            Some((next, Event::Due { arn }))
        });
        let planned: Vec<_> = planned.collect();
        if secrets.len() * MERGED_PART > self.secrets.len() {
            self.schedule_all(planned);
            self.secrets.extend(secrets);
            return;
        }
        for (at, event) in planned {
            self.schedule(at, event);
        }
        for secret in secrets {
            self.secrets.insert(secret);
        }
    }
}

impl SecretEntry {
    fn build(
        &self,
        state: &SimulatedAws,
        now: Timestamp,
        shared: &mut Shared,
    ) -> Result<(Secret, Option<(Timestamp, Event)>)> {
        ensure!(!self.name.is_empty(), "the name is missing");
        let region = self.region.as_deref().unwrap_or("eu-west-1");
        let arn = state.new_arn(&self.name, region, ACCOUNT);
        let mut secret = Secret::blank(arn.clone(), now);
        secret.rotation = shared.rotation(self.rotation(region));
        self.set_dates(&mut secret, now)?;
        self.set_details(&mut secret, shared);
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
        secret.rare.running = Some(token);
        Ok((secret, Some(running)))
    }

    fn set_details(&self, secret: &mut Secret, shared: &mut Shared) {
        let tags = self.tags.iter();
        let mut share = |text: &str| shared.text(text);
        secret.tags = tags
            .map(|(key, value)| (share(key), share(value)))
            .collect();
        if self.owning_service.is_some() || self.kind.is_some() || self.primary_region.is_some() {
            secret.rare.owning_service.clone_from(&self.owning_service);
            secret.rare.kind.clone_from(&self.kind);
            secret.rare.primary_region.clone_from(&self.primary_region);
        }
    }

    fn set_dates(&self, secret: &mut Secret, now: Timestamp) -> Result<()> {
        let time = |text: &Option<String>| {
            let text = text.as_ref();
            text.map(|text| parse(text, now)).transpose()
        };
        let year_ago = now - SignedDuration::from_hours(24 * 365);
        secret.created = time(&self.created)?.unwrap_or(year_ago);
        secret.last_changed = time(&self.last_changed)?.unwrap_or(secret.created);
        if let Some(requested) = time(&self.deleted)? {
            secret.rare.deleted = Some(Deletion {
                requested,
                window_days: 30,
            });
        }
        let (rotated, next) = match &self.rotation {
            Some(rotation) => (time(&rotation.last_rotated)?, time(&rotation.next)?),
            None => (None, None),
        };
        secret.last_rotated = rotated;
        let computed = crate::schedule::next(&secret.rotation, now);
        secret.next_rotation = next.or(computed);
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
        let id: Arc<str> = self.id.as_str().into();
        let version = Version {
            labels: self.labels.iter().map(String::as_str).collect(),
            value: (!self.empty).then(|| SecretValue::Of(Arc::clone(&id))),
            created: written,
        };
        let before = secret.versions.insert(id, version);
        ensure!(before.is_none(), "version {:?} is defined twice", self.id);
        Ok(())
    }
}

impl Rotating {
    fn step_end(&self, arn: &Arn, token: &str, now: Timestamp) -> Result<(Timestamp, Event)> {
        let step = STEPS.iter().position(|step| *step == self.step);
        let step =
            step.with_context(|| format!("{:?} is not one of {}", self.step, STEPS.join(", ")))?;
        let kind = RunEventKind::Step { step, attempt: 0 };
        Ok((parse(&self.ends, now)?, Event::run(arn, token, kind)))
    }
}
