//! The metadata that AWS returns for one secret: labels, dates, rotation settings. Never a value.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::Action;
use crate::names::{Arn, FunctionArn, Region, SecretName, StageLabel, VersionId};
use crate::time::AwsTime;
use crate::words;

/// The labels on each version. Versions without a label do not appear, as in AWS's responses.
pub type LabelMap = BTreeMap<VersionId, BTreeSet<StageLabel>>;

/// Returns the version that holds a label, if one does.
pub fn holder_in<'a>(labels: &'a LabelMap, label: &StageLabel) -> Option<&'a VersionId> {
    let mut holders = labels.iter().filter(|(_, labels)| labels.contains(label));
    holders.next().map(|(version, _)| version)
}

/// One secret as `ListSecrets` or `DescribeSecret` returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// The complete ARN.
    pub arn: Arn,
    /// The friendly name.
    pub name: SecretName,
    /// Labelled versions (`VersionIdsToStages` of describe, `SecretVersionsToStages` of list).
    pub labels: LabelMap,
    /// Whether and how it rotates.
    pub rotation: Rotation,
    /// When anything about the secret last changed.
    pub last_changed: Option<AwsTime>,
    /// When a rotation last succeeded.
    pub last_rotated: Option<AwsTime>,
    /// The latest date by which AWS plans to rotate next; in the past when rotation fails.
    pub next_rotation: Option<AwsTime>,
    /// When it was created.
    pub created: Option<AwsTime>,
    /// Set while the secret is scheduled for deletion.
    pub deleted: Option<AwsTime>,
    /// The AWS service that manages it, if one does.
    pub owning_service: Option<String>,
    /// The type of a managed external secret, if it is one.
    pub external_type: Option<String>,
    /// The region of the primary, if it is replicated.
    pub primary_region: Option<Region>,
    /// The replicas, from `DescribeSecret`. A list does not return them.
    pub replicas: BTreeMap<Region, Replication>,
    /// The tags.
    pub tags: BTreeMap<String, String>,
}

/// `RotationEnabled` and the settings that belong to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Rotation {
    /// Never configured (`RotationEnabled` absent).
    NotConfigured,
    /// Configured, then switched off.
    Disabled,
    /// On.
    Enabled {
        /// The rotation function; absent for managed rotation.
        function: Option<FunctionArn>,
        /// The schedule as AWS stores it.
        rules: RotationRules,
    },
}

/// `RotationRules`, verbatim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RotationRules {
    /// `cron(…)` or `rate(…)`.
    pub schedule: Option<String>,
    /// Length of the rotation window, such as `3h`.
    pub duration: Option<String>,
    /// Days between rotations; computed by AWS where a schedule is set.
    pub automatically_after_days: Option<i64>,
}

words! {
    /// The replication status of a replica (`ReplicationStatus`), by the names that AWS uses.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Replication {
        /// The replica equals its primary.
        InSync,
        /// The replica is being updated.
        InProgress,
        /// The update of the replica failed, and AWS does not repeat it.
        Failed,
    }
}

impl Secret {
    /// Describes the replicas that are not in sync, with their status. `None` = every replica is in sync.
    pub fn lagging_replicas(&self) -> Option<String> {
        let behind = self.replicas.iter();
        let behind = behind.filter(|(_, status)| **status != Replication::InSync);
        let named: Vec<_> = behind
            .map(|(region, status)| format!("{region} ({})", status.name()))
            .collect();
        (!named.is_empty()).then(|| named.join(", "))
    }

    /// Returns the version that holds the label, if one does.
    pub fn holder(&self, label: &StageLabel) -> Option<&VersionId> {
        holder_in(&self.labels, label)
    }

    /// Returns the version with AWSCURRENT.
    pub fn current(&self) -> Option<&VersionId> {
        self.holder(&StageLabel::current())
    }

    /// Returns the version with AWSPENDING, even if it is the current version.
    pub fn pending(&self) -> Option<&VersionId> {
        self.holder(&StageLabel::pending())
    }

    /// Returns the version with AWSPREVIOUS.
    pub fn previous(&self) -> Option<&VersionId> {
        self.holder(&StageLabel::previous())
    }

    /// Returns the pending version of a rotation that has not finished: a version other than the current one that holds
    /// AWSPENDING.
    pub fn unfinished(&self) -> Option<&VersionId> {
        self.pending()
            .filter(|pending| self.current() != Some(*pending))
    }

    /// Returns whether the unfinished pending version was rolled back: it was current before, or a later rotation or a
    /// person replaced it. That is so if it holds AWSPREVIOUS, if a rotation succeeded at or after its creation, or if
    /// a version that was created later is the current or the previous version. Someone moved AWSCURRENT back, or set a
    /// value, which AWS may not count as a rotation; to make such a version current again would undo that decision.
    ///
    /// `versions` is the complete list of versions. Without it, and for a version without a value, only the label is
    /// evaluated.
    pub fn is_rolled_back(&self, versions: Option<&VersionListing>) -> bool {
        let Some(pending) = self.unfinished() else {
            return false;
        };
        self.previous() == Some(pending)
            || versions.is_some_and(|versions| self.is_passed_over(pending, versions))
    }

    fn is_passed_over(&self, pending: &VersionId, versions: &VersionListing) -> bool {
        let Some(created) = versions.created(pending) else {
            return false;
        };
        let newer = [self.current(), self.previous()]
            .into_iter()
            .flatten()
            .filter_map(|version| versions.created(version))
            .any(|other| other > created);
        newer || self.last_rotated.is_some_and(|rotated| rotated >= created)
    }

