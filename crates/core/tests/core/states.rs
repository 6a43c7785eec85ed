//! The states of the API and their precedence, for single secrets.

use std::time::Duration;

use fixtures::{
    ago, at, aws_error, detection, hours, labelled, listing, minutes, now, observation, operation,
    operation_index, pin_of, profile, record_step, secret, server, stuck, tenant, version,
    with_value, without_value,
};
use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::inventory::Observation;
use secret_rotation_core::journal::{Baseline, ResultKind};
use secret_rotation_core::operation::{Failure, Operation, Outcome};
use secret_rotation_core::policy::DisabledReporting::{Ignore, Report, ReportUnconfigured};
use secret_rotation_core::policy::{Detection, Expiry, Reporting};
use secret_rotation_core::rolled_back::RollbackStatus;
use secret_rotation_core::secret::PendingValue;
use secret_rotation_core::secret::{Rotation, Secret, VersionListing};
use secret_rotation_core::survey::{PreviousFinding, RemedyKind, State};
use secret_rotation_core::time::AwsTime;
use secret_rotation_core::verdict::{self, Verdict, VerdictInput};

const ALMOST_STUCK: Duration = Duration::from_secs(6 * 3600 - 1);

fn verdict(secret: Secret) -> Verdict {
    verdict::of(
        &Observation::listed(secret),
        &detection(),
        VerdictInput::default(),
        now(),
    )
}

fn state(secret: Secret) -> State {
    verdict(secret).state
}

fn remembered(pending: &str, first: AwsTime) -> PreviousFinding {
    PreviousFinding {
        state: State::Rotating,
        since: None,
        pending: Some(version(pending)),
        first_observed: Some(first),
        arn: None,
        message: String::new(),
        current: None,
        seen: None,
    }
}

const fn after(previous: &PreviousFinding) -> VerdictInput<'_> {
    VerdictInput {
        previous: Some(previous),
        operations: None,
        stability: None,
        bounds: None,
    }
}

/// A secret in every unhealthy state at once. To remove the first state shows the next.
fn everything_wrong() -> (Secret, Detection) {
    let mut secret = stuck("prod/a");
    secret.deleted = Some(ago(hours(2)));
    secret.primary_region = Some(fixtures::region("us-east-1"));
    secret.labels.remove(&version("c"));
    secret.next_rotation = Some(ago(hours(50)));
    secret.last_changed = Some(ago(hours(200)));
    secret.last_rotated = Some(ago(hours(200)));
    secret
        .tags
        .insert("expires".to_owned(), "2026-11-24".to_owned());
    let detection = Detection {
        max_age: Some(hours(100)),
        expiry: Some(Expiry {
            tag_key: "expires".to_owned(),
            rotate_before: hours(168),
        }),
        ..detection()
    };
    (secret, detection)
}

#[test]
fn the_first_state_that_holds_wins() {
    let (mut secret, detection) = everything_wrong();
    let state = |secret: &Secret| {
        verdict::of(
            &Observation::listed(secret.clone()),
            &detection,
            VerdictInput::default(),
            now(),
        )
        .state
    };
    assert_eq!(state(&secret), State::ScheduledForDeletion);
    secret.deleted = None;
    assert_eq!(state(&secret), State::Ineligible);
    secret.primary_region = None;
    assert_eq!(state(&secret), State::Broken);
    let mut secret = labelled(secret, "AWSCURRENT", "c");
    assert_eq!(state(&secret), State::Stuck);
    secret.last_changed = Some(ago(hours(1)));
    secret.next_rotation = Some(now().plus(hours(1)));
    assert_eq!(state(&secret), State::Rotating);
    secret.next_rotation = Some(ago(hours(50)));
    secret.labels.remove(&version("p"));
    secret.last_changed = Some(ago(hours(200)));
    assert_eq!(state(&secret), State::Expiring);
    secret.tags.clear();
    assert_eq!(state(&secret), State::Overdue);
    secret.next_rotation = None;
    assert_eq!(state(&secret), State::TooOld);
    secret.rotation = Rotation::Disabled;
    secret.last_changed = Some(now());
    assert_eq!(state(&secret), State::Disabled);
    secret.rotation = fixtures::secret("prod/a").rotation;
    assert_eq!(state(&secret), State::Healthy);
}

