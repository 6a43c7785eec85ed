//! Approval: when it is required, whose decision counts, and what an operation does until then.

use fixtures::{ago, hours, minutes, operation, policy, profile, server};
use secret_rotation_core::action::Action;
use secret_rotation_core::action::Permission;
use secret_rotation_core::approval::{Answer, Approval, Decision};
use secret_rotation_core::consent::{Admission, Consent, consent, required};
use secret_rotation_core::operation::{Failure, Operation, Outcome, Trigger};
use secret_rotation_core::time::ServerTime;

use crate::support::shell::Shell;
use crate::support::world::TinyAws;

#[expect(clippy::unnecessary_wraps, reason = "it is a field")]
fn decided(answer: Answer, by: &str) -> Option<Decision> {
    Some(Decision {
        answer,
        by: by.to_owned(),
        message: Some("looks right".to_owned()),
    })
}

fn asked(decision: Option<Decision>) -> Operation {
    Operation {
        approval: Approval::Required,
        requested_by: Some("alice".to_owned()),
        trigger: Trigger::Manual,
        decision,
        ..operation("o", Action::ClearAndRotate, "prod/a")
    }
}

fn consent_of(operation: &Operation, admission: &Admission) -> Consent {
    consent(operation, &policy("payments"), &profile(), admission)
}

/// Long before any operation of these tests.
fn enforced() -> Admission {
    Admission::Enforced {
        since: server(ago(hours(100))),
    }
}

fn given(by: &str) -> Consent {
    Consent::Given { by: by.to_owned() }
}

#[test]
fn the_strictest_of_operation_policy_and_profile_holds() {
    let cases = [
        (false, false, None, false),
        (true, false, None, true),
        (false, true, None, true),
        (false, false, Some(Permission::ClearPending), true),
        (false, false, Some(Permission::Rotate), true),
        (false, false, Some(Permission::PromotePending), false),
    ];
    for (by_operation, by_policy, by_profile, expected) in cases {
        let of = |wanted: bool| {
            if wanted {
                Approval::Required
            } else {
                Approval::NotRequired
            }
        };
        let (mut policy, mut profile) = (policy("payments"), profile());
        policy.remediation.approval = of(by_policy);
        profile.approval_required_for.extend(by_profile);
        let found = required(of(by_operation), Action::ClearAndRotate, &policy, &profile);
        assert_eq!(
            found,
            of(expected),
            "{by_operation} {by_policy} {by_profile:?}"
        );
    }
}

#[test]
fn another_person_may_approve_and_the_requester_may_not() {
    let approve = |by: &str| consent_of(&asked(decided(Answer::Approve, by)), &enforced());
    assert_eq!(approve("bob"), given("bob"));
    assert!(matches!(approve("alice"), Consent::Refused { .. }));
    let nameless = Operation {
        requested_by: None,
        ..asked(decided(Answer::Approve, "bob"))
    };
    let refused = consent_of(&nameless, &enforced());
    assert!(
        matches!(refused, Consent::Refused { message } if message.contains("spec.requestedBy"))
    );
    let automatic = Operation {
        trigger: Trigger::Policy,
        ..nameless
    };
    assert_eq!(consent_of(&automatic, &enforced()), given("bob"));
}

#[test]
fn without_admission_policies_no_approval_counts_and_every_denial_does() {
    let older = Admission::OtherVersion {
        what: "x".to_owned(),
    };
    let approved = consent_of(&asked(decided(Answer::Approve, "bob")), &older);
    assert!(
        matches!(approved, Consent::Awaited { message } if message.contains("admission policies are of another version"))
    );
    let missing = Admission::Missing {
        what: "x".to_owned(),
    };
    let approved = consent_of(&asked(decided(Answer::Approve, "bob")), &missing);
    assert!(
        matches!(approved, Consent::Awaited { message } if message.contains("admission policies are not installed"))
    );
    let undecided = consent_of(&asked(None), &missing);
    assert!(
        matches!(undecided, Consent::Awaited { message } if message.contains("admission policies are not installed")),
        "reported before someone decides in vain"
    );
    let denied = consent_of(&asked(decided(Answer::Deny, "mallory")), &missing);
    assert_eq!(
        denied,
        Consent::Refused {
            message: "denied by mallory: looks right".to_owned()
        }
    );
}

#[test]
fn where_the_admission_policies_cannot_be_read_no_approval_counts() {
    let unreadable = Admission::Unreadable {
        what: "x".to_owned(),
    };
    let approved = consent_of(&asked(decided(Answer::Approve, "bob")), &unreadable);
    assert!(matches!(approved, Consent::Awaited { message } if message.contains("may not read x")));
}

