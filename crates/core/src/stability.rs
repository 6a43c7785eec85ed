//! What one process has seen of unfinished rotations, look after look: since when labels and versions rest, and what
//! keeps changing all the same.
//!
//! `LastChangedDate` moves with every tag that somebody sets, and may be the only trace of a rotation that AWS runs
//! again. So the date is never argued away; this tells people what moves it, and lets a version without a value be cleared
//! in the end. Nothing of it is stored: a process that has not watched knows nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::names::{Arn, StageLabel, VersionId};
use crate::pin::Pin;
use crate::secret::PendingValue;
use crate::secret::{LabelMap, Secret, VersionListing};
use crate::time::AwsTime;

/// Between two looks further apart anything may have happened: an hour, and a little for a sweep of one hour that is late.
const MAX_GAP: Duration = Duration::from_mins(65);

/// Labels and versions must have been seen unchanged for so long before a version without a value may be cleared although
/// other metadata keeps changing.
const MIN_STABLE_TIME: Duration = Duration::from_hours(24);

/// Fewer changes are an event, not a habit.
const MIN_REPEATED_CHANGES: u32 = 2;

/// The names of so many tags are told.
const MAX_NAMED_TAGS: usize = 3;

/// Every unfinished rotation that this process watches.
#[derive(Clone, Debug, Default)]
pub struct StabilityTracker(BTreeMap<Arn, TrackedSecret>);

/// One of them, as it was seen last.
#[derive(Clone, Debug)]
struct TrackedSecret {
    secret: Secret,
    versions: Option<VersionListing>,
    at: AwsTime,
    stability: Stability,
}

/// How the labels and versions of a secret have rested, as this process saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stability {
    /// The pending version that rests.
    pub pending: VersionId,
    /// Since when labels, other than our pins, and versions have been seen unchanged.
    pub since: AwsTime,
    /// How often `LastChangedDate` has moved since, other than by a pin.
    pub metadata_changes: u32,
    /// What changed, as far as AWS shows.
    pub changed_metadata: BTreeSet<ChangedMetadata>,
}

/// What can change about a secret while its labels and versions do not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangedMetadata {
    /// The tag of this key.
    Tag(String),
    /// Whether and how it rotates.
    Rotation,
    /// Something that `DescribeSecret` does not tell apart.
    Other,
}

impl StabilityTracker {
    /// Takes note of a look at a secret. A list is no look: it lags.
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
        let rested = known.filter(|known| known.is_unchanged_in(secret, versions, at));
        let watch = match rested {
            Some(known) => known.updated_with(secret, versions, at),
            None => TrackedSecret {
                secret: secret.clone(),
                versions: versions.cloned(),
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

    /// Forgets what was seen so long ago that it tells nothing any more.
    pub fn forget_older_than_gap(&mut self, now: AwsTime) {
        self.0.retain(|_, watch| now.since(watch.at) <= MAX_GAP);
    }

    /// When the labels, other than our pins, or the versions of an unfinished rotation moved last, by what this process has
    /// seen: no later than this. A tag moves `LastChangedDate` and is not seen here; `None` = it is not watched.
    pub fn last_moved(&self, arn: &Arn) -> Option<AwsTime> {
        let TrackedSecret {
            secret,
            stability: rest,
            ..
        } = self.0.get(arn)?;
        let changed = secret.last_changed.unwrap_or(rest.since);
        Some(changed.min(rest.since))
    }

    /// How the secret has rested, if it still looks as it was seen last.
    pub fn stability(&self, secret: &Secret, now: AwsTime) -> Option<&Stability> {
        let watch = self.0.get(&secret.arn)?;
        let same = own_labels(&watch.secret.labels) == own_labels(&secret.labels);
        (same && is_close(watch.at, now)).then_some(&watch.stability)
    }
}

impl TrackedSecret {
    /// Whether the look tells nothing new: it was taken a little earlier, or it lags.
    fn is_newer(&self, secret: &Secret, at: AwsTime) -> bool {
        let lags = self.at > at || self.secret.last_changed > secret.last_changed;
        lags && is_close(self.at, at)
    }

    /// Whether nothing has happened to labels and versions between the last look and this one.
    fn is_unchanged_in(
        &self,
        secret: &Secret,
        versions: Option<&VersionListing>,
        at: AwsTime,
    ) -> bool {
        let same_versions = match (&self.versions, versions) {
            (Some(before), Some(now)) => before == now,
            (Some(_), None) | (None, _) => true,
        };
        is_close(self.at, at)
            && own_labels(&self.secret.labels) == own_labels(&secret.labels)
            && same_versions
    }

    fn updated_with(self, secret: &Secret, versions: Option<&VersionListing>, at: AwsTime) -> Self {
        let mut rest = self.stability;
        // A pin that came or went explains the date by itself.
        if self.secret.last_changed != secret.last_changed && self.secret.labels == secret.labels {
            rest.metadata_changes = rest.metadata_changes.saturating_add(1);
            rest.changed_metadata.extend(changed(&self.secret, secret));
        }
        Self {
            secret: secret.clone(),
            versions: versions.cloned().or(self.versions),
            at,
            stability: rest,
        }
    }
}

impl Stability {
    /// Whether something keeps changing the secret while its labels and versions rest.
    pub const fn keeps_changing(&self) -> bool {
        self.metadata_changes >= MIN_REPEATED_CHANGES
    }
}

/// When a pending version may be cleared although other metadata keeps changing: only one without a value, and only after
/// labels and versions were seen unchanged for long enough. `None` = never. The rule of planner and
/// [`advance`](crate::advance) alike.
pub fn clearable_from(unchanged_since: AwsTime, value: PendingValue) -> Option<AwsTime> {
    match value {
        PendingValue::Empty => Some(unchanged_since.plus(MIN_STABLE_TIME)),
        PendingValue::Present | PendingValue::Unknown | PendingValue::None => None,
    }
}

/// Whether a look at one time and one at the other follow each other without a gap. A date that is far off in either
/// direction breaks the chain.
fn is_close(one: AwsTime, other: AwsTime) -> bool {
    one.since(other).max(other.since(one)) <= MAX_GAP
}

/// Labels but for pins: those move whenever a machine prepares to act.
fn own_labels(labels: &LabelMap) -> BTreeSet<(&VersionId, &StageLabel)> {
    labels
        .iter()
        .flat_map(|(version, labels)| labels.iter().map(move |label| (version, label)))
        .filter(|(_, label)| Pin::parse(label).is_none())
        .collect()
}

fn changed(before: &Secret, after: &Secret) -> BTreeSet<ChangedMetadata> {
    let keys = before.tags.keys().chain(after.tags.keys());
    let mut changed: BTreeSet<_> = keys
        .filter(|key| before.tags.get(*key) != after.tags.get(*key))
        .map(|key| ChangedMetadata::Tag(key.clone()))
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
    /// What keeps changing, as the subject of a sentence.
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
