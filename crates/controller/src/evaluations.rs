//! The last evaluation of each policy in this process. The circuit breaker is valid within one term of the lease, the
//! rest within one epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use secret_rotation_core::block::BlockReason;
use secret_rotation_core::names::{Region, Uid};
use secret_rotation_core::plan::{Plan, RegionGate, RegionGates};
use secret_rotation_core::survey::{PreviousFindings, Survey};
use secret_rotation_core::time::AwsTime;

/// The last evaluation by policy.
#[derive(Debug, Default)]
pub(crate) struct Evaluations {
    all: Mutex<BTreeMap<Uid, Evaluation>>,
    /// The region gates of all evaluations, for plans.
    gates: Mutex<RegionGates>,
}

#[derive(Clone, Debug)]
struct Evaluation {
    term: u64,
    regions: BTreeMap<Region, RegionGate>,
    /// What no row of an engine shows: names, and findings from before the controller started.
    memory: PreviousFindings,
    wake_at: Option<AwsTime>,
}

impl Evaluations {
    /// Records an evaluation. Returns whether automatic operations may now start in a region where they could not
    /// before, or the reverse.
    pub(crate) fn record(&self, policy: &Uid, term: u64, plan: &Plan, survey: &Survey) -> bool {
        let evaluation = Evaluation {
            term,
            regions: plan.regions.clone(),
            memory: survey.memory(),
            wake_at: plan.wake_at,
        };
        let before = self.all().insert(policy.clone(), evaluation);
        self.gates().insert(policy.clone(), plan.regions.clone());
        before.is_none_or(|before| before.term != term || before.regions != plan.regions)
    }

    /// Returns whether the time of AWS has come at which the last plan must be made again.
    pub(crate) fn is_due(&self, policy: &Uid, now: AwsTime) -> bool {
        let all = self.all();
        let wake_at = all.get(policy).and_then(|evaluation| evaluation.wake_at);
        wake_at.is_some_and(|wake_at| wake_at <= now)
    }

    /// Returns whether automatic operations may start in the region, if the policy was evaluated in this term.
    pub(crate) fn region_gate(
        &self,
        policy: &Uid,
        term: u64,
        region: &Region,
    ) -> Option<RegionGate> {
        self.all()
            .get(policy)
            .filter(|evaluation| evaluation.term == term)
            .and_then(|evaluation| evaluation.regions.get(region).copied())
    }

    /// Returns the gates of all regions of every policy that was ever evaluated.
    pub(crate) fn region_gates(&self) -> RegionGates {
        self.gates().clone()
    }

    /// Returns the remembered findings: those of the last pass, or otherwise those in the status, which lists only
    /// some. For `unsettled` regions there is nothing better than them.
    pub(crate) fn previous_findings(
        &self,
        policy: &Uid,
        of_status: &PreviousFindings,
        unsettled: &BTreeSet<Region>,
    ) -> PreviousFindings {
        let known = self.all().get(policy).map(|evaluation| {
            let held = RegionGate::Blocked(BlockReason::CircuitBreakerOpen);
            let regions = evaluation.regions.iter();
            let tripped = regions.filter(|(_, gate)| **gate == held);
            PreviousFindings {
                // The findings that the status omits were never seen by this process either.
                omitted: of_status.omitted,
                tripped: tripped.map(|(region, _)| region.clone()).collect(),
                ..evaluation.memory.clone()
            }
        });
        PreviousFindings {
            unconfirmed: unsettled.clone(),
            ..known.unwrap_or_else(|| of_status.clone())
        }
    }

    /// Removes a deleted policy.
    pub(crate) fn forget(&self, policy: &Uid) {
        self.all().remove(policy);
        self.gates().remove(policy);
    }

    /// Clears everything: another replica may have acted since.
    pub(crate) fn clear(&self) {
        self.all().clear();
        *self.gates() = RegionGates::default();
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Uid, Evaluation>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gates(&self) -> MutexGuard<'_, RegionGates> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use fixtures::{REGION, bound_policy, region, uid};

    use super::*;

    #[test]
    fn an_evaluation_of_an_earlier_term_is_not_used() {
        let evaluations = Evaluations::default();
        let policy = uid("payments");
        let held = RegionGate::Blocked(BlockReason::CircuitBreakerOpen);
        assert_eq!(evaluations.region_gate(&policy, 1, &region(REGION)), None);
        let regions = [(region(REGION), held)].into();
        let record = |regions| {
            let plan = Plan {
                regions,
                ..Plan::default()
            };
            let survey = fixtures::survey(&bound_policy(fixtures::policy("payments")), Vec::new());
            evaluations.record(&policy, 1, &plan, &survey)
        };
        assert!(record(regions));
        let regions = [(region(REGION), held)].into();
        assert!(!record(regions));
        assert_eq!(
            evaluations.region_gate(&policy, 1, &region(REGION)),
            Some(held)
        );
        let elsewhere = region("us-east-1");
        assert_eq!(evaluations.region_gate(&policy, 1, &elsewhere), None);
        assert_eq!(evaluations.region_gate(&policy, 2, &region(REGION)), None);
    }
}
