//! An inventory judged for one policy.

use std::collections::{BTreeMap, BTreeSet};

use crate::aws_error::ErrorClass;
use crate::names::{Arn, Region, SecretName, VersionId};
use crate::secret::PendingValue;
use crate::secret::Secret;
use crate::stability::Stability;
use crate::time::AwsTime;
use crate::words;

/// What one policy's secrets look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// AWS time of the oldest answer in the latest sweeps.
    pub time: AwsTime,
    /// The time of the oldest among the latest complete sweeps of all regions; absent if some region has had none.
    pub checked: Option<AwsTime>,
    /// How many secrets are in each state; states without secrets are present with 0.
    pub counts: BTreeMap<State, usize>,
    /// Secrets that the policy selects under the ceiling.
    pub selected: usize,
    /// Each region of the policy, also those that were never swept.
    pub regions: BTreeMap<Region, RegionSurvey>,
    /// Every secret that is not healthy, worst first.
    pub findings: Vec<Finding>,
    /// Healthy and ineligible secrets.
    pub unremarkable: Vec<UnremarkableSecret>,
    /// Healthy secrets that still carry pins of ours.
    pub pinned: Vec<Finding>,
}

/// What one region holds of the selected secrets. Limits are judged here, never over all regions: a region that could not be
/// seen makes no other one look smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegionSurvey {
    /// Secrets that the policy selects.
    pub selected: usize,
    /// Selected secrets on which rotation works at all: what the circuit breaker's percentage refers to.
    pub eligible: usize,
    /// Stuck secrets among the eligible.
    pub stuck: usize,
    /// Whether the latest sweep saw everything. If not, the numbers are only what is known.
    pub complete: bool,
    /// Whether the circuit breaker was open before the controller started, and nothing has shown since that it may close.
    pub was_tripped: bool,
}

impl Survey {
    /// Whether the latest sweep of every region saw everything.
    pub fn is_complete(&self) -> bool {
        self.regions.values().all(|region| region.complete)
    }

    /// The number of secrets in a state.
    pub fn count(&self, state: State) -> usize {
        self.counts.get(&state).copied().unwrap_or(0)
    }

    /// How many secrets are neither healthy nor ineligible. After a restart in an outage there may be fewer findings: of
    /// some secrets only their number is remembered.
    pub fn unhealthy_count(&self) -> usize {
        let counts = self.counts.iter();
        let unwell =
            counts.filter(|(state, _)| !matches!(state, State::Healthy | State::Ineligible));
        unwell.map(|(_, count)| count).sum()
    }

    /// The worst state of any finding that makes the policy unhealthy.
    pub fn worst(&self) -> Option<State> {
        self.findings
            .iter()
            .map(|finding| finding.state)
            .filter(|state| state.is_unhealthy())
            .min()
    }
}

/// A secret that needs no attention, with the dates that metrics show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnremarkableSecret {
    /// Its name.
    pub name: SecretName,
    /// Its region.
    pub region: Region,
    /// When a rotation last succeeded.
    pub last_rotated: Option<AwsTime>,
    /// When AWS means to rotate next.
    pub next_rotation: Option<AwsTime>,
    /// When its value expires, by its tag.
    pub expires: Option<AwsTime>,
}

/// One secret that needs attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its name.
    pub name: SecretName,
    /// Its region.
    pub region: Region,
    /// Its ARN; absent if it does not exist.
    pub arn: Option<Arn>,
    /// Its state.
    pub state: State,
    /// Since when it is in this state, where AWS tells or we remember.
    pub since: Option<AwsTime>,
    /// A sentence for people, with absolute times only.
    pub message: String,
    /// The version with AWSCURRENT.
    pub current: Option<VersionId>,
    /// The unfinished pending version.
    pub pending: Option<VersionId>,
    /// When this pending version was first seen by us.
    pub first_observed: Option<AwsTime>,
    /// Whether the pending version has a value.
    pub pending_value: PendingValue,
    /// Which kind of remedy could help.
    pub remedy_kind: RemedyKind,
    /// How its labels and versions have rested, as far as this process has watched the unfinished pending version.
    pub stability: Option<Stability>,
    /// The secret as seen, for planning; absent if it does not exist, or was not seen since the controller started.
    pub secret: Option<Secret>,
    /// Set while the latest sweeps could not see it: everything else is as last seen.
    pub unseen_since: Option<AwsTime>,
    /// Why a closer look failed, if it did: what is known is then what a list tells.
    pub unreadable: Option<ErrorClass>,
}

