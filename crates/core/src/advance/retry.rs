//! The retry policy: when a request may be sent, sent again, or is given up.

use std::time::Duration;

use super::next::{Next, Request, Wait, Write, failed};
use super::preconditions::Evaluation;
use crate::action::Step;
use crate::aws_error::ErrorClass;
use crate::journal::{Intent, JournalEntry};
use crate::names::{FunctionArn, StageLabel, VersionId};
use crate::operation::Failure;
use crate::permit::Phase;
use crate::pin;
use crate::secret::Replication;
use crate::time::AwsTime;

/// Maximum number of tries of a step that fails for reasons that pass.
const MAX_TRIES: u32 = 8;

/// Maximum number of tries of a step that fails with an unknown error.
const MAX_UNEXPECTED: u32 = 3;

/// Shortest time between two `RotateSecret` requests of one operation.
const ROTATE_SPACING: Duration = Duration::from_mins(1);

/// How long reads may lag behind our own write.
pub(super) const READ_LAG: Duration = Duration::from_mins(1);

/// How long to wait before looking whether another operation has ended.
const RIVAL_POLL: Duration = Duration::from_secs(15);

/// Longest wait for replicas to follow our last write. Two label moves in a row can leave them out of sync.
const MAX_REPLICATION_WAIT: Duration = Duration::from_mins(10);

/// How long to wait before looking at the replicas again.
const REPLICA_POLL: Duration = Duration::from_secs(10);

/// How long to wait before looking again for a write that AWS has confirmed.
const LAG_POLL: Duration = Duration::from_secs(5);

