//! What is known after complete, partial and failed sweeps: absent does not mean gone, and unknown does not mean small.

use std::collections::{BTreeMap, BTreeSet};

use fixtures::{
    REGION, ago, arn, arn_in, aws_error, bound_policy, hours, inventory, minutes, now, observation,
    operation_index, policy, region, secret, secret_name, stuck, without_value,
};
use proptest::prelude::*;
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::block::BlockReason;
use secret_rotation_core::classify::{ClassifyInput, classify, previous_findings};
use secret_rotation_core::inventory::{Inventory, Observation, Unseen};
use secret_rotation_core::names::Region;
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::plan::{Breaker, Plan};
use secret_rotation_core::selector::{Matcher, Selector, TagMatcher};
use secret_rotation_core::stability::StabilityTracker;
use secret_rotation_core::survey::{PreviousFindings, State, Survey};
use secret_rotation_core::time::AwsTime;

use crate::support::planning::{functions, plan_for};

fn payments() -> BoundPolicy {
    let mut own = bound_policy(policy("payments"));
    own.policy.remediation.max_concurrent = 1000;
    own
}

fn at(time: AwsTime, observations: Vec<Observation>) -> Inventory {
    Inventory {
        time,
        completed: None,
        ..inventory(observations)
    }
}

fn torn(inventory: Inventory) -> Inventory {
    Inventory {
        gap: Some(aws_error(ErrorClass::Unreachable)),
        ..inventory
    }
}

fn after(seen: Inventory, last: &Inventory) -> Inventory {
    seen.after(Some(last), &|_| true)
}

fn sick(text: &str) -> Observation {
    observation(stuck(text), Some(without_value()))
}

fn surveyed_and_planned(
    own: &BoundPolicy,
    inventories: &[&Inventory],
    previous: &PreviousFindings,
) -> (Survey, Plan) {
    let known = ClassifyInput {
        previous,
        operations: &operation_index(&[]),
        stability: &StabilityTracker::default(),
    };
    let survey = classify(&own.tenant, &own.profile, &own.policy, inventories, known);
    let seen = inventories.iter().flat_map(|one| one.secrets.values());
    let functions = functions(&seen.cloned().collect::<Vec<_>>());
    let plan = plan_for(&survey, own, std::slice::from_ref(own), &functions, &[]);
    (survey, plan)
}

fn unseen(inventory: &Inventory, text: &str) -> Option<Unseen> {
    inventory.secrets.get(&arn(text))?.unseen
}

#[test]
fn a_secret_that_failing_sweeps_miss_stays_as_it_was_last_seen() {
    let mut known = at(now(), vec![sick("prod/a"), sick("prod/b")]).after(None, &|_| true);
    for sweep in 1..50 {
        let time = now().plus(minutes(sweep));
        known = after(torn(at(time, vec![sick("prod/b")])), &known);
        assert_eq!(known.time, time, "time passes");
        assert_eq!(known.completed, Some(now()));
        let expected = Unseen {
            since: now(),
            missed: None,
        };
        assert_eq!(unseen(&known, "prod/a"), Some(expected));
        assert_eq!(unseen(&known, "prod/b"), None);
    }
    let (survey, plan) = surveyed_and_planned(&payments(), &[&known], &PreviousFindings::default());
    assert_eq!(survey.count(State::Stuck), 2);
    assert_eq!(survey.checked, Some(now()));
    assert_eq!(survey.findings[0].unseen_since, Some(now()));
    assert_eq!(plan.create, []);
    let known = after(at(now().plus(hours(1)), vec![sick("prod/a")]), &known);
    assert_eq!(unseen(&known, "prod/a"), None, "seen again");
}

/// A rotation in progress does not become stuck only because it is not seen.
#[test]
fn an_unseen_secret_keeps_the_verdict_of_its_last_sight() {
    let young = Observation::listed(secret_rotation_core::secret::Secret {
        last_changed: Some(ago(minutes(5))),
        ..stuck("prod/a")
    });
    let known = at(now(), vec![young]).after(None, &|_| true);
    let later = after(torn(at(now().plus(hours(12)), Vec::new())), &known);
    let (survey, _) = surveyed_and_planned(&payments(), &[&later], &PreviousFindings::default());
    assert_eq!(survey.count(State::Rotating), 1);
}

