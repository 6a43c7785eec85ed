//! What one process has observed of unfinished rotations, look by look: since when labels and versions have not
//! changed, and what keeps changing nevertheless.
//!
//! `LastChangedDate` moves with every tag that someone sets, and may be the only trace of a rotation that AWS runs
//! again. So the date is never ignored. This module shows people what moves it, and eventually allows a version without
//! a value to be cleared. Nothing of it is stored: a process that has not watched knows nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use crate::engine::compact::{CompactLabels, CompactVersions};
use crate::names::{Arn, StageLabel, VersionId};
use crate::pin::Pin;
use crate::secret::PendingValue;
use crate::secret::{LabelMap, Secret, VersionListing};
use crate::time::AwsTime;

/// The longest gap between two looks. Anything may have happened in a longer one. It is one hour, and a little more for
/// an hourly sweep that is late.
const MAX_GAP: Duration = Duration::from_mins(65);

/// How long labels and versions must have been seen unchanged before a version without a value may be cleared although
/// other metadata keeps changing.
const MIN_STABLE_TIME: Duration = Duration::from_hours(24);

/// The number of changes after which the metadata counts as continually changing.
const MIN_REPEATED_CHANGES: u32 = 2;

/// The number of tags that a message names.
const MAX_NAMED_TAGS: usize = 3;

/// Every unfinished rotation that this process watches.
#[derive(Clone, Debug, Default)]
pub struct StabilityTracker(BTreeMap<Arn, TrackedSecret>);

/// A watched secret, as it was last seen. It holds only what the next look is compared with, in compact form: when
/// everything is stuck, there are many.
#[derive(Clone, Debug)]
struct TrackedSecret {
    seen: Seen,
    versions: Option<CompactVersions>,
    at: AwsTime,
    stability: Stability,
}

/// What is compared of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    labels: CompactLabels,
    last_changed: Option<AwsTime>,
    tags: Box<[(Box<str>, Box<str>)]>,
    /// A hash of the rotation settings.
    rotation: u64,
}

/// For how long the labels and versions of a secret have been stable, as this process saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stability {
    /// The pending version.
    pub pending: VersionId,
    /// Since when labels, other than pins, and versions have been seen unchanged.
    pub since: AwsTime,
    /// How often `LastChangedDate` has moved since then, other than by a pin.
    pub metadata_changes: u32,
    /// What changed, if AWS shows it.
    pub changed_metadata: BTreeSet<ChangedMetadata>,
}

/// What can change in a secret while its labels and versions do not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangedMetadata {
    /// The tag with this key.
    Tag(String),
    /// The rotation settings.
    Rotation,
    /// A change that `DescribeSecret` does not identify.
    Other,
}

impl StabilityTracker {
    /// Records a look at a secret. A list entry does not count as a look, because lists lag.
    pub fn observe(&mut self, secret: &Secret, versions: Option<&VersionListing>, at: AwsTime) {
        let Some(pending) = secret.unfinished() else {
            self.0.remove(&secret.arn);
            return;
        };
        let known = self.0.remove(&secret.arn);
        if let Some(newer) = known.as_ref().filter(|known| known.is_newer(secret, at)) {
            self.0.insert(secret.arn.clone(), newer.clone());
            return;
        }
        let seen = Seen::of(secret);
        let versions = versions.map(CompactVersions::of);
        let rested = known.filter(|known| known.is_unchanged_in(&seen, versions.as_ref(), at));
        let watch = match rested {
            Some(known) => known.updated_with(seen, versions, at),
            None => TrackedSecret {
                seen,
                versions,
                at,
                stability: Stability {
                    pending: pending.clone(),
                    since: at,
                    metadata_changes: 0,
                    changed_metadata: BTreeSet::new(),
                },
            },
        };
        self.0.insert(secret.arn.clone(), watch);
    }

    /// Removes secrets whose last look is older than the longest gap.
    pub fn forget_older_than_gap(&mut self, now: AwsTime) {
        self.0.retain(|_, watch| now.since(watch.at) <= MAX_GAP);
    }

    /// Returns the latest time at which the labels (other than pins) or the versions of an unfinished rotation can last
    /// have changed, by what this process has seen. A tag moves `LastChangedDate` and is not visible here. `None` = the
    /// secret is not watched.
    pub fn last_moved(&self, arn: &Arn) -> Option<AwsTime> {
        let TrackedSecret {
            seen,
            stability: rest,
            ..
        } = self.0.get(arn)?;
        let changed = seen.last_changed.unwrap_or(rest.since);
        Some(changed.min(rest.since))
    }

    /// Returns the stability of the secret, if it still looks as it was last seen.
    pub fn stability(&self, secret: &Secret, now: AwsTime) -> Option<&Stability> {
        let watch = self.0.get(&secret.arn)?;
        let same = own_labels(&watch.seen.labels.labels()) == own_labels(&secret.labels);
        (same && is_close(watch.at, now)).then_some(&watch.stability)
    }
}

