//! What a step has to say about its operation, as a value: status, events, metrics and wake-ups. Pure functions make it,
//! and [`publish`](super::publish::publish) carries it out.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource as _;
use secret_rotation_api::operation::{
    SecretRotationOperation, SecretRotationOperationStatus, StepReport,
};
use secret_rotation_core::advance::Phase;
use secret_rotation_core::consent::Consent;
use secret_rotation_core::names::Arn;
use secret_rotation_core::operation::{Operation, Outcome};
use secret_rotation_core::secret::Look;
use secret_rotation_core::time::{AwsTime, ServerTime};

use crate::error::Error;
use crate::events::EventNote;
use crate::operation::decide::present;
use crate::operation::events::{self, Record};
use crate::operation::fetched::Fetched;
use crate::operation::step_end::{Sent, Waiting};
use crate::operation::write_due;

/// Start the step again with fresh reads.
const AGAIN: Duration = Duration::ZERO;

/// Shorter pauses are not published, because their ends would be written again and again.
const SHORTEST_PUBLISHED: Duration = Duration::from_mins(1);

/// Everything that a step has to say about its operation.
#[derive(Debug)]
pub(super) struct Report {
    /// The operation as it is after the step.
    pub operation: Operation,
    /// The object, for events.
    pub about: ObjectReference,
    /// The resourceVersion that was read. It guards the writes.
    pub version: String,
    /// The secret whose label the operation gets before its status is written.
    pub identity: Option<Arn>,
    /// The new status. `None` = the stored one stays.
    pub status: Option<SecretRotationOperationStatus>,
    /// What is counted and logged.
    pub record: Option<Record>,
    /// The events, in order.
    pub events: Vec<EventNote>,
    /// Whether the operation could not begin for a reason that lies in its own secret. Others then go first.
    pub is_deferred: bool,
    /// When the operation is evaluated again, or the error with which the step ends.
    pub again: Result<Option<Duration>, Error>,
}

/// How an operation ended, and what the step saw then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending<'a> {
    /// How it ended.
    pub outcome: &'a Outcome,
    /// When it ended.
    pub at: AwsTime,
    /// The last look, if there was one.
    pub look: Option<&'a Look>,
    /// Whether a person agrees, if the step evaluated it.
    pub consent: Option<&'a Consent>,
}

impl Report {
    /// Reports nothing about an operation yet.
    fn of(fetched: &Fetched) -> Self {
        Self {
            operation: fetched.operation.clone(),
            about: fetched.object.object_ref(&()),
            version: fetched.version(),
            identity: None,
            status: None,
            record: None,
            events: Vec::new(),
            is_deferred: false,
            again: Ok(None),
        }
    }

    /// Reports what an operation waits for, with an event if the phase is new. The status is written if it is due.
    pub(super) fn waiting(fetched: &Fetched, waiting: &Waiting, server_now: ServerTime) -> Self {
        let quiet = Self {
            is_deferred: waiting.is_deferred,
            again: Ok(Some(waiting.again)),
            ..Self::of(fetched)
        };
        let status = waiting_status(fetched, waiting, server_now);
        if !write_due::is_due(fetched.object.status.as_ref(), &status, waiting.now) {
            return quiet;
        }
        let event = events::deferral(fetched.phase(), &waiting.wait);
        Self {
            status: Some(status),
            events: event.filter(|_| !waiting.is_turn).into_iter().collect(),
            ..quiet
        }
    }

    /// Reports why nothing can be done, if that is new. The phase stays.
    pub(super) fn hindered(
        fetched: &Fetched,
        message: &str,
        again: Duration,
        server_now: ServerTime,
    ) -> Self {
        let phase = fetched.phase().unwrap_or(Phase::Queued);
        let status = status_after(
            &fetched.object,
            &step_report(
                &fetched.object,
                &fetched.operation,
                (phase, message),
                server_now,
            ),
        );
        Self {
            status: Some(status).filter(|new| fetched.object.status.as_ref() != Some(new)),
            again: Ok(Some(again)),
            ..Self::of(fetched)
        }
    }

    /// Reports the secret that the name of an operation stands for, where other operations on the secret look for it:
    /// first in the label, then in the status.
    pub(super) fn identified(
        fetched: &Fetched,
        (arn, look): (&Arn, &Look),
        server_now: ServerTime,
    ) -> Self {
        let operation = Operation {
            arn: Some(arn.clone()),
            ..fetched.operation.clone()
        };
        let phase = fetched.phase().unwrap_or(Phase::Queued);
        let message = "the secret was identified";
        let report = StepReport {
            secret: present(look).map(|secret| &secret.name),
            ..step_report(&fetched.object, &operation, (phase, message), server_now)
        };
        Self {
            status: Some(status_after(&fetched.object, &report)),
            identity: Some(arn.clone()),
            again: Ok(Some(AGAIN)),
            ..Self::of(fetched)
        }
    }

