//! What is true of `advance` for every combination of journal and look.

use std::collections::BTreeSet;
use std::time::Duration;

use fixtures::{STUCK_AFTER, cluster, minutes, now, version};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::advance::{Next, Request, Write};
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::consent::Consent;
use secret_rotation_core::names::{StageLabel, VersionId};
use secret_rotation_core::operation::Trigger;
use secret_rotation_core::pin::Pin;
use secret_rotation_core::policy::Suspension;
use secret_rotation_core::secret::Exclusion;
use secret_rotation_core::secret::PendingValue;
use secret_rotation_core::time::{AgreedTime, DateCheck};

use crate::support::arbitrary::{Case, case};

fn written(case: &Case) -> Option<Write> {
    match case.next() {
        Next::Write(write) => Some(write),
        Next::LookAtVersions | Next::Wait(_) | Next::Done(_) => None,
    }
}

fn is_clear(request: &Request) -> bool {
    matches!(request, Request::Detach { label, .. } if *label == StageLabel::pending())
}

/// Returns whether the version carries the pin of this operation.
fn pinned(case: &Case, on: &VersionId) -> bool {
    let label = case.operation.pin(&cluster(), on).label().expect("short");
    case.secret.holder(&label) == Some(on)
}

/// Returns whether the version may be cleared without a pin: it was empty at the first look and still is, the pin was
/// refused because of that, and `confirmAfter` has passed.
fn may_go_unpinned(case: &Case, pending: &VersionId) -> bool {
    let baseline = case.operation.baseline.as_ref();
    let was_empty = baseline.is_some_and(|before| before.pending_value == PendingValue::Empty);
    let is_empty = case
        .look
        .versions
        .as_ref()
        .is_some_and(|list| !list.lists(pending));
    let refused = case.operation.journal.entry(Step::Pin).is_some_and(|pin| {
        let ripe = pin.intent.plus(case.operation.confirm_after) <= case.look.at;
        let class = pin.refusal();
        ripe && matches!(class, Some(ErrorClass::Mismatch | ErrorClass::Gone))
    });
    was_empty && is_empty && refused
}

fn check_detach(case: &Case, label: &StageLabel, from: &VersionId) {
    let secret = &case.secret;
    assert_eq!(
        secret.holder(label),
        Some(from),
        "the compare-and-swap names what was seen"
    );
    if *label == StageLabel::pending() && case.operation.action == Action::PromotePending {
        assert_eq!(Some(from), secret.current(), "another label holds it");
        assert!(pinned(case, from), "and a pin");
        assert!(case.operation.journal.entry(Step::Promote).is_some());
    } else if *label == StageLabel::pending() && case.operation.action == Action::RevertToPrevious {
        assert_eq!(
            Some(from),
            secret.current(),
            "nothing is lost: another label holds it"
        );
        assert_eq!(Some(from), case.operation.expect.current.as_ref());
    } else if *label == StageLabel::pending() {
        assert_eq!(Some(from), case.operation.expect.pending.as_ref());
        assert_ne!(Some(from), secret.current());
        assert!(pinned(case, from) || may_go_unpinned(case, from));
        assert!(case.operation.action.clears());
    } else {
        let pin = Pin::parse(label).expect("only pins are removed besides AWSPENDING");
        assert_eq!(pin.cluster, cluster());
    }
}

fn carries_our_pin(case: &Case, on: &VersionId) -> bool {
    let mut pins = secret_rotation_core::pin::on(&case.secret);
    pins.any(|(holder, _, pin)| holder == on && pin.cluster == cluster())
}

/// Returns whether the requester named both versions, and the look shows the label where it is removed.
fn check_move(case: &Case, label: &StageLabel, from: &VersionId, to: &VersionId) {
    let (expect, action) = (&case.operation.expect, case.operation.action);
    assert_eq!(case.secret.holder(label), Some(from));
    assert_ne!(from, to);
    if *label == StageLabel::current() {
        assert_eq!(Some(from), expect.current.as_ref());
        let named = match action {
            Action::PromotePending => expect.pending.as_ref(),
            Action::RevertToPrevious => expect.previous.as_ref(),
            other @ (Action::RetryRotation
            | Action::Rotate
            | Action::ClearPending
            | Action::ClearAndRotate
            | Action::RestorePending
            | Action::RestoreSecret
            | Action::ReleasePins) => panic!("{other} moves AWSCURRENT"),
        };
        assert_eq!(Some(to), named);
        assert!(action == Action::RevertToPrevious || pinned(case, to));
    } else {
        assert_eq!(
            (label, action),
            (&StageLabel::pending(), Action::RestorePending)
        );
        assert_eq!(Some(to), expect.pinned.as_ref());
        let safe = case.secret.current() == Some(from)
            || pinned(case, from)
            || may_go_unpinned(case, from);
        assert!(safe, "the version that loses AWSPENDING is kept");
    }
    if case.operation.journal.is_empty() && case.secret.pending().is_some() {
        let changed = case.secret.last_changed.expect("AWS says when");
        assert!(case.look.at.since(changed) >= minutes(75));
    }
}

