//! A secret as `ListSecrets` and `DescribeSecret` show it, written without intermediate values.

use std::sync::Arc;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::seconds;
use crate::model::{Rotation, Secret, Version};
use crate::schedule;

/// The JSON object of a secret. What a secret lacks has no key.
pub(super) struct Entry<'a> {
    secret: &'a Secret,
    /// The replicas. `None` in a list, which does not show them.
    replicas: Option<Vec<Value>>,
}

impl<'a> Entry<'a> {
    pub(super) const fn listed(secret: &'a Secret) -> Self {
        Self {
            secret,
            replicas: None,
        }
    }

    pub(super) const fn described(secret: &'a Secret, replicas: Vec<Value>) -> Self {
        Self {
            secret,
            replicas: Some(replicas),
        }
    }
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let secret = self.secret;
        let (rotation, rare) = (&*secret.rotation, &*secret.rare);
        let switched_on = rotation.enabled == Some(true);
        let listed = self.replicas.is_none();
        let rotated = secret.last_rotated.filter(|_| listed || switched_on);
        let next = secret.next_rotation.filter(|_| switched_on);
        let deleted = rare.deleted.map(|deletion| deletion.requested);
        let replicas = self.replicas.as_ref().filter(|all| !all.is_empty());
        let labels = if listed {
            "SecretVersionsToStages"
        } else {
            "VersionIdsToStages"
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("ARN", &secret.arn)?;
        map.serialize_entry("CreatedDate", &seconds(secret.created))?;
        put(&mut map, "DeletedDate", deleted.map(seconds))?;
        put(&mut map, "Description", rare.description.as_ref())?;
        map.serialize_entry("LastChangedDate", &seconds(secret.last_changed))?;
        put(&mut map, "LastRotatedDate", rotated.map(seconds))?;
        map.serialize_entry("Name", secret.name())?;
        put(&mut map, "NextRotationDate", next.map(seconds))?;
        put(&mut map, "OwningService", rare.owning_service.as_ref())?;
        put(&mut map, "PrimaryRegion", rare.primary_region.as_ref())?;
        put(&mut map, "ReplicationStatus", replicas)?;
        put(&mut map, "RotationEnabled", rotation.enabled)?;
        put(&mut map, "RotationLambdaARN", rotation.function.as_ref())?;
        put(&mut map, "RotationRules", Rules::of(rotation))?;
        put(&mut map, labels, Stages::of(secret))?;
        put(&mut map, "Tags", Tags::of(secret))?;
        put(&mut map, "Type", rare.kind.as_ref())?;
        map.end()
    }
}

fn put<M: SerializeMap>(
    map: &mut M,
    name: &'static str,
    value: Option<impl Serialize>,
) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(name, &value))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Rules<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    automatically_after_days: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule_expression: Option<&'a str>,
}

impl<'a> Rules<'a> {
    fn of(rotation: &'a Rotation) -> Option<Self> {
        let rules = Self {
            automatically_after_days: schedule::days(rotation),
            duration: rotation.duration.as_deref(),
            schedule_expression: rotation.schedule.as_deref(),
        };
        let absent = rules.automatically_after_days.is_none()
            && rules.duration.is_none()
            && rules.schedule_expression.is_none();
        (!absent).then_some(rules)
    }
}

/// The labels by version.
struct Stages<'a>(&'a Secret);

impl<'a> Stages<'a> {
    /// Returns `None` without a labeled version. Such a secret does not have the key (recorded 2023-09-05).
    fn of(secret: &'a Secret) -> Option<Self> {
        let mut versions = secret.versions.values();
        versions
            .any(|version| !version.labels.is_empty())
            .then_some(Self(secret))
    }
}

impl Serialize for Stages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let labeled = |(_, version): &(&Arc<str>, &Version)| !version.labels.is_empty();
        let versions = self.0.versions.iter().filter(labeled);
        serializer.collect_map(versions.map(|(id, version)| (&**id, &version.labels)))
    }
}

struct Tags<'a>(&'a Secret);

impl<'a> Tags<'a> {
    fn of(secret: &'a Secret) -> Option<Self> {
        (!secret.tags.is_empty()).then_some(Self(secret))
    }
}

impl Serialize for Tags<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tags = serializer.serialize_seq(None)?;
        for (key, value) in self.0.tags.iter() {
            tags.serialize_element(&Tag { key, value })?;
        }
        tags.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tag<'a> {
    key: &'a str,
    value: &'a str,
}
