//! Secrets whose metadata keeps changing: what is reported, and when an empty version may still be cleared.

use std::collections::BTreeMap;
use std::time::Duration;

use fixtures::{
    ago, bound_policy, cluster, hours, inventory, labelled, listing, minutes, now, observation,
    operation, operation_index, pin_of, policy, policy_index, record_step, stuck, version,
    with_value, without_value,
};
use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::classify::{ClassifyInput, classify};
use secret_rotation_core::inventory::{Inventory, Observation};
use secret_rotation_core::journal::ResultKind;
use secret_rotation_core::operation::Operation;
use secret_rotation_core::plan::{DeferredOperations, PlanInput, RegionGates};
use secret_rotation_core::planner::plan;
use secret_rotation_core::policy::{StuckRemedy, Suspension};
use secret_rotation_core::secret::PendingValue;
use secret_rotation_core::secret::{Rotation, Secret, VersionListing};
use secret_rotation_core::stability::{
    ChangedMetadata, Stability, StabilityTracker, clearable_from,
};
use secret_rotation_core::survey::{Finding, PreviousFindings, State, Survey};
use secret_rotation_core::time::AwsTime;

use crate::support::planning::{functions, known, text};

/// Returns the secret after the `n`-th change of a job that sets a tag every hour, the last change being now.
fn tagged(n: u64, of: u64, versions: VersionListing) -> (AwsTime, Observation) {
    let at = ago(hours(of - n));
    let mut secret = Secret {
        last_changed: Some(at),
        ..stuck("prod/a")
    };
    secret.tags.insert("last-synced".to_owned(), n.to_string());
    (at.plus(minutes(1)), observation(secret, Some(versions)))
}

/// Returns what a process knows that has watched such a job for this many hours.
fn watched(of: u64, versions: &VersionListing) -> (StabilityTracker, Observation) {
    let mut stability = StabilityTracker::default();
    for n in 0..of {
        let (at, seen) = tagged(n, of, versions.clone());
        stability.observe(&seen.secret, seen.versions.as_ref(), at);
    }
    let (_, seen) = tagged(of, of, versions.clone());
    stability.observe(&seen.secret, seen.versions.as_ref(), now());
    (stability, seen)
}

fn surveyed_and_planned(
    stability: &StabilityTracker,
    seen: Observation,
    stuck: StuckRemedy,
) -> (Survey, String) {
    judged_after(stability, seen, stuck, &[])
}

/// Returns the survey and the plan of a policy that has known the pending version for two days.
fn judged_after(
    stability: &StabilityTracker,
    seen: Observation,
    stuck: StuckRemedy,
    operations: &[Operation],
) -> (Survey, String) {
    let mut own = bound_policy(policy("payments"));
    own.policy.remediation.stuck = stuck;
    own.policy.suspension = Suspension::Active;
    let functions = functions(std::slice::from_ref(&seen));
    let inventory: Inventory = inventory(vec![seen]);
    let remembered = secret_rotation_core::survey::PreviousFinding {
        state: State::Stuck,
        since: Some(ago(hours(48))),
        pending: Some(version("p")),
        first_observed: Some(ago(hours(48))),
        arn: None,
        message: String::new(),
        current: None,
        seen: None,
    };
    let place = (inventory.region.clone(), fixtures::secret_name("prod/a"));
    let seen = ClassifyInput {
        previous: &PreviousFindings {
            findings: BTreeMap::from([(place, remembered)]),
            ..PreviousFindings::default()
        },
        operations: &operation_index(operations),
        stability,
    };
    let survey = classify(&own.tenant, &own.profile, &own.policy, &[&inventory], seen);
    let input = PlanInput {
        region_gates: &RegionGates::default(),
        stability,
        deferred: &DeferredOperations::default(),
        own: &own,
        bound_policies: &policy_index(std::slice::from_ref(&own)),
        operations: &known(operations, &functions),
        cluster: &cluster(),
        now: now(),
    };
    let planned = text(&plan(&survey, &input));
    (survey, planned)
}

fn only(survey: &Survey) -> &Finding {
    &survey.findings[0]
}

