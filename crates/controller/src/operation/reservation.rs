//! Reserves the AWS tokens of a step and checks that the region answers, before anything is read for the step.

use std::time::Duration;

use secret_rotation_aws::{StepNeed, StepReservation};
use secret_rotation_core::action::Step;
use secret_rotation_core::advance::{Phase, Wait};
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::journal::JournalEntry;
use secret_rotation_core::names::Region;
use secret_rotation_core::operation::Operation;
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::profile::Profile;
use secret_rotation_core::time::AwsTime;

use crate::context::Context;
use crate::jitter::spread;
use crate::operation::fetch::BUSY;
use crate::operation::fetched::Fetched;
use crate::operation::step_end::{Happening, StepEnd, Stop, Waiting};
use crate::operation::write_due;
use crate::outage::StepGuard;
use crate::triggers;

/// The right to take one step.
#[derive(Debug)]
pub(super) struct ReservedStep {
    /// The reserved tokens.
    pub reservation: StepReservation,
    /// What is recorded about the region when the step is over.
    pub guard: StepGuard,
}

impl ReservedStep {
    /// Records whether AWS answered at all.
    pub(super) fn record_answer(&mut self, failed: Option<ErrorClass>) {
        self.guard.record_answer(!failed.is_some_and(is_outage));
    }
}

/// Returns whether a failure concerns the region and not only the secret.
const fn is_outage(class: ErrorClass) -> bool {
    matches!(
        class,
        ErrorClass::Unreachable | ErrorClass::Throttled | ErrorClass::Credentials
    )
}

/// Why a step cannot start yet.
#[derive(Debug)]
struct StepDelay {
    /// How long to wait.
    wait: Duration,
    /// The reason, for people.
    message: String,
}

/// Reserves the next step.
///
/// # Errors
///
/// Ends the step if the region does not answer or the rate limits leave no tokens. The operation then waits for its
/// turn.
pub(super) async fn reserve(
    context: &Context,
    fetched: &Fetched,
    profile: &Profile,
    now: AwsTime,
) -> Result<ReservedStep, Stop> {
    let profile_region = (profile, fetched.region());
    let delay = match try_reserve(context, &fetched.operation, profile_region).await {
        Ok(reserved) => return Ok(reserved),
        Err(delay) => delay,
    };
    let again = fetched.limit_to_deadline(delay.wait, context.server_time()?);
    if !write_due::is_delay_due(fetched.object.status.as_ref(), delay.wait) {
        return Err(StepEnd::again_after(again).into());
    }
    let waiting = Waiting {
        wait: Wait {
            pause: Duration::ZERO,
            until: now,
            phase: Phase::Queued,
            message: delay.message,
        },
        now,
        secret: None,
        consent: None,
        is_turn: true,
        is_deferred: false,
        again,
    };
    Err(StepEnd::about(fetched, Happening::Waits(waiting)).into())
}

/// Returns the reserved tokens, if they are those of the account that a step needs.
///
/// # Errors
///
/// Ends the step if the watches lag, so that they were reserved for another account, or not at all.
pub(super) async fn of_account<'a>(
    context: &Context,
    fetched: &Fetched,
    bound_policy: &BoundPolicy,
    reserved: &'a mut Option<ReservedStep>,
) -> Result<&'a mut ReservedStep, StepEnd> {
    let (profile, region) = (&bound_policy.profile, fetched.region());
    let account = context.connections.of(profile, region).await.account;
    let same = reserved
        .as_mut()
        .filter(|reserved| reserved.reservation.account().is_same(&account));
    same.ok_or(StepEnd::again_after(BUSY))
}

async fn try_reserve(
    context: &Context,
    operation: &Operation,
    (profile, region): (&Profile, &Region),
) -> Result<ReservedStep, StepDelay> {
    let connection = context.connections.of(profile, region).await;
    let uid = operation.uid.as_str();
    let visit = connection.outage.begin_step().map_err(|wait| StepDelay {
        wait: spread(wait, uid),
        message: format!("AWS does not answer in {region}; the controller keeps trying"),
    })?;
    let ticket = connection
        .account
        .reserve_step(&operation.key, tokens_needed(operation));
    let ticket = ticket.map_err(|wait| StepDelay {
        wait,
        message: format!(
            "the rate limits of profile {} leave no requests for this operation yet",
            profile.name
        ),
    })?;
    Ok(ReservedStep {
        reservation: ticket,
        guard: visit,
    })
}

/// Queues the operations that are next: the tokens that a step left may be enough for them.
pub(super) fn queue_next(context: &Context, ticket: StepReservation) {
    let account = ticket.account().clone();
    drop(ticket);
    triggers::tokens_returned(context, account.next_in_queue());
}

/// Returns what the next step may need. It may use more, which is charged afterwards, and unused tokens are returned.
fn tokens_needed(operation: &Operation) -> StepNeed {
    let begun = operation.has_started();
    let write = !is_verifying(operation);
    let versions = !begun && operation.action.clears();
    StepNeed {
        reads: 1 + u32::from(versions) + u32::from(write),
        write,
        begun,
    }
}

/// Returns whether AWS was asked to rotate, and nothing must be written before the rotation has finished.
fn is_verifying(operation: &Operation) -> bool {
    let rotate = operation.journal.entry(Step::Rotate);
    rotate.is_some_and(JournalEntry::was_received) && operation.journal.entry(Step::Unpin).is_none()
}

#[cfg(test)]
mod tests {
    use fixtures::{conclude, intend, now, operation};
    use secret_rotation_core::action::Action;
    use secret_rotation_core::journal::ResultKind;

    use super::*;

    #[test]
    fn the_first_step_of_a_clear_lists_versions_and_later_ones_do_not() {
        let mut clear = operation("a", Action::ClearAndRotate, "prod/a");
        let expected = StepNeed {
            reads: 3,
            write: true,
            begun: false,
        };
        assert_eq!(tokens_needed(&clear), expected);
        intend(&mut clear, Step::Pin, now());
        let expected = StepNeed {
            reads: 2,
            write: true,
            begun: true,
        };
        assert_eq!(tokens_needed(&clear), expected);
        assert_eq!(
            tokens_needed(&operation("a", Action::Rotate, "prod/a")).reads,
            2
        );
    }

    #[test]
    fn a_rotation_that_is_watched_needs_no_write_until_something_is_unpinned() {
        let mut rotate = operation("a", Action::Rotate, "prod/a");
        intend(&mut rotate, Step::Rotate, now());
        assert!(tokens_needed(&rotate).write, "it may have to be sent again");
        for kind in [
            ResultKind::Applied,
            ResultKind::Refused(ErrorClass::RotationPending),
        ] {
            conclude(&mut rotate, Step::Rotate, now(), kind);
            let expected = StepNeed {
                reads: 1,
                write: false,
                begun: true,
            };
            assert_eq!(tokens_needed(&rotate), expected);
        }
        intend(&mut rotate, Step::Unpin, now());
        assert!(tokens_needed(&rotate).write);
    }
}
