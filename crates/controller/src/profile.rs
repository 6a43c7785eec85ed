//! The profile reconciler. It publishes whether a profile can be used, and what its sweeps saw.

use std::sync::Arc;
use std::time::Duration;

use kube::core::DeserializeGuard;
use kube::{Api, ResourceExt as _};
use secret_rotation_api::Readiness;
use secret_rotation_api::profile::{AWSAccessProfile, AWSAccessProfileStatus, ProfileReport};
use secret_rotation_core::aws_error::{AwsError, ErrorClass};
use secret_rotation_core::names::{ProfileName, Region};
use secret_rotation_core::policy::Suspension;

use crate::clock;
use crate::context::Context;
use crate::error::Error;
use crate::kubernetes::status::{self, WriteMethod};
use crate::policy::write_due;
use crate::published_statuses::PublishedStatus;
use crate::store::ProfileEntry;
use crate::sweep;

/// Publishes what is known of one profile. Returns the time until the next pass.
///
/// # Errors
///
/// Returns an error if the lease is not held, or if a request to the API server fails.
pub(crate) async fn reconcile(
    context: Arc<Context>,
    name: ProfileName,
) -> Result<Option<Duration>, Error> {
    let Some(entry) = context.store.profile(&name) else {
        return Ok(None);
    };
    let (sweeps, gaps) = context.sweeps.of_profile(&name);
    let readiness = readiness(&context, &entry, gaps, !sweeps.is_empty());
    let regions = entry
        .core
        .as_ref()
        .map(|profile| profile.regions.clone())
        .unwrap_or_default();
    let report = ProfileReport {
        generation: entry.generation,
        readiness: &readiness,
        sweeps: &sweeps,
        regions: &regions,
        now: context.server_time()?,
    };
    let published = context.published_statuses.of(&name);
    let StatusUpdate {
        new,
        undisturbed,
        due,
    } = status_update(entry.status.as_ref(), published.as_ref(), &report);
    match due {
        WriteDue::Nothing => Ok(None),
        WriteDue::In(pause) => Ok(Some(pause)),
        WriteDue::Now => {
            write(&context, &name, &entry, &new).await?;
            context.published_statuses.record(&name, undisturbed);
            Ok(None)
        }
    }
}

async fn write(
    context: &Context,
    name: &ProfileName,
    entry: &ProfileEntry,
    new: &AWSAccessProfileStatus,
) -> Result<(), Error> {
    let version = &entry.resource_version;
    if entry.way == WriteMethod::Merge && context.queues.profiles.is_own_write(name, version) {
        return Ok(());
    }
    context.claim()?;
    let api: Api<DeserializeGuard<AWSAccessProfile>> = Api::all(context.client.clone());
    let at = (name.as_str(), version.as_str());
    let stored = status::publish(&api, at, entry.way, (entry.status.as_ref(), new)).await?;
    context
        .queues
        .profiles
        .record_write(name, stored.resource_version().unwrap_or_default());
    Ok(())
}

/// When a status must be written.
#[derive(Debug, PartialEq, Eq)]
enum WriteDue {
    Nothing,
    Now,
    In(Duration),
}

/// The new status, what it would be if no other client had written it, and when it must be written.
struct StatusUpdate {
    new: AWSAccessProfileStatus,
    undisturbed: AWSAccessProfileStatus,
    due: WriteDue,
}

/// Decides when to write a status. A change that this process has found is written immediately. A change by another
/// client is corrected only after some time: otherwise two installations that disagree would overwrite each other
/// forever.
fn status_update(
    stored: Option<&AWSAccessProfileStatus>,
    published: Option<&PublishedStatus>,
    report: &ProfileReport<'_>,
) -> StatusUpdate {
    let new = AWSAccessProfileStatus::after(stored, report);
    let before = published.map(|last| &last.status).or(stored);
    let undisturbed = AWSAccessProfileStatus::after(before, report);
    let old = published.filter(|last| !last.status.differs_beyond_check_time(&undisturbed));
    let due = match old {
        _ if !write_due::profile_is_due(stored, &new) => WriteDue::Nothing,
        None => WriteDue::Now,
        Some(last) => {
            let rest = (last.at + write_due::INTERVAL).saturating_duration_since(clock::now());
            if rest.is_zero() {
                WriteDue::Now
            } else {
                WriteDue::In(rest)
            }
        }
    };
    StatusUpdate {
        new,
        undisturbed,
        due,
    }
}

