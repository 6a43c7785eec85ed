//! What AWS says of one secret: labels, dates, rotation settings. Never a value.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::Action;
use crate::names::{Arn, FunctionArn, Region, SecretName, StageLabel, VersionId};
use crate::time::AwsTime;
use crate::words;

/// Which labels sit on which version. Versions without a label do not appear, as in AWS's answers.
pub type LabelMap = BTreeMap<VersionId, BTreeSet<StageLabel>>;

/// Returns the version that holds a label, if one does.
pub fn holder_in<'a>(labels: &'a LabelMap, label: &StageLabel) -> Option<&'a VersionId> {
    let mut holders = labels.iter().filter(|(_, labels)| labels.contains(label));
    holders.next().map(|(version, _)| version)
}

/// One secret as `ListSecrets` or `DescribeSecret` tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Its whole ARN.
    pub arn: Arn,
    /// Its friendly name.
    pub name: SecretName,
    /// Labelled versions (`VersionIdsToStages` of describe, `SecretVersionsToStages` of list).
    pub labels: LabelMap,
    /// Whether and how it rotates.
    pub rotation: Rotation,
    /// When anything about it changed last.
    pub last_changed: Option<AwsTime>,
    /// When a rotation last succeeded.
    pub last_rotated: Option<AwsTime>,
    /// The latest date by which AWS means to rotate next; in the past when rotation fails.
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
    /// Its replicas, as `DescribeSecret` tells of them; a list does not.
    pub replicas: BTreeMap<Region, Replication>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// `RotationEnabled` and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// Never configured (`RotationEnabled` absent).
    NotConfigured,
    /// Configured, then switched off by somebody.
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RotationRules {
    /// `cron(…)` or `rate(…)`.
    pub schedule: Option<String>,
    /// Length of the rotation window, such as `3h`.
    pub duration: Option<String>,
    /// Days between rotations; computed by AWS where a schedule is set.
    pub automatically_after_days: Option<i64>,
}

words! {
    /// How a replica stands to its primary (`ReplicationStatus`), by the names that AWS uses.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Replication {
        /// It shows what its primary shows.
        InSync,
        /// It is being brought up to date.
        InProgress,
        /// It is not, and will not be by itself.
        Failed,
    }
}

impl Secret {
    /// The replicas that do not show what this secret shows, with their status; `None` = there is none such.
    pub fn behind(&self) -> Option<String> {
        let behind = self.replicas.iter();
        let behind = behind.filter(|(_, status)| **status != Replication::InSync);
        let named: Vec<_> = behind
            .map(|(region, status)| format!("{region} ({})", status.name()))
            .collect();
        (!named.is_empty()).then(|| named.join(", "))
    }

    /// The version that holds the label, if any does.
    pub fn holder(&self, label: &StageLabel) -> Option<&VersionId> {
        holder_in(&self.labels, label)
    }

    /// The version with AWSCURRENT.
    pub fn current(&self) -> Option<&VersionId> {
        self.holder(&StageLabel::current())
    }

    /// The version with AWSPENDING, also where it is the current one.
    pub fn pending(&self) -> Option<&VersionId> {
        self.holder(&StageLabel::pending())
    }

    /// The version with AWSPREVIOUS.
    pub fn previous(&self) -> Option<&VersionId> {
        self.holder(&StageLabel::previous())
    }

    /// The pending version of a rotation that has not finished: AWSPENDING on another version than AWSCURRENT.
    pub fn unfinished(&self) -> Option<&VersionId> {
        self.pending()
            .filter(|pending| self.current() != Some(*pending))
    }

    /// Whether the unfinished pending version is one that was current before, or that a later rotation or a person has
    /// passed over: it holds AWSPREVIOUS, or a rotation succeeded no earlier than it was created, or a version that was
    /// created later is current or was so just before. A person moved AWSCURRENT back, or set a value, which AWS may not
    /// count as a rotation; to rotate such a version in again would undo that decision.
    ///
    /// `versions` is the complete list of versions; without it, and for a version without a value, only the label tells.
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

    /// How many labels the secret carries, of the 20 that AWS allows.
    pub fn label_count(&self) -> usize {
        self.labels.values().map(BTreeSet::len).sum()
    }

    /// Whether any version is known to carry a label.
    pub fn is_labelled(&self, version: &VersionId) -> bool {
        self.labels.contains_key(version)
    }

    /// Whether this is a copy of a secret whose primary lives in another region.
    pub fn is_replica(&self) -> bool {
        self.primary_region
            .as_ref()
            .is_some_and(|primary| primary != self.arn.region())
    }

    /// Whether AWS would accept a rotation: switched on, by somebody's own choice.
    pub const fn rotates(&self) -> bool {
        matches!(self.rotation, Rotation::Enabled { .. })
    }

    /// The rotation function, if rotation is on and has one.
    pub const fn function(&self) -> Option<&FunctionArn> {
        match &self.rotation {
            Rotation::Enabled { function, .. } => function.as_ref(),
            Rotation::Disabled | Rotation::NotConfigured => None,
        }
    }

    /// Why this may not be done to this secret, if so. Only what rotates needs rotation to be on.
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
    /// Why the secret is somebody else's to act on, if so: not even its deletion is called off.
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

/// Why a secret is never acted on (design: hands off).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exclusion {
    /// Scheduled for deletion.
    ScheduledForDeletion,
    /// A replica: its primary is where things happen.
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
    /// A sentence for people.
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

/// What `ListSecretVersionIds` (all pages, `IncludeDeprecated`) told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionListing {
    /// Creation time of each version listed.
    pub created: BTreeMap<VersionId, Option<AwsTime>>,
}

impl VersionListing {
    /// Whether the version is listed. A pending version that is not is taken to have no value:
    /// AWS omits versions without one, and sometimes others too.
    pub fn lists(&self, version: &VersionId) -> bool {
        self.created.contains_key(version)
    }

    /// When the version was created, where the list says so.
    pub fn created(&self, version: &VersionId) -> Option<AwsTime> {
        self.created.get(version).copied().flatten()
    }
}

/// One answer of `DescribeSecret`, and of `ListSecretVersionIds` where it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The `Date` header of the answer.
    pub at: AwsTime,
    /// The secret, or that there is none.
    pub secret: Seen,
    /// The complete list of versions, if it was asked for.
    pub versions: Option<VersionListing>,
}

/// Whether a secret was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// As AWS describes it.
    Present(Box<Secret>),
    /// `ResourceNotFoundException`.
    Absent,
}

words! {
    /// Whether a pending version has a value.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum PendingValue {
        /// No unfinished pending version.
        None,
        /// It is in no complete list of versions.
        Empty,
        /// It is listed.
        Present,
        /// No list was taken.
        Unknown,
    }
}

impl PendingValue {
    /// Returns whether the unfinished pending version has a value, as far as the complete list of versions tells.
    pub fn of(secret: &Secret, versions: Option<&VersionListing>) -> Self {
        match (secret.unfinished(), versions) {
            (None, _) => Self::None,
            (Some(_), None) => Self::Unknown,
            (Some(pending), Some(versions)) if versions.lists(pending) => Self::Present,
            (Some(_), Some(_)) => Self::Empty,
        }
    }
}
