//! Which secrets a policy selects, as users write it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{count::Count, name_rules, schema::rule, text::Text};

/// Secrets that are included and not excluded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    /// The secrets to watch: those that match any of these items.
    #[schemars(length(min = 1, max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub include: Vec<SelectorItem>,

    /// The secrets to leave out even if they are included: those that match any of these items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub exclude: Vec<SelectorItem>,

    /// The maximum number of secrets that the policy is expected to select in each region; above it, the secrets of the region are still observed, but no automatic operation starts there.
    #[serde(default)]
    pub max_secrets: Count<1, 500_000, 1_000>,
}

/// Conditions on one secret, all of which must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(
        "has(self.names) || has(self.namePrefix) || has(self.tags)",
        "write at least one of names, namePrefix and tags",
    ),
    name_rules::names_begin(),
]))]
pub struct SelectorItem {
    /// The exact names of secrets; one that does not exist is reported as NotFound.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 100),
        inner(regex(pattern = "^[!-~]+$")),
        extend("x-kubernetes-list-type" = "set", "x-kubernetes-validations" = name_rules::names())
    )]
    pub names: Vec<Text<1, 512>>,

    /// The beginning of the names of secrets; upper and lower case differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = "^[!-~]+$"),
        extend("x-kubernetes-validations" = name_rules::prefix())
    )]
    pub name_prefix: Option<Text<1, 512>>,

    /// The AWS tags that a secret must have, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 20),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["key"])
    )]
    pub tags: Vec<TagRequirement>,
}

/// An AWS tag that a secret must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TagRequirement {
    /// The key of the tag.
    pub key: Text<1, 128>,

    /// The values of which the tag must have one; any value matches if the list is empty or left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), extend("x-kubernetes-list-type" = "set"))]
    pub values: Vec<Text<0, 256>>,
}