fn check_restore(case: &Case) {
    assert_eq!(case.operation.action, Action::RestoreSecret);
    assert_eq!(case.secret.deleted, case.operation.expect.deleted);
    assert!(case.secret.deleted.is_some());
}

fn check_attach(case: &Case, label: &StageLabel, to: &VersionId) {
    if *label == StageLabel::pending() {
        assert_eq!(case.operation.action, Action::RestorePending);
        assert_eq!(case.secret.pending(), None);
        assert!(carries_our_pin(case, to) || !case.operation.journal.is_empty());
        return;
    }
    let pin = Pin::parse(label).expect("only pins are attached");
    assert_eq!((&pin.cluster, &pin.version), (&cluster(), to));
    assert_eq!(case.secret.unfinished(), Some(to));
    assert_eq!(case.operation.expect.pending.as_ref(), Some(to));
}

fn check_rotate(case: &Case, token: &VersionId) {
    assert_eq!(Some(token), case.operation.request_token().as_ref());
    let reruns = case.operation.action == Action::RetryRotation;
    assert!(reruns || !case.secret.is_labelled(token));
    if let Some(entry) = case.operation.journal.entry(Step::Rotate) {
        assert!(!entry.is_applied(), "accepted ones are never sent again");
        assert!(case.look.at.since(entry.intent) >= minutes(1));
    }
    if let (Trigger::Policy, Some(pending)) = (case.operation.trigger, case.secret.unfinished()) {
        let versions = case.look.versions.as_ref();
        let made = versions.and_then(|versions| versions.created(pending));
        let passed = made.is_some_and(|made| case.secret.last_rotated >= Some(made));
        assert!(!passed, "a person decided against it");
        assert_ne!(case.secret.previous(), Some(pending));
    }
    let rerun = case.operation.expect.pending.as_ref();
    match case.secret.unfinished() {
        Some(pending) => assert_eq!(Some(pending), rerun),
        None => assert!(case.secret.current().is_some()),
    }
}

proptest! {
    #![proptest_config(crate::support::cases(500))]

    #[test]
    fn advance_has_an_answer_to_everything(case in case()) {
        let first = case.next();
        prop_assert_eq!(first, case.next(), "and always the same");
    }

    #[test]
    fn nothing_is_written_without_permission(case in case()) {
        if let Some(write) = written(&case) {
            let authority = case.authority.as_ref().expect("authorised");
            prop_assert!(authority.covers(case.operation.action, &case.secret.arn));
            let policy = case.policy.as_ref().expect("there is a policy");
            prop_assert_eq!(policy.suspension, Suspension::Active);
            // A pin is removed even after someone switched rotation off.
            let hands_off = case.secret.exclusion(case.operation.action);
            let takes_back = write.intent().step == Step::Unpin;
            prop_assert!(hands_off.is_none() || takes_back && hands_off == Some(Exclusion::RotationDisabled));
            prop_assert_eq!(write.arn(), &case.secret.arn);
            prop_assert_eq!(write.intent().at, case.look.at);
        }
    }

    #[test]
    fn every_write_has_a_shape_that_can_be_undone(case in case()) {
        if let Some(write) = written(&case) {
            match write.request() {
                Request::Attach { label, version } => check_attach(&case, label, version),
                Request::Detach { label, version } => check_detach(&case, label, version),
                Request::Move { label, from, to } => check_move(&case, label, from, to),
                Request::RestoreSecret => check_restore(&case),
                Request::Rotate { token } => check_rotate(&case, token),
            }
        }
    }

    #[test]
    fn a_version_that_a_clear_in_flight_may_unlabel_keeps_its_pin(case in case()) {
        let pending = version("p");
        let clear = case.operation.journal.entry(Step::Clear);
        let under_way = clear.is_some_and(|clear| clear.result.is_none());
        let rotated = case.operation.journal.entry(Step::Rotate).is_some();
        let bare = case.secret.current() != Some(&pending) && case.operation.action.clears();
        if let Some(write) = written(&case).filter(|_| under_way && !rotated && bare) {
            let unpins = matches!(
                write.request(),
                Request::Detach { label, version } if *label != StageLabel::pending() && *version == pending
            );
            prop_assert!(!unpins);
        }
    }

    #[test]
    fn the_first_write_to_a_stuck_secret_follows_a_long_quiet_time(case in case()) {
        let first = case.operation.journal.is_empty();
        let stuck = case.operation.expect.pending.is_some() && (case.operation.action.clears()
            || case.operation.action == Action::RetryRotation);
        if written(&case).is_some() && first && stuck {
            let changed = case.secret.last_changed.expect("AWS says when");
            prop_assert!(case.look.at.since(changed) >= STUCK_AFTER);
        }
    }

    #[test]
    fn no_step_but_unpinning_is_tried_more_than_eight_times(case in case()) {
        if let Some(write) = written(&case) {
            let step = write.intent().step;
            let tries = case.operation.journal.entry(step).map_or(0, |entry| entry.tries);
            prop_assert!(step == Step::Unpin || tries < 8);
        }
    }

    #[test]
    fn an_operation_that_has_written_takes_precedence(case in case()) {
        let wrote = case.others.iter().any(|other| {
            !other.is_finished() && other.journal.0.iter().any(|entry| entry.result.is_some())
        });
        let own = case.operation.journal.0.iter().any(|entry| entry.result.is_some());
        prop_assert!(!wrote || own || written(&case).is_none());
    }

    #[test]
    fn no_operation_starts_without_consent_or_after_the_deadline(case in case()) {
        let Some(write) = written(&case) else { return Ok(()) };
        let agreed = matches!(case.consent, Consent::NotNeeded | Consent::Given { .. });
        let late = case.server_now >= case.operation.expires() && !matches!(case.consent, Consent::Given { .. });
        let first = case.operation.journal.is_empty();
        prop_assert!(!first || agreed && !late, "{write:?}");
        let refused = matches!(case.consent, Consent::Refused { .. });
        let continues = matches!(write.intent().step, Step::Clear | Step::Promote | Step::RestorePending)
            && case.operation.journal.entry(write.intent().step).is_none();
        prop_assert!(!(continues && (refused || late)), "{write:?}");
    }

    #[test]
    fn every_wait_ends(case in case()) {
        if let Next::Wait(wait) = case.next() {
            prop_assert!(wait.until > case.look.at && wait.pause > Duration::ZERO, "{wait:?}");
            prop_assert!(!wait.message.is_empty());
        }
    }
}