#[test]
fn a_version_without_a_value_is_cleared_after_a_day_of_stable_labels() {
    let (stability, seen) = watched(24, &without_value());
    let (survey, young) = surveyed_and_planned(&stability, seen, StuckRemedy::Recover);
    let held = "block prod/a RecentlyChanged until 2026-11-23T10:01:00Z\n";
    assert_eq!(young, held, "a minute is missing");
    let message = &only(&survey).message;
    let promise = "is not cleared before 2026-11-23T10:01:00Z";
    assert!(message.contains(promise), "{message}");
    let (stability, seen) = watched(25, &without_value());
    let (survey, _) = surveyed_and_planned(&stability, seen.clone(), StuckRemedy::Recover);
    let message = &only(&survey).message;
    assert!(message.contains("may be cleared since"), "{message}");
    assert!(!message.contains("not cleared before"), "{message}");
    for (remedy, expected) in [
        (StuckRemedy::Recover, "create ClearAndRotate prod/a\n"),
        (StuckRemedy::ClearPending, "create ClearPending prod/a\n"),
        (StuckRemedy::RetryRotation, "block prod/a RecentlyChanged\n"),
    ] {
        assert_eq!(
            surveyed_and_planned(&stability, seen.clone(), remedy).1,
            expected
        );
    }
}

#[test]
fn a_version_with_a_value_is_reported_and_no_time_is_promised() {
    let (stability, seen) = watched(60, &with_value());
    let (survey, plan) = surveyed_and_planned(&stability, seen, StuckRemedy::ClearAndRotate);
    assert_eq!(plan, "block prod/a RecentlyChanged\n");
    let finding = only(&survey);
    assert_eq!(
        (finding.state, finding.since),
        (State::Stuck, Some(ago(hours(48))))
    );
    for part in [
        "its labels have not changed since 2026-11-20T22:01:00Z or earlier",
        "its tags (last-synced)",
        "no automatic action starts",
        "Stop what changes it",
    ] {
        assert!(
            finding.message.contains(part),
            "{part}: {}",
            finding.message
        );
    }
    assert_eq!(
        finding.stability.as_ref().map(|rest| rest.metadata_changes),
        Some(60)
    );
}

#[test]
fn a_single_metadata_change_is_not_reported() {
    let mut stability = StabilityTracker::default();
    let quiet = stuck("prod/a");
    for age in (1..30).rev() {
        stability.observe(&quiet, Some(&without_value()), ago(hours(age)));
    }
    let touched = Secret {
        last_changed: Some(ago(minutes(1))),
        ..quiet
    };
    stability.observe(&touched, Some(&without_value()), now());
    let observation = observation(touched, Some(without_value()));
    let (survey, plan) = surveyed_and_planned(&stability, observation, StuckRemedy::Recover);
    let held = "block prod/a RecentlyChanged until 2026-11-23T15:59:00Z\n";
    assert_eq!(plan, held);
    assert!(!only(&survey).message.contains("keeps changing"));
}

#[test]
fn an_own_write_still_restarts_the_quiet_time() {
    let (stability, seen) = watched(30, &without_value());
    let mut retry = operation("retry", Action::RetryRotation, "prod/a");
    record_step(&mut retry, Step::Rotate, ago(hours(5)), ResultKind::Applied);
    retry.outcome = Some(secret_rotation_core::operation::Outcome::Succeeded {
        message: String::new(),
    });
    let (_, plan) = judged_after(&stability, seen, StuckRemedy::ClearPending, &[retry]);
    assert_eq!(
        plan,
        "block prod/a RecentlyChanged until 2026-11-23T11:00:00Z\n"
    );
}

fn rest_after(looks: &[(AwsTime, Secret, Option<VersionListing>)]) -> Option<Stability> {
    let mut stability = StabilityTracker::default();
    for (at, secret, versions) in looks {
        stability.observe(secret, versions.as_ref(), *at);
    }
    let (at, last, _) = looks.last().expect("a look");
    stability.stability(last, *at).cloned()
}

fn since(looks: &[(AwsTime, Secret, Option<VersionListing>)]) -> Option<AwsTime> {
    rest_after(looks).map(|rest| rest.since)
}

#[test]
fn a_moved_label_or_version_restarts_the_stable_time() {
    let (first, second) = (ago(hours(1)), now());
    let plain = || stuck("prod/a");
    let empty = || Some(without_value());
    let both =
        |then: Secret, versions| since(&[(first, plain(), empty()), (second, then, versions)]);
    assert_eq!(both(plain(), empty()), Some(first));
    assert_eq!(both(plain(), None), Some(first), "not listed this time");
    let labels = labelled(plain(), "STAGING", "p");
    assert_eq!(both(labels, empty()), Some(second));
    assert_eq!(both(plain(), Some(with_value())), Some(second), "a value");
    let renewed = Some(listing(&[("b", ago(hours(500))), ("c", ago(hours(71)))]));
    assert_eq!(both(plain(), renewed), Some(second), "another date");
    let pin = pin_of(cluster(), now(), "p");
    let pinned = Secret {
        last_changed: Some(now()),
        ..labelled(plain(), pin.as_str(), "p")
    };
    assert_eq!(both(pinned.clone(), empty()), Some(first), "our own pin");
    let rest = rest_after(&[(first, plain(), empty()), (second, pinned, empty())]);
    assert_eq!(
        rest.map(|rest| rest.metadata_changes),
        Some(0),
        "nor a change"
    );
    let done = fixtures::secret("prod/a");
    assert_eq!(both(done, None), None, "nothing is pending");
}

