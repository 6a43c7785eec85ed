//! What one policy selects in one region: counts, and a verdict for each secret that needs attention. Kept up to date
//! row by row.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::compact::{CompactId, Micros};
use super::rows::RowId;
use crate::action::Action;
use crate::names::VersionId;
use crate::secret::Secret;
use crate::survey::{PreviousFinding, RegionSurvey, State};
use crate::verdict::Verdict;

/// The counts and verdicts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// The number of secrets in each state that occurs.
    pub(super) counts: BTreeMap<State, usize>,
    /// The numbers by which limits are evaluated.
    pub(super) region: RegionSurvey,
    /// The verdict on each secret that is neither healthy nor ineligible.
    pub(super) findings: BTreeMap<RowId, Held>,
    /// Healthy secrets with pins.
    pub(super) pinned: BTreeSet<RowId>,
}

/// A verdict, without what can be derived again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) state: State,
    since: Micros,
    first_observed: Micros,
    pending: Option<CompactId>,
    /// A hash of the message, so that a message that changes with time alone shows as a change.
    message: u64,
}

fn hash(message: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.hash(&mut hasher);
    hasher.finish()
}

impl Held {
    /// Returns the verdict as the memory of the next one.
    pub(super) fn previous(&self) -> PreviousFinding {
        PreviousFinding {
            state: self.state,
            since: self.since.time(),
            pending: self.pending.as_ref().and_then(CompactId::id),
            first_observed: self.first_observed.time(),
            arn: None,
            message: String::new(),
            current: None,
            seen: None,
        }
    }
}

/// Returns the state of a selected secret without a finding.
const fn state_without_finding(secret: &Secret, is_replica: bool) -> State {
    if is_replica && secret.deleted.is_none() {
        State::Ineligible
    } else {
        State::Healthy
    }
}

fn is_eligible(secret: &Secret) -> bool {
    secret.exclusion(Action::Rotate).is_none()
}

/// How one secret is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// The verdict, if the secret has a finding.
    pub(super) held: Option<Held>,
    state: State,
    is_eligible: bool,
    is_pinned: bool,
}

impl Standing {
    /// Returns whether the survey shows the secret itself, and not only a number.
    pub(super) const fn is_shown(&self) -> bool {
        self.held.is_some() || self.is_pinned
    }
}

impl Tally {
    /// Takes out a secret as it was when it was added. Returns how it was counted.
    pub(super) fn remove(&mut self, id: RowId, secret: &Secret) -> Standing {
        let held = self.findings.remove(&id);
        let is_pinned = self.pinned.remove(&id);
        let without = state_without_finding(secret, secret.is_replica());
        let state = held.as_ref().map_or(without, |held| held.state);
        let is_eligible = is_eligible(secret);
        self.count(state, is_eligible, |number| number.saturating_sub(1));
        Standing {
            held,
            state,
            is_eligible,
            is_pinned,
        }
    }

    /// Adds a secret with its verdict. Returns how it is counted.
    pub(super) fn add(&mut self, id: RowId, secret: &Secret, verdict: &Verdict) -> Standing {
        let is_healthy = verdict.state == State::Healthy;
        let has_finding = !is_healthy && verdict.state != State::Ineligible;
        let standing = Standing {
            held: has_finding.then(|| Held {
                state: verdict.state,
                since: Micros::of(Some(verdict.since)),
                first_observed: Micros::of(verdict.first_observed),
                pending: secret.unfinished().map(|id: &VersionId| CompactId::of(id)),
                message: hash(&verdict.message),
            }),
            state: verdict.state,
            is_eligible: is_eligible(secret),
            is_pinned: is_healthy && crate::pin::has_any(secret),
        };
        if standing.is_pinned {
            self.pinned.insert(id);
        }
        if let Some(held) = &standing.held {
            self.findings.insert(id, held.clone());
        }
        self.count(verdict.state, standing.is_eligible, |number| number + 1);
        standing
    }

    fn count(&mut self, state: State, eligible: bool, change: impl Fn(usize) -> usize) {
        let region = &mut self.region;
        region.selected = change(region.selected);
        if eligible {
            region.eligible = change(region.eligible);
        }
        if eligible && state == State::Stuck {
            region.stuck = change(region.stuck);
        }
        let count = self.counts.entry(state).or_default();
        *count = change(*count);
    }
}