/// A look at one secret makes no other one newer, and its own ages continue from that look.
#[test]
fn a_secret_that_was_looked_at_again_is_classified_by_the_time_of_that_look() {
    let young = |text: &str| {
        Observation::listed(secret_rotation_core::secret::Secret {
            last_changed: Some(ago(minutes(5))),
            ..stuck(text)
        })
    };
    let mut known = at(now(), vec![young("prod/a"), young("prod/b")]).after(None, &|_| true);
    let looked = now().plus(hours(12));
    known.looked_again = [(arn("prod/a"), looked)].into();
    let (survey, _) = surveyed_and_planned(&payments(), &[&known], &PreviousFindings::default());
    let state = |text: &str| {
        let mut findings = survey.findings.iter();
        findings
            .find(|finding| finding.name.as_str() == text)
            .map(|finding| finding.state)
    };
    assert_eq!(state("prod/a"), Some(State::Stuck));
    assert_eq!(state("prod/b"), Some(State::Rotating));
    let next = after(torn(at(now().plus(hours(13)), Vec::new())), &known);
    let since = |text: &str| unseen(&next, text).map(|unseen| unseen.since);
    assert_eq!(
        (since("prod/a"), since("prod/b")),
        (Some(looked), Some(now()))
    );
}

#[test]
fn a_secret_is_gone_when_two_complete_sweeps_five_minutes_apart_missed_it() {
    let first = at(now(), vec![sick("prod/a")]).after(None, &|_| true);
    let empty = |after_minutes| at(now().plus(minutes(after_minutes)), Vec::new());
    let second = after(empty(1), &first);
    assert!(
        second.secrets.contains_key(&arn("prod/a")),
        "once is not enough"
    );
    let third = after(empty(5), &second);
    assert!(
        third.secrets.contains_key(&arn("prod/a")),
        "four minutes apart"
    );
    let failing = after(torn(empty(7)), &third);
    assert!(
        failing.secrets.contains_key(&arn("prod/a")),
        "nothing was missed"
    );
    assert!(after(empty(6), &third).secrets.is_empty());
    let (survey, plan) =
        surveyed_and_planned(&payments(), &[&second], &PreviousFindings::default());
    assert_eq!(survey.count(State::Stuck), 1);
    let held: Vec<_> = plan.blocked.values().map(|block| block.reason).collect();
    assert_eq!(
        (plan.create.len(), held),
        (0, vec![BlockReason::SweepIncomplete])
    );
}

#[test]
fn a_response_that_a_secret_does_not_exist_needs_a_later_one_to_confirm_it() {
    let first = at(now(), vec![sick("prod/a")]).after(None, &|_| true);
    let gone = |seconds| Inventory {
        missing: vec![secret_name("prod/a")],
        ..at(
            now().plus(std::time::Duration::from_secs(seconds)),
            Vec::new(),
        )
    };
    let second = after(gone(20), &first);
    assert_eq!(second.secrets.len(), 1);
    assert_eq!(after(gone(25), &second).secrets.len(), 1, "too soon");
    assert_eq!(after(gone(30), &second).secrets.len(), 0);
    let both = Inventory {
        gone: [arn("prod/a")].into(),
        ..at(now().plus(minutes(1)), Vec::new())
    };
    assert_eq!(after(both, &first).secrets.len(), 0, "list and look agree");
}

#[test]
fn a_secret_is_dropped_if_no_policy_selects_it_or_another_secret_has_its_name() {
    let first = at(now(), vec![sick("prod/a")]).after(None, &|_| true);
    let dropped = torn(at(now(), Vec::new())).after(Some(&first), &|_| false);
    assert!(dropped.secrets.is_empty());
    let mut again = sick("prod/a");
    again.secret.arn = secret_rotation_core::names::Arn::parse(
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/a-GhIjKl",
    )
    .expect("an ARN");
    let replaced = after(torn(at(now(), vec![again])), &first);
    assert_eq!(replaced.secrets.len(), 1);
}

#[test]
fn the_breaker_stays_open_while_most_of_a_region_cannot_be_seen() {
    let many: Vec<_> = (0..121).map(|n| sick(&format!("prod/s{n:03}"))).collect();
    let mut known = at(now(), many).after(None, &|_| true);
    for sweep in 1..6 {
        let one = vec![sick("prod/s000")];
        known = after(torn(at(now().plus(minutes(sweep)), one)), &known);
    }
    let (_, plan) = surveyed_and_planned(&payments(), &[&known], &PreviousFindings::default());
    assert_eq!((plan.breaker, plan.create.len()), (Breaker::Open, 0));
}