impl Evaluation<'_> {
    /// Sends a request for the first time, or again if it failed and may be repeated.
    ///
    /// The caller has just seen that its effect is not there.
    pub(super) fn send(&self, step: Step, version: Option<&VersionId>, request: Request) -> Next {
        let Some(entry) = self.operation.journal.entry(step) else {
            return self.write(step, version, request);
        };
        // Before the date of the next try: a step that is given up must end, not wait.
        if let Some(given_up) = self.gave_up(step) {
            return given_up;
        }
        let again = earliest_retry(entry);
        if self.now < again {
            return self.wait_until(
                again,
                Phase::of(step),
                format!("{} is retried at {again}", step.name()),
            );
        }
        self.write(step, version, request)
    }

    /// Sends the next request of a step that removes several labels, after the last one succeeded.
    pub(super) fn send_next(
        &self,
        step: Step,
        version: Option<&VersionId>,
        request: Request,
    ) -> Next {
        self.write(step, version, request)
    }

    /// Moves a label from one version to another, both named.
    pub(super) fn send_move(
        &self,
        step: Step,
        label: StageLabel,
        from: &VersionId,
        to: &VersionId,
    ) -> Next {
        self.send(
            step,
            Some(to),
            Request::Move {
                label,
                from: from.clone(),
                to: to.clone(),
            },
        )
    }

    /// Makes the request with its intent, or what comes first: the way back, another operation, or replicas.
    fn write(&self, step: Step, version: Option<&VersionId>, request: Request) -> Next {
        // After a switch of rotation only requests that finish or take back what was begun are sent.
        let is_clean_up = match step {
            Step::Unpin => true,
            Step::DropPending => self.intended(Step::Promote),
            Step::Pin
            | Step::Clear
            | Step::Rotate
            | Step::Promote
            | Step::RestorePending
            | Step::Revert
            | Step::RestoreSecret => false,
        };
        if self.rotation_was_switched() && !is_clean_up {
            return self.withdraw();
        }
        // The journal is public before the request leaves, so of two replicas each sees the intent of the other.
        if let Some(rival) = self.input.history.rival(self.operation, self.now) {
            return self.pause(
                RIVAL_POLL,
                Phase::Queued,
                format!("operation {} is in progress on this secret", rival.key),
            );
        }
        if let Some(wait) = self.replicas_follow(step) {
            return wait;
        }
        debug_assert!(
            self.authority
                .covers(self.operation.action, &self.secret.arn),
            "admitted with this authority"
        );
        let baseline = self
            .operation
            .baseline
            .is_none()
            .then(|| self.baseline_now());
        let intent = Intent {
            step,
            version: version.cloned(),
            at: self.now,
            foreign_change: self.input.history.last_foreign_change(self.secret),
            baseline,
        };
        Next::Write(Write::new(self.secret.arn.clone(), request, intent))
    }

    /// Returns the wait until replicas show our last write. A replica that failed or takes too long is not waited for: the
    /// result of the operation names it.
    fn replicas_follow(&self, step: Step) -> Option<Next> {
        let last = self.operation.journal.last_intent(&Step::ALL)?;
        let until = last.plus(MAX_REPLICATION_WAIT);
        let follows = |status: &Replication| *status == Replication::InProgress;
        if self.now >= until || !self.secret.replicas.values().any(follows) {
            return None;
        }
        let behind = self.secret.lagging_replicas()?;
        Some(Next::Wait(Wait {
            pause: REPLICA_POLL,
            until,
            phase: Phase::of(step),
            message: format!(
                "waiting at most until {until} for its replicas to be in sync: {behind}"
            ),
        }))
    }

    /// Returns the failure of a step that is tried no more.
    pub(super) fn gave_up(&self, step: Step) -> Option<Next> {
        let entry = self.operation.journal.entry(step)?;
        let (limit, reason) = limit(entry);
        (entry.tries >= limit).then(|| failed(reason, self.failure_message(entry)).into())
    }

    /// Returns what went wrong with a step that is tried no more, and what a person can do.
    fn failure_message(&self, entry: &JournalEntry) -> String {
        if entry.refusal() == Some(ErrorClass::CannotInvoke) {
            let function = self.secret.function().map_or("", FunctionArn::as_str);
            return format!(
                "Secrets Manager cannot invoke the rotation function {function}: make sure that the function exists, and that \
                 its resource policy allows secretsmanager.amazonaws.com to invoke it"
            );
        }
        let result = entry.result.as_ref();
        let code = result.and_then(|result| result.code.as_deref());
        let failed = format!(
            "{} failed {} times, last with {}",
            entry.step.name(),
            entry.tries,
            code.unwrap_or("no answer")
        );
        match (
            entry.refusal(),
            pin::check_room(self.secret, self.input.cluster),
        ) {
            (Some(ErrorClass::LimitExceeded), Err(full)) => format!("{failed}: {full}"),
            _ => failed,
        }
    }

    /// Returns the wait for a write that AWS confirmed but does not show yet.
    pub(super) fn not_seen_yet(&self, step: Step) -> Option<Next> {
        let entry = self
            .operation
            .journal
            .entry(step)
            .filter(|entry| entry.is_applied())?;
        let lagging = self.now.since(entry.intent) < READ_LAG;
        lagging.then(|| {
            self.pause(
                LAG_POLL,
                Phase::of(step),
                "AWS has confirmed the change but does not show it yet",
            )
        })
    }
}

/// Returns how often a step is tried after the last error, and how the operation fails then.
fn limit(entry: &JournalEntry) -> (u32, Failure) {
    match entry.refusal() {
        Some(ErrorClass::Denied) => (0, Failure::AccessDenied),
        Some(ErrorClass::Refused | ErrorClass::CannotInvoke) => (0, Failure::Refused),
        Some(ErrorClass::LimitExceeded) => (0, Failure::PinExhausted),
        Some(ErrorClass::Unexpected) => (MAX_UNEXPECTED, Failure::Unexpected),
        Some(ErrorClass::Mismatch | ErrorClass::Gone | ErrorClass::RotationPending) => {
            (MAX_TRIES, Failure::Unexpected)
        }
        Some(
            ErrorClass::Unreachable
            | ErrorClass::Throttled
            | ErrorClass::Credentials
            | ErrorClass::Malformed,
        )
        | None => (MAX_TRIES, Failure::AwsUnavailable),
    }
}

/// Returns when a step may be tried again: one second after the first try, doubling to a minute; a rotation never sooner
/// than a minute.
fn earliest_retry(entry: &JournalEntry) -> AwsTime {
    let doublings = entry.tries.saturating_sub(1).min(6);
    let pause = Duration::from_secs(1_u64 << doublings).min(Duration::from_mins(1));
    let pause = if entry.step == Step::Rotate {
        pause.max(ROTATE_SPACING)
    } else {
        pause
    };
    entry.intent.plus(pause)
}
