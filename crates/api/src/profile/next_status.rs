//! From core to the status of a profile. Each pass builds the whole status again.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use secret_rotation_core::{
    names::Region,
    time::{AwsTime, ServerTime},
};

use super::status::{AWSAccessProfileStatus, RegionStatus};
use crate::{
    Readiness,
    conditions::{ConditionType, find},
    count::Count,
};

/// The results of one pass over a profile.
#[derive(Clone, Copy, Debug)]
pub struct ProfileReport<'a> {
    /// The generation of the profile that the pass evaluated.
    pub generation: i64,
    /// Whether the controller can use the profile.
    pub readiness: &'a Readiness,
    /// The regions that were swept, each once. The other regions keep what is known of them.
    pub sweeps: &'a [RegionSweep],
    /// The regions of the profile. The status lists no other region.
    pub regions: &'a std::collections::BTreeSet<Region>,
    /// The time of the API server, for transitions.
    pub now: ServerTime,
}

/// The last sweep of one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionSweep {
    /// The region.
    pub region: Region,
    /// When the sweep began.
    pub time: AwsTime,
    /// The number of secrets that the sweep saw.
    pub secrets: usize,
    /// Whether the sweep saw everything in scope.
    pub complete: bool,
}

impl AWSAccessProfileStatus {
    /// Builds the status after a pass. After a pass without changes only `lastSweepTime` differs.
    pub fn after(previous: Option<&Self>, pass: &ProfileReport<'_>) -> Self {
        let conditions = previous
            .map(|old| old.conditions.as_slice())
            .unwrap_or_default();
        Self {
            observed_generation: Some(Count::new(pass.generation)),
            regions: pass
                .regions
                .iter()
                .filter_map(|region| swept(region, previous, pass.sweeps))
                .collect(),
            conditions: vec![without_changes(conditions, pass).unwrap_or_else(|| {
                let ready = pass.readiness.ready();
                ready.condition(conditions, pass.generation, pass.now)
            })],
        }
    }

    /// Returns whether anything but the times of sweeps differs, so that the status must be written immediately.
    pub fn differs_beyond_check_time(&self, other: &Self) -> bool {
        timeless(self) != timeless(other)
    }
}

/// Returns the condition `Ready` unchanged if the controller has just started, and the condition is of this
/// generation.
fn without_changes(previous: &[Condition], pass: &ProfileReport<'_>) -> Option<Condition> {
    let known = find(previous, ConditionType::Ready)?;
    let starting = matches!(pass.readiness, Readiness::Progressing);
    let same = known.observed_generation == Some(pass.generation);
    (starting && same).then(|| known.clone())
}

fn swept(
    region: &Region,
    previous: Option<&AWSAccessProfileStatus>,
    sweeps: &[RegionSweep],
) -> Option<RegionStatus> {
    let fresh = sweeps
        .iter()
        .find(|sweep| sweep.region == *region)
        .map(RegionStatus::from);
    let known = || {
        previous?
            .regions
            .iter()
            .find(|known| known.name == *region.as_str())
            .cloned()
    };
    fresh.or_else(known)
}

impl From<&RegionSweep> for RegionStatus {
    fn from(sweep: &RegionSweep) -> Self {
        Self {
            name: sweep.region.as_str().into(),
            last_sweep_time: Some(sweep.time.into()),
            secrets: sweep.secrets.into(),
            complete: sweep.complete,
        }
    }
}

fn timeless(status: &AWSAccessProfileStatus) -> AWSAccessProfileStatus {
    let region = |region: &RegionStatus| RegionStatus {
        last_sweep_time: None,
        ..region.clone()
    };
    AWSAccessProfileStatus {
        regions: status.regions.iter().map(region).collect(),
        ..status.clone()
    }
}
