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
    /// Its namespace and name.
    pub key: ObjectKey,
    /// Its UID: a policy re-created under the same name is another one.
    pub uid: Uid,
    /// When it was created; the oldest policy owns a secret.
    pub created: ServerTime,
    /// When somebody deleted it, if a finalizer still keeps it.
    pub deletion_requested: Option<ServerTime>,
    /// The profile it uses.
    pub profile: ProfileName,
    /// Its regions; `None` = all of the profile's.
    pub regions: Option<BTreeSet<Region>>,
    /// Its secrets.
    pub selector: Selector,
    /// Whether it may act.
    pub mode: Mode,
    /// Whether everything stands still.
    pub suspension: Suspension,
    /// Since when attempts count, where a person asked to start counting anew.
    pub retry_requested: Option<AwsTime>,
    /// How often it is checked.
    pub check_interval: Duration,
    /// What counts as unhealthy.
    pub detection: Detection,
    /// What is done about it.
    pub remediation: Remediation,
}

impl Policy {
    /// The attempts that count now.
    pub fn attempt_window(&self, now: AwsTime) -> AttemptWindow {
        AttemptWindow {
            length: self.remediation.attempt_window,
            restarted: self.retry_requested.filter(|restarted| *restarted <= now),
            now,
        }
    }

    /// Whether the policy may act by itself right now.
    pub const fn acts(&self) -> bool {
        matches!(
            (self.mode, self.suspension, self.deletion_requested),
            (Mode::Remediate, Suspension::Active, None)
        )
    }
}

/// A sliding window over attempts, which a person's request to try again cuts short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptWindow {
    /// How far it reaches back.
    pub length: Duration,
    /// What lies before does not count.
    pub restarted: Option<AwsTime>,
    /// AWS time.
    pub now: AwsTime,
}

impl AttemptWindow {
    /// Whether an attempt made then counts.
    pub fn contains(&self, at: AwsTime) -> bool {
        self.now.since(at) < self.length && self.restarted.is_none_or(|restarted| at > restarted)
    }
}

words! {
    /// Whether a policy acts.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Mode {
        /// It reports only.
        Observe,
        /// It creates operations.
        Remediate,
    }
}

/// Whether a policy, or a profile with all its policies, is switched off for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspension {
    /// It works.
    Active,
    /// Neither checks nor operations.
    Suspended,
}

impl Suspension {
    /// What a field `suspend` means.
    pub const fn of(suspend: bool) -> Self {
        if suspend {
            Self::Suspended
        } else {
            Self::Active
        }
    }
}

/// Thresholds of states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detection {
    /// A pending version without progress for this long is stuck.
    pub stuck_after: Duration,
    /// Grace after AWS's own `NextRotationDate`.
    pub overdue_after: Duration,
    /// Oldest acceptable current version.
    pub max_age: Option<Duration>,
    /// Where the expiry of a partner's key is written.
    pub expiry: Option<Expiry>,
    /// What to say of secrets that do not rotate.
    pub rotation_disabled: DisabledReporting,
    /// Whether to report secrets scheduled for deletion.
    pub scheduled_for_deletion: Reporting,
}

/// An expiry date in a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The tag's key.
    pub tag_key: String,
    /// How long before the date the secret must have been rotated.
    pub rotate_before: Duration,
}

/// What to say of secrets that do not rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisabledReporting {
    /// Report what was configured and then switched off.
    Report,
    /// Report also what was never configured.
    ReportUnconfigured,
    /// Report neither.
    Ignore,
}

/// Whether something is a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reporting {
    /// It is.
    Report,
    /// It counts as healthy.
    Ignore,
}

/// What a policy may do in mode Remediate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remediation {
    /// About stuck rotations.
    pub stuck: StuckRemedy,
    /// About overdue, too old and expiring secrets.
    pub overdue: OverdueRemedy,
    /// About secrets that are scheduled for deletion.
    pub deletion: DeletionRemedy,
    /// Whether a person must agree to each operation, automatic or not.
    pub approval: Approval,
    /// When automatic operations may start.
    pub windows: Windows,
    /// Time between pin and clear.
    pub confirm_after: Duration,
    /// Started operations of this policy at one time.
    pub max_concurrent: usize,
    /// Automatic attempts per secret and `attempt_window`.
    pub max_attempts: usize,
    /// The window in which attempts are counted.
    pub attempt_window: Duration,
    /// Pause between attempts on one secret.
    pub backoff: Backoff,
    /// When too much is stuck for a machine to act.
    pub breaker: CircuitBreaker,
}

/// What is done about a stuck rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StuckRemedy {
    /// Nothing.
    Report,
    /// Ask AWS to run the pending version again.
    RetryRotation,
    /// Remove the stale label.
    ClearPending,
    /// Remove the stale label, then rotate.
    ClearAndRotate,
    /// Retry a pending version that has a value, once; otherwise clear and rotate.
    Recover,
}

/// What is done about an overdue rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverdueRemedy {
    /// Nothing.
    Report,
    /// Rotate.
    Rotate,
}

/// What is done about a secret that is scheduled for deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionRemedy {
    /// Nothing.
    Report,
    /// Call the deletion off, once per attempt window.
    RestoreSecret,
}

/// Exponential back-off: `initial`, doubled per attempt, at most `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first attempt.
    pub initial: Duration,
    /// Never longer.
    pub max: Duration,
}

impl Backoff {
    /// The pause after `attempts` attempts; zero before the first.
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

/// Both thresholds exceeded: no automatic action in this policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitBreaker {
    /// Percent of the eligible secrets.
    pub stuck_percent: usize,
    /// Number of stuck secrets.
    pub min_stuck: usize,
}

impl CircuitBreaker {
    /// Whether it is open: more than `stuck_percent` of the eligible, and at least `min_stuck`, are stuck.
    pub const fn is_open(&self, stuck: usize, eligible: usize) -> bool {
        stuck >= self.min_stuck
            && stuck.saturating_mul(100) > self.stuck_percent.saturating_mul(eligible)
    }
}
