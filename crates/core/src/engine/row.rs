//! One secret in compact form: about 120 bytes for a secret at rest, and a little more for every other one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compact::{CompactLabels, CompactVersions, Micros, packed, unpacked};
use super::intern::Interner;
use crate::aws_error::{AwsError, ErrorClass};
use crate::inventory::{Observation, Unseen};
use crate::names::{AccountId, Arn, Region, SecretName, StageLabel};
use crate::pin;
use crate::secret::{LabelMap, Replication, Rotation, Secret, VersionListing};
use crate::time::AwsTime;

/// What many secrets have in common: account, function, schedule, owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SetUp {
    /// The ARN up to the name.
    arn_prefix: Box<str>,
    account: AccountId,
    rotation: Rotation,
    owning_service: Option<String>,
    external_type: Option<String>,
    primary_region: Option<Region>,
}

/// Tags by key.
pub(super) type Tags = BTreeMap<String, String>;

/// What is shared by rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared {
    set_ups: Interner<SetUp>,
    tags: Interner<Tags>,
}

/// A secret as it was last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    set_up: Arc<SetUp>,
    tags: Option<Arc<Tags>>,
    more: Option<Box<More>>,
    pub(super) last_changed: Micros,
    last_rotated: Micros,
    next_rotation: Micros,
    pub(super) created: Micros,
    current: [u8; 16],
    previous: [u8; 16],
    suffix: [u8; 6],
    holds: u8,
}

/// A version holds AWSCURRENT.
const CURRENT: u8 = 1;
/// A version holds AWSPREVIOUS.
const PREVIOUS: u8 = 2;

/// What few secrets have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct More {
    /// The ARN, if it does not consist of prefix, name and suffix.
    arn: Option<Box<Arn>>,
    /// All labels, if there are others than one AWSCURRENT and one AWSPREVIOUS on versions with UUIDs.
    labels: Option<CompactLabels>,
    versions: Option<CompactVersions>,
    unreadable: Option<Box<AwsError>>,
    deleted: Option<AwsTime>,
    replicas: BTreeMap<Region, Replication>,
}

impl Shared {
    /// Packs an observation.
    pub(super) fn pack(&mut self, seen: &Observation) -> Content {
        let details = (seen.versions.as_ref(), seen.unreadable.as_ref());
        self.pack_secret(&seen.secret, details)
    }

    /// Packs an entry of a list, which shows no details.
    pub(super) fn pack_listed(&mut self, listed: &Secret) -> Content {
        self.pack_secret(listed, (None, None))
    }

    fn pack_secret(
        &mut self,
        secret: &Secret,
        (versions, unreadable): (Option<&VersionListing>, Option<&AwsError>),
    ) -> Content {
        let (arn_prefix, suffix) = split(&secret.arn, &secret.name);
        let mut more = More {
            arn: suffix.is_none().then(|| Box::new(secret.arn.clone())),
            versions: versions.map(CompactVersions::of),
            unreadable: unreadable.cloned().map(Box::new),
            deleted: Micros::of(secret.deleted).time(),
            replicas: secret.replicas.clone(),
            labels: None,
        };
        let (current, previous, holds) = at_rest(&secret.labels).unwrap_or_else(|| {
            more.labels = Some(CompactLabels::of(&secret.labels));
            ([0; 16], [0; 16], 0)
        });
        let set_up = self.set_ups.intern(SetUp {
            arn_prefix,
            account: secret.arn.account().clone(),
            rotation: secret.rotation.clone(),
            owning_service: secret.owning_service.clone(),
            external_type: secret.external_type.clone(),
            primary_region: secret.primary_region.clone(),
        });
        Content {
            set_up,
            tags: (!secret.tags.is_empty()).then(|| self.tags.intern(secret.tags.clone())),
            more: (more != More::default()).then(|| Box::new(more)),
            last_changed: Micros::of(secret.last_changed),
            last_rotated: Micros::of(secret.last_rotated),
            next_rotation: Micros::of(secret.next_rotation),
            created: Micros::of(secret.created),
            current,
            previous,
            suffix: suffix.unwrap_or_default(),
            holds,
        }
    }

    /// Drops what no row uses any more.
    pub(super) fn drop_unused(&mut self) {
        self.set_ups.drop_unused();
        self.tags.drop_unused();
    }
}

impl Content {
    /// Returns the secret as it was packed.
    pub(super) fn secret(&self, name: &str, region: &Region) -> Option<Secret> {
        let name = SecretName::parse(name).ok()?;
        let set_up = &*self.set_up;
        let more = self.more.as_deref();
        let labels = match more.and_then(|more| more.labels.as_ref()) {
            Some(labels) => labels.labels(),
            None => self.labels_at_rest()?,
        };
        let arn = self.arn(name.as_str())?;
        debug_assert_eq!(arn.region(), region, "a row belongs to one region");
        Some(Secret {
            arn,
            name,
            labels,
            rotation: set_up.rotation.clone(),
            last_changed: self.last_changed.time(),
            last_rotated: self.last_rotated.time(),
            next_rotation: self.next_rotation.time(),
            created: self.created.time(),
            deleted: more.and_then(|more| more.deleted),
            owning_service: set_up.owning_service.clone(),
            external_type: set_up.external_type.clone(),
            primary_region: set_up.primary_region.clone(),
            replicas: more.map(|more| more.replicas.clone()).unwrap_or_default(),
            tags: self.tags.as_deref().cloned().unwrap_or_default(),
        })
    }

