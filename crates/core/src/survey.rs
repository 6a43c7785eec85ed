//! The survey: an inventory, classified for one policy.

use std::collections::{BTreeMap, BTreeSet};

use crate::aws_error::ErrorClass;
use crate::names::{Arn, Region, SecretName, VersionId};
use crate::secret::PendingValue;
use crate::secret::Secret;
use crate::stability::Stability;
use crate::time::AwsTime;
use crate::words;

/// The states of one policy's secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// AWS time of the oldest response in the latest sweeps.
    pub time: AwsTime,
    /// The time of the oldest of the latest complete sweeps of all regions; absent if some region has had none.
    pub checked: Option<AwsTime>,
    /// The number of secrets in each state. States without secrets are present with 0.
    pub counts: BTreeMap<State, usize>,
    /// The number of secrets that the policy selects under the ceiling.
    pub selected: usize,
    /// Each region of the policy, even those that were never swept.
    pub regions: BTreeMap<Region, RegionSurvey>,
    /// Every secret that is not healthy, worst first.
    pub findings: Vec<Finding>,
    /// Healthy secrets that still carry pins.
    pub pinned: Vec<Finding>,
}

/// The selected secrets of one region. Limits are evaluated here, never over all regions: a region that could not be
/// seen makes no other one look smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegionSurvey {
    /// The number of secrets that the policy selects.
    pub selected: usize,
    /// The number of selected secrets that can rotate: the circuit breaker's percentage refers to it.
    pub eligible: usize,
    /// The number of stuck secrets among the eligible.
    pub stuck: usize,
    /// Whether the latest sweep saw everything. If not, the numbers cover only what is known.
    pub complete: bool,
    /// Whether the circuit breaker was open before the controller started, and nothing has shown since that it may
    /// close.
    pub was_tripped: bool,
}

impl Survey {
    /// Returns whether the latest sweep of every region saw everything.
    pub fn is_complete(&self) -> bool {
        self.regions.values().all(|region| region.complete)
    }

    /// Returns the number of secrets in a state.
    pub fn count(&self, state: State) -> usize {
        self.counts.get(&state).copied().unwrap_or(0)
    }

    /// Returns the number of secrets that are neither healthy nor ineligible. After a restart in an outage there may be
    /// fewer findings: of some secrets only the number is known.
    pub fn unhealthy_count(&self) -> usize {
        let counts = self.counts.iter();
        let unhealthy =
            counts.filter(|(state, _)| !matches!(state, State::Healthy | State::Ineligible));
        unhealthy.map(|(_, count)| count).sum()
    }

    /// Returns what the next survey must know and no engine does: the findings about names of which nothing else is
    /// known, and those from before the controller started.
    pub fn memory(&self) -> PreviousFindings {
        let unknown = self.findings.iter().filter(|one| one.secret.is_none());
        PreviousFindings {
            findings: unknown.map(|one| self.remembered(one)).collect(),
            counts: self.counts.clone(),
            ..PreviousFindings::default()
        }
    }

    /// Returns a finding as the next survey reads it.
    pub(crate) fn remembered(&self, finding: &Finding) -> ((Region, SecretName), PreviousFinding) {
        let key = (finding.region.clone(), finding.name.clone());
        let old = PreviousFinding {
            state: finding.state,
            since: finding.since,
            pending: finding.pending.clone(),
            first_observed: finding.first_observed,
            arn: finding.arn.clone(),
            message: finding.message.clone(),
            current: finding.current.clone(),
            seen: Some(finding.unseen_since.unwrap_or(self.time)),
        };
        (key, old)
    }

    /// Returns the worst state of any finding that makes the policy unhealthy.
    pub fn worst_state(&self) -> Option<State> {
        self.findings
            .iter()
            .map(|finding| finding.state)
            .filter(|state| state.is_unhealthy())
            .min()
    }
}

/// A secret that is healthy or ineligible, with the dates that metrics show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnremarkableSecret {
    /// The name.
    pub name: SecretName,
    /// The region.
    pub region: Region,
    /// When a rotation last succeeded.
    pub last_rotated: Option<AwsTime>,
    /// When AWS plans to rotate next.
    pub next_rotation: Option<AwsTime>,
    /// When the value expires, by its tag.
    pub expires: Option<AwsTime>,
}

