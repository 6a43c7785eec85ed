//! Converts answers of the SDK into the types of core. An implausible answer is an error, not data.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::types::{
    ReplicationStatusType, RotationRulesType, SecretListEntry, SecretVersionsListEntry, StatusType,
    Tag,
};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use secret_rotation_core::names::{
    Arn, FunctionArn, InvalidName, Region, SecretName, StageLabel, VersionId,
};
use secret_rotation_core::secret::{LabelMap, Replication, Rotation, RotationRules, Secret};
use secret_rotation_core::time::AwsTime;

/// From 2010 to 2199, in milliseconds since 1970. Every date of a secret is in this range.
const PLAUSIBLE_SECONDS: std::ops::Range<i64> = 1_262_304_000_000..7_258_118_400_000;

/// The error for an answer that is implausible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl From<InvalidName> for Malformed {
    fn from(_: InvalidName) -> Self {
        Self
    }
}

/// Converts a list entry or a description: both use the same field names, except for the labels.
macro_rules! secret {
    ($source:expr, $stages:expr, $replicas:expr) => {
        Secret {
            arn: Arn::parse($source.arn().ok_or(Malformed)?)?,
            name: SecretName::parse($source.name().ok_or(Malformed)?)?,
            labels: labels($stages)?,
            rotation: rotation(
                $source.rotation_enabled(),
                $source.rotation_lambda_arn(),
                $source.rotation_rules(),
            )?,
            last_changed: time($source.last_changed_date())?,
            last_rotated: time($source.last_rotated_date())?,
            next_rotation: time($source.next_rotation_date())?,
            created: time($source.created_date())?,
            deleted: time($source.deleted_date())?,
            owning_service: present($source.owning_service()).map(str::to_owned),
            external_type: present($source.r#type()).map(str::to_owned),
            primary_region: present($source.primary_region())
                .map(Region::parse)
                .transpose()?,
            replicas: $replicas,
            tags: tags($source.tags()),
        }
    };
}

/// Converts an entry of `ListSecrets`.
pub(crate) fn listed(entry: &SecretListEntry) -> Result<Secret, Malformed> {
    Ok(secret!(
        entry,
        entry.secret_versions_to_stages(),
        BTreeMap::new()
    ))
}

/// Converts an answer of `DescribeSecret`. The answer must be about `asked`, an ARN or a name.
pub(crate) fn described(asked: &str, answer: &DescribeSecretOutput) -> Result<Secret, Malformed> {
    let replicas = replicas(answer.replication_status())?;
    let secret = secret!(answer, answer.version_ids_to_stages(), replicas);
    let by_arn = asked.starts_with("arn:");
    let answered = if by_arn {
        secret.arn.as_str()
    } else {
        secret.name.as_str()
    };
    (answered == asked).then_some(()).ok_or(Malformed)?;
    Ok(secret)
}

/// Converts an entry of `ListSecretVersionIds`.
pub(crate) fn version(
    entry: &SecretVersionsListEntry,
) -> Result<(VersionId, Option<AwsTime>), Malformed> {
    let id = VersionId::parse(entry.version_id().ok_or(Malformed)?)?;
    Ok((id, time(entry.created_date())?))
}

/// Returns the text unless it is empty. Some emulators send empty texts where AWS sends none.
pub(crate) fn present(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// Converts the labels, without versions that have no label: AWS does not send such versions, but some emulators do.
fn labels(stages: Option<&HashMap<String, Vec<String>>>) -> Result<LabelMap, Malformed> {
    let mut map = LabelMap::new();
    let labelled = stages
        .into_iter()
        .flatten()
        .filter(|(_, of)| !of.is_empty());
    for (version, labels) in labelled {
        let labels: Result<BTreeSet<_>, _> = labels.iter().map(StageLabel::parse).collect();
        map.insert(VersionId::parse(version)?, labels?);
    }
    Ok(map)
}

fn rotation(
    enabled: Option<bool>,
    function: Option<&str>,
    rules: Option<&RotationRulesType>,
) -> Result<Rotation, Malformed> {
    Ok(match enabled {
        None => Rotation::NotConfigured,
        Some(false) => Rotation::Disabled,
        Some(true) => Rotation::Enabled {
            function: present(function).map(FunctionArn::parse).transpose()?,
            rules: rules.map(rotation_rules).unwrap_or_default(),
        },
    })
}

fn rotation_rules(rules: &RotationRulesType) -> RotationRules {
    RotationRules {
        schedule: present(rules.schedule_expression()).map(str::to_owned),
        duration: present(rules.duration()).map(str::to_owned),
        automatically_after_days: rules.automatically_after_days(),
    }
}

/// Converts the replication status. An unknown status counts as in progress.
fn replicas(
    statuses: &[ReplicationStatusType],
) -> Result<BTreeMap<Region, Replication>, Malformed> {
    let converted = |replica: &ReplicationStatusType| {
        let region = Region::parse(replica.region().ok_or(Malformed)?)?;
        let status = match replica.status() {
            Some(StatusType::InSync) => Replication::InSync,
            Some(StatusType::Failed) => Replication::Failed,
            Some(_) | None => Replication::InProgress,
        };
        Ok((region, status))
    };
    statuses.iter().map(converted).collect()
}

fn tags(tags: &[Tag]) -> BTreeMap<String, String> {
    let pair = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or("").to_owned()));
    tags.iter().filter_map(pair).collect()
}