/// Which kind of remedy could help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemedyKind {
    /// A stuck rotation: what `remediation.stuck` says.
    Stuck,
    /// A pending version that was rolled back: what `remediation.stuck` says, as far as it does not bring that version back.
    RolledBack,
    /// A stuck rotation whose versions were not listed yet: nothing, until they are.
    Unlisted,
    /// A rotation that is due: what `remediation.overdue` says.
    Overdue,
    /// A scheduled deletion: what `remediation.scheduledForDeletion` says.
    Deletion,
    /// None: only a person, or time, can help.
    None,
}

words! {
    /// The states of a secret, worst first. A secret is in exactly one.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum State {
        /// No AWSCURRENT: a person must set a value.
        Broken => "no version is current; a person must set a value",
        /// A pending version without progress, or one that was rolled back.
        Stuck => "a rotation has stopped half-way",
        /// The value expires soon, by its tag.
        Expiring => "the value expires soon, by its tag",
        /// AWS's own next rotation date has passed.
        Overdue => "the date of its next rotation has passed",
        /// The current version is too old.
        TooOld => "the current version is older than the policy allows",
        /// Scheduled for deletion.
        ScheduledForDeletion => "AWS will delete it",
        /// Named exactly, and not there.
        NotFound => "no secret has this exact name",
        /// Rotation is off. An AWSPENDING that was left over is part of it.
        Disabled => "it does not rotate",
        /// It could not be read.
        Unknown => "it could not be read",
        /// A rotation is under way.
        Rotating => "a rotation is in progress",
        /// A replica.
        Ineligible => "a replica, which follows its primary",
        /// Nothing to report.
        Healthy => "nothing is to be done",
    }
}

impl State {
    /// Whether it makes `Healthy` false or unknown.
    pub const fn is_unhealthy(self) -> bool {
        !matches!(self, Self::Rotating | Self::Ineligible | Self::Healthy)
    }

    /// Whether the remedy for overdue secrets applies.
    pub const fn is_overdue(self) -> bool {
        matches!(self, Self::Expiring | Self::Overdue | Self::TooOld)
    }
}

/// What a policy's status remembers of its findings. A hint: it is clamped, and never enough to act on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreviousFindings {
    /// Findings by place.
    pub findings: BTreeMap<(Region, SecretName), PreviousFinding>,
    /// How many secrets were in each state.
    pub counts: BTreeMap<State, usize>,
    /// How many findings were counted and not listed.
    pub omitted: usize,
    /// Regions in which the circuit breaker was open.
    pub tripped: BTreeSet<Region>,
    /// Regions that were not yet seen completely since this was remembered: absence there proves nothing.
    pub unconfirmed: BTreeSet<Region>,
}

/// What is remembered of one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousFinding {
    /// Its state.
    pub state: State,
    /// Since when.
    pub since: Option<AwsTime>,
    /// Its unfinished pending version then.
    pub pending: Option<VersionId>,
    /// When that version was first seen.
    pub first_observed: Option<AwsTime>,
    /// Its ARN.
    pub arn: Option<Arn>,
    /// Why it was in this state.
    pub message: String,
    /// Its current version then.
    pub current: Option<VersionId>,
    /// When it was last seen.
    pub seen: Option<AwsTime>,
}