#[test]
fn looks_before_a_gap_do_not_count() {
    let look = |at: AwsTime| (at, stuck("prod/a"), Some(without_value()));
    let apart = |gap: Duration| since(&[look(now().minus(gap)), look(now())]);
    assert_eq!(apart(minutes(60)), Some(ago(minutes(60))));
    assert_eq!(apart(minutes(66)), Some(now()));
    let late = [look(ago(minutes(30))), look(now()), look(ago(minutes(20)))];
    let mut stability = StabilityTracker::default();
    for (at, secret, versions) in &late {
        stability.observe(secret, versions.as_ref(), *at);
    }
    let rest = |at| {
        stability
            .stability(&stuck("prod/a"), at)
            .map(|rest| rest.since)
    };
    assert_eq!(rest(now().plus(minutes(60))), Some(ago(minutes(30))));
    assert_eq!(rest(now().plus(minutes(66))), None, "not seen for too long");
    let moved = labelled(stuck("prod/a"), "STAGING", "p");
    assert_eq!(
        stability.stability(&moved, now()),
        None,
        "it looks different now"
    );
    stability.forget_older_than_gap(now().plus(minutes(66)));
    assert_eq!(stability.stability(&stuck("prod/a"), now()), None);
    let absurd = AwsTime::new(jiff::Timestamp::MAX);
    let looks = [look(ago(minutes(30))), look(absurd), look(now())];
    assert_eq!(
        since(&looks),
        Some(now()),
        "an absurd date breaks the chain"
    );
}

#[test]
fn a_list_that_lags_is_no_change() {
    let newer = Secret {
        last_changed: Some(ago(minutes(5))),
        ..stuck("prod/a")
    };
    let looks = [
        (ago(minutes(4)), newer, Some(without_value())),
        (now(), stuck("prod/a"), None),
    ];
    assert_eq!(
        rest_after(&looks).map(|rest| rest.metadata_changes),
        Some(0)
    );
}

#[test]
fn the_metadata_that_keeps_changing_is_named() {
    let mut tagged = stuck("prod/a");
    for key in ["a", "b", "c", "d"] {
        tagged.tags.insert(key.to_owned(), "1".to_owned());
    }
    tagged.last_changed = Some(ago(minutes(3)));
    let switched = Secret {
        rotation: Rotation::NotConfigured,
        last_changed: Some(ago(minutes(2))),
        ..tagged.clone()
    };
    let unseen = Secret {
        last_changed: Some(ago(minutes(1))),
        ..switched.clone()
    };
    let looks = [stuck("prod/a"), tagged, switched, unseen];
    let looks: Vec<_> = looks
        .into_iter()
        .map(|secret| (now(), secret, None))
        .collect();
    let rest = rest_after(&looks).expect("watched");
    assert!(rest.keeps_changing());
    assert!(
        rest.changed_metadata
            .contains(&ChangedMetadata::Tag("d".to_owned()))
    );
    assert_eq!(
        rest.to_string(),
        "its tags (a, b, c and others) and its rotation settings and metadata such as its description, key, policy or replicas"
    );
}

#[test]
fn only_a_version_without_a_value_is_ever_clearable() {
    let of = |value| clearable_from(ago(hours(24)), value);
    assert_eq!(of(PendingValue::Empty), Some(now()));
    for value in [
        PendingValue::Present,
        PendingValue::Unknown,
        PendingValue::None,
    ] {
        assert_eq!(of(value), None);
    }
}

#[test]
fn the_versions_of_an_empty_pending_version_are_listed_again_after_a_change() {
    let changed = Secret {
        last_changed: Some(now()),
        ..stuck("prod/a")
    };
    let needed = |versions: Option<VersionListing>, secret: &Secret| {
        let last = observation(stuck("prod/a"), versions);
        Observation::versions_needed(secret, Some(&last))
    };
    assert!(needed(Some(without_value()), &changed));
    assert!(!needed(Some(without_value()), &stuck("prod/a")));
    assert!(!needed(Some(with_value()), &changed), "it keeps its value");
    assert!(needed(None, &changed));
}