#[test]
fn a_secret_that_could_not_be_read_is_unknown_unless_the_list_shows_it_stuck() {
    let unreadable = Observation {
        unreadable: Some(aws_error(ErrorClass::Denied)),
        ..Observation::listed(stuck("prod/a"))
    };
    let verdict = verdict::of(&unreadable, &detection(), VerdictInput::default(), now());
    assert_eq!(verdict.state, State::Stuck);
    assert!(verdict.message.contains("it could not be read"));
    for secret in [secret("prod/a"), everything_wrong().0] {
        let observation = Observation {
            unreadable: Some(aws_error(ErrorClass::Denied)),
            ..Observation::listed(secret)
        };
        let verdict = verdict::of(&observation, &detection(), VerdictInput::default(), now());
        assert_eq!(
            (verdict.state, verdict.remedy_kind),
            (State::Unknown, RemedyKind::None)
        );
    }
}

#[test]
fn a_pending_label_on_the_current_version_is_healthy() {
    assert_eq!(
        state(labelled(secret("prod/a"), "AWSPENDING", "c")),
        State::Healthy
    );
}

#[test]
fn a_rotation_is_stuck_at_exactly_stuck_after() {
    let aged = |age| Secret {
        last_changed: Some(ago(age)),
        ..stuck("prod/a")
    };
    assert_eq!(state(aged(hours(6))), State::Stuck);
    assert_eq!(state(aged(ALMOST_STUCK)), State::Rotating);
}

#[test]
fn the_creation_of_a_pending_version_with_a_value_makes_it_stuck_despite_later_changes() {
    let touched = Secret {
        last_changed: Some(ago(minutes(1))),
        ..stuck("prod/a")
    };
    let of = |born| {
        let observation = observation(touched.clone(), Some(listing(&[("p", born)])));
        verdict::of(&observation, &detection(), VerdictInput::default(), now()).state
    };
    assert_eq!(of(ago(hours(6))), State::Stuck);
    assert_eq!(of(ago(ALMOST_STUCK)), State::Rotating);
}

#[test]
fn the_first_observation_makes_an_empty_pending_version_stuck_and_is_kept_by_version() {
    let touched = Secret {
        last_changed: Some(ago(minutes(1))),
        ..stuck("prod/a")
    };
    let of = |previous: &PreviousFinding| {
        let observation = observation(touched.clone(), Some(without_value()));
        verdict::of(&observation, &detection(), after(previous), now())
    };
    let old = of(&remembered("p", ago(hours(6))));
    assert_eq!(
        (old.state, old.first_observed),
        (State::Stuck, Some(ago(hours(6))))
    );
    let young = of(&remembered("p", ago(ALMOST_STUCK)));
    assert_eq!(young.state, State::Rotating);
    let another = of(&remembered("earlier", ago(hours(60))));
    assert_eq!(
        (another.state, another.first_observed),
        (State::Rotating, Some(now()))
    );
}

#[test]
fn a_back_dated_status_makes_nothing_older_than_the_secret_itself() {
    let newborn = Secret {
        created: Some(ago(hours(2))),
        last_changed: Some(ago(minutes(1))),
        ..stuck("prod/a")
    };
    let previous = PreviousFinding {
        since: Some(ago(hours(9000))),
        ..remembered("p", ago(hours(9000)))
    };
    let observation = observation(newborn, Some(without_value()));
    let verdict = verdict::of(&observation, &detection(), after(&previous), now());
    assert_eq!(verdict.state, State::Rotating);
    assert_eq!(verdict.first_observed, Some(ago(hours(2))));
    assert_eq!(verdict.since, ago(hours(2)));
}

#[test]
fn a_status_from_the_future_delays_nothing() {
    let previous = PreviousFinding {
        since: Some(now().plus(hours(9000))),
        ..remembered("p", now().plus(hours(9000)))
    };
    let observation = observation(stuck("prod/a"), Some(without_value()));
    let verdict = verdict::of(&observation, &detection(), after(&previous), now());
    assert_eq!(
        (verdict.state, verdict.since),
        (State::Stuck, ago(hours(8)))
    );
    assert_eq!(verdict.first_observed, Some(now()));
}

