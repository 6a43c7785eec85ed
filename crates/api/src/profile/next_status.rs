//! The status of a profile: the whole status, anew on each pass.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use secret_rotation_core::{
    inventory::Inventory,
    names::Region,
    time::{AwsTime, ServerTime},
};

use super::{AWSAccessProfileStatus, RegionStatus};
use crate::{Readiness, conditions::find, count::Count};

/// What one pass over a profile found out.
#[derive(Clone, Copy, Debug)]
pub struct ProfileReport<'a> {
    /// The generation of the profile that was judged.
    pub generation: i64,
    /// Whether the controller can use it.
    pub readiness: &'a Readiness,
    /// The regions that were swept, each once. Those that were not keep what is known of them.
    pub sweeps: &'a [RegionSweep],
    /// The regions of the profile: no other is listed.
    pub regions: &'a std::collections::BTreeSet<Region>,
    /// The API server's time, for transitions.
    pub now: ServerTime,
}

/// The last sweep of one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionSweep {
    /// The region.
    pub region: Region,
    /// When it began.
    pub time: AwsTime,
    /// How many secrets it saw.
    pub secrets: usize,
    /// Whether it saw everything in scope.
    pub complete: bool,
}

impl From<&Inventory> for RegionSweep {
    fn from(inventory: &Inventory) -> Self {
        Self {
            region: inventory.region.clone(),
            time: inventory.time,
            secrets: inventory.secrets.len(),
            complete: inventory.is_complete(),
        }
    }
}

impl AWSAccessProfileStatus {
    /// The status after a pass. On a pass that found nothing new only `lastSweepTime` moves.
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

    /// Whether anything but the times of sweeps differs: what is worth writing at once.
    pub fn differs_beyond_check_time(&self, other: &Self) -> bool {
        timeless(self) != timeless(other)
    }
}

/// What was known of this very generation stands while a controller that has just started has no answer yet.
fn without_changes(previous: &[Condition], pass: &ProfileReport<'_>) -> Option<Condition> {
    let known = find(previous, "Ready")?;
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
