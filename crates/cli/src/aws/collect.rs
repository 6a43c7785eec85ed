//! The sweep of `audit` and `list`: reads all regions of the criteria at the same time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;
use secret_rotation_aws::{Call, Scope, SweepPlan, Swept};
use secret_rotation_core::aws_error::{AwsError, ErrorClass};
use secret_rotation_core::engine::{Engine, SharedEngine, Sights};
use secret_rotation_core::names::Region;
use secret_rotation_core::operation_index::OperationIndex;
use secret_rotation_core::stability::StabilityTracker;
use secret_rotation_core::survey::PreviousFindings;
use secret_rotation_core::time::AwsTime;

use super::criteria::Criteria;
use super::errors::{FailedCalls, Problem};
use super::progress::Progress;
use super::session::{RateArgs, Session};

/// What was read of one region, and what could not be read.
#[derive(Clone, Debug)]
pub(crate) struct RegionSweep {
    /// The region.
    pub region: Region,
    /// What was read.
    pub engine: Engine,
    /// The time of the oldest answer; `None` = AWS did not answer.
    pub time: Option<AwsTime>,
    /// The number of secrets that AWS showed.
    pub shown: usize,
    /// Whether AWS returned anything about the region.
    pub is_answered: bool,
    /// What could not be read, with hints.
    pub problems: Vec<Problem>,
}

/// The engine of one region, which a single sweep uses.
pub(crate) struct OwnEngine(Mutex<(Engine, StabilityTracker)>);

impl OwnEngine {
    /// Creates an engine with the policy of the criteria.
    pub(crate) fn of(mut engine: Engine, criteria: &Criteria) -> Self {
        let mut stability = StabilityTracker::default();
        let mut sights = Sights {
            engine: &mut engine,
            stability: &mut stability,
            operations: &OperationIndex::default(),
        };
        let policy = Arc::new(criteria.bound_policy());
        sights.set_policy(&policy, &PreviousFindings::default());
        Self(Mutex::new((engine, stability)))
    }

    /// Returns the engine.
    pub(crate) fn into_engine(self) -> Engine {
        self.0
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }
}

impl SharedEngine for OwnEngine {
    fn with<T>(&self, change: impl FnOnce(&mut Sights<'_>) -> T) -> T {
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (engine, stability) = &mut *own;
        change(&mut Sights {
            engine,
            stability,
            operations: &OperationIndex::default(),
        })
    }
}

/// Sweeps all regions of the criteria concurrently. Each region has its own rate limits, as in AWS. `engine` makes the
/// engine of a region, and so decides what is kept.
pub(crate) async fn collect(
    session: &Session,
    rate: RateArgs,
    criteria: &Criteria,
    progress: &Progress,
    engine: impl Fn(Region) -> Engine,
) -> Vec<RegionSweep> {
    let ceilings = criteria.profile.ceilings(&criteria.tenant.namespace);
    let plan = SweepPlan {
        scope: Scope::covering(&[&criteria.policy.selector.within(&ceilings)]),
        policies: [criteria.policy.uid.clone()].into(),
        is_whole: true,
        max_ages: usize::MAX,
    };
    let regions = criteria.regions().into_iter().map(|region| {
        let failed_calls = FailedCalls::default();
        let (seen, shown) = (failed_calls.clone(), progress.of(&region));
        let observer = Arc::new(move |call: &Call| {
            seen.record(call);
            shown.record(call);
        });
        let account = session.observed_account(region.clone(), rate, observer);
        let engine = OwnEngine::of(engine(region.clone()), criteria);
        let plan = &plan;
        async move {
            let swept = account.sweep(plan, &engine).await;
            progress.of(&region).done();
            let engine = engine.into_engine();
            let ages = engine.ages_needed(&swept.read, usize::MAX).len();
            let explain = |error: &AwsError| session.explain(&failed_calls, error, &region);
            let mut problems = problems(&explain, &engine, &swept);
            problems.extend(unknown_ages(ages, &region));
            RegionSweep {
                time: engine.time(&swept.read),
                shown: swept.shown,
                is_answered: swept.gap.is_none() || swept.shown > 0,
                region,
                engine,
                problems,
            }
        }
    });
    join_all(regions).await
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
pub(crate) fn problems(
    explain: &dyn Fn(&AwsError) -> Problem,
    engine: &Engine,
    swept: &Swept,
) -> Vec<Problem> {
    let mut all: Vec<_> = swept.gap.iter().map(explain).collect();
    let rows = engine.observations().filter_map(|seen| seen.unreadable);
    let names = engine.unread_names().map(|(_, error)| error.clone());
    let errors = rows.chain(names);
    let mut single = BTreeMap::new();
    for error in errors.filter(|error| error.class != ErrorClass::Gone) {
        single
            .entry(error.class)
            .or_insert_with(|| (0_usize, error))
            .0 += 1;
    }
    for (count, error) in single.into_values() {
        let problem = explain(&error);
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