    /// Returns the observation as it was packed.
    pub(super) fn observation(
        &self,
        name: &str,
        region: &Region,
        unseen: Option<Unseen>,
    ) -> Option<Observation> {
        let more = self.more.as_deref();
        Some(Observation {
            secret: self.secret(name, region)?,
            versions: self.versions(),
            unreadable: more.and_then(|more| more.unreadable.as_deref().cloned()),
            unseen,
        })
    }

    /// Returns the ARN.
    pub(super) fn arn(&self, name: &str) -> Option<Arn> {
        if let Some(arn) = self.more.as_deref().and_then(|more| more.arn.as_deref()) {
            return Some(arn.clone());
        }
        let suffix = std::str::from_utf8(&self.suffix).ok()?;
        Arn::parse(format!("{}{name}-{suffix}", self.set_up.arn_prefix)).ok()
    }

    /// Returns whether the ARN is that of the secret.
    pub(super) fn is(&self, arn: &Arn, name: &SecretName) -> bool {
        if let Some(own) = self.more.as_deref().and_then(|more| more.arn.as_deref()) {
            return own == arn;
        }
        let (prefix, suffix) = split(arn, name);
        suffix == Some(self.suffix) && prefix == self.set_up.arn_prefix
    }

    pub(super) fn versions(&self) -> Option<VersionListing> {
        let versions = self.more.as_deref()?.versions.as_ref()?;
        Some(versions.listing())
    }

    pub(super) fn is_unreadable(&self) -> bool {
        let more = self.more.as_deref();
        more.is_some_and(|more| more.unreadable.is_some())
    }

    /// Returns whether AWS listed the secret and then reported that it does not exist.
    pub(super) fn has_vanished(&self) -> bool {
        let error = self
            .more
            .as_deref()
            .and_then(|more| more.unreadable.as_deref());
        error.is_some_and(|error| error.class == ErrorClass::Gone)
    }

    /// Returns whether a rotation is unfinished, or pins remain.
    pub(super) fn is_unrested(&self, name: &str, region: &Region) -> bool {
        let labelled = self
            .more
            .as_deref()
            .is_some_and(|more| more.labels.is_some());
        labelled
            && self
                .secret(name, region)
                .is_some_and(|secret| is_unrested(&secret))
    }

    /// Returns the content with what only `DescribeSecret` returns, for a comparison with an entry of a list.
    pub(super) fn with_details_of(mut self, described: &Self) -> Self {
        let details = described.more.as_deref();
        let replicas = details
            .map(|more| more.replicas.clone())
            .unwrap_or_default();
        let versions = details.and_then(|more| more.versions.clone());
        if !replicas.is_empty() || versions.is_some() {
            let more = self.more.get_or_insert_default();
            more.replicas = replicas;
            more.versions = versions;
        }
        self
    }

    fn labels_at_rest(&self) -> Option<LabelMap> {
        let mut labels = LabelMap::new();
        for (flag, bytes, label) in [
            (CURRENT, self.current, StageLabel::current()),
            (PREVIOUS, self.previous, StageLabel::previous()),
        ] {
            if self.holds & flag != 0 {
                labels.entry(unpacked(bytes)?).or_default().insert(label);
            }
        }
        Some(labels)
    }
}

/// Returns whether a rotation is unfinished, or pins remain.
pub(super) fn is_unrested(secret: &Secret) -> bool {
    secret.unfinished().is_some() || pin::has_any(secret)
}

/// Returns the versions with AWSCURRENT and AWSPREVIOUS, if both are UUIDs and no other label exists.
fn at_rest(labels: &LabelMap) -> Option<([u8; 16], [u8; 16], u8)> {
    let (mut current, mut previous, mut holds) = ([0; 16], [0; 16], 0);
    for (version, labels) in labels {
        let bytes = packed(version.as_str())?;
        for label in labels {
            match label.as_str() {
                "AWSCURRENT" if holds & CURRENT == 0 => {
                    current = bytes;
                    holds |= CURRENT;
                }
                "AWSPREVIOUS" if holds & PREVIOUS == 0 => {
                    previous = bytes;
                    holds |= PREVIOUS;
                }
                _ => return None,
            }
        }
        if labels.is_empty() {
            return None;
        }
    }
    Some((current, previous, holds))
}

/// Splits an ARN into the part before the name and the six characters after it. Without such characters, the prefix is
/// empty.
fn split(arn: &Arn, name: &SecretName) -> (Box<str>, Option<[u8; 6]>) {
    let split = arn
        .as_str()
        .rsplit_once('-')
        .filter(|(head, suffix)| suffix.len() == 6 && head.ends_with(name.as_str()));
    let prefix = split.and_then(|(head, _)| head.strip_suffix(name.as_str()));
    match (prefix, split) {
        (Some(prefix), Some((_, suffix))) if prefix.ends_with(":secret:") => {
            (prefix.into(), suffix.as_bytes().try_into().ok())
        }
        _ => ("".into(), None),
    }
}
