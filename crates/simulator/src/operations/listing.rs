//! `ListSecrets`, `DescribeSecret`, `ListSecretVersionIds`.

use serde_json::{Map, Value, json};

use super::filter::Filter;
use super::parameters::encode;
use super::{Answer, Call, seconds};
use crate::errors::ApiError;
use crate::model::{Deletion, Secret, Version};
use crate::schedule;

impl Call<'_> {
    pub(super) fn list_secrets(&mut self) -> Answer {
        let filters = self.filters()?;
        let planned = self
            .parameters
            .flag("IncludePlannedDeletion")
            .unwrap_or(false);
        let visible = self.state.secrets.values().filter(|secret| {
            secret.account == self.caller.account
                && secret.region == self.caller.region
                && (planned || secret.deleted.is_none())
                && filters.iter().all(|filter| filter.matches(secret))
        });
        let key = sort_key(self.parameters.text("SortBy").unwrap_or("created-date"))?;
        let mut sorted: Vec<_> = visible.map(|secret| (key(secret), secret)).collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        if self.parameters.text("SortOrder") == Some("desc") {
            sorted.reverse();
        }
        let (page, next) = self.page(sorted)?;
        let mut answer = json!({"SecretList": page.into_iter().map(entry).collect::<Vec<_>>()});
        put(&mut answer, "NextToken", next.map(Value::from));
        Ok(answer)
    }

    pub(super) fn describe_secret(&mut self) -> Answer {
        let secret = self.secret()?;
        let mut answer = common(secret);
        put(&mut answer, "VersionIdsToStages", labels(secret));
        let status = self.replicas(secret);
        put(
            &mut answer,
            "ReplicationStatus",
            (!status.is_empty()).then(|| Value::from(status)),
        );
        if secret.rotation.enabled != Some(true) {
            answer
                .as_object_mut()
                .map(|map| map.remove("LastRotatedDate"));
        }
        Ok(answer)
    }

    pub(super) fn list_secret_version_ids(&mut self) -> Answer {
        let secret = self.secret()?;
        let deprecated = self.parameters.flag("IncludeDeprecated").unwrap_or(false);
        let quirks = &self.state.quirks;
        let shown = secret.versions.iter().filter(|(id, version)| {
            let unfinished = secret.unfinished() == Some(id.as_str());
            let omitted = match version.value {
                None => !quirks.empty_pending_listed,
                Some(_) => unfinished && quirks.valued_pending_omitted,
            };
            !omitted && (deprecated || !version.labels.is_empty())
        });
        let (page, next) = self.page(
            shown
                .map(|pair| (format!("{}\u{1f}", pair.0), pair))
                .collect(),
        )?;
        let mut answer = json!({"ARN": secret.arn, "Name": secret.name, "Versions": page.into_iter().map(listed).collect::<Vec<_>>()});
        put(&mut answer, "NextToken", next.map(Value::from));
        Ok(answer)
    }

    /// Returns the page after the key in the token. Because the token is a key, a deletion between pages skips no
    /// secret.
    fn page<T>(&self, sorted: Vec<(String, T)>) -> Result<(Vec<T>, Option<String>), ApiError> {
        let (size, after) = (self.parameters.page_size()?, self.parameters.next_token()?);
        let descending = self.parameters.text("SortOrder") == Some("desc");
        let beyond = |key: &String| {
            after
                .as_ref()
                .is_none_or(|after| if descending { key < after } else { key > after })
        };
        let mut rest = sorted.into_iter().filter(|(key, _)| beyond(key)).peekable();
        let (mut page, mut last) = (Vec::new(), None);
        while page.len() < size {
            let Some((key, item)) = rest.next() else {
                break;
            };
            last = Some(key);
            page.push(item);
        }
        let next = rest.peek().and(last).map(|key| encode(&key));
        Ok((page, next))
    }

    fn filters(&self) -> Result<Vec<Filter>, ApiError> {
        let given = self.parameters.list("Filters");
        if given.len() > 10 {
            return Err(ApiError::invalid_parameter(
                "At most 10 filters are allowed.",
            ));
        }
        given.iter().map(Filter::parse).collect()
    }
}

