//! What this process last judged of each policy: the breaker within one term of the lease, the rest within one reign.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use secret_rotation_core::identity::Uid;
use secret_rotation_core::plan::Breaker;
use secret_rotation_core::survey::Memory;

/// By policy.
#[derive(Debug, Default)]
pub(crate) struct Judgements(Mutex<BTreeMap<Uid, Judgement>>);

#[derive(Clone, Debug)]
struct Judgement {
    term: u64,
    breaker: Breaker,
    memory: Memory,
}

impl Judgements {
    /// Takes note of a pass.
    pub(crate) fn note(&self, policy: &Uid, term: u64, breaker: Breaker, memory: Memory) {
        self.all().insert(
            policy.clone(),
            Judgement {
                term,
                breaker,
                memory,
            },
        );
    }

    /// The breaker, if the policy was judged in this term.
    pub(crate) fn breaker(&self, policy: &Uid, term: u64) -> Option<Breaker> {
        self.all()
            .get(policy)
            .filter(|judgement| judgement.term == term)
            .map(|judgement| judgement.breaker)
    }

    /// What is remembered of findings: of the last pass, else what the status says. A status lists only some.
    pub(crate) fn memory(&self, policy: &Uid, of_status: &Memory) -> Memory {
        let known = self
            .all()
            .get(policy)
            .map(|judgement| judgement.memory.clone());
        known.unwrap_or_else(|| of_status.clone())
    }

    /// The policy is gone.
    pub(crate) fn forget(&self, policy: &Uid) {
        self.all().remove(policy);
    }

    /// Another replica may have acted since.
    pub(crate) fn clear(&self) {
        self.all().clear();
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Uid, Judgement>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breaker_of_an_earlier_term_is_not_known() {
        let judgements = Judgements::default();
        let policy = Uid::parse("policy-uid").expect("a UID");
        assert_eq!(judgements.breaker(&policy, 1), None);
        judgements.note(&policy, 1, Breaker::Open, Memory::default());
        assert_eq!(judgements.breaker(&policy, 1), Some(Breaker::Open));
        assert_eq!(judgements.breaker(&policy, 2), None);
    }
}
