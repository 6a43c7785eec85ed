//! Does what core decided. Only this file writes to AWS: the intent is in the journal before a request is sent, and the
//! result after.

use std::sync::Arc;
use std::time::Duration;

use secret_rotation_api::operation::{SecretRotationOperation, StepReport};
use secret_rotation_aws::{Applied, CallError};
use secret_rotation_core::action::Step;
use secret_rotation_core::advance::{Next, Phase, Wait, Write};
use secret_rotation_core::aws_error::{AwsError, ErrorClass};
use secret_rotation_core::consent::Consent;
use secret_rotation_core::history::History;
use secret_rotation_core::journal::{ResultKind, StepResult};
use secret_rotation_core::names::SecretName;
use secret_rotation_core::operation::Operation;
use secret_rotation_core::secret::{LabelMap, Look};
use secret_rotation_core::time::AwsTime;

use crate::clock;
use crate::context::Context;
use crate::error::Error;
use crate::jitter::spread;
use crate::operation::decide::{StepState, other_operations, present};
use crate::operation::fence::{Freshness, ProcessState};
use crate::operation::fetched::{Fetched, SHORTEST_PAUSE};
use crate::operation::publish;
use crate::operation::report::{status_after, step_report};
use crate::operation::reservation::ReservedStep;
use crate::operation::step_end::{Happening, Sent, StepEnd, Stop, Waiting};

/// Maximum number of attempts to write a result. Without the result, the next step treats the request as unanswered.
const MAX_RESULT_TRIES: usize = 3;

/// Maximum time between two steps of an operation, whatever core asks for.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Does what core decided, and returns what happened.
///
/// # Errors
///
/// Fails if a fact became stale, or if the intent of a request could not be written.
pub(super) async fn execute(
    context: &Arc<Context>,
    state: StepState,
    reserved: &mut ReservedStep,
    next: Next,
) -> Result<StepEnd, Stop> {
    let key = &state.fetched.operation.key;
    match next {
        Next::LookAtVersions => Err(Error::Stale("the versions were not listed").into()),
        Next::Write(_) if !reserved.reservation.may_write() => {
            let again = reserved.reservation.queue_write(key);
            Ok(StepEnd::again_after(again))
        }
        Next::Write(write) => {
            let (fetched, sent) = Box::pin(send(context, state, reserved, &write)).await?;
            let about = (*fetched, Happening::Sent(Box::new(sent)));
            Ok(StepEnd::About(Box::new(about)))
        }
        Next::Wait(wait) => {
            let waiting = waiting(&state, wait);
            Ok(StepEnd::About(Box::new((state.fetched, waiting))))
        }
        Next::Done(outcome) => {
            let ended = Happening::Ended {
                outcome,
                look: Some(state.look),
                consent: Some(state.consent),
            };
            Ok(StepEnd::About(Box::new((state.fetched, ended))))
        }
    }
}

fn waiting(state: &StepState, wait: Wait) -> Happening {
    let operation = &state.fetched.operation;
    let longest = spread(LONGEST_PAUSE, operation.uid.as_str());
    Happening::Waits(Waiting {
        again: wait.pause.clamp(SHORTEST_PAUSE, longest),
        is_deferred: is_waiting_for_its_secret(operation, &wait),
        is_turn: false,
        secret: present(&state.look).map(|secret| secret.name.clone()),
        consent: Some(state.consent.clone()),
        now: state.look.at,
        wait,
    })
}

/// Returns whether the operation cannot begin because of what the look at its own secret showed, whatever other
/// operations do.
fn is_waiting_for_its_secret(operation: &Operation, wait: &Wait) -> bool {
    !operation.has_started() && matches!(wait.phase, Phase::AwaitingWindow | Phase::BackingOff)
}