/// One secret that needs attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name.
    pub name: SecretName,
    /// The region.
    pub region: Region,
    /// The ARN; absent if the secret does not exist.
    pub arn: Option<Arn>,
    /// The state.
    pub state: State,
    /// The time since which it is in this state, if AWS or an earlier finding shows it.
    pub since: Option<AwsTime>,
    /// A sentence for people, with absolute times only.
    pub message: String,
    /// The version with AWSCURRENT.
    pub current: Option<VersionId>,
    /// The unfinished pending version.
    pub pending: Option<VersionId>,
    /// When the controller first saw this pending version.
    pub first_observed: Option<AwsTime>,
    /// Whether the pending version has a value.
    pub pending_value: PendingValue,
    /// The kind of remedy that could help.
    pub remedy_kind: RemedyKind,
    /// For how long its labels and versions have been stable, if this process has watched the unfinished pending
    /// version.
    pub stability: Option<Stability>,
    /// The secret as seen, for planning; absent if it does not exist, or was not seen since the controller started.
    pub secret: Option<Secret>,
    /// Set while the latest sweeps could not see it: everything else is as last seen.
    pub unseen_since: Option<AwsTime>,
    /// Why a read of the details failed, if it did: only the list entry is then known.
    pub unreadable: Option<ErrorClass>,
}

impl Finding {
    /// Creates a finding of which only the name and the state are known.
    pub const fn named(name: SecretName, region: Region, state: State) -> Self {
        Self {
            name,
            region,
            arn: None,
            state,
            since: None,
            message: String::new(),
            current: None,
            pending: None,
            first_observed: None,
            pending_value: PendingValue::None,
            remedy_kind: RemedyKind::None,
            stability: None,
            secret: None,
            unseen_since: None,
            unreadable: None,
        }
    }
}

/// The kind of remedy that could help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemedyKind {
    /// A stuck rotation: the remedy in `remediation.stuck`.
    Stuck,
    /// A pending version that was rolled back: the remedy in `remediation.stuck`, unless it would make that version
    /// current again.
    RolledBack,
    /// A stuck rotation whose versions were not listed yet: no remedy until they are.
    Unlisted,
    /// A rotation that is due: the remedy in `remediation.overdue`.
    Overdue,
    /// A scheduled deletion: the remedy in `remediation.scheduledForDeletion`.
    Deletion,
    /// No remedy: only a person, or time, can help.
    None,
}

words! {
    /// The states of a secret, worst first. A secret is in exactly one.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum State {
        /// No AWSCURRENT: a person must set a value.
        Broken => "no version is current; a person must set a value",
        /// A pending version without progress, or one that was rolled back.
        Stuck => "a rotation has stopped halfway",
        /// The value expires soon, by its tag.
        Expiring => "the value expires soon, by its tag",
        /// AWS's own next rotation date has passed.
        Overdue => "the date of its next rotation has passed",
        /// The current version is too old.
        TooOld => "the current version is older than the policy allows",
        /// Scheduled for deletion.
        ScheduledForDeletion => "AWS will delete the secret",
        /// The policy names it exactly, and it does not exist.
        NotFound => "no secret has this exact name",
        /// Rotation is off. A leftover AWSPENDING is reported as part of this state.
        Disabled => "rotation is off",
        /// It could not be read.
        Unknown => "the secret could not be read",
        /// A rotation is in progress.
        Rotating => "a rotation is in progress",
        /// A replica.
        Ineligible => "a replica, which follows its primary",
        /// Nothing to report.
        Healthy => "nothing needs to be done",
    }
}

impl State {
    /// Returns whether it makes condition `Healthy` false or unknown.
    pub const fn is_unhealthy(self) -> bool {
        !matches!(self, Self::Rotating | Self::Ineligible | Self::Healthy)
    }

    /// Returns whether the remedy for overdue secrets applies.
    pub const fn is_overdue(self) -> bool {
        matches!(self, Self::Expiring | Self::Overdue | Self::TooOld)
    }
}

/// The findings in a policy's status. They are a hint: they are clamped, and never enough to act on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreviousFindings {
    /// The findings by region and name.
    pub findings: BTreeMap<(Region, SecretName), PreviousFinding>,
    /// The number of secrets in each state.
    pub counts: BTreeMap<State, usize>,
    /// The number of findings that were counted and not listed.
    pub omitted: usize,
    /// The regions in which the circuit breaker was open.
    pub tripped: BTreeSet<Region>,
    /// The regions without a complete sweep since this status was written: absence there proves nothing.
    pub unconfirmed: BTreeSet<Region>,
}

/// What a policy's status contains about one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousFinding {
    /// The state.
    pub state: State,
    /// The time since which it was in this state.
    pub since: Option<AwsTime>,
    /// The unfinished pending version at that time.
    pub pending: Option<VersionId>,
    /// When that version was first seen.
    pub first_observed: Option<AwsTime>,
    /// The ARN.
    pub arn: Option<Arn>,
    /// Why it was in this state.
    pub message: String,
    /// The current version at that time.
    pub current: Option<VersionId>,
    /// When it was last seen.
    pub seen: Option<AwsTime>,
}
