//! What ends an operation and what makes it wait, by the API objects alone.

use std::time::Duration;

use fixtures::{ago, hours, minutes, now, operation, policy, profile, record_step, server, tenant};
use secret_rotation_core::action::Permission;
use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::approval::{Answer, Approval, Decision};
use secret_rotation_core::authorise::{Refusal, authorise_by_name};
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::block::{Block, BlockReason};
use secret_rotation_core::consent::{Consent, consent_if_enforced};
use secret_rotation_core::history::History;
use secret_rotation_core::journal::ResultKind;
use secret_rotation_core::operation::{Operation, Outcome, Trigger};
use secret_rotation_core::permit::{Bounds, Gate, Permit, PermitInput, Phase, permit};
use secret_rotation_core::policy::{Policy, Suspension};
use secret_rotation_core::profile::Profile;
use secret_rotation_core::time::ServerTime;

/// Everything that the permit of an operation depends on, allowed until a test changes it.
#[derive(Clone)]
struct Store {
    operation: Operation,
    policy: Option<Policy>,
    profile: Profile,
    gate: Gate,
    unclear: Option<&'static str>,
}

impl Store {
    fn of(action: Action) -> Self {
        Self {
            operation: operation("o", action, "prod/a"),
            policy: Some(policy("payments")),
            profile: profile(),
            gate: Gate::Open,
            unclear: None,
        }
    }

    fn with(mut self, step: Step) -> Self {
        record_step(&mut self.operation, step, now(), ResultKind::Applied);
        self
    }

    fn permit(&self) -> Permit {
        let arn = self.operation.arn.as_ref().expect("known");
        let name = arn.secret_name();
        let own = policy("payments");
        let policy = self.policy.as_ref().unwrap_or(&own);
        let authority: Result<(), Refusal> = authorise_by_name(
            &tenant("prod"),
            &self.profile,
            policy,
            (&name, arn.region()),
            self.operation.action,
        );
        let consent: Consent = consent_if_enforced(&self.operation, policy, &self.profile);
        let operations = [self.operation.clone()];
        let bounds = match (self.unclear, &self.policy) {
            (Some(why), _) => Bounds::Invalid(why),
            (None, None) => Bounds::PolicyGone,
            (None, Some(policy)) => Bounds::Within {
                policy,
                authority: authority.as_ref().copied(),
                consent: &consent,
                gate: &self.gate,
            },
        };
        permit(
            &self.operation,
            &PermitInput {
                bounds,
                history: &History::of(arn, &operations),
                secret: None,
                server_now: server(now()),
                now: now(),
            },
        )
    }

    /// Returns the result in one word.
    fn word(&self) -> &'static str {
        match self.permit() {
            Permit::End(outcome) => reason(&outcome),
            Permit::EndAfterUnpin(outcome) => match reason(&outcome) {
                "Rejected" => "unpin, Rejected",
                "Expired" => "unpin, Expired",
                other => panic!("nothing else is unpinned first: {other}"),
            },
            Permit::Wait(pause) => pause.phase.name(),
            Permit::Go => "go",
        }
    }
}

fn reason(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded { .. } => "Succeeded",
        Outcome::Failed { reason, .. } => reason.name(),
    }
}