/// Returns the readiness of a profile. It is ready unless it cannot be parsed, its account is a different one, or a
/// region denies access. Until AWS has answered, its readiness is unknown.
fn readiness(
    context: &Context,
    entry: &ProfileEntry,
    mut gaps: Vec<(Region, AwsError)>,
    is_seen: bool,
) -> Readiness {
    let profile = match &entry.core {
        Ok(profile) => profile,
        Err(why) => return Readiness::InvalidSpec(why.clone()),
    };
    if profile.suspension == Suspension::Suspended {
        return Readiness::ProfileSuspended(profile.name.clone());
    }
    if let (Some(other), Some(own)) = (context.sweeps.foreign_account(profile), &profile.account) {
        return Readiness::WrongAccount(format!(
            "AWS shows secrets of account {other}, but spec.accountId is {own}: correct it, or give the controller credentials of {own}"
        ));
    }
    // A region that does not answer shows nothing about the profile, and must not hide a region that denies access.
    gaps.retain(|(_, gap)| matches!(gap.class, ErrorClass::Denied | ErrorClass::Credentials));
    match Readiness::in_regions(&gaps) {
        Some(turned_away) => turned_away,
        None if is_seen || !is_used(context, &profile.name) => Readiness::Succeeded,
        None => Readiness::Progressing,
    }
}

/// Returns whether any policy makes the controller call AWS for the profile.
fn is_used(context: &Context, name: &ProfileName) -> bool {
    let snapshot = context.store.snapshot();
    let mut own = snapshot.bound_policies.of_profile(name);
    own.any(|bound_policy| !sweep::profile_regions(bound_policy).is_empty())
}

#[cfg(test)]
mod tests {
    use secret_rotation_core::time::{AwsTime, ServerTime};

    use secret_rotation_api::profile::RegionSweep;

    use super::*;
    use crate::published_statuses::PublishedStatuses;

    /// An installation that sees this number of secrets.
    struct Installation {
        published_statuses: PublishedStatuses,
        secrets: usize,
        writes: u32,
    }

    impl Installation {
        fn new(secrets: usize) -> Self {
            Self {
                published_statuses: PublishedStatuses::default(),
                secrets,
                writes: 0,
            }
        }

        /// Evaluates the stored profile, and writes the status if it is due.
        fn reconcile(&mut self, stored: &mut Option<AWSAccessProfileStatus>, minute: usize) {
            let name = ProfileName::parse("default").expect("a name");
            let region = fixtures::region(fixtures::REGION);
            let time: jiff::Timestamp = format!("2026-11-23T10:{minute:02}:00Z")
                .parse()
                .expect("a time");
            let sweep = RegionSweep {
                region: region.clone(),
                time: AwsTime::new(time),
                secrets: self.secrets,
                complete: true,
            };
            let (readiness, regions) = (Readiness::Succeeded, [region].into());
            let report = ProfileReport {
                generation: 1,
                readiness: &readiness,
                sweeps: &[sweep],
                regions: &regions,
                now: ServerTime::new(time),
            };
            let StatusUpdate {
                new,
                undisturbed,
                due,
            } = status_update(
                stored.as_ref(),
                self.published_statuses.of(&name).as_ref(),
                &report,
            );
            if due == WriteDue::Now {
                self.published_statuses.record(&name, undisturbed);
                self.writes += 1;
                *stored = Some(new);
            }
        }
    }

    /// Each write of one installation wakes the other, which sees different secrets.
    #[tokio::test(start_paused = true)]
    async fn two_installations_that_see_different_secrets_write_every_quarter_of_an_hour() {
        let (mut a, mut b) = (Installation::new(5), Installation::new(7));
        let mut stored = None;
        for minute in 0..60 {
            for _ in 0..100 {
                a.reconcile(&mut stored, minute);
                b.reconcile(&mut stored, minute);
            }
            tokio::time::advance(Duration::from_mins(1)).await;
        }
        assert_eq!((a.writes, b.writes), (4, 4), "in an hour");
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_one_installation_finds_is_written_immediately() {
        let (mut a, mut b) = (Installation::new(5), Installation::new(7));
        let mut stored = None;
        a.reconcile(&mut stored, 0);
        b.reconcile(&mut stored, 0);
        a.reconcile(&mut stored, 0);
        assert_eq!((a.writes, b.writes), (1, 1));
        a.secrets = 6;
        a.reconcile(&mut stored, 0);
        b.reconcile(&mut stored, 0);
        assert_eq!((a.writes, b.writes), (2, 1));
    }
}