/// Journals the intent, checks that all facts still hold, sends the request once, looks at the secret, and journals
/// the result.
///
/// | Step | Why it comes here | If it fails |
/// |---|---|---|
/// | 1. Check that the facts are fresh | Old facts must not lead to an intent. | Nothing was written; the step starts again. |
/// | 2. Write the intent | A crash after the request then leaves a trace, and other operations see the intent. | Nothing was sent; the step starts again. |
/// | 3. Check rivals, the slot and the freshness again | Another operation may have written an intent at the same time, and the write took time. | The intent is removed. |
/// | 4. Send the request, once | Nothing waits between the last check and the request. | The error is the result. |
/// | 5. Look at the secret | The result records the labels after the request. | The result is recorded without them. |
/// | 6. Write the result | The next step must know it. | The next step treats the request as unanswered, and its look shows what happened. |
async fn send(
    context: &Arc<Context>,
    input: StepState,
    reserved: &mut ReservedStep,
    write: &Write,
) -> Result<(Box<Fetched>, Sent), Error> {
    let fresh = Freshness {
        read: input.fetched.began,
        looked: input.looked,
        term: input.term,
    };
    fresh.check(&process_state(context)).map_err(Error::Stale)?;
    let (operation, stored) = intend(context, &input, write).await?;
    let step = write.intent().step;
    if let Err(error) = still_holds(context, &input, reserved, (&operation, step), &fresh).await {
        retract(context, &input, &stored, write).await;
        return Err(error);
    }
    // Nothing may wait between this check and the request.
    let answer = reserved.reservation.apply(write).await;
    let look = reserved.reservation.look(input.fetched.secret_id()).await;
    reserved.record_answer(answer.as_ref().err().map(|rejected| rejected.error.class));
    reserved.record_answer(look.as_ref().err().map(|error| error.class));
    let look = look.ok();
    let now = reserved
        .reservation
        .account()
        .now()
        .unwrap_or(input.look.at);
    let result = result(&answer, look.as_ref(), now);
    let journaled = (operation.clone(), stored);
    let concluded = conclude(context, journaled, write, &result, look.as_ref()).await;
    let sent = Sent {
        operation,
        intent: write.intent().clone(),
        arn: write.arn().clone(),
        result,
        concluded,
    };
    Ok((Box::new(input.fetched), sent))
}

/// Runs the last checks between the intent in the journal and the request.
async fn still_holds(
    context: &Context,
    input: &StepState,
    reserved: &ReservedStep,
    (operation, step): (&Operation, Step),
    fresh: &Freshness,
) -> Result<(), Error> {
    if !input.fetched.operation.has_started() {
        no_rival(context, input, reserved, operation).await?;
    }
    if takes_a_slot(step) && !input.has_slot(context, operation) {
        return Err(Error::Stale("another operation has taken the slot"));
    }
    fresh.check(&process_state(context)).map_err(Error::Stale)
}

/// Returns whether a step needs a concurrency slot. Steps that clean up or restore continue without one.
const fn takes_a_slot(step: Step) -> bool {
    matches!(step, Step::Pin | Step::Clear | Step::Rotate)
}

/// Removes an intent whose request was never sent, so that it does not count as a try. The journal is then as it was
/// before. If the write is refused with a conflict or never happens, the intent stays as a try without an answer.
async fn retract(
    context: &Arc<Context>,
    input: &StepState,
    stored: &SecretRotationOperation,
    write: &Write,
) {
    let operation = &input.fetched.operation;
    let message = format!(
        "{} was not sent; the step starts again",
        write.intent().step.name()
    );
    let seen = Observed::default();
    let progress = (write.phase(), message.as_str());
    if let Err(error) = journal(context, (stored, operation), progress, seen).await {
        tracing::debug!(operation = %operation.key, %error, "unsent intent not removed from the journal");
    }
}

fn process_state(context: &Context) -> ProcessState {
    ProcessState {
        now: clock::now(),
        claim: context.leadership.claim(),
        is_ending: context.shutdown.has_begun(),
    }
}

/// Writes the intent to the journal. The write is refused with a conflict if the operation has changed since it was
/// read. Then the step starts again.
async fn intend(
    context: &Arc<Context>,
    input: &StepState,
    write: &Write,
) -> Result<(Operation, SecretRotationOperation), Error> {
    let mut operation = input.fetched.operation.clone();
    let intent = write.intent();
    operation.journal.intend(intent);
    operation.baseline = operation.baseline.or_else(|| intent.baseline.clone());
    let message = format!("{} is about to be sent", intent.step.name());
    let seen = Observed {
        secret: present(&input.look).map(|secret| &secret.name),
        consent: Some(&input.consent),
        after: None,
    };
    let about = (&input.fetched.object, &operation);
    let stored = journal(context, about, (write.phase(), &message), seen).await?;
    Ok((operation, stored))
}