/// Someone may have approved it while nothing enforced who may approve, and installed the policies afterwards.
#[test]
fn an_operation_older_than_the_admission_policies_cannot_be_approved() {
    let approved = asked(decided(Answer::Approve, "bob"));
    let since = |seconds| {
        let created = approved.created.timestamp().as_second();
        let since = jiff::Timestamp::from_second(created + seconds).expect("in range");
        let since = ServerTime::new(since);
        consent_of(&approved, &Admission::Enforced { since })
    };
    for seconds in [3600, 0, -4] {
        let awaited = since(seconds);
        assert!(
            matches!(&awaited, Consent::Awaited { message } if message.contains("create another operation")),
            "{seconds}: {awaited:?}"
        );
    }
    assert_eq!(since(-5), given("bob"));
}

#[test]
fn an_operation_waits_for_its_approval_and_then_continues() {
    let mut shell = stuck_shell(asked(None));
    shell.until_said("(AwaitingApproval)");
    assert!(shell.sent.is_empty());
    shell.operation.decision = decided(Answer::Approve, "bob");
    let done = shell.run();
    assert_eq!(
        done.story(),
        "(AwaitingApproval) Pin (Settling) Clear Rotate (Verifying) Unpin Succeeded"
    );
}

#[test]
fn a_denied_operation_ends_before_its_first_write() {
    let done = stuck_shell(asked(decided(Answer::Deny, "bob"))).run();
    assert_eq!(failure(&done), Failure::Rejected);
    assert!(done.sent.is_empty());
}

#[test]
fn a_denial_between_pin_and_clear_removes_the_pin() {
    let unasked = Operation {
        approval: Approval::NotRequired,
        ..asked(None)
    };
    let mut shell = stuck_shell(unasked);
    shell.until_said("(Settling)");
    shell.operation.decision = decided(Answer::Deny, "bob");
    let done = shell.run();
    assert_eq!(done.story(), "Pin (Settling) Unpin Rejected");
    assert_eq!(failure(&done), Failure::Rejected);
}

/// After the clear only stop conditions apply: a secret without AWSPENDING and without a rotation is no better.
#[test]
fn a_denial_after_the_clear_has_no_effect() {
    let unasked = Operation {
        approval: Approval::NotRequired,
        ..asked(None)
    };
    let mut shell = stuck_shell(unasked);
    shell.until_said("Clear");
    shell.operation.decision = decided(Answer::Deny, "bob");
    let done = shell.run();
    assert_eq!(
        done.story(),
        "Pin (Settling) Clear Rotate (Verifying) Unpin Succeeded"
    );
}

#[test]
fn an_operation_that_is_never_approved_expires() {
    let brief = Operation {
        deadline: hours(2),
        ..asked(None)
    };
    let done = stuck_shell(brief).run();
    assert_eq!(done.story(), "(AwaitingApproval) Expired");
    assert!(done.sent.is_empty());
}

#[test]
fn a_deadline_between_pin_and_clear_removes_the_pin() {
    let hasty = Operation {
        approval: Approval::NotRequired,
        deadline: minutes(2),
        ..asked(None)
    };
    let done = stuck_shell(hasty).run();
    assert_eq!(done.story(), "Pin (Settling) Unpin Expired");
}

#[test]
fn an_approval_restarts_the_deadline() {
    let mut shell = stuck_shell(Operation {
        deadline: hours(1),
        ..asked(None)
    });
    shell.until_said("(AwaitingApproval)");
    shell.operation.decision = decided(Answer::Approve, "bob");
    shell.operation.approved = Some(ServerTime::new(shell.world.now.timestamp()));
    let expires = shell.operation.expires();
    assert!(expires > shell.operation.created.plus(hours(1)));
    assert_eq!(failure_of(&shell.run().operation), None);
}

fn stuck_shell(operation: Operation) -> Shell {
    Shell::new(
        TinyAws::new(
            fixtures::stuck("prod/a"),
            fixtures::with_value(),
            fixtures::now(),
        ),
        operation,
    )
}

fn failure(shell: &Shell) -> Failure {
    failure_of(&shell.operation).expect("it failed")
}

fn failure_of(operation: &Operation) -> Option<Failure> {
    match &operation.outcome {
        Some(Outcome::Failed { reason, .. }) => Some(*reason),
        Some(Outcome::Succeeded { .. }) | None => None,
    }
}
