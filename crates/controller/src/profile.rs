//! The profile loop: whether a profile can be used, and what its sweeps saw.

use std::sync::Arc;
use std::time::Duration;

use kube::core::DeserializeGuard;
use kube::{Api, ResourceExt as _};
use secret_rotation_api::Readiness;
use secret_rotation_api::profile::{
    AWSAccessProfile, AWSAccessProfileStatus, ProfilePass, RegionSweep,
};
use secret_rotation_core::identity::{ProfileName, Region};
use secret_rotation_core::outcome::{AwsError, ErrorClass};
use secret_rotation_core::policy::Suspension;

use crate::context::Context;
use crate::error::Error;
use crate::kubernetes::status;
use crate::policy::quiet;
use crate::world::ProfileEntry;

/// Tells what is known of one profile.
pub(crate) async fn reconcile(
    context: Arc<Context>,
    name: ProfileName,
) -> Result<Option<Duration>, Error> {
    let Some(entry) = context.world.profile(&name) else {
        return Ok(None);
    };
    let (inventories, gap) = context.sweeps.of_profile(&name);
    let sweeps: Vec<_> = inventories
        .iter()
        .map(|inventory| RegionSweep::from(inventory.as_ref()))
        .collect();
    let readiness = readiness(&entry, gap.as_ref());
    let regions = entry
        .core
        .as_ref()
        .map(|profile| profile.regions.clone())
        .unwrap_or_default();
    let pass = ProfilePass {
        generation: entry.generation,
        readiness: &readiness,
        sweeps: &sweeps,
        regions: &regions,
        now: context.server_time()?,
    };
    let new = AWSAccessProfileStatus::after(entry.status.as_ref(), &pass);
    if quiet::profile_is_due(entry.status.as_ref(), &new) {
        context.tenure()?;
        let api: Api<DeserializeGuard<AWSAccessProfile>> = Api::all(context.client.clone());
        let (text, version) = (name.as_str(), &entry.resource_version);
        let stored = if entry.is_decoded {
            status::apply(&api, text, version, &new).await?
        } else {
            status::merge(&api, text, version, &new).await?
        };
        context
            .queues
            .profiles
            .wrote(&name, stored.resource_version().unwrap_or_default());
    }
    Ok(None)
}

/// A profile is ready unless it cannot be understood, or AWS lets it in nowhere.
fn readiness(entry: &ProfileEntry, gap: Option<&(Region, AwsError)>) -> Readiness {
    match (&entry.core, gap) {
        (Err(why), _) => Readiness::InvalidSpec(why.clone()),
        (Ok(profile), _) if profile.suspension == Suspension::Suspended => {
            Readiness::ProfileSuspended(profile.name.clone())
        }
        (Ok(_), Some((region, gap)))
            if matches!(gap.class, ErrorClass::Denied | ErrorClass::Credentials) =>
        {
            Readiness::from(gap).in_region(region)
        }
        (Ok(_), _) => Readiness::Succeeded,
    }
}
