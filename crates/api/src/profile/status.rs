//! The status of a profile, as users read it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    conditions,
    count::{Count, LARGEST},
    text::Text,
    time::Time,
};

/// Whether the profile can be used, and what was swept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AWSAccessProfileStatus {
    /// The generation of the profile that this status is about; -1 before the first visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<Count<-1, LARGEST>>,

    /// The last sweep of each region; written at most every 15 minutes while nothing else changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 40),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub regions: Vec<RegionStatus>,

    /// The current state of the profile: Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::schema")]
    pub conditions: Vec<Condition>,
}

/// The last sweep of one region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegionStatus {
    /// The name of the AWS region.
    pub name: Text<1, 32>,

    /// When the last sweep began, by the clock of AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sweep_time: Option<Time>,

    /// The number of secrets that the last sweep saw.
    #[serde(default)]
    pub secrets: Count<0, 10_000_000>,

    /// Whether the last sweep saw every secret that policies select.
    #[serde(default)]
    pub complete: bool,
}
