//! What a policy selects, what it may see, and what becomes a finding.

use std::collections::BTreeSet;

use fixtures::{
    REGION, ago, arn, arn_in, aws_error, bound_policy, hours, inventory, labelled, listing,
    minutes, now, observation, operation_index, pin_of, policy, region, secret, secret_name, stuck,
    survey,
};
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::classify::{ClassifyInput, classify, previous_findings};
use secret_rotation_core::inventory::{Inventory, Observation};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::policy::{Expiry, Policy};
use secret_rotation_core::secret::Secret;
use secret_rotation_core::selector::{IGNORE_TAG, Matcher};
use secret_rotation_core::stability::StabilityTracker;
use secret_rotation_core::survey::{Finding, PreviousFindings, RemedyKind, State, Survey};
use secret_rotation_core::time::AwsTime;

fn all() -> BoundPolicy {
    bound_policy(policy("payments"))
}

fn naming(names: &[&str]) -> BoundPolicy {
    let mut policy = policy("payments");
    policy.selector.include = vec![Matcher {
        names: names.iter().copied().map(secret_name).collect(),
        ..Matcher::default()
    }];
    bound_policy(policy)
}

fn expiring(tag: &str, last_rotated: Option<AwsTime>) -> Option<Finding> {
    let mut policy = policy("payments");
    policy.detection.expiry = Some(Expiry {
        tag_key: "expires".to_owned(),
        rotate_before: hours(168),
    });
    let mut secret = Secret {
        last_rotated,
        ..secret("prod/a")
    };
    secret.tags.insert("expires".to_owned(), tag.to_owned());
    let survey = survey(&bound_policy(policy), vec![Observation::listed(secret)]);
    survey.findings.into_iter().next()
}

fn over(
    bound_policy: &BoundPolicy,
    inventories: &[&Inventory],
    previous: &PreviousFindings,
) -> Survey {
    let (tenant, profile) = (&bound_policy.tenant, &bound_policy.profile);
    let known = ClassifyInput {
        previous,
        operations: &operation_index(&[]),
        stability: &StabilityTracker::default(),
    };
    classify(tenant, profile, &bound_policy.policy, inventories, known)
}

/// The state, the kind of remedy, and whether the message is about a stale tag.
fn gist(finding: Option<Finding>) -> Option<(State, RemedyKind, bool)> {
    finding.map(|finding| {
        let stale = finding.message.contains("ExpiryTagStale");
        (finding.state, finding.remedy_kind, stale)
    })
}

#[test]
fn a_value_is_expiring_from_rotate_before_on_by_date_or_time() {
    let due = Some((State::Expiring, RemedyKind::Overdue, false));
    let long_ago = Some(ago(hours(1000)));
    assert_eq!(gist(expiring("2026-11-30T10:00:00Z", long_ago)), due);
    assert_eq!(gist(expiring("2026-11-30T10:00:01Z", long_ago)), None);
    assert_eq!(gist(expiring("2026-11-30T12:00:00+02:00", long_ago)), due);
    assert_eq!(gist(expiring("2026-11-30", long_ago)), due);
    assert_eq!(gist(expiring("2026-12-01", long_ago)), None);
    assert_eq!(gist(expiring("2026-11-24", None)), due);
    assert_eq!(gist(expiring(" 2026-11-24 ", None)), due);
    for never in ["9999-12-31", "9999-12-31T23:59:59Z"] {
        assert_eq!(gist(expiring(never, None)), None, "{never}");
    }
}

#[test]
fn a_date_that_has_passed_is_reported_as_such() {
    let message = |tag| expiring(tag, None).expect("a finding").message;
    let (past, future) = (message("2026-11-22"), message("2026-11-24"));
    assert!(past.contains("expired at 2026-11-22"), "{past}");
    assert!(future.contains("expires at 2026-11-24"), "{future}");
}

#[test]
fn an_invalid_tag_hides_no_other_state_of_the_secret() {
    let mut policy = policy("payments");
    policy.detection.expiry = Some(Expiry {
        tag_key: "expires".to_owned(),
        rotate_before: hours(168),
    });
    let mut secret = Secret {
        next_rotation: Some(ago(hours(50))),
        ..secret("prod/a")
    };
    secret.tags.insert("expires".to_owned(), "never".to_owned());
    let survey = survey(&bound_policy(policy), vec![Observation::listed(secret)]);
    assert_eq!(
        gist(survey.findings.into_iter().next()),
        Some((State::Overdue, RemedyKind::Overdue, true))
    );
}