/// The result of a check, and the change that causes it.
type Question = (&'static str, fn(&mut Store));

/// The checks in the order in which they run.
const QUESTIONS: [Question; 11] = [
    ("Succeeded", |store| {
        store.operation.outcome = Some(Outcome::Succeeded {
            message: String::new(),
        });
    }),
    ("Rejected", |store| {
        store.operation.deletion_requested = Some(server(now()));
    }),
    ("PolicyGone", |store| {
        if let Some(policy) = &mut store.policy {
            policy.deletion_requested = Some(server(now()));
        }
    }),
    ("NotAuthorised", |store| {
        store.profile.allowed_actions.clear();
    }),
    ("Rejected", |store| {
        store.operation.decision = Some(Decision {
            answer: Answer::Deny,
            by: "bob".to_owned(),
            message: None,
        });
    }),
    ("Expired", |store| {
        store.operation.created = server(ago(hours(24)));
    }),
    ("Suspended", |store| {
        store.profile.suspension = Suspension::Suspended;
    }),
    ("Suspended", |store| {
        if let Some(policy) = &mut store.policy {
            policy.suspension = Suspension::Suspended;
        }
    }),
    ("AwaitingApproval", |store| {
        store.profile.approval_required_for = Permission::ALL.into();
    }),
    ("AwaitingWindow", |store| {
        store.gate = Gate::Blocked(Block::indefinite(BlockReason::OutsideWindow));
    }),
    ("Queued", |store| {
        store.gate = Gate::Blocked(Block::indefinite(BlockReason::ConcurrencyLimit));
    }),
];

#[test]
fn the_checks_run_in_order_and_those_that_end_an_operation_come_first() {
    for first in 0..QUESTIONS.len() {
        let mut store = Store::of(Action::ClearAndRotate);
        for (_, change) in QUESTIONS[first..].iter().rev() {
            change(&mut store);
        }
        assert_eq!(store.word(), QUESTIONS[first].0, "question {first}");
    }
    assert_eq!(Store::of(Action::ClearAndRotate).word(), "go");
}

#[test]
fn a_deleted_policy_or_profile_ends_an_operation() {
    let mut gone = Store::of(Action::Rotate);
    gone.policy = None;
    assert_eq!(gone.word(), "PolicyGone");
    let mut deleted = Store::of(Action::Rotate);
    deleted.profile.deletion_requested = Some(server(now()));
    assert_eq!(deleted.word(), "NotAuthorised");
    let mut beyond = Store::of(Action::Rotate);
    beyond.profile.allowed_secrets.clear();
    assert_eq!(beyond.word(), "NotAuthorised");
}

/// The admission check of the operation was about another policy of that name, or happened before there was one.
#[test]
fn an_operation_that_is_older_than_its_policy_ends_at_every_step() {
    let steps: [&[Step]; 3] = [&[], &[Step::Pin], &[Step::Pin, Step::Clear]];
    for steps in steps {
        let mut store = Store::of(Action::ClearAndRotate);
        store.operation.trigger = Trigger::Manual;
        store.operation.policy.uid = None;
        for step in steps {
            store = store.with(*step);
        }
        let created = store.operation.created;
        let mut made_at = |at: ServerTime| {
            if let Some(policy) = &mut store.policy {
                policy.created = at;
            }
            store.word()
        };
        let second = Duration::from_secs(1);
        assert_eq!(made_at(created.plus(second)), "NotAuthorised", "{steps:?}");
        assert_eq!(made_at(created), "go", "the same second shows nothing");
        // Even if a decision of a person or a suspension would make it wait.
        store.profile.suspension = Suspension::Suspended;
        store.profile.approval_required_for = Permission::ALL.into();
        if let Some(policy) = &mut store.policy {
            policy.created = created.plus(second);
        }
        assert_eq!(store.word(), "NotAuthorised", "{steps:?}");
        // No one knows the UID of a policy before it exists: the clocks of two API servers may differ.
        store.operation.policy.uid = Some(policy("payments").uid);
        assert_eq!(store.word(), "Suspended", "{steps:?}");
    }
}

#[test]
fn a_denial_or_the_deadline_unpins_first_and_has_no_effect_after_the_clear() {
    for (word, change) in [
        ("unpin, Rejected", QUESTIONS[4].1),
        ("unpin, Expired", QUESTIONS[5].1),
    ] {
        let mut store = Store::of(Action::ClearAndRotate).with(Step::Pin);
        change(&mut store);
        assert_eq!(store.word(), word);
        let mut suspended = store.clone();
        suspended.profile.suspension = Suspension::Suspended;
        assert_eq!(
            suspended.word(),
            word.trim_start_matches("unpin, "),
            "a suspended operation writes nothing"
        );
        assert_eq!(store.with(Step::Clear).word(), "go");
    }
}

#[test]
fn a_suspension_stops_everything_at_every_step() {
    let steps: [&[Step]; 4] = [
        &[],
        &[Step::Pin],
        &[Step::Pin, Step::Clear],
        &[Step::Pin, Step::Clear, Step::Rotate],
    ];
    for steps in steps {
        for brake in [QUESTIONS[6].1, QUESTIONS[7].1] {
            let mut store = Store::of(Action::ClearAndRotate);
            store.operation.trigger = Trigger::Manual;
            for step in steps {
                store = store.with(*step);
            }
            brake(&mut store);
            assert_eq!(store.word(), "Suspended", "{steps:?}");
        }
    }
}

#[test]
fn budgets_do_not_limit_manual_operations_or_steps_after_the_clear() {
    let mut manual = Store::of(Action::ClearAndRotate);
    manual.gate = Gate::Unknown;
    assert_eq!(manual.word(), "Queued");
    assert_eq!(manual.clone().with(Step::Pin).word(), "Queued");
    assert_eq!(
        manual.clone().with(Step::Pin).with(Step::Clear).word(),
        "go"
    );
    manual.operation.trigger = Trigger::Manual;
    assert_eq!(manual.word(), "go");
}

#[test]
fn an_unreadable_field_makes_an_operation_wait_until_its_deadline() {
    let mut unclear = Store::of(Action::ClearAndRotate);
    unclear.unclear = Some("spec.remediation.windows");
    assert!(matches!(unclear.permit(), Permit::Wait(pause) if pause.phase == Phase::Queued));
    let mut denied = unclear.clone();
    QUESTIONS[4].1(&mut denied);
    assert_eq!(denied.word(), "Rejected");
    QUESTIONS[5].1(&mut unclear);
    assert_eq!(unclear.word(), "Expired");
}

#[test]
fn an_approval_that_is_noticed_late_restarts_the_deadline() {
    let mut store = Store::of(Action::ClearAndRotate);
    store.operation.approval = Approval::Required;
    store.operation.created = server(ago(hours(24) + minutes(1)));
    assert_eq!(store.word(), "Expired");
    store.operation.decision = Some(Decision {
        answer: Answer::Approve,
        by: "bob".to_owned(),
        message: None,
    });
    assert_eq!(store.word(), "go");
}

#[test]
fn a_look_before_the_pin_has_settled_decides_nothing() {
    let settles_at = |store: &Store| store.operation.settles_at();
    let ripe = now().plus(policy("payments").remediation.confirm_after);
    for action in [Action::ClearAndRotate, Action::ClearPending] {
        let mut store = Store::of(action);
        store.operation.confirm_after = policy("payments").remediation.confirm_after;
        assert_eq!(settles_at(&store), None, "nothing is pinned");
        store = store.with(Step::Pin);
        assert_eq!(settles_at(&store), Some(ripe));
        assert_eq!(
            settles_at(&store.clone().with(Step::Unpin)),
            None,
            "it is withdrawn"
        );
        assert_eq!(settles_at(&store.with(Step::Clear)), None, "it has acted");
    }
    let mut refused = Store::of(Action::ClearPending);
    let mismatch = ResultKind::Refused(ErrorClass::Mismatch);
    record_step(&mut refused.operation, Step::Pin, now(), mismatch);
    assert_eq!(
        settles_at(&refused),
        None,
        "it is tried again, or continues without the pin"
    );
    let restoring = Store::of(Action::RestorePending).with(Step::Pin);
    assert_eq!(
        settles_at(&restoring),
        None,
        "nothing settles where nothing is cleared"
    );
}