    /// Returns the labels of one version.
    pub fn labels_of(&self, version: &VersionId) -> impl Iterator<Item = &StageLabel> {
        self.labels.get(version).into_iter().flatten()
    }

    /// Returns the number of labels on the secret. AWS allows 20.
    pub fn label_count(&self) -> usize {
        self.labels.values().map(BTreeSet::len).sum()
    }

    /// Returns whether the version carries any label.
    pub fn is_labelled(&self, version: &VersionId) -> bool {
        self.labels.contains_key(version)
    }

    /// Returns whether the secret is a replica of a primary in another region.
    pub fn is_replica(&self) -> bool {
        self.primary_region
            .as_ref()
            .is_some_and(|primary| primary != self.arn.region())
    }

    /// Returns whether rotation is on. Only then does `RotateSecret` leave the rotation settings as someone chose them.
    pub const fn rotates(&self) -> bool {
        matches!(self.rotation, Rotation::Enabled { .. })
    }

    /// Returns the rotation function, if rotation is on and has one.
    pub const fn function(&self) -> Option<&FunctionArn> {
        match &self.rotation {
            Rotation::Enabled { function, .. } => function.as_ref(),
            Rotation::Disabled | Rotation::NotConfigured => None,
        }
    }

    /// Returns why the action is never performed on this secret. `None` = nothing excludes it. Only an action that
    /// rotates needs rotation to be on.
    pub fn exclusion(&self, action: Action) -> Option<Exclusion> {
        if let Some(foreign) = self.foreign_owner() {
            return Some(foreign);
        }
        if action == Action::RestoreSecret {
            return None;
        }
        if self.deleted.is_some() {
            return Some(Exclusion::ScheduledForDeletion);
        }
        if self.current().is_none() {
            return Some(Exclusion::NoCurrentVersion);
        }
        (action.rotates() && !self.rotates()).then_some(Exclusion::RotationDisabled)
    }
}

impl Secret {
    /// Returns why the secret is managed by someone else. `None` = it is not. Not even the deletion of such a secret is
    /// canceled.
    pub fn foreign_owner(&self) -> Option<Exclusion> {
        if self.is_replica() {
            return Some(Exclusion::Replica);
        }
        if self.owning_service.is_some() {
            return Some(Exclusion::Managed);
        }
        self.external_type.as_ref().map(|_| Exclusion::External)
    }
}

/// Why the controller never acts on a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exclusion {
    /// Scheduled for deletion.
    ScheduledForDeletion,
    /// A replica: actions belong on its primary.
    Replica,
    /// Managed by another AWS service.
    Managed,
    /// A managed external secret: it has no rotation function.
    External,
    /// No AWSCURRENT: a person must set a value first.
    NoCurrentVersion,
    /// Rotation is off, or was never on, and `RotateSecret` would switch it on.
    RotationDisabled,
}

impl Exclusion {
    /// Returns a sentence for people.
    pub const fn message(self) -> &'static str {
        match self {
            Self::ScheduledForDeletion => "the secret is scheduled for deletion",
            Self::Replica => "the secret is a replica; act on its primary",
            Self::Managed => "the secret is managed by another AWS service",
            Self::External => "the secret is a managed external secret",
            Self::NoCurrentVersion => {
                "no version holds AWSCURRENT; a person must set a value first"
            }
            Self::RotationDisabled => {
                "rotation is not enabled, and starting one would switch it on"
            }
        }
    }
}

/// What `ListSecretVersionIds` returned (all pages, `IncludeDeprecated`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionListing {
    /// The creation time of each version in the list.
    pub created: BTreeMap<VersionId, Option<AwsTime>>,
}

impl VersionListing {
    /// Returns whether the list contains the version. A pending version that it does not contain is taken to have no
    /// value: AWS omits versions without one, and sometimes others too.
    pub fn lists(&self, version: &VersionId) -> bool {
        self.created.contains_key(version)
    }

    /// Returns when the version was created, if the list shows it.
    pub fn created(&self, version: &VersionId) -> Option<AwsTime> {
        self.created.get(version).copied().flatten()
    }
}

/// One response of `DescribeSecret`, and of `ListSecretVersionIds` if it was requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The time in the `Date` header of the response.
    pub at: AwsTime,
    /// The secret, or that it does not exist.
    pub secret: Seen,
    /// The complete list of versions, if it was requested.
    pub versions: Option<VersionListing>,
}

/// Whether a secret exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The secret as AWS describes it.
    Present(Box<Secret>),
    /// `ResourceNotFoundException`.
    Absent,
}

words! {
    /// Whether a pending version has a value.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum PendingValue {
        /// There is no unfinished pending version.
        None,
        /// The complete list of versions does not contain it.
        Empty,
        /// The complete list of versions contains it.
        Present,
        /// No list was read.
        Unknown,
    }
}

impl PendingValue {
    /// Returns whether the unfinished pending version has a value, by the complete list of versions.
    pub fn of(secret: &Secret, versions: Option<&VersionListing>) -> Self {
        match (secret.unfinished(), versions) {
            (None, _) => Self::None,
            (Some(_), None) => Self::Unknown,
            (Some(pending), Some(versions)) if versions.lists(pending) => Self::Present,
            (Some(_), Some(_)) => Self::Empty,
        }
    }
}