    /// Reports the result of a request. If the result is not in the journal, the step fails, and the next look shows
    /// what happened.
    pub(super) fn sent(fetched: &Fetched, sent: Sent) -> Self {
        let event = events::request(&fetched.secret_name(), &sent.intent, &sent.result);
        Self {
            record: Some(Record::sent((&sent.intent, &sent.arn), &sent.result)),
            events: event
                .filter(|_| sent.concluded.is_ok())
                .into_iter()
                .collect(),
            operation: sent.operation,
            again: sent.concluded.map(|()| Some(AGAIN)),
            ..Self::of(fetched)
        }
    }

    /// Reports the end of an operation.
    pub(super) fn ended(fetched: &Fetched, ending: &Ending<'_>, server_now: ServerTime) -> Self {
        let operation = Operation {
            outcome: Some(ending.outcome.clone()),
            completed: Some(ending.at),
            ..fetched.operation.clone()
        };
        let seen = ending.look.and_then(present);
        let report = StepReport {
            secret: seen.map(|secret| &secret.name),
            consent: ending.consent,
            after: seen
                .filter(|_| operation.has_started())
                .map(|secret| &secret.labels),
            ..step_report(&fetched.object, &operation, (Phase::Queued, ""), server_now)
        };
        let status = status_after(&fetched.object, &report);
        let event = events::end(&operation, &fetched.secret_name(), ending.outcome);
        Self {
            status: Some(status),
            record: Some(Record::Ended {
                outcome: ending.outcome.clone(),
                seen_at: ending.look.map(|look| look.at),
            }),
            events: event.into_iter().collect(),
            operation,
            ..Self::of(fetched)
        }
    }
}

fn waiting_status(
    fetched: &Fetched,
    waiting: &Waiting,
    server_now: ServerTime,
) -> SecretRotationOperationStatus {
    let (object, operation, wait) = (&fetched.object, &fetched.operation, &waiting.wait);
    let report = StepReport {
        secret: waiting.secret.as_ref(),
        consent: waiting.consent.as_ref(),
        next_step: (wait.pause >= SHORTEST_PUBLISHED).then_some(wait.until),
        ..step_report(object, operation, (wait.phase, &wait.message), server_now)
    };
    status_after(object, &report)
}

/// Builds a report of the api, which callers complete with what else they know.
pub(super) fn step_report<'a>(
    object: &SecretRotationOperation,
    operation: &'a Operation,
    (phase, message): (Phase, &'a str),
    now: ServerTime,
) -> StepReport<'a> {
    StepReport {
        generation: object.metadata.generation.unwrap_or(0),
        operation,
        secret: None,
        phase,
        message,
        consent: None,
        next_step: None,
        after: None,
        now,
    }
}

/// Builds the status that follows from a report of the api.
pub(super) fn status_after(
    object: &SecretRotationOperation,
    report: &StepReport<'_>,
) -> SecretRotationOperationStatus {
    SecretRotationOperationStatus::after_step(object.status.as_ref(), report)
}

#[cfg(test)]
mod tests {
    use fixtures::{arn, condition, labelled, look, now, secret, server, version};
    use secret_rotation_core::action::Step;
    use secret_rotation_core::advance::Wait;
    use secret_rotation_core::aws_error::ErrorClass;
    use secret_rotation_core::journal::{Intent, ResultKind, StepResult};
    use secret_rotation_core::operation::Failure;
    use serde_json::{Value, json};

    use super::*;
    use crate::events::Reason;

    #[test]
    fn a_wait_is_reported_once_and_its_event_only_when_the_phase_is_new() {
        let first = waiting(&json!({}), Phase::Queued);
        assert_eq!(phase(&first), Some(Phase::Queued));
        assert_eq!(reasons(&first), [Reason::OperationDeferred]);
        let stored = written(&first);
        let again = waiting(&stored, Phase::Queued);
        assert_eq!((&again.status, reasons(&again)), (&None, vec![]));
        let later = waiting(&stored, Phase::Verifying);
        assert_eq!(phase(&later), Some(Phase::Verifying));
        assert_eq!(reasons(&later), [], "it works");
    }

    #[test]
    fn a_wait_for_a_turn_has_no_event() {
        let report = waiting_for(&json!({}), Phase::Queued, true);
        assert_eq!(phase(&report), Some(Phase::Queued));
        assert_eq!(reasons(&report), []);
    }

    #[test]
    fn a_problem_is_reported_once_and_keeps_the_phase() {
        let complete = condition("Complete", "False", "Settling", "");
        let fetched = json!({"status": {"conditions": [complete]}});
        let hindered = |stored: &Value| {
            Report::hindered(
                &Fetched::stored(stored),
                "AWS denied access",
                Duration::ZERO,
                server(now()),
            )
        };
        let report = hindered(&fetched);
        assert_eq!(phase(&report), Some(Phase::Settling));
        let again = hindered(&written(&report));
        assert_eq!(again.status, None);
    }