/// A secret that the list shows as stuck. A secret that AWS denies access to is not taken to be healthy.
#[test]
fn a_stuck_secret_that_may_not_be_described_counts_as_stuck_and_is_never_acted_on() {
    let denied = |n| Observation {
        unreadable: Some(aws_error(ErrorClass::Denied)),
        ..Observation::listed(stuck(&format!("prod/d{n}")))
    };
    let one = at(now(), vec![denied(0)]);
    let (survey, plan) = surveyed_and_planned(&payments(), &[&one], &PreviousFindings::default());
    assert_eq!(survey.count(State::Stuck), 1);
    let held: Vec<_> = plan.blocked.values().map(|block| block.reason).collect();
    assert_eq!(
        (plan.create.len(), held),
        (0, vec![BlockReason::AccessDenied])
    );
    let mut many: Vec<_> = (0..9).map(denied).collect();
    many.push(sick("prod/a"));
    let (_, plan) = surveyed_and_planned(
        &payments(),
        &[&at(now(), many)],
        &PreviousFindings::default(),
    );
    assert_eq!((plan.breaker, plan.create.len()), (Breaker::Open, 0));
}

fn unread(names: &[&str], class: ErrorClass) -> Inventory {
    let unread = names
        .iter()
        .map(|text| (secret_name(text), aws_error(class)));
    Inventory {
        unread: unread.collect(),
        ..at(now(), vec![Observation::listed(secret("prod/a"))])
    }
}

#[test]
fn a_name_that_may_not_be_read_is_a_finding_of_the_policies_that_name_it() {
    let mut own = payments();
    own.policy.selector.include = vec![Matcher {
        names: ["prod/a", "prod/b"].map(secret_name).into(),
        ..Matcher::default()
    }];
    let seen = unread(
        &["prod/b", "prod/other", "production/b"],
        ErrorClass::Denied,
    );
    let (survey, _) = surveyed_and_planned(&own, &[&seen], &PreviousFindings::default());
    assert!(survey.is_complete());
    let found: Vec<_> = survey
        .findings
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!((found, survey.selected), (vec!["prod/b"], 2));
    assert_eq!(survey.findings[0].state, State::Unknown);
    assert!(survey.findings[0].message.contains("does not exist, or"));
    let torn = unread(&["prod/b"], ErrorClass::Malformed);
    let (survey, _) = surveyed_and_planned(&own, &[&torn], &PreviousFindings::default());
    assert_eq!(survey.count(State::Unknown), 1);
}

/// IAM denies access to the name in every region in which it does not exist.
#[test]
fn a_name_that_another_region_has_is_not_unknown_here() {
    let mut own = payments();
    own.profile.regions.insert(region("us-east-1"));
    own.policy.selector.include = vec![Matcher {
        names: [secret_name("prod/a")].into(),
        ..Matcher::default()
    }];
    let here = at(now(), vec![Observation::listed(secret("prod/a"))]);
    let there = Inventory {
        region: region("us-east-1"),
        secrets: BTreeMap::new(),
        ..unread(&["prod/a"], ErrorClass::Denied)
    };
    let (survey, _) = surveyed_and_planned(&own, &[&here, &there], &PreviousFindings::default());
    assert_eq!(survey.findings, []);
}

fn restarted(survey: &Survey) -> PreviousFindings {
    PreviousFindings {
        unconfirmed: survey.regions.keys().cloned().collect(),
        ..previous_findings(survey)
    }
}

#[test]
fn findings_from_before_a_restart_stay_until_their_region_was_seen_completely() {
    let own = payments();
    let before = at(
        now(),
        vec![sick("prod/a"), Observation::listed(secret("prod/b"))],
    );
    let (first, _) = surveyed_and_planned(&own, &[&before], &PreviousFindings::default());
    let failed_sweep = torn(at(now().plus(minutes(9)), Vec::new()));
    let (mut second, plan) = surveyed_and_planned(&own, &[&failed_sweep], &restarted(&first));
    for _ in 0..3 {
        assert_eq!(
            (second.count(State::Stuck), second.count(State::Healthy)),
            (1, 1)
        );
        assert_eq!((second.selected, second.checked), (2, None));
        assert_eq!(second.findings[0].unseen_since, Some(now()));
        assert_eq!(second.findings[0].since, first.findings[0].since);
        assert_eq!(
            second.findings[0].first_observed,
            first.findings[0].first_observed
        );
        second = surveyed_and_planned(&own, &[&failed_sweep], &restarted(&second)).0;
    }
    let held: Vec<_> = plan.blocked.values().map(|block| block.reason).collect();
    assert_eq!(held, [BlockReason::SweepIncomplete]);
    let healed = at(
        now().plus(hours(1)),
        vec![Observation::listed(secret("prod/a"))],
    );
    let settled = previous_findings(&second);
    assert_eq!(
        surveyed_and_planned(&own, &[&healed], &settled).0.findings,
        []
    );
}