#[test]
fn without_a_last_change_only_the_first_observation_counts() {
    let dateless = Secret {
        last_changed: None,
        ..stuck("prod/a")
    };
    let of = |previous: Option<&PreviousFinding>| {
        verdict::of(
            &Observation::listed(dateless.clone()),
            &detection(),
            VerdictInput {
                previous,
                ..VerdictInput::default()
            },
            now(),
        )
        .state
    };
    assert_eq!(of(None), State::Rotating);
    assert_eq!(of(Some(&remembered("p", ago(hours(7))))), State::Stuck);
}

#[test]
fn an_own_pin_does_not_make_a_stuck_rotation_look_young() {
    let before = verdict(stuck("prod/a"));
    let pin = pin_of(fixtures::cluster(), now(), "p");
    let pinned = Secret {
        last_changed: Some(now()),
        ..labelled(stuck("prod/a"), pin.as_str(), "p")
    };
    let previous = PreviousFinding {
        state: before.state,
        since: Some(before.since),
        pending: Some(version("p")),
        first_observed: before.first_observed,
        arn: None,
        message: String::new(),
        current: None,
        seen: None,
    };
    let later = now().plus(minutes(1));
    let after = verdict::of(
        &observation(pinned, Some(without_value())),
        &detection(),
        after(&previous),
        later,
    );
    assert_eq!((after.state, after.since), (State::Stuck, before.since));
}

/// An operation that pinned `p` of a secret that had last changed at `before`, and that has ended.
fn pinning(at: AwsTime, before: Option<AwsTime>) -> Operation {
    let mut pinning = operation("pins", Action::ClearPending, "prod/a");
    pinning.created = server(ago(minutes(2)));
    record_step(&mut pinning, Step::Pin, at, ResultKind::Applied);
    pinning.baseline = before.map(|before| Baseline {
        labels: stuck("prod/a").labels,
        last_changed: Some(before),
        pending_value: PendingValue::Empty,
        rotates: None,
        function: None,
    });
    pinning.outcome = Some(Outcome::Failed {
        reason: Failure::PolicyGone,
        message: String::new(),
    });
    pinning
}

#[test]
fn an_own_pin_is_no_change_even_for_a_policy_without_a_status() {
    let pin = pin_of(fixtures::cluster(), ago(minutes(2)), "p");
    let pinned = |changed| Secret {
        last_changed: Some(changed),
        ..labelled(stuck("prod/a"), pin.as_str(), "p")
    };
    let of = |secret: Secret, operations: &[Operation]| {
        let (profile, tenant) = (profile(), tenant("prod"));
        let operations = operation_index(operations);
        let background = VerdictInput {
            operations: Some(&operations),
            bounds: Some((&profile, &tenant)),
            ..VerdictInput::default()
        };
        let observation = observation(secret, Some(without_value()));
        let verdict = verdict::of(&observation, &detection(), background, now());
        (verdict.state, verdict.since)
    };
    let young = (State::Rotating, ago(minutes(1)));
    let stuck = (State::Stuck, ago(hours(48)));
    let journaled = [pinning(ago(minutes(1)), Some(ago(hours(48))))];
    assert_eq!(of(pinned(ago(minutes(1))), &journaled), stuck);
    assert_eq!(of(pinned(ago(minutes(1))), &[]), young, "no journal");
    let dateless = [pinning(ago(minutes(1)), None)];
    assert_eq!(of(pinned(ago(minutes(1))), &dateless), young, "no baseline");
    let touched = (State::Rotating, now());
    assert_eq!(of(pinned(now()), &journaled), touched, "changed since");
    let mut strange = journaled.clone();
    strange[0].key.namespace = fixtures::key("other", "o").namespace;
    assert_eq!(of(pinned(ago(minutes(1))), &strange), young, "not believed");
}

