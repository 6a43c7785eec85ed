//! Secrets, versions, labels and targets: the state that the operations change.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) const CURRENT: &str = "AWSCURRENT";
pub(crate) const PENDING: &str = "AWSPENDING";
pub(crate) const PREVIOUS: &str = "AWSPREVIOUS";

/// Labels by version id, without versions that have no label.
pub type Labels = BTreeMap<String, BTreeSet<String>>;

/// One secret with all of its AWS state, and the target that accepts its value.
#[derive(Clone, Debug)]
pub(crate) struct Secret {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) account: String,
    pub(crate) description: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) versions: BTreeMap<String, Version>,
    pub(crate) rotation: Rotation,
    pub(crate) created: Timestamp,
    pub(crate) last_changed: Timestamp,
    pub(crate) last_rotated: Option<Timestamp>,
    pub(crate) next_rotation: Option<Timestamp>,
    pub(crate) deleted: Option<Deletion>,
    pub(crate) owning_service: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) primary_region: Option<String>,
    pub(crate) replicas: BTreeSet<String>,
    pub(crate) resource_policy: Option<String>,
    pub(crate) target: Target,
    /// The version for which the rotation function runs now.
    pub(crate) running: Option<String>,
    pub(crate) invocations: BTreeMap<String, u64>,
    /// The number of times that the function failed, hung or crashed because of its script.
    pub(crate) failures: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Deletion {
    pub(crate) requested: Timestamp,
    pub(crate) window_days: i64,
}

/// One version. Only `GetSecretValue` returns the value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Version {
    pub(crate) labels: BTreeSet<String>,
    pub(crate) value: Option<String>,
    pub(crate) created: Option<Timestamp>,
}

/// The rotation configuration of a secret.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rotation {
    /// `RotationEnabled`. Absent if rotation was never configured.
    pub(crate) enabled: Option<bool>,
    pub(crate) function: Option<String>,
    pub(crate) schedule: Option<String>,
    pub(crate) duration: Option<String>,
    pub(crate) days: Option<i64>,
}

/// The target that accepts the value of a secret: a database or a partner.
#[derive(Clone, Debug, Default)]
pub(crate) struct Target {
    pub(crate) strategy: Strategy,
    /// The values that the target accepts.
    pub(crate) accepts: BTreeSet<String>,
}

/// The strategy of a rotation function for the users of the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// One user whose password changes. Only the newest value is accepted.
    #[default]
    SingleUser,
    /// Two alternating users. The value before stays valid.
    AlternatingUsers,
}

impl Secret {
    /// Builds a secret without versions.
    pub(crate) fn blank(
        arn: &str,
        name: &str,
        region: &str,
        account: &str,
        now: Timestamp,
    ) -> Self {
        Self {
            arn: arn.to_owned(),
            name: name.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            description: None,
            tags: BTreeMap::new(),
            versions: BTreeMap::new(),
            rotation: Rotation::default(),
            created: now,
            last_changed: now,
            last_rotated: None,
            next_rotation: None,
            deleted: None,
            owning_service: None,
            kind: None,
            primary_region: None,
            replicas: BTreeSet::new(),
            resource_policy: None,
            target: Target::default(),
            running: None,
            invocations: BTreeMap::new(),
            failures: 0,
        }
    }

    pub(crate) fn holder(&self, label: &str) -> Option<&str> {
        self.versions
            .iter()
            .find(|(_, version)| version.labels.contains(label))
            .map(|(id, _)| id.as_str())
    }

    /// Returns the version with AWSPENDING, if it does not have AWSCURRENT.
    pub(crate) fn unfinished(&self) -> Option<&str> {
        self.holder(PENDING)
            .filter(|pending| self.holder(CURRENT) != Some(*pending))
    }

    pub(crate) fn labels(&self) -> Labels {
        let labelled = self
            .versions
            .iter()
            .filter(|(_, version)| !version.labels.is_empty());
        labelled
            .map(|(id, version)| (id.clone(), version.labels.clone()))
            .collect()
    }

    pub(crate) fn label_count(&self) -> usize {
        self.versions
            .values()
            .map(|version| version.labels.len())
            .sum()
    }

    pub(crate) fn detach(&mut self, label: &str) {
        for version in self.versions.values_mut() {
            version.labels.remove(label);
        }
    }

    pub(crate) fn attach(&mut self, label: &str, version: &str) {
        self.detach(label);
        self.versions
            .entry(version.to_owned())
            .or_default()
            .labels
            .insert(label.to_owned());
    }

    /// Moves AWSCURRENT to a version. AWSPREVIOUS moves to the version that had it.
    pub(crate) fn promote(&mut self, version: &str) {
        if let Some(before) = self
            .holder(CURRENT)
            .map(str::to_owned)
            .filter(|before| before != version)
        {
            self.attach(PREVIOUS, &before);
        }
        self.attach(CURRENT, version);
    }

    pub(crate) fn value_of(&self, version: Option<&str>) -> Option<&String> {
        self.versions.get(version?)?.value.as_ref()
    }

    pub(crate) fn is_replica(&self) -> bool {
        self.primary_region
            .as_ref()
            .is_some_and(|primary| *primary != self.region)
    }

    /// Returns the ARN of its replica or primary in a region. It differs only in the region.
    pub(crate) fn arn_in(&self, region: &str) -> String {
        let (own, other) = (format!(":{}:", self.region), format!(":{region}:"));
        self.arn.replacen(&own, &other, 1)
    }

    /// Deletes the oldest versions without labels if there are more than a hundred, but no version that is younger than
    /// a day.
    pub(crate) fn collect(&mut self, now: Timestamp) {
        let day_ago = now - jiff::SignedDuration::from_hours(24);
        let old = self.versions.iter().filter(|(_, version)| {
            version.labels.is_empty() && version.created.is_some_and(|at| at < day_ago)
        });
        let mut old: Vec<_> = old
            .map(|(id, version)| (version.created, id.clone()))
            .collect();
        old.sort();
        let unlabelled = self
            .versions
            .values()
            .filter(|version| version.labels.is_empty())
            .count();
        for (_, id) in old.into_iter().take(unlabelled.saturating_sub(100)) {
            self.versions.remove(&id);
        }
    }

    /// Returns whether a version with a label has a value that the target accepts.
    pub(crate) fn live_value_is_labelled(&self) -> bool {
        let labelled = self
            .versions
            .values()
            .filter(|version| !version.labels.is_empty());
        labelled
            .filter_map(|version| version.value.as_ref())
            .any(|value| self.target.accepts.contains(value))
    }
}
