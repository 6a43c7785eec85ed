//! Secrets, versions, labels and targets: the state that the operations change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::arn::Arn;
use crate::compact::{Blank, SortedMap, Sparse};
use crate::labels::{CURRENT, LabelSet, PENDING, PREVIOUS};

/// Labels by version id, without versions that have no label.
pub type Labels = BTreeMap<String, BTreeSet<String>>;

/// One secret with all of its AWS state, and the target that accepts its value.
///
/// Half a million secrets have to fit into memory, so equal parts are shared, and what few secrets have is in [`Rare`].
#[derive(Clone, Debug)]
pub(crate) struct Secret {
    pub(crate) arn: Arn,
    pub(crate) tags: SortedMap<Arc<str>, Arc<str>>,
    pub(crate) versions: SortedMap<Arc<str>, Version>,
    pub(crate) rotation: Arc<Rotation>,
    pub(crate) created: Timestamp,
    pub(crate) last_changed: Timestamp,
    pub(crate) last_rotated: Option<Timestamp>,
    pub(crate) next_rotation: Option<Timestamp>,
    pub(crate) target: Target,
    pub(crate) rare: Sparse<Rare>,
}

/// The state that few secrets have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rare {
    pub(crate) description: Option<String>,
    pub(crate) deleted: Option<Deletion>,
    pub(crate) owning_service: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) primary_region: Option<String>,
    pub(crate) replicas: BTreeSet<String>,
    pub(crate) resource_policy: Option<String>,
    /// The version for which the rotation function runs now.
    pub(crate) running: Option<String>,
    pub(crate) invocations: BTreeMap<String, u64>,
    /// The number of times that the function failed, hung or crashed because of its script.
    pub(crate) failures: u32,
}

impl Blank for Rare {
    fn blank() -> &'static Self {
        static BLANK: Rare = Rare {
            description: None,
            deleted: None,
            owning_service: None,
            kind: None,
            primary_region: None,
            replicas: BTreeSet::new(),
            resource_policy: None,
            running: None,
            invocations: BTreeMap::new(),
            failures: 0,
        };
        &BLANK
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Deletion {
    pub(crate) requested: Timestamp,
    pub(crate) window_days: i64,
}

/// One version. Only `GetSecretValue` returns the value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Version {
    pub(crate) labels: LabelSet,
    pub(crate) value: Option<SecretValue>,
    pub(crate) created: Option<Timestamp>,
}

/// The value of a version. Equal texts are equal values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SecretValue {
    /// The text `value of ID`, which the simulator itself gives to the version with this id.
    Of(Arc<str>),
    /// A text of a caller.
    Given(Arc<str>),
}

const VALUE_OF: &str = "value of ";

impl From<&str> for SecretValue {
    fn from(text: &str) -> Self {
        match text.strip_prefix(VALUE_OF) {
            Some(id) => Self::Of(id.into()),
            None => Self::Given(text.into()),
        }
    }
}

impl fmt::Display for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(id) => write!(f, "{VALUE_OF}{id}"),
            Self::Given(text) => f.write_str(text),
        }
    }
}

/// The rotation configuration of a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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
    pub(crate) accepts: Vec<SecretValue>,
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
    pub(crate) fn blank(arn: Arn, now: Timestamp) -> Self {
        Self {
            arn,
            tags: SortedMap::default(),
            versions: SortedMap::default(),
            rotation: Arc::default(),
            created: now,
            last_changed: now,
            last_rotated: None,
            next_rotation: None,
            target: Target::default(),
            rare: Sparse::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.arn.name()
    }

    pub(crate) fn region(&self) -> &str {
        self.arn.region()
    }

    /// Returns the rotation configuration for a change. It is no longer shared with other secrets then.
    pub(crate) fn rotation_mut(&mut self) -> &mut Rotation {
        Arc::make_mut(&mut self.rotation)
    }

    pub(crate) fn holder(&self, label: &str) -> Option<&str> {
        self.versions
            .iter()
            .find(|(_, version)| version.labels.contains(label))
            .map(|(id, _)| &**id)
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
            .map(|(id, version)| (id.to_string(), version.labels.to_set()))
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
        self.versions.entry(version).labels.insert(label);
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

    pub(crate) fn value_of(&self, version: Option<&str>) -> Option<&SecretValue> {
        self.versions.get(version?)?.value.as_ref()
    }

    pub(crate) fn is_replica(&self) -> bool {
        let primary = self.rare.primary_region.as_deref();
        primary.is_some_and(|primary| primary != self.region())
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