#[test]
fn disabled_rotation_is_reported_as_the_policy_requests() {
    let of = |rotation, reporting| {
        let secret = Secret {
            rotation,
            ..secret("prod/a")
        };
        let detection = Detection {
            rotation_disabled: reporting,
            ..detection()
        };
        verdict::of(
            &Observation::listed(secret),
            &detection,
            VerdictInput::default(),
            now(),
        )
        .state
    };
    assert_eq!(of(Rotation::Disabled, Report), State::Disabled);
    assert_eq!(of(Rotation::Disabled, ReportUnconfigured), State::Disabled);
    assert_eq!(of(Rotation::Disabled, Ignore), State::Healthy);
    assert_eq!(of(Rotation::NotConfigured, Report), State::Healthy);
    assert_eq!(
        of(Rotation::NotConfigured, ReportUnconfigured),
        State::Disabled
    );
    assert_eq!(of(Rotation::NotConfigured, Ignore), State::Healthy);
}

#[test]
fn no_reported_deadline_of_a_deletion_has_passed() {
    let days = |number: u32| hours(24) * number;
    let described = |deleted: AwsTime| {
        let secret = Secret {
            deleted: Some(deleted),
            ..secret("prod/a")
        };
        let until = verdict::restorable_until(&secret, now());
        assert!(until.is_none_or(|until| until > now()), "{until:?}");
        (verdict(secret).message, until)
    };
    let (young, until) = described(ago(days(6)));
    assert!(young.contains("keeps it at least until"), "{young}");
    assert_eq!(until, Some(now().plus(days(1))));
    for old in [7, 10, 29] {
        let (message, until) = described(ago(days(old)));
        let latest = now().plus(days(30 - old));
        assert_eq!(until, Some(latest), "{old}");
        let words =
            format!("any day now, at the latest on {latest}; it can be restored as long as");
        assert!(message.contains(&words), "{message}");
        assert!(!message.contains("at least until"), "{message}");
    }
    let (due, until) = described(ago(days(30)));
    assert!(due.contains("at any moment; it can be restored"), "{due}");
    assert_eq!(until, None);
    let (purge, until) = described(now().plus(days(3)));
    assert!(purge.contains("purges it after"), "{purge}");
    assert_eq!(until, Some(now().plus(days(3))));
}

#[test]
fn a_deletion_that_is_ignored_counts_as_healthy() {
    let secret = Secret {
        deleted: Some(at("2026-11-23T09:00:00Z")),
        ..stuck("prod/a")
    };
    let ignoring = Detection {
        scheduled_for_deletion: Reporting::Ignore,
        ..detection()
    };
    let observation = observation(secret, Some(with_value()));
    assert_eq!(
        verdict::of(&observation, &ignoring, VerdictInput::default(), now()).state,
        State::Healthy
    );
}

#[test]
fn a_pending_version_that_was_current_before_or_was_replaced_is_rolled_back() {
    let plain = stuck("prod/a");
    assert!(!plain.is_rolled_back(None));
    assert!(!plain.is_rolled_back(Some(&with_value())));
    let mut previous = labelled(plain.clone(), "AWSPREVIOUS", "p");
    previous
        .labels
        .remove(&version("b"))
        .expect("the version that was previous");
    assert!(previous.is_rolled_back(None), "the label alone shows it");
    for (rotated, passed_over) in [(9, false), (8, true), (7, true)] {
        let secret = Secret {
            last_rotated: Some(ago(hours(rotated))),
            ..plain.clone()
        };
        assert_eq!(secret.is_rolled_back(Some(&with_value())), passed_over);
        assert!(
            !secret.is_rolled_back(None),
            "nothing shows when it was made"
        );
        assert!(!secret.is_rolled_back(Some(&without_value())));
    }
    let at_rest = labelled(secret("prod/a"), "AWSPENDING", "c");
    assert!(!at_rest.is_rolled_back(None), "nothing is pending");
}