impl TrackedSecret {
    /// Returns whether the look shows nothing new: it was taken a little earlier, or it lags.
    fn is_newer(&self, secret: &Secret, at: AwsTime) -> bool {
        let lags = self.at > at || self.seen.last_changed > secret.last_changed;
        lags && is_close(self.at, at)
    }

    /// Returns whether labels and versions are unchanged between the last look and this one.
    fn is_unchanged_in(
        &self,
        seen: &Seen,
        versions: Option<&CompactVersions>,
        at: AwsTime,
    ) -> bool {
        let same_versions = match (&self.versions, versions) {
            (Some(before), Some(now)) => before == now,
            (Some(_), None) | (None, _) => true,
        };
        is_close(self.at, at)
            && own_labels(&self.seen.labels.labels()) == own_labels(&seen.labels.labels())
            && same_versions
    }

    fn updated_with(self, seen: Seen, versions: Option<CompactVersions>, at: AwsTime) -> Self {
        let mut rest = self.stability;
        // A pin that was set or removed explains the date by itself.
        if self.seen.last_changed != seen.last_changed && self.seen.labels == seen.labels {
            rest.metadata_changes = rest.metadata_changes.saturating_add(1);
            rest.changed_metadata.extend(changed(&self.seen, &seen));
        }
        Self {
            seen,
            versions: versions.or(self.versions),
            at,
            stability: rest,
        }
    }
}

impl Seen {
    fn of(secret: &Secret) -> Self {
        let mut rotation = DefaultHasher::new();
        secret.rotation.hash(&mut rotation);
        let tags = secret.tags.iter();
        Self {
            labels: CompactLabels::of(&secret.labels),
            last_changed: secret.last_changed,
            tags: tags
                .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
                .collect(),
            rotation: rotation.finish(),
        }
    }

    fn tag(&self, key: &str) -> Option<&str> {
        let mut tags = self.tags.iter();
        tags.find(|(own, _)| &**own == key)
            .map(|(_, value)| &**value)
    }
}

impl Stability {
    /// Returns whether metadata keeps changing while labels and versions do not.
    pub const fn keeps_changing(&self) -> bool {
        self.metadata_changes >= MIN_REPEATED_CHANGES
    }
}

/// Returns when a pending version may be cleared although other metadata keeps changing: only one without a value, and
/// only after labels and versions were seen unchanged for long enough. `None` = never. Both the planner and
/// [`advance`](crate::advance) use this rule.
pub fn clearable_from(unchanged_since: AwsTime, value: PendingValue) -> Option<AwsTime> {
    match value {
        PendingValue::Empty => Some(unchanged_since.plus(MIN_STABLE_TIME)),
        PendingValue::Present | PendingValue::Unknown | PendingValue::None => None,
    }
}

/// Returns whether two looks follow each other without a gap. A date that is far off in either direction breaks the
/// chain.
fn is_close(one: AwsTime, other: AwsTime) -> bool {
    one.since(other).max(other.since(one)) <= MAX_GAP
}

/// Returns the labels other than pins. Pins change whenever an operation prepares to act.
fn own_labels(labels: &LabelMap) -> BTreeSet<(&VersionId, &StageLabel)> {
    labels
        .iter()
        .flat_map(|(version, labels)| labels.iter().map(move |label| (version, label)))
        .filter(|(_, label)| Pin::parse(label).is_none())
        .collect()
}

fn changed(before: &Seen, after: &Seen) -> BTreeSet<ChangedMetadata> {
    let keys = before.tags.iter().chain(&after.tags).map(|(key, _)| &**key);
    let mut changed: BTreeSet<_> = keys
        .filter(|key| before.tag(key) != after.tag(key))
        .map(|key| ChangedMetadata::Tag(key.to_owned()))
        .collect();
    if before.rotation != after.rotation {
        changed.insert(ChangedMetadata::Rotation);
    }
    if changed.is_empty() {
        changed.insert(ChangedMetadata::Other);
    }
    changed
}

impl fmt::Display for Stability {
    /// Writes what keeps changing, as a noun phrase.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags: Vec<_> = self
            .changed_metadata
            .iter()
            .filter_map(|what| match what {
                ChangedMetadata::Tag(key) => Some(key.as_str()),
                ChangedMetadata::Rotation | ChangedMetadata::Other => None,
            })
            .collect();
        let mut parts = Vec::new();
        if !tags.is_empty() {
            let named: Vec<_> = tags.iter().take(MAX_NAMED_TAGS).copied().collect();
            let others = if tags.len() > MAX_NAMED_TAGS {
                " and others"
            } else {
                ""
            };
            parts.push(format!("its tags ({}{others})", named.join(", ")));
        }
        if self.changed_metadata.contains(&ChangedMetadata::Rotation) {
            parts.push("its rotation settings".to_owned());
        }
        if self.changed_metadata.contains(&ChangedMetadata::Other) {
            parts.push("metadata such as its description, key, policy or replicas".to_owned());
        }
        f.write_str(&parts.join(" and "))
    }
}
