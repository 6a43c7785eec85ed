//! The sweep of `audit` and `list`: reads all regions of the criteria at the same time.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use secret_rotation_aws::{Account, Call, MAX_VERSION_AGES, Scope};
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::inventory::{Inventory, Observation};
use secret_rotation_core::names::{Arn, Region, SecretName};
use secret_rotation_core::secret::Secret;

use super::criteria::Criteria;
use super::errors::{FailedCalls, Problem};
use super::progress::Progress;
use super::session::{RateArgs, Session};

/// What was read of one region, and what could not be read.
#[derive(Clone, Debug)]
pub(crate) struct RegionSweep {
    /// What was read.
    pub inventory: Inventory,
    /// What could not be read, with hints.
    pub problems: Vec<Problem>,
}

impl RegionSweep {
    /// Returns whether AWS returned anything about the region.
    pub(crate) fn answered(&self) -> bool {
        self.inventory.is_complete() || !self.inventory.secrets.is_empty()
    }
}

/// Sweeps all regions of the criteria concurrently. Each region has its own rate limits, as in AWS.
pub(crate) async fn collect(
    session: &Session,
    rate: RateArgs,
    criteria: &Criteria,
    progress: &Progress,
) -> Vec<RegionSweep> {
    let ceilings = criteria.profile.ceilings(&criteria.tenant.namespace);
    let scope = Scope::covering(&[&criteria.policy.selector.within(&ceilings)]);
    let regions = criteria.regions().into_iter().map(|region| {
        let failed_calls = FailedCalls::default();
        let (seen, shown) = (failed_calls.clone(), progress.of(&region));
        let observer = Arc::new(move |call: &Call| {
            seen.record(call);
            shown.record(call);
        });
        let account = session.observed_account(region.clone(), rate, observer);
        let scope = &scope;
        async move {
            let inventory = inventory(&account, scope, criteria)
                .await
                .after(None, &|_| true);
            progress.of(&region).done();
            let mut problems = problems(session, &inventory, &failed_calls, &region);
            problems.extend(unknown_ages(
                missing_ages(&inventory, criteria).len(),
                &region,
            ));
            RegionSweep {
                inventory,
                problems,
            }
        }
    });
    join_all(regions).await
}

/// Sweeps once and, if ages are needed, as many more times as it takes to know them all.
async fn inventory(account: &Account, scope: &Scope, criteria: &Criteria) -> Inventory {
    let wanted = |secret: &Secret| criteria.may_describe(secret);
    let max_age = criteria.policy.detection.max_age;
    let nothing = BTreeMap::new();
    let mut inventory = account.inventory(scope, &nothing, &wanted, max_age).await;
    let mut unknown = missing_ages(&inventory, criteria);
    while !unknown.is_empty() {
        let some = unknown.iter().take(MAX_VERSION_AGES);
        let names = some.map(|(_, name)| name.clone()).collect();
        let known = inventory.secrets.clone();
        let more = account
            .inventory(&Scope::Names(names), &known, &wanted, max_age)
            .await;
        inventory.gap = inventory.gap.or(more.gap);
        inventory.secrets.extend(more.secrets);
        let left = missing_ages(&inventory, criteria);
        if left.len() >= unknown.len() {
            break;
        }
        unknown = left;
    }
    inventory
}

/// Returns the selected secrets whose age only their list of versions shows, and was not read yet.
fn missing_ages(inventory: &Inventory, criteria: &Criteria) -> Vec<(Arn, SecretName)> {
    let Some(max_age) = criteria.policy.detection.max_age else {
        return Vec::new();
    };
    let oldest = inventory.time.minus(max_age);
    let missing =
        |seen: &&Observation| seen.age_needed(oldest) && criteria.may_describe(&seen.secret);
    let named = |seen: &Observation| (seen.secret.arn.clone(), seen.secret.name.clone());
    let secrets = inventory.secrets.values();
    secrets.filter(missing).map(named).collect()
}

/// Reports versions of unknown age: they are not known to be young.
fn unknown_ages(count: usize, region: &Region) -> Option<Problem> {
    (count > 0).then(|| Problem {
        reason: "AgeUnknown",
        message: format!("current versions whose age could not be read in {region}: {count}"),
        hint: "grant secretsmanager:ListSecretVersionIds: maxAge needs it".to_owned(),
    })
}

/// Returns the gap of the sweep first, then each class of error that made single secrets unreadable.
fn problems(
    session: &Session,
    inventory: &Inventory,
    failed_calls: &FailedCalls,
    region: &Region,
) -> Vec<Problem> {
    let explain = |error| session.explain(failed_calls, error, region);
    let mut all: Vec<_> = inventory.gap.iter().map(explain).collect();
    let errors = inventory
        .secrets
        .values()
        .filter_map(|seen| seen.unreadable.as_ref())
        .chain(inventory.unread.values())
        .filter(|error| error.class != ErrorClass::Gone);
    let mut single = BTreeMap::new();
    for error in errors {
        single
            .entry(error.class)
            .or_insert_with(|| (0_usize, error))
            .0 += 1;
    }
    for (count, error) in single.into_values() {
        let problem = explain(error);
        all.push(Problem {
            message: format!(
                "secrets that could not be read: {count}; {}",
                problem.message
            ),
            ..problem
        });
    }
    all
}