    #[test]
    fn an_end_has_a_status_a_record_and_an_event() {
        let outcome = Outcome::Failed {
            reason: Failure::Expired,
            message: "too late".to_owned(),
        };
        let report = ended(&json!({}), &outcome);
        assert!(report.operation.is_finished());
        let status = report.status.as_ref().expect("a status");
        assert!(status.after.is_none(), "it has not started");
        let record = Record::Ended {
            outcome,
            seen_at: Some(now()),
        };
        assert_eq!(report.record, Some(record));
        let [event] = &report.events[..] else {
            panic!("{:?}", report.events);
        };
        assert_eq!(
            (event.reason, event.note.as_str()),
            (
                Reason::RemediationFailed,
                "ClearAndRotate of team/db failed, Expired: too late"
            )
        );
    }

    #[test]
    fn the_end_of_an_operation_that_wrote_shows_the_labels() {
        let step = json!({"name": "Pin", "versionId": "p", "tries": 1, "intentTime": "2026-11-23T09:30:00Z"});
        let succeeded = Outcome::Succeeded {
            message: "it rotated".to_owned(),
        };
        let report = ended(&json!({"status": {"steps": [step]}}), &succeeded);
        let status = report.status.as_ref().expect("a status");
        assert!(status.after.is_some());
        assert_eq!(reasons(&report), [Reason::RotationCompleted]);
    }

    #[test]
    fn an_operation_that_something_else_superseded_ends_without_an_event() {
        let superseded = Outcome::Failed {
            reason: Failure::Superseded,
            message: String::new(),
        };
        let report = ended(&json!({}), &superseded);
        assert!(report.status.is_some() && report.record.is_some());
        assert_eq!(report.events, []);
    }

    #[test]
    fn the_secret_of_an_operation_comes_into_label_and_status() {
        let fetched = Fetched::stored(&json!({}));
        let (found, seen) = (arn("team/db"), look(secret("team/db"), None, now()));
        let report = Report::identified(&fetched, (&found, &seen), server(now()));
        let status = report.status.as_ref().expect("a status");
        assert_eq!(
            status.arn.as_ref().map(ToString::to_string),
            Some(found.to_string())
        );
        assert_eq!(report.identity, Some(found));
        assert!(report.events.is_empty() && report.record.is_none());
    }

    #[test]
    fn a_request_whose_result_is_not_in_the_journal_is_counted_and_has_no_event() {
        let applied = sent(ResultKind::Applied, Ok(()));
        assert_eq!(
            reasons(&applied),
            [Reason::PendingCleared],
            "{:?}",
            applied.events
        );
        assert!(matches!(applied.again, Ok(Some(Duration::ZERO))));
        let lost = sent(ResultKind::Applied, Err(Error::Conflict));
        assert_eq!((lost.record, lost.events), (applied.record, vec![]));
        assert!(matches!(lost.again, Err(Error::Conflict)));
        let denied = sent(ResultKind::Refused(ErrorClass::Denied), Ok(()));
        assert_eq!(denied.events, []);
    }

    fn sent(kind: ResultKind, concluded: Result<(), Error>) -> Report {
        let fetched = Fetched::stored(&json!({}));
        let intent = Intent {
            step: Step::Clear,
            version: Some(version("p")),
            at: now(),
            foreign_change: None,
            baseline: None,
        };
        let result = StepResult {
            kind,
            at: now(),
            request_id: None,
            code: None,
        };
        let sent = Sent {
            operation: fetched.operation.clone(),
            intent,
            arn: arn("team/db"),
            result,
            concluded,
        };
        Report::sent(&fetched, sent)
    }

    fn waiting(stored: &Value, phase: Phase) -> Report {
        waiting_for(stored, phase, false)
    }

    fn waiting_for(stored: &Value, phase: Phase, is_turn: bool) -> Report {
        let wait = Wait {
            pause: Duration::ZERO,
            until: now(),
            phase,
            message: "for something".to_owned(),
        };
        let waiting = Waiting {
            wait,
            now: now(),
            secret: None,
            consent: None,
            is_turn,
            is_deferred: false,
            again: Duration::ZERO,
        };
        Report::waiting(&Fetched::stored(stored), &waiting, server(now()))
    }

    fn ended(stored: &Value, outcome: &Outcome) -> Report {
        let seen = look(labelled(secret("team/db"), "AWSPENDING", "p"), None, now());
        let ending = Ending {
            outcome,
            at: now(),
            look: Some(&seen),
            consent: None,
        };
        Report::ended(&Fetched::stored(stored), &ending, server(now()))
    }

    /// Returns the changes of an operation whose status was written.
    fn written(report: &Report) -> Value {
        let status = report.status.as_ref().expect("a status");
        json!({"status": serde_json::to_value(status).expect("JSON")})
    }

    fn phase(report: &Report) -> Option<Phase> {
        report.status.as_ref()?.phase()
    }

    fn reasons(report: &Report) -> Vec<Reason> {
        report.events.iter().map(|event| event.reason).collect()
    }
}
