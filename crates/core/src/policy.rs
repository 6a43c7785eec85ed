//! A `SecretRotationPolicy` with every default filled in and every text parsed.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::approval::Approval;
use crate::maintenance_window::Windows;
use crate::names::{ObjectKey, ProfileName, Region, Uid};
use crate::selector::Selector;
use crate::time::{AwsTime, ServerTime};
use crate::words;

/// What a team wants for its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The namespace and name.
    pub key: ObjectKey,
    /// The UID: a policy that was deleted and created again under the same name is another policy.
    pub uid: Uid,
    /// When it was created. The oldest policy that may act on a secret owns it.
    pub created: ServerTime,
    /// When it was deleted, if a finalizer still keeps it.
    pub deletion_requested: Option<ServerTime>,
    /// The profile it uses.
    pub profile: ProfileName,
    /// The regions; `None` = all regions of the profile.
    pub regions: Option<BTreeSet<Region>>,
    /// The secrets that it selects.
    pub selector: Selector,
    /// Whether it may act.
    pub mode: Mode,
    /// Whether it is suspended.
    pub suspension: Suspension,
    /// The time since which attempts count, if a person requested to start the count again.
    pub retry_requested: Option<AwsTime>,
    /// How often it is checked.
    pub check_interval: Duration,
    /// What counts as unhealthy.
    pub detection: Detection,
    /// What is done about it.
    pub remediation: Remediation,
}

impl Policy {
    /// Returns the window of the attempts that count now.
    pub fn attempt_window(&self, now: AwsTime) -> AttemptWindow {
        AttemptWindow {
            length: self.remediation.attempt_window,
            restarted: self.retry_requested.filter(|restarted| *restarted <= now),
            now,
        }
    }

    /// Returns whether the policy may create operations now.
    pub const fn acts(&self) -> bool {
        matches!(
            (self.mode, self.suspension, self.deletion_requested),
            (Mode::Remediate, Suspension::Active, None)
        )
    }
}

/// A sliding window over attempts. A person's request to try again shortens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptWindow {
    /// The length of the window.
    pub length: Duration,
    /// Attempts up to this time do not count.
    pub restarted: Option<AwsTime>,
    /// The current AWS time, at which the window ends.
    pub now: AwsTime,
}

impl AttemptWindow {
    /// Returns whether an attempt made at that time counts.
    pub fn contains(&self, at: AwsTime) -> bool {
        self.now.since(at) < self.length && self.restarted.is_none_or(|restarted| at > restarted)
    }
}

words! {
    /// Whether a policy acts.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Mode {
        /// It only reports.
        Observe,
        /// It creates operations.
        Remediate,
    }
}

/// Whether a policy, or a profile with all its policies, is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspension {
    /// Not suspended.
    Active,
    /// No checks run, and no operation starts or continues.
    Suspended,
}

impl Suspension {
    /// Returns the meaning of a field `suspend`.
    pub const fn of(suspend: bool) -> Self {
        if suspend {
            Self::Suspended
        } else {
            Self::Active
        }
    }
}

/// The thresholds of the states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detection {
    /// A pending version without progress for this long is stuck.
    pub stuck_after: Duration,
    /// A secret is overdue this long after AWS's own `NextRotationDate`.
    pub overdue_after: Duration,
    /// The greatest acceptable age of the current version.
    pub max_age: Option<Duration>,
    /// The tag that contains the expiry date of the value.
    pub expiry: Option<Expiry>,
    /// What is reported about secrets that do not rotate.
    pub rotation_disabled: DisabledReporting,
    /// Whether to report secrets scheduled for deletion.
    pub scheduled_for_deletion: Reporting,
}

/// An expiry date in a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The key of the tag.
    pub tag_key: String,
    /// How long before the date the secret must have been rotated.
    pub rotate_before: Duration,
}

/// What is reported about secrets that do not rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisabledReporting {
    /// Report secrets whose rotation was configured and then switched off.
    Report,
    /// Also report secrets whose rotation was never configured.
    ReportUnconfigured,
    /// Report neither.
    Ignore,
}

/// Whether something is a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reporting {
    /// It is a finding.
    Report,
    /// It counts as healthy.
    Ignore,
}

/// What a policy may do in mode `Remediate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remediation {
    /// The remedy for stuck rotations.
    pub stuck: StuckRemedy,
    /// The remedy for overdue, too old and expiring secrets.
    pub overdue: OverdueRemedy,
    /// The remedy for secrets that are scheduled for deletion.
    pub deletion: DeletionRemedy,
    /// Whether a person must approve each operation, automatic or manual.
    pub approval: Approval,
    /// When automatic operations may start.
    pub windows: Windows,
    /// The time between pin and clear.
    pub confirm_after: Duration,
    /// The maximum number of operations of this policy in progress.
    pub max_concurrent: usize,
    /// The maximum number of automatic attempts per secret within `attempt_window`.
    pub max_attempts: usize,
    /// The window in which attempts are counted.
    pub attempt_window: Duration,
    /// The pause between attempts on one secret.
    pub backoff: Backoff,
    /// The limit above which no automatic action starts.
    pub breaker: CircuitBreaker,
}

/// The remedy for a stuck rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StuckRemedy {
    /// Nothing is done.
    Report,
    /// Ask AWS to retry the rotation of the pending version.
    RetryRotation,
    /// Remove AWSPENDING.
    ClearPending,
    /// Remove AWSPENDING, then rotate.
    ClearAndRotate,
    /// Retry a pending version that has a value, once; otherwise clear and rotate.
    Recover,
}

/// The remedy for an overdue rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverdueRemedy {
    /// Nothing is done.
    Report,
    /// Rotate.
    Rotate,
}

/// The remedy for a secret that is scheduled for deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionRemedy {
    /// Nothing is done.
    Report,
    /// Cancel the deletion, once per attempt window.
    RestoreSecret,
}

/// Exponential back-off: `initial`, doubled per attempt, at most `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first attempt.
    pub initial: Duration,
    /// The longest pause.
    pub max: Duration,
}

impl Backoff {
    /// Returns the pause after `attempts` attempts; zero before the first.
    pub fn after(&self, attempts: usize) -> Duration {
        let Some(doublings) = attempts.checked_sub(1) else {
            return Duration::ZERO;
        };
        let factor = u32::try_from(doublings)
            .ok()
            .and_then(|n| 1_u32.checked_shl(n))
            .unwrap_or(u32::MAX);
        self.initial.saturating_mul(factor).min(self.max)
    }
}

/// The circuit breaker. While it is open, no automatic action of the policy starts in that region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitBreaker {
    /// Percent of the eligible secrets above which it may open.
    pub stuck_percent: usize,
    /// The number of stuck secrets from which it may open.
    pub min_stuck: usize,
}

impl CircuitBreaker {
    /// Returns whether it is open: more than `stuck_percent` of the eligible secrets are stuck, and at least
    /// `min_stuck`.
    pub const fn is_open(&self, stuck: usize, eligible: usize) -> bool {
        stuck >= self.min_stuck
            && stuck.saturating_mul(100) > self.stuck_percent.saturating_mul(eligible)
    }
}