#[test]
fn the_cases_reach_every_kind_of_step() {
    let mut runner = TestRunner::deterministic();
    let mut reached = std::collections::BTreeMap::<&str, usize>::new();
    for _ in 0..10_000 {
        let case = case().new_tree(&mut runner).expect("a case").current();
        let kind = match case.next() {
            Next::Write(write) => match write.request() {
                Request::Attach { label, .. } if *label == StageLabel::pending() => "attach",
                Request::Attach { .. } => "pin",
                Request::Move { label, .. } if *label == StageLabel::pending() => "swap",
                Request::Move { .. } if case.operation.action == Action::RevertToPrevious => {
                    "revert"
                }
                Request::Move { .. } => "promote",
                Request::RestoreSecret => "restore",
                Request::Detach { version, .. }
                    if is_clear(write.request()) && case.secret.current() == Some(version) =>
                {
                    "drop"
                }
                Request::Rotate { .. } => "rotate",
                request if !is_clear(request) => "unpin",
                Request::Detach { version, .. } if pinned(&case, version) => "clear",
                Request::Detach { .. } => "clear unpinned",
            },
            Next::LookAtVersions => "versions",
            Next::Wait(_) => "wait",
            Next::Done(_) => "done",
        };
        *reached.entry(kind).or_default() += 1;
    }
    assert_eq!(reached.len(), 14, "{reached:?}");
    assert!(reached.values().all(|count| *count >= 5), "{reached:?}");
}

/// A date and whether it is the true one. No two wrong dates agree with each other, as those of a broken clock would.
fn dates() -> impl Strategy<Value = Vec<Option<i64>>> {
    let nonsense = prop_oneof![
        (1..400_i64).prop_map(|days| days * 86_400),
        (1..400_i64).prop_map(|days| -days * 86_400),
        Just(250_000_000_000),
        Just(-2_000_000_000),
    ];
    let date = prop_oneof![3 => Just(None), 2 => nonsense.prop_map(Some)];
    proptest::collection::vec(date, 1..60)
}

proptest! {
    #![proptest_config(crate::support::cases(500))]

    #[test]
    fn wrong_dates_never_move_the_agreed_time(dates in dates(), pauses in proptest::collection::vec(0..7200_u64, 60)) {
        let mut agreement = AgreedTime::default();
        let (began, mut local, mut shown) = (now(), Duration::ZERO, BTreeSet::new());
        for off in [None, None].into_iter().chain(dates).zip(pauses) {
            local += Duration::from_secs(off.1);
            let truth = began.plus(local).timestamp();
            let off = off.0.filter(|off| shown.insert(*off));
            let date = truth.checked_add(jiff::SignedDuration::from_secs(off.unwrap_or(0)));
            let heard = agreement.observe(date.ok(), local);
            prop_assert!(!heard.is_believed() || off.is_none(), "{off:?}");
            if let Some(agreed) = agreement.now(local) {
                prop_assert_eq!(agreed, truth);
                let correct = agreement.observe(Some(truth), local);
                prop_assert_eq!(correct, DateCheck::Agrees, "a correct date still agrees");
            }
        }
        prop_assert!(agreement.now(local).is_some());
    }
}