#[test]
fn an_invalid_or_outdated_expiry_is_reported_and_never_acted_on() {
    let unknown = Some((State::Unknown, RemedyKind::None, true));
    for unreadable in [
        "next tuesday",
        "never",
        "",
        "2026-12",
        "2026-13-01",
        "20261124",
        "2026-11-24T10:00:00",
        "2026-11-24T10:00:00+01:00[Europe/Berlin]",
    ] {
        assert_eq!(gist(expiring(unreadable, None)), unknown, "{unreadable}");
    }
    let stale = Some((State::Expiring, RemedyKind::None, true));
    assert_eq!(gist(expiring("2026-11-24", Some(ago(hours(1))))), stale);
}

#[test]
fn a_current_version_made_after_the_due_date_makes_the_tag_stale() {
    let mut policy = policy("payments");
    policy.detection.expiry = Some(Expiry {
        tag_key: "expires".to_owned(),
        rotate_before: hours(168),
    });
    let mut secret = Secret {
        last_rotated: None,
        ..secret("prod/a")
    };
    secret
        .tags
        .insert("expires".to_owned(), "2026-11-24".to_owned());
    let observation = observation(secret, Some(listing(&[("c", ago(hours(1)))])));
    let survey = survey(&bound_policy(policy), vec![observation]);
    assert!(survey.findings[0].message.contains("ExpiryTagStale"));
    assert_eq!(survey.findings[0].remedy_kind, RemedyKind::None);
}

#[test]
fn a_healthy_secret_with_a_pin_is_kept_apart_so_that_the_pin_can_be_released() {
    let pin = pin_of(fixtures::cluster(), ago(hours(2)), "p");
    let secret = labelled(secret("prod/a"), pin.as_str(), "p");
    let observation = observation(secret, Some(listing(&[("c", ago(hours(72)))])));
    let survey = survey(&all(), vec![observation]);
    assert_eq!((survey.findings, survey.pinned.len()), (Vec::new(), 1));
}

#[test]
fn a_missing_name_is_reported_only_after_a_complete_sweep() {
    let policy = naming(&["prod/a", "prod/gone"]);
    let mut seen = inventory(vec![Observation::listed(secret("prod/a"))]);
    let complete = over(&policy, &[&seen], &PreviousFindings::default());
    assert_eq!(complete.count(State::NotFound), 1);
    assert_eq!(complete.findings[0].name, secret_name("prod/gone"));
    seen.gap = Some(aws_error(ErrorClass::Throttled));
    let partial = over(&policy, &[&seen], &PreviousFindings::default());
    assert_eq!((partial.is_complete(), partial.findings.len()), (false, 0));
}

#[test]
fn a_missing_name_is_not_reported_before_every_region_was_swept() {
    let mut policy = naming(&["prod/gone"]);
    policy.profile.regions.insert(region("us-east-1"));
    let one = inventory(Vec::new());
    let survey = over(&policy, &[&one], &PreviousFindings::default());
    assert_eq!((survey.is_complete(), survey.findings.len()), (false, 0));
    let none = over(&policy, &[], &PreviousFindings::default());
    assert!(!none.is_complete(), "nothing was seen yet");
}

#[test]
fn a_name_that_exists_in_one_region_is_not_missing() {
    let mut policy = naming(&["prod/a"]);
    policy.profile.regions.insert(region("us-east-1"));
    let here = inventory(Vec::new());
    let mut elsewhere = secret("prod/a");
    elsewhere.arn = arn_in("us-east-1", "prod/a");
    let there = Inventory {
        region: region("us-east-1"),
        ..inventory(vec![Observation::listed(elsewhere)])
    };
    let survey = over(&policy, &[&here, &there], &PreviousFindings::default());
    assert_eq!((survey.is_complete(), survey.findings), (true, Vec::new()));
}