#[test]
fn without_the_list_of_versions_a_rollback_is_unknown() {
    let of =
        |secret: &Secret, versions: Option<&VersionListing>| RollbackStatus::of(secret, versions);
    let plain = stuck("prod/a");
    assert_eq!(of(&plain, None), RollbackStatus::Unknown);
    assert_eq!(
        of(&plain, Some(&with_value())),
        RollbackStatus::NotRolledBack
    );
    assert_eq!(
        of(&plain, Some(&without_value())),
        RollbackStatus::NotRolledBack
    );
    let dateless = VersionListing {
        created: [(version("p"), None)].into(),
    };
    assert_eq!(of(&plain, Some(&dateless)), RollbackStatus::Unknown);
    let never = Secret {
        last_rotated: None,
        ..plain.clone()
    };
    assert_eq!(of(&never, None), RollbackStatus::Unknown);
    assert_eq!(
        of(&never, Some(&with_value())),
        RollbackStatus::NotRolledBack
    );
    for newer in ["c", "b"] {
        let set_later = listing(&[("p", ago(hours(8))), (newer, ago(hours(7)))]);
        assert_eq!(
            of(&never, Some(&set_later)),
            RollbackStatus::RolledBack,
            "{newer}"
        );
    }
    let passed_over = Secret {
        last_rotated: Some(ago(hours(8))),
        ..plain
    };
    assert_eq!(
        of(&passed_over, Some(&with_value())),
        RollbackStatus::RolledBack
    );
    assert_eq!(of(&secret("prod/a"), None), RollbackStatus::NotRolledBack);
}

#[test]
fn an_automatic_operation_only_removes_the_label_of_a_rolled_back_version() {
    let admitted = |standing: RollbackStatus| -> Vec<Action> {
        let all = Action::ALL.into_iter();
        all.filter(|action| !action.is_manual_only() && standing.permits(*action))
            .collect()
    };
    let kept = [
        Action::ClearPending,
        Action::RestoreSecret,
        Action::ReleasePins,
    ];
    assert_eq!(admitted(RollbackStatus::RolledBack), kept);
    assert_eq!(admitted(RollbackStatus::Unknown), kept);
    assert_eq!(admitted(RollbackStatus::NotRolledBack).len(), 6);
}

/// A secret that was created without a value, and whose first rotation began at its last change.
fn first_rotation(last_changed: AwsTime) -> Secret {
    Secret {
        created: Some(last_changed.minus(minutes(1))),
        last_changed: Some(last_changed),
        last_rotated: None,
        next_rotation: Some(now().plus(hours(24))),
        labels: [(
            version("p"),
            [secret_rotation_core::names::StageLabel::pending()].into(),
        )]
        .into(),
        ..secret("prod/a")
    }
}

fn of(secret: Secret, versions: Option<VersionListing>) -> Verdict {
    let observation = observation(secret, versions);
    verdict::of(&observation, &detection(), VerdictInput::default(), now())
}

#[test]
fn a_first_rotation_is_in_progress_until_stuck_after_and_then_the_secret_is_broken() {
    let empty = || Some(VersionListing::default());
    let young = of(first_rotation(ago(Duration::from_secs(30))), empty());
    assert_eq!(
        (young.state, young.remedy_kind),
        (State::Rotating, RemedyKind::None)
    );
    assert_eq!(
        of(first_rotation(ago(ALMOST_STUCK)), empty()).state,
        State::Rotating
    );
    let died = of(first_rotation(ago(hours(6))), empty());
    assert_eq!(died.state, State::Broken);
    assert!(
        died.message.contains(
            "has no value; set one: kubectl secret-rotation put prod/a --region eu-west-1"
        ),
        "{}",
        died.message
    );
    let off = Secret {
        rotation: Rotation::Disabled,
        ..first_rotation(ago(minutes(1)))
    };
    assert_eq!(of(off, empty()).state, State::Broken, "no rotation runs");
    let replica = Secret {
        primary_region: Some(fixtures::region("us-east-1")),
        ..first_rotation(ago(minutes(1)))
    };
    assert_eq!(of(replica, empty()).state, State::Ineligible);
}