#[test]
fn a_previous_finding_of_a_secret_that_is_no_longer_selected_is_not_reported() {
    let own = payments();
    let before = at(now(), vec![sick("prod/a"), sick("prod/b")]);
    let (first, _) = surveyed_and_planned(&own, &[&before], &PreviousFindings::default());
    let mut narrower = payments();
    narrower.policy.selector.include = vec![Matcher {
        name_prefix: Some("prod/b".to_owned()),
        ..Matcher::default()
    }];
    let failed_sweep = torn(at(now(), Vec::new()));
    let (survey, _) = surveyed_and_planned(&narrower, &[&failed_sweep], &restarted(&first));
    let found: Vec<_> = survey
        .findings
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(found, ["prod/b"]);
}

#[test]
fn an_open_breaker_outlives_a_restart_in_an_outage() {
    let own = payments();
    let failed_sweep = torn(at(now(), Vec::new()));
    let previous = PreviousFindings {
        tripped: [region(REGION)].into(),
        unconfirmed: [region(REGION)].into(),
        ..PreviousFindings::default()
    };
    assert_eq!(
        surveyed_and_planned(&own, &[&failed_sweep], &previous)
            .1
            .breaker,
        Breaker::Open
    );
}

fn within(items: Vec<Matcher>, ceilings: &[&str]) -> Vec<Matcher> {
    let selector = Selector {
        include: items,
        exclude: Vec::new(),
        max_secrets: 10,
    };
    let ceilings: Vec<_> = ceilings.iter().map(|one| (*one).to_owned()).collect();
    selector.within(&ceilings).include
}

fn prefix(text: &str) -> Matcher {
    Matcher {
        name_prefix: Some(text.to_owned()),
        ..Matcher::default()
    }
}

#[test]
fn selectors_are_limited_to_the_ceiling_before_anything_is_read() {
    assert_eq!(within(vec![prefix("prod")], &["prod/"]), [prefix("prod/")]);
    assert_eq!(
        within(vec![prefix("prod/db")], &["prod/"]),
        [prefix("prod/db")]
    );
    assert_eq!(within(vec![prefix("production/")], &["prod/"]), []);
    assert_eq!(within(vec![prefix("a")], &[""]), [prefix("a")]);
    assert_eq!(within(vec![prefix("a")], &[]), []);
    let names = |all: &[&str]| Matcher {
        names: all.iter().copied().map(secret_name).collect(),
        ..Matcher::default()
    };
    let mixed = names(&["prod/a", "other/b"]);
    assert_eq!(within(vec![mixed], &["prod/"]), [names(&["prod/a"])]);
    assert_eq!(
        within(vec![names(&["other/b"])], &["prod/"]),
        [],
        "not every name"
    );
    let tagged = |prefix: Option<&str>| Matcher {
        name_prefix: prefix.map(str::to_owned),
        tags: vec![TagMatcher {
            key: "team".to_owned(),
            values: BTreeSet::new(),
        }],
        ..Matcher::default()
    };
    let expected = [tagged(Some("prod/")), tagged(Some("shared/"))];
    assert_eq!(within(vec![tagged(None)], &["prod/", "shared/"]), expected);
    assert_eq!(within(vec![tagged(None)], &[""]), [tagged(None)]);
}

/// One sweep of one region: which of its secrets were reached, which of those are stuck, and whether it saw everything.
#[derive(Clone, Debug)]
struct Sweep {
    there: bool,
    complete: bool,
    reached: usize,
    stuck: usize,
    total: usize,
}

fn sweeps() -> impl Strategy<Value = Vec<Sweep>> {
    let sweep = (
        any::<bool>(),
        any::<bool>(),
        0..12_usize,
        0..12_usize,
        0..12_usize,
    );
    let sweep = sweep.prop_map(|(there, complete, reached, stuck, total)| Sweep {
        there,
        complete,
        reached,
        stuck,
        total,
    });
    proptest::collection::vec(sweep, 1..12)
}