#[test]
fn a_region_that_the_policy_does_not_use_delays_nothing() {
    let mut policy = naming(&["prod/gone"]);
    policy.profile.regions.insert(region("us-east-1"));
    policy.policy.regions = Some(BTreeSet::from([region("eu-west-1")]));
    let one = inventory(Vec::new());
    let survey = over(&policy, &[&one], &PreviousFindings::default());
    assert_eq!(survey.count(State::NotFound), 1);
}

#[test]
fn secrets_beyond_the_ceiling_are_not_counted() {
    let names = ["prod/a", "production/a", "shared/a", "prod", "other/a"];
    let observations = names.map(|name| Observation::listed(stuck(name)));
    let survey = survey(&all(), observations.into());
    let found: Vec<_> = survey.findings.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(found, ["prod/a", "shared/a"]);
    assert_eq!((survey.selected, survey.findings.len()), (2, 2));
    assert_eq!(survey.count(State::Stuck), 2);
}

#[test]
fn a_name_beyond_the_ceiling_is_never_reported_as_missing() {
    let survey = over(
        &naming(&["production/x"]),
        &[&inventory(Vec::new())],
        &PreviousFindings::default(),
    );
    assert_eq!(survey.findings, []);
}

#[test]
fn a_secret_of_another_account_is_beyond_the_ceiling() {
    let mut policy = all();
    policy.profile.account =
        Some(secret_rotation_core::names::AccountId::parse("999999999999").expect("an account"));
    let survey = survey(&policy, vec![Observation::listed(stuck("prod/a"))]);
    assert_eq!((survey.selected, survey.findings.len()), (0, 0));
}

#[test]
fn an_ignored_secret_is_neither_a_finding_nor_missing() {
    let mut ignored = stuck("prod/a");
    ignored.tags.insert(IGNORE_TAG.to_owned(), String::new());
    let inventory = inventory(vec![Observation::listed(ignored)]);
    let survey = over(
        &naming(&["prod/a"]),
        &[&inventory],
        &PreviousFindings::default(),
    );
    assert_eq!((survey.selected, survey.findings), (0, Vec::new()));
}

#[test]
fn replicas_are_counted_and_are_not_findings() {
    let replica = Secret {
        primary_region: Some(region("us-east-1")),
        ..stuck("prod/a")
    };
    let survey = survey(&all(), vec![Observation::listed(replica)]);
    assert_eq!(survey.count(State::Ineligible), 1);
    assert_eq!(
        (
            survey.findings.len(),
            survey.regions[&region(REGION)].eligible
        ),
        (0, 0)
    );
}

#[test]
fn too_old_is_measured_by_the_last_change_or_else_by_the_version_list() {
    let aged = |last_changed, versions| {
        let mut policy: Policy = policy("payments");
        policy.detection.max_age = Some(hours(100));
        let secret = Secret {
            last_changed: Some(last_changed),
            ..secret("prod/a")
        };
        let survey = survey(&bound_policy(policy), vec![observation(secret, versions)]);
        survey.findings.first().map(|finding| finding.state)
    };
    assert_eq!(aged(ago(hours(100)), None), Some(State::TooOld));
    assert_eq!(aged(ago(minutes(1)), None), None);
    let old = Some(listing(&[("c", ago(hours(100)))]));
    assert_eq!(aged(ago(minutes(1)), old), Some(State::TooOld));
    let young = Some(listing(&[("c", ago(hours(99)))]));
    assert_eq!(aged(ago(minutes(1)), young), None);
}

#[test]
fn the_findings_of_a_survey_change_nothing_in_the_next_one() {
    let inventory = inventory(vec![
        observation(stuck("prod/a"), Some(fixtures::without_value())),
        Observation {
            unreadable: Some(aws_error(ErrorClass::Denied)),
            ..Observation::listed(secret("prod/b"))
        },
    ]);
    let first = over(&all(), &[&inventory], &PreviousFindings::default());
    let later = Inventory {
        time: now().plus(hours(1)),
        ..inventory
    };
    let second = over(&all(), &[&later], &previous_findings(&first));
    let since = |survey: &Survey| {
        let each = survey.findings.iter();
        each.map(|f| (f.arn.clone(), f.since, f.first_observed))
            .collect::<Vec<_>>()
    };
    assert_eq!(since(&second), since(&first));
    assert_eq!(second.findings[0].arn, Some(arn("prod/a")));
}