/// Converts a date, rounded to milliseconds. JSON numbers carry noise below the precision of AWS.
fn time(date: Option<&DateTime>) -> Result<Option<AwsTime>, Malformed> {
    let Some(date) = date else { return Ok(None) };
    let milliseconds =
        i64::try_from((date.as_nanos() + 500_000).div_euclid(1_000_000)).map_err(|_| Malformed)?;
    PLAUSIBLE_SECONDS
        .contains(&milliseconds)
        .then_some(())
        .ok_or(Malformed)?;
    let timestamp = Timestamp::from_millisecond(milliseconds).map_err(|_| Malformed)?;
    Ok(Some(AwsTime::new(timestamp)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_to_milliseconds() {
        let noisy = DateTime::from_secs_and_nanos(1_764_000_000, 712_999_999);
        let exact = Timestamp::from_millisecond(1_764_000_000_713).expect("in range");
        assert_eq!(time(Some(&noisy)), Ok(Some(AwsTime::new(exact))));
    }

    #[test]
    fn absurd_times_are_malformed() {
        for seconds in [i64::MIN, -1, 0, 1_764_000_000_000, i64::MAX] {
            assert_eq!(
                time(Some(&DateTime::from_secs(seconds))),
                Err(Malformed),
                "{seconds}"
            );
        }
    }

    #[test]
    fn a_replica_counts_as_in_sync_only_if_aws_reports_it() {
        let replica = |region: &str, status: Option<&str>| {
            ReplicationStatusType::builder()
                .region(region)
                .set_status(status.map(StatusType::from))
                .build()
        };
        let all = [
            replica("eu-central-1", Some("InSync")),
            replica("us-east-1", Some("Failed")),
            replica("us-west-2", Some("Wavering")),
            replica("eu-north-1", None),
        ];
        let statuses = replicas(&all).map(|all| all.into_values().collect::<Vec<_>>());
        let expected = vec![
            Replication::InSync,
            Replication::InProgress,
            Replication::Failed,
            Replication::InProgress,
        ];
        assert_eq!(statuses, Ok(expected));
        assert_eq!(replicas(&[replica("../", Some("InSync"))]), Err(Malformed));
    }

    #[test]
    fn versions_without_labels_are_left_out() {
        let stages = HashMap::from([("v".to_owned(), Vec::new())]);
        assert_eq!(labels(Some(&stages)), Ok(LabelMap::new()));
    }
}