fn swept(sweep: &Sweep, at: u64) -> Inventory {
    let place = if sweep.there { "us-east-1" } else { REGION };
    let secrets = (0..sweep.total).map(|n| {
        let text = format!("prod/s{n:02}");
        let mut one = if n < sweep.stuck {
            sick(&text)
        } else {
            Observation::listed(secret(&text))
        };
        one.secret.arn = arn_in(place, &text);
        one
    });
    let reached = if sweep.complete {
        sweep.total
    } else {
        sweep.reached
    };
    let whole = Inventory {
        region: region(place),
        ..self::at(now().plus(minutes(at)), secrets.take(reached).collect())
    };
    if sweep.complete { whole } else { torn(whole) }
}

proptest! {
    #![proptest_config(crate::support::cases(500))]

    /// Whatever a sweep of any region missed, nothing is proposed that the latest complete view of the region alone
    /// would not propose, and nothing at all if the latest sweep was partial.
    #[test]
    fn a_partial_sweep_proposes_nothing_beyond_the_latest_complete_view(history in sweeps(), limit in 1..12_usize) {
        let mut own = payments();
        own.profile.regions.insert(region("us-east-1"));
        own.policy.selector.max_secrets = limit;
        own.profile.max_concurrent_per_function = 1000;
        let mut known = BTreeMap::<Region, Inventory>::new();
        let mut complete = BTreeMap::<Region, Option<Inventory>>::new();
        let mut previous = PreviousFindings::default();
        for (sweep, at) in history.iter().zip(1..) {
            let seen = swept(sweep, at);
            let place = seen.region.clone();
            complete.insert(place.clone(), sweep.complete.then(|| seen.clone()));
            let seen = seen.after(known.get(&place), &|_| true);
            known.insert(place, seen);
            let all: Vec<_> = known.values().collect();
            let (survey, plan) = surveyed_and_planned(&own, &all, &previous);
            previous = previous_findings(&survey);
            for proposal in &plan.create {
                let latest = complete[&proposal.region].as_ref();
                let latest = latest.expect("the latest sweep of the region was complete");
                let mut alone = own.clone();
                alone.profile.regions = [proposal.region.clone()].into();
                let (_, alone) = surveyed_and_planned(&alone, &[latest], &PreviousFindings::default());
                prop_assert!(alone.create.iter().any(|one| one.arn == proposal.arn), "{proposal:?}");
            }
        }
    }
}

/// What one sweep of six secrets meets.
#[derive(Clone, Debug)]
struct Pass {
    minutes: u64,
    complete: bool,
    reached: usize,
    /// AWS responds once that this one does not exist, or a list lacks it once.
    lies_about: Option<usize>,
    /// This one was healthy again before.
    heals: Option<usize>,
    restarts: bool,
}

fn passes() -> impl Strategy<Value = Vec<Pass>> {
    let seldom = || proptest::option::weighted(0.2, 0..6_usize);
    let pass = (
        1..90_u64,
        any::<bool>(),
        0..7_usize,
        seldom(),
        seldom(),
        proptest::bool::weighted(0.2),
    );
    let pass = pass.prop_map(
        |(minutes, complete, reached, lies_about, heals, restarts)| Pass {
            minutes,
            complete,
            reached,
            lies_about,
            heals,
            restarts,
        },
    );
    proptest::collection::vec(pass, 1..16)
}

