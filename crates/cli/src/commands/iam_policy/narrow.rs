//! Limits an IAM policy to some secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A prefix of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

/// A tag with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    key: String,
    value: String,
}

/// An AWS partition: the second part of every ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition(String);

/// The partition in the files of `deploy/iam`.
const DEFAULT_PARTITION: &str = "aws";

impl Partition {
    /// Returns whether it is the partition in the files of `deploy/iam`.
    pub(super) fn is_default(&self) -> bool {
        self.0 == DEFAULT_PARTITION
    }
}

/// The prefix of IAM condition keys about tags of a secret.
const RESOURCE_TAG: &str = "aws:ResourceTag/";

/// Parses a prefix. Rejects what IAM would read as a wildcard or a variable: it would widen the policy.
pub(super) fn parse_prefix(text: &str) -> Result<Prefix, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-!".contains(c);
    if text.is_empty() || !text.chars().all(allowed) {
        return Err("use only letters, digits and / _ + = . @ -".to_owned());
    }
    Ok(Prefix(text.to_owned()))
}

/// Parses a tag.
pub(super) fn parse_tag(text: &str) -> Result<Tag, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " /_+=.:@-".contains(c);
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && text.chars().all(allowed) => Ok(Tag {
            key: key.to_owned(),
            value: value.to_owned(),
        }),
        Some(_) | None => Err("use the form KEY=VALUE, such as team=payments".to_owned()),
    }
}

/// Parses a partition.
pub(super) fn parse_partition(text: &str) -> Result<Partition, String> {
    let is_word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase());
    let mut parts = text.split('-');
    if parts.next() == Some(DEFAULT_PARTITION) && parts.all(is_word) {
        Ok(Partition(text.to_owned()))
    } else {
        Err("use a name such as aws, aws-us-gov or aws-cn".to_owned())
    }
}

/// A policy, with its fields in the usual order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Policy {
    version: String,
    statement: Vec<Statement>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    sid: String,
    effect: String,
    action: Value,
    resource: Value,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    condition: BTreeMap<String, BTreeMap<String, Value>>,
}

impl Policy {
    /// Limits every statement that allows something on secrets. Statements that deny stay unchanged.
    pub(super) fn bound(&mut self, prefixes: &[Prefix], tag: Option<&Tag>) {
        let on_secrets = |one: &&mut Statement| one.effect == "Allow" && one.resource != "*";
        for statement in self.statement.iter_mut().filter(on_secrets) {
            if !prefixes.is_empty() {
                statement.resource = prefixes.iter().map(arn).collect();
            }
            statement.replace_tag(tag);
        }
    }

    /// Replaces the partition in every ARN.
    pub(super) fn move_to(&mut self, partition: &Partition) {
        for statement in &mut self.statement {
            if let Value::Array(arns) = &mut statement.resource {
                for arn in arns {
                    relocate(arn, partition);
                }
            } else {
                relocate(&mut statement.resource, partition);
            }
        }
    }
}

/// Replaces the partition in an ARN. `*` is none, and stays.
fn relocate(arn: &mut Value, Partition(partition): &Partition) {
    let rest = arn.as_str().and_then(|text| text.strip_prefix("arn:aws:"));
    if let Some(rest) = rest {
        *arn = json!(format!("arn:{partition}:{rest}"));
    }
}

fn arn(Prefix(prefix): &Prefix) -> Value {
    json!(format!("arn:aws:secretsmanager:*:*:secret:{prefix}*"))
}

impl Statement {
    /// Removes the tag of the file and adds the given one, if any.
    fn replace_tag(&mut self, tag: Option<&Tag>) {
        let equals = self.condition.entry("StringEquals".to_owned()).or_default();
        equals.retain(|key, _| !key.starts_with(RESOURCE_TAG));
        if let Some(Tag { key, value }) = tag {
            equals.insert(format!("{RESOURCE_TAG}{key}"), json!(value));
        }
        self.condition.retain(|_, keys| !keys.is_empty());
    }
}