#[test]
fn a_first_value_that_never_became_current_is_not_ignored() {
    let valued = listing(&[("p", ago(hours(200)))]);
    let broken = of(first_rotation(ago(hours(200))), Some(valued));
    assert_eq!(broken.state, State::Broken);
    for part in [
        "has a value that the target may accept",
        "aws secretsmanager update-secret-version-stage --secret-id prod/a --version-stage AWSCURRENT --move-to-version-id p",
        "put prod/a --region eu-west-1 --force-while-rotating",
    ] {
        assert!(broken.message.contains(part), "{part}: {}", broken.message);
    }
    let unlisted = of(first_rotation(ago(hours(200))), None);
    assert!(unlisted.message.contains("may have a value"));
    let bare = Secret {
        labels: std::collections::BTreeMap::new(),
        ..secret("prod/a")
    };
    let bare = of(bare, None);
    assert_eq!(
        bare.message,
        "no version holds AWSCURRENT; set a value: kubectl secret-rotation put prod/a --region eu-west-1"
    );
}

#[test]
fn a_label_left_over_where_rotation_was_switched_off_is_part_of_disabled() {
    let found = |rotation: Rotation, reporting, versions: Option<VersionListing>| {
        let secret = Secret {
            rotation,
            ..stuck("prod/a")
        };
        let detection = Detection {
            rotation_disabled: reporting,
            ..detection()
        };
        let observation = observation(secret, versions);
        verdict::of(&observation, &detection, VerdictInput::default(), now())
    };
    let off = |reporting, versions| found(Rotation::Disabled, reporting, versions);
    let empty = off(Report, Some(without_value()));
    assert_eq!(
        (empty.state, empty.remedy_kind),
        (State::Disabled, RemedyKind::None)
    );
    assert_eq!(
        empty.message,
        "rotation was switched off; version p still holds AWSPENDING and has no value: remove the label with `kubectl secret-rotation clear prod/a --region eu-west-1`"
    );
    let valued = off(ReportUnconfigured, Some(with_value()));
    assert!(valued.message.contains("has a value"), "{}", valued.message);
    assert!(valued.message.contains("kubectl secret-rotation promote"));

    assert_eq!(off(Ignore, Some(without_value())).state, State::Healthy);
    let kept = off(Ignore, Some(with_value()));
    assert_eq!(
        (kept.state, kept.message),
        (State::Disabled, valued.message)
    );
    let unknown = off(Ignore, None);
    assert_eq!(unknown.state, State::Disabled);
    assert!(unknown.message.contains("may have a value"));

    let staging = |reporting| found(Rotation::NotConfigured, reporting, Some(with_value()));
    assert_eq!(staging(Report).state, State::Healthy);
    assert_eq!(staging(Ignore).state, State::Healthy);
    assert_eq!(
        staging(ReportUnconfigured).message,
        "rotation was never configured"
    );
}

#[test]
fn a_rolled_back_leftover_is_only_to_be_cleared_and_is_shown_with_another_state() {
    let rolled_back = Secret {
        rotation: Rotation::Disabled,
        last_rotated: Some(ago(hours(7))),
        ..stuck("prod/a")
    };
    let verdict = of(rolled_back.clone(), Some(with_value()));
    assert_eq!(verdict.state, State::Disabled);
    assert!(
        verdict
            .message
            .contains("was rolled back: remove the label")
    );
    assert!(!verdict.message.contains("promote"));
    let detection = Detection {
        max_age: Some(hours(8)),
        ..detection()
    };
    let observation = observation(rolled_back, Some(with_value()));
    let old = verdict::of(&observation, &detection, VerdictInput::default(), now());
    assert_eq!(old.state, State::TooOld);
    assert!(old.message.contains("still holds AWSPENDING"));
}