proptest! {
    #![proptest_config(crate::support::cases(300))]

    /// Whatever sweeps miss, and through restarts, a secret that was seen stuck stays stuck, with the same time, until
    /// it is seen healthy.
    #[test]
    fn a_secret_seen_as_stuck_stays_stuck_until_it_is_seen_healthy(history in passes()) {
        let own = payments();
        let name_of = |n: usize| format!("prod/s{n}");
        let (mut time, mut healed, mut lied) = (now(), BTreeSet::new(), BTreeSet::new());
        let (mut known, mut previous) = (None::<Inventory>, PreviousFindings::default());
        let mut reported = BTreeMap::new();
        for pass in history {
            time = time.plus(minutes(pass.minutes));
            healed.extend(pass.heals);
            if pass.restarts {
                known = None;
                previous.unconfirmed = [region(REGION)].into();
            }
            let lie = pass.lies_about.filter(|n| lied.insert(*n));
            let seen = (0..6).filter(|n| Some(*n) != lie);
            let seen: Vec<_> = seen.take(if pass.complete { 6 } else { pass.reached }).collect();
            let rows = seen.iter().map(|n| {
                let text = name_of(*n);
                if healed.contains(n) { Observation::listed(secret(&text)) } else { sick(&text) }
            });
            let mut swept = at(time, rows.collect());
            swept.missing = lie.filter(|n| n.is_multiple_of(2)).map(|n| secret_name(&name_of(n))).into_iter().collect();
            let swept = if pass.complete { swept } else { torn(swept) };
            // If a restart lost the secret, a complete view without it is all that is known.
            if let Some(n) = lie.filter(|_| pass.complete) {
                let row = known.as_ref().and_then(|known| known.secrets.get(&arn(&name_of(n))));
                if row.is_none() {
                    reported.remove(&n);
                }
            }
            let now_known = swept.after(known.as_ref(), &|_| true);
            if pass.complete {
                previous.unconfirmed.clear();
            }
            let (survey, plan) = surveyed_and_planned(&own, &[&now_known], &previous);
            let unconfirmed = std::mem::take(&mut previous.unconfirmed);
            previous = PreviousFindings { unconfirmed, ..previous_findings(&survey) };
            known = Some(now_known);
            for n in &seen {
                if healed.contains(n) {
                    reported.remove(n);
                } else {
                    reported.entry(*n).or_insert(time);
                }
            }
            for (n, first) in &reported {
                let finding = survey.findings.iter().find(|one| one.name == secret_name(&name_of(*n)));
                let finding = finding.expect("it was seen stuck, and not healed");
                prop_assert_eq!((finding.state, finding.since), (State::Stuck, Some(ago(hours(8)))));
                prop_assert_eq!(finding.first_observed, Some(*first), "{}", name_of(*n));
                let acted = plan.create.iter().any(|one| one.secret == finding.name);
                prop_assert!(!acted || seen.contains(n), "it was not seen");
            }
        }
    }
}

proptest! {
    #![proptest_config(crate::support::cases(300))]

    /// Each selected secret counts once, even if it cannot be read. Nothing beyond the ceiling counts, and nothing is
    /// done about a secret that could not be read.
    #[test]
    fn each_selected_name_under_the_ceiling_counts_once_and_no_other_does(
        there in proptest::collection::vec(0..4_u8, 8),
        excluded in 0..8_usize,
    ) {
        let text = |n: usize| format!("{}/s{n}", ["prod", "production", "shared", "other"][n % 4]);
        let mut own = payments();
        let names = (0..7).map(|n| secret_name(&text(n))).collect();
        own.policy.selector.include = vec![Matcher { names, ..Matcher::default() }];
        let left_out = [secret_name(&text(excluded))].into();
        own.policy.selector.exclude = vec![Matcher { names: left_out, ..Matcher::default() }];
        let mut swept = at(now(), Vec::new());
        for (n, kind) in there.iter().enumerate() {
            let one = match kind {
                0 => Observation::listed(secret(&text(n))),
                1 => sick(&text(n)),
                2 => Observation { unreadable: Some(aws_error(ErrorClass::Denied)), ..sick(&text(n)) },
                _ => {
                    swept.unread.insert(secret_name(&text(n)), aws_error(ErrorClass::Malformed));
                    continue;
                }
            };
            swept.secrets.insert(one.secret.arn.clone(), one);
        }
        let (survey, plan) = surveyed_and_planned(&own, &[&swept], &PreviousFindings::default());
        let ours = |n: &usize| *n < 7 && *n != excluded && n.is_multiple_of(2);
        let ours: Vec<_> = (0..8).filter(ours).collect();
        prop_assert_eq!(survey.selected, ours.len());
        prop_assert_eq!(survey.counts.values().sum::<usize>(), ours.len());
        let ill: BTreeSet<_> = ours.iter().filter(|n| there[**n] > 0).map(|n| secret_name(&text(*n))).collect();
        let reported: Vec<_> = survey.findings.iter().map(|one| one.name.clone()).collect();
        prop_assert_eq!(reported.len(), ill.len());
        prop_assert_eq!(reported.into_iter().collect::<BTreeSet<_>>(), ill);
        let readable = ours.iter().filter(|n| there[**n] == 1);
        let expected: BTreeSet<_> = readable.map(|n| secret_name(&text(*n))).collect();
        let made: BTreeSet<_> = plan.create.iter().map(|one| one.secret.clone()).collect();
        prop_assert!(made.is_subset(&expected), "{made:?}");
    }
}