fn sort_key(name: &str) -> Result<fn(&Secret) -> String, ApiError> {
    Ok(match name {
        "created-date" | "last-accessed-date" => |secret| {
            format!(
                "{:020}\u{1f}{}",
                secret.created.as_millisecond(),
                secret.arn
            )
        },
        "last-changed-date" => |secret| {
            format!(
                "{:020}\u{1f}{}",
                secret.last_changed.as_millisecond(),
                secret.arn
            )
        },
        "name" => |secret| format!("{}\u{1f}{}", secret.name, secret.arn),
        _ => {
            return Err(ApiError::invalid_parameter(format!(
                "SortBy {name} is not valid."
            )));
        }
    })
}

fn entry(secret: &Secret) -> Value {
    let mut entry = common(secret);
    put(&mut entry, "SecretVersionsToStages", labels(secret));
    entry
}

fn common(secret: &Secret) -> Value {
    let rotation = &secret.rotation;
    let switched_on = rotation.enabled == Some(true);
    let text = |text: &Option<String>| text.clone().map(Value::from);
    let deleted = secret
        .deleted
        .map(|Deletion { requested, .. }| seconds(requested));
    let next = secret.next_rotation.filter(|_| switched_on).map(seconds);
    let members = [
        ("Description", text(&secret.description)),
        ("RotationEnabled", rotation.enabled.map(Value::from)),
        ("RotationLambdaARN", text(&rotation.function)),
        ("RotationRules", rules(secret)),
        ("LastRotatedDate", secret.last_rotated.map(seconds)),
        ("NextRotationDate", next),
        ("DeletedDate", deleted),
        ("OwningService", text(&secret.owning_service)),
        ("Type", text(&secret.kind)),
        ("PrimaryRegion", text(&secret.primary_region)),
        ("Tags", tags(secret)),
    ];
    let mut answer = json!({
        "ARN": secret.arn, "Name": secret.name,
        "CreatedDate": seconds(secret.created), "LastChangedDate": seconds(secret.last_changed),
    });
    for (name, value) in members {
        put(&mut answer, name, value);
    }
    answer
}

fn tags(secret: &Secret) -> Option<Value> {
    let tags = secret.tags.iter();
    let tags: Vec<_> = tags
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect();
    (!tags.is_empty()).then(|| Value::from(tags))
}

fn rules(secret: &Secret) -> Option<Value> {
    let rotation = &secret.rotation;
    let mut rules = json!({});
    put(
        &mut rules,
        "AutomaticallyAfterDays",
        schedule::days(rotation).map(Value::from),
    );
    put(
        &mut rules,
        "ScheduleExpression",
        rotation.schedule.clone().map(Value::from),
    );
    put(
        &mut rules,
        "Duration",
        rotation.duration.clone().map(Value::from),
    );
    rules
        .as_object()
        .is_some_and(|map| !map.is_empty())
        .then_some(rules)
}

/// Adds the labels. A secret without a labeled version does not have this key (recorded 2023-09-05).
fn labels(secret: &Secret) -> Option<Value> {
    let labels = secret.labels();
    (!labels.is_empty()).then(|| json!(labels))
}

fn listed((id, version): (&String, &Version)) -> Value {
    let mut listed = json!({"VersionId": id, "KmsKeyIds": ["DefaultEncryptionKey"]});
    put(
        &mut listed,
        "VersionStages",
        (!version.labels.is_empty()).then(|| json!(version.labels)),
    );
    put(&mut listed, "CreatedDate", version.created.map(seconds));
    listed
}

fn put(object: &mut Value, name: &str, value: Option<Value>) {
    let map: Option<&mut Map<_, _>> = object.as_object_mut();
    if let (Some(map), Some(value)) = (map, value) {
        map.insert(name.to_owned(), value);
    }
}