#[test]
fn a_rotation_whose_date_passed_long_ago_is_not_in_progress_because_a_tag_changed() {
    let tagged = |next: AwsTime| Secret {
        last_changed: Some(ago(minutes(30))),
        next_rotation: Some(next),
        ..stuck("prod/a")
    };
    let state = |secret, versions| {
        let verdict = of(secret, Some(versions));
        (verdict.state, verdict.since)
    };
    let late = (State::Stuck, ago(hours(30)));
    assert_eq!(state(tagged(ago(hours(30))), without_value()), late);
    let message = of(tagged(ago(hours(30))), Some(without_value())).message;
    assert!(message.contains("AWS meant to rotate it by 2026-11-22T04:00:00Z"));
    let young = (State::Rotating, ago(minutes(30)));
    let (due, hour) = (tagged(ago(ALMOST_STUCK)), ago(hours(1)));
    assert_eq!(
        state(due, without_value()),
        young,
        "it may have started just now"
    );
    let begun = listing(&[("c", ago(hours(99))), ("p", hour)]);
    let begun = state(tagged(ago(hours(30))), begun);
    assert_eq!(
        begun,
        (State::Rotating, hour),
        "its version was created since"
    );
    let patient = Detection {
        overdue_after: hours(40),
        ..detection()
    };
    let observation = observation(tagged(ago(hours(30))), Some(without_value()));
    let patient = verdict::of(&observation, &patient, VerdictInput::default(), now());
    assert_eq!(
        patient.state,
        State::Rotating,
        "no finding would exist for it"
    );
}

#[test]
fn a_rotation_that_began_while_its_secret_was_overdue_is_in_progress() {
    let begun = Secret {
        last_changed: Some(ago(minutes(1))),
        next_rotation: Some(ago(hours(30))),
        ..stuck("prod/a")
    };
    let overdue = PreviousFinding {
        state: State::Overdue,
        since: Some(ago(hours(30))),
        pending: None,
        first_observed: None,
        arn: None,
        message: String::new(),
        current: None,
        seen: None,
    };
    let rotating = observation(begun.clone(), Some(without_value()));
    let first = verdict::of(&rotating, &detection(), after(&overdue), now());
    assert_eq!(
        (first.state, first.first_observed),
        (State::Rotating, Some(now()))
    );
    let then = PreviousFinding {
        state: first.state,
        since: Some(first.since),
        pending: Some(version("p")),
        first_observed: first.first_observed,
        arn: None,
        message: String::new(),
        current: None,
        seen: None,
    };
    let later = now().plus(minutes(5));
    let second = verdict::of(&rotating, &detection(), after(&then), later);
    assert_eq!(second.state, State::Rotating);

    let mut ours = operation("ours", Action::Rotate, "prod/a");
    record_step(
        &mut ours,
        Step::Rotate,
        ago(minutes(1)),
        ResultKind::Applied,
    );
    let token = ours.request_token().expect("a token");
    let mut made = begun;
    let labels = made.labels.remove(&version("p")).expect("labels");
    made.labels.insert(token, labels);
    let operations = operation_index(&[ours]);
    let background = VerdictInput {
        operations: Some(&operations),
        ..VerdictInput::default()
    };
    let renewed = observation(made, Some(without_value()));
    let verdict = verdict::of(&renewed, &detection(), background, now());
    assert_eq!(
        verdict.state,
        State::Rotating,
        "this one is an own rotation"
    );
}

#[test]
fn a_stuck_secret_without_room_for_a_pin_names_the_labels_that_fill_it() {
    let filled = |labels: u32| {
        (0..labels).fold(stuck("prod/a"), |secret, n| {
            labelled(secret, &format!("team-{n:02}"), "c")
        })
    };
    let room = verdict(filled(16)).message;
    assert!(!room.contains("team-"), "{room}");
    let full = verdict(filled(17)).message;
    for part in [
        "20 of at most 20 labels, other labels: team-00, team-01",
        "team-16; remove labels that no one uses",
    ] {
        assert!(full.contains(part), "{full}");
    }
    let pin = pin_of(fixtures::cluster(), now(), "p");
    let pinned = verdict(labelled(filled(16), pin.as_str(), "p")).message;
    assert!(
        !pinned.contains("team-"),
        "it is about to be cleared: {pinned}"
    );
    let many = (0..5).fold(stuck("prod/a"), |secret, n| {
        let pin = pin_of(fixtures::cluster(), ago(hours(10 * n)), "c");
        labelled(secret, pin.as_str(), "c")
    });
    let many = verdict(many).message;
    assert!(
        many.ends_with("5 of at most 5 pins; release older pins with action ReleasePins"),
        "{many}"
    );
}