/// What a step saw, for the journal.
#[derive(Clone, Copy, Debug, Default)]
struct Observed<'a> {
    secret: Option<&'a SecretName>,
    consent: Option<&'a Consent>,
    after: Option<&'a LabelMap>,
}

/// Writes the journal of an operation, guarded by the resourceVersion of the object.
async fn journal(
    context: &Arc<Context>,
    (object, operation): (&SecretRotationOperation, &Operation),
    progress: (Phase, &str),
    seen: Observed<'_>,
) -> Result<SecretRotationOperation, Error> {
    let report = StepReport {
        secret: seen.secret,
        consent: seen.consent,
        after: seen.after,
        ..step_report(object, operation, progress, context.server_time()?)
    };
    let version = kube::ResourceExt::resource_version(object).unwrap_or_default();
    let status = status_after(object, &report);
    publish::write(context, &operation.key, &version, &status).await
}

/// Refuses the step if another operation has priority on the secret. This check runs after the intent is written: if
/// two operations write their first intents at once, each then sees the other.
async fn no_rival(
    context: &Context,
    input: &StepState,
    reserved: &ReservedStep,
    operation: &Operation,
) -> Result<(), Error> {
    let Ok(mut all) = other_operations(context, &input.arn).await? else {
        return Err(Error::Stale(
            "an operation that this release cannot parse is in progress on this secret",
        ));
    };
    all.retain(|other| other.uid != operation.uid);
    all.push(operation.clone());
    let now = reserved
        .reservation
        .account()
        .now()
        .unwrap_or(input.look.at);
    match History::of(&input.arn, &all).rival(operation, now) {
        Some(_) => Err(Error::Stale(
            "another operation has priority on this secret",
        )),
        None => Ok(()),
    }
}

fn result(answer: &Result<Applied, CallError>, look: Option<&Look>, now: AwsTime) -> StepResult {
    let unanswered = look.map_or(now, |look| look.at);
    match answer {
        Ok(applied) => StepResult {
            kind: ResultKind::Applied,
            at: applied.at,
            request_id: applied.request_id.clone(),
            code: None,
        },
        Err(CallError { error, at }) => StepResult {
            kind: ResultKind::Refused(error.class),
            at: at.unwrap_or(unanswered),
            request_id: error.request_id.clone(),
            code: error.code.clone(),
        },
    }
}

/// Writes the result to the journal. If the object has changed meanwhile, it is read again, and the result is written
/// only if its journal still has the same intent.
async fn conclude(
    context: &Arc<Context>,
    journaled: (Operation, SecretRotationOperation),
    write: &Write,
    result: &StepResult,
    look: Option<&Look>,
) -> Result<(), Error> {
    let (mut operation, mut object) = journaled;
    let intended = operation.journal.entry(write.intent().step).cloned();
    let mut last = Ok(());
    for _ in 0..MAX_RESULT_TRIES {
        operation
            .journal
            .conclude(write.intent().step, result.clone());
        last = record(context, &operation, &object, write.phase(), result, look).await;
        match &last {
            Err(Error::Conflict | Error::Unreachable(_)) => {}
            Ok(()) | Err(_) => return last,
        }
        let Some(fresh) = context.reader.operation(&operation.key).await? else {
            return Ok(());
        };
        operation = fresh
            .to_core()
            .map_err(|error| Error::Invalid(error.to_string()))?;
        object = fresh;
        if operation.journal.entry(write.intent().step) != intended.as_ref() {
            return Ok(());
        }
    }
    last
}

async fn record(
    context: &Arc<Context>,
    operation: &Operation,
    object: &SecretRotationOperation,
    phase: Phase,
    result: &StepResult,
    look: Option<&Look>,
) -> Result<(), Error> {
    let after: Option<&LabelMap> = look.and_then(present).map(|secret| &secret.labels);
    let message = match result.kind {
        ResultKind::Applied => "AWS accepted the request".to_owned(),
        ResultKind::Refused(ErrorClass::RotationPending) => {
            "AWS reports that it will attempt the pending rotation again".to_owned()
        }
        ResultKind::Refused(class) => {
            let error = AwsError {
                class,
                code: result.code.clone(),
                request_id: None,
            };
            format!("the request failed: {error}")
        }
    };
    let seen = Observed {
        after,
        ..Observed::default()
    };
    let about = (object, operation);
    journal(context, about, (phase, &message), seen)
        .await
        .map(drop)
}
