//! What is known after complete, partial and failed sweeps: absent does not mean gone, and unknown does not mean small.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fixtures::{
    REGION, ago, arn, arn_in, aws_error, bound_policy, hours, minutes, now, observation, policy,
    region, secret, secret_name, stuck, without_value,
};
use proptest::prelude::*;
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::block::BlockReason;
use secret_rotation_core::classify::previous_findings;
use secret_rotation_core::engine::{self, Ended, Engine, Facts};
use secret_rotation_core::inventory::Observation;
use secret_rotation_core::names::{Arn, Region};
use secret_rotation_core::operation_index::OperationIndex;
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::plan::{Breaker, Plan};
use secret_rotation_core::secret::Secret;
use secret_rotation_core::selector::{IGNORE_TAG, Matcher, Selector, TagMatcher};
use secret_rotation_core::stability::StabilityTracker;
use secret_rotation_core::survey::{Finding, PreviousFindings, State, Survey};
use secret_rotation_core::time::AwsTime;

use crate::support::planning::{functions, plan_for};

fn payments() -> BoundPolicy {
    let mut own = bound_policy(policy("payments"));
    own.policy.remediation.max_concurrent = 1000;
    own
}

/// What is known of one region for one policy.
struct Known {
    own: BoundPolicy,
    engine: Engine,
    operations: OperationIndex,
    stability: StabilityTracker,
}

/// What one sweep met.
#[derive(Default)]
struct Met {
    seen: Vec<Observation>,
    /// AWS responded about these names that no such secret exists.
    absent: Vec<&'static str>,
    /// The same, and a complete list lacks them, too.
    unlisted: Vec<&'static str>,
    unread: Vec<(String, ErrorClass)>,
    is_torn: bool,
}

impl Known {
    fn of(own: &BoundPolicy, place: &str, stored: &PreviousFindings) -> Self {
        let mut known = Self {
            own: own.clone(),
            engine: Engine::new(region(place)),
            operations: OperationIndex::default(),
            stability: StabilityTracker::default(),
        };
        known.set_policy(own, stored);
        known
    }

    /// Returns what is known after a first complete sweep.
    fn swept(own: &BoundPolicy, seen: Vec<Observation>) -> Self {
        let mut known = Self::of(own, REGION, &PreviousFindings::default());
        known.complete(now(), seen);
        known
    }

    fn set_policy(&mut self, own: &BoundPolicy, stored: &PreviousFindings) {
        let facts = Facts {
            operations: &self.operations,
            stability: &self.stability,
        };
        self.own = own.clone();
        self.engine
            .set_policy(&Arc::new(own.clone()), stored, facts);
    }

    fn sweep(&mut self, time: AwsTime, met: Met) {
        let facts = Facts {
            operations: &self.operations,
            stability: &self.stability,
        };
        let policies = [self.own.policy.uid.clone()].into();
        let read = self.engine.begin(&policies, true);
        self.engine.note_time(&read, time);
        for seen in &met.seen {
            self.engine.take(&read, seen, facts);
        }
        for (names, is_unlisted) in [(met.absent, false), (met.unlisted, true)] {
            for text in names {
                let name = secret_name(text);
                self.engine.absent(&read, &name, time, is_unlisted);
            }
        }
        for (text, class) in met.unread {
            let (name, error) = (secret_name(&text), aws_error(class));
            self.engine.unread(&read, name, error, facts);
        }
        let gap = met.is_torn.then(|| aws_error(ErrorClass::Unreachable));
        self.engine.end(&read, &Ended { gap });
    }

    fn complete(&mut self, time: AwsTime, seen: Vec<Observation>) {
        let met = Met {
            seen,
            ..Met::default()
        };
        self.sweep(time, met);
    }

    fn torn(&mut self, time: AwsTime, seen: Vec<Observation>) {
        let met = Met {
            seen,
            is_torn: true,
            ..Met::default()
        };
        self.sweep(time, met);
    }

    fn look(&mut self, time: AwsTime, seen: &Observation) {
        let facts = Facts {
            operations: &self.operations,
            stability: &self.stability,
        };
        let read = self.engine.begin(&BTreeSet::new(), false);
        self.engine.note_time(&read, time);
        self.engine.take(&read, seen, facts);
        self.engine.end(&read, &Ended::default());
    }

    fn knows(&self, text: &str) -> bool {
        self.engine.knows(&arn(text))
    }
}

fn sick(text: &str) -> Observation {
    observation(stuck(text), Some(without_value()))
}

fn surveyed_and_planned(
    own: &BoundPolicy,
    known: &[&Known],
    previous: &PreviousFindings,
) -> (Survey, Plan) {
    let facts = Facts {
        operations: &OperationIndex::default(),
        stability: &StabilityTracker::default(),
    };
    let engines: Vec<_> = known.iter().map(|one| &one.engine).collect();
    let survey = engine::survey(own, &engines, previous, facts);
    let seen = engines.iter().flat_map(|engine| engine.observations());
    let functions = functions(&seen.collect::<Vec<_>>());
    let plan = plan_for(&survey, own, std::slice::from_ref(own), &functions, &[]);
    (survey, plan)
}

fn survey(known: &Known) -> Survey {
    surveyed_and_planned(&known.own, &[known], &PreviousFindings::default()).0
}

fn finding(survey: &Survey, text: &str) -> Option<Finding> {
    let mut findings = survey.findings.iter();
    findings.find(|one| one.name.as_str() == text).cloned()
}

/// Returns until when a stuck secret was seen, if the last sweep did not see it.
fn unseen_since(known: &Known, text: &str) -> Option<AwsTime> {
    finding(&survey(known), text)?.unseen_since
}

fn young(text: &str) -> Observation {
    Observation::listed(Secret {
        last_changed: Some(ago(minutes(5))),
        ..stuck(text)
    })
}

#[test]
fn a_secret_that_failing_sweeps_miss_stays_as_it_was_last_seen() {
    let mut known = Known::swept(&payments(), vec![sick("prod/a"), sick("prod/b")]);
    for sweep in 1..50 {
        let time = now().plus(minutes(sweep));
        known.torn(time, vec![sick("prod/b")]);
        let survey = survey(&known);
        assert_eq!(survey.time, time, "time passes");
        assert_eq!(survey.checked, Some(now()));
        assert_eq!(unseen_since(&known, "prod/a"), Some(now()));
        assert_eq!(unseen_since(&known, "prod/b"), None);
    }
    let (survey, plan) = surveyed_and_planned(&payments(), &[&known], &PreviousFindings::default());
    assert_eq!(survey.count(State::Stuck), 2);
    assert_eq!(plan.create, []);
    known.complete(now().plus(hours(1)), vec![sick("prod/a")]);
    assert_eq!(unseen_since(&known, "prod/a"), None, "seen again");
}

/// A rotation in progress does not become stuck only because it is not seen.
#[test]
fn an_unseen_secret_keeps_the_verdict_of_its_last_sight() {
    let mut known = Known::swept(&payments(), vec![young("prod/a")]);
    known.torn(now().plus(hours(12)), Vec::new());
    assert_eq!(survey(&known).count(State::Rotating), 1);
}

/// A look at one secret makes no other one newer, and its own ages continue from that look.
#[test]
fn a_secret_that_was_looked_at_again_is_classified_by_the_time_of_that_look() {
    let mut known = Known::swept(&payments(), vec![young("prod/a"), young("prod/b")]);
    let looked = now().plus(hours(12));
    known.look(looked, &young("prod/a"));
    let state = |text: &str| finding(&survey(&known), text).map(|finding| finding.state);
    assert_eq!(state("prod/a"), Some(State::Stuck));
    assert_eq!(state("prod/b"), Some(State::Rotating));
    known.torn(now().plus(hours(13)), Vec::new());
    assert_eq!(unseen_since(&known, "prod/a"), Some(looked));
    assert_eq!(unseen_since(&known, "prod/b"), Some(now()));
}

#[test]
fn a_secret_is_gone_when_two_complete_sweeps_five_minutes_apart_missed_it() {
    let mut known = Known::swept(&payments(), vec![sick("prod/a")]);
    let after = |minute| now().plus(minutes(minute));
    known.complete(after(1), Vec::new());
    assert!(known.knows("prod/a"), "once is not enough");
    let (survey, plan) = surveyed_and_planned(&payments(), &[&known], &PreviousFindings::default());
    assert_eq!(survey.count(State::Stuck), 1);
    let held: Vec<_> = plan.blocked.values().map(|block| block.reason).collect();
    assert_eq!(
        (plan.create.len(), held),
        (0, vec![BlockReason::SweepIncomplete])
    );
    known.complete(after(5), Vec::new());
    assert!(known.knows("prod/a"), "four minutes apart");
    known.torn(after(7), Vec::new());
    assert!(known.knows("prod/a"), "nothing was missed");
    known.complete(after(8), Vec::new());
    assert!(!known.knows("prod/a"));
}

#[test]
fn a_response_that_a_secret_does_not_exist_needs_a_later_one_to_confirm_it() {
    let first = || Known::swept(&payments(), vec![sick("prod/a")]);
    let (mut known, text) = (first(), "prod/a");
    for (seconds, is_known) in [(20, true), (25, true), (30, false)] {
        let absent = Met {
            absent: vec![text],
            ..Met::default()
        };
        known.sweep(now().plus(Duration::from_secs(seconds)), absent);
        assert_eq!(known.knows(text), is_known, "after {seconds} s");
    }
    let mut known = first();
    let both = Met {
        unlisted: vec![text],
        ..Met::default()
    };
    known.sweep(now().plus(minutes(1)), both);
    assert!(!known.knows(text), "list and look agree");
}

#[test]
fn a_secret_is_dropped_if_no_policy_selects_it_or_another_secret_has_its_name() {
    let mut known = Known::swept(&payments(), vec![sick("prod/a")]);
    let mut other = payments();
    other.policy.selector.include = vec![prefix("prod/b")];
    known.set_policy(&other, &PreviousFindings::default());
    assert_eq!(known.engine.len(), 0);
    let mut known = Known::swept(&payments(), vec![sick("prod/a")]);
    let mut again = sick("prod/a");
    again.secret.arn =
        Arn::parse("arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/a-GhIjKl")
            .expect("an ARN");
    known.torn(now(), vec![again]);
    assert_eq!((known.engine.len(), known.knows("prod/a")), (1, false));
}

#[test]
fn the_breaker_stays_open_while_most_of_a_region_cannot_be_seen() {
    let many: Vec<_> = (0..121).map(|n| sick(&format!("prod/s{n:03}"))).collect();
    let mut known = Known::swept(&payments(), many);
    for sweep in 1..6 {
        known.torn(now().plus(minutes(sweep)), vec![sick("prod/s000")]);
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
    let known = Known::swept(&payments(), vec![denied(0)]);
    let (survey, plan) = surveyed_and_planned(&payments(), &[&known], &PreviousFindings::default());
    assert_eq!(survey.count(State::Stuck), 1);
    let held: Vec<_> = plan.blocked.values().map(|block| block.reason).collect();
    assert_eq!(
        (plan.create.len(), held),
        (0, vec![BlockReason::AccessDenied])
    );
    let mut many: Vec<_> = (0..9).map(denied).collect();
    many.push(sick("prod/a"));
    let known = Known::swept(&payments(), many);
    let (_, plan) = surveyed_and_planned(&payments(), &[&known], &PreviousFindings::default());
    assert_eq!((plan.breaker, plan.create.len()), (Breaker::Open, 0));
}

fn unread(own: &BoundPolicy, names: &[&'static str], class: ErrorClass) -> Known {
    let mut known = Known::of(own, REGION, &PreviousFindings::default());
    let met = Met {
        seen: vec![Observation::listed(secret("prod/a"))],
        unread: names
            .iter()
            .map(|text| ((*text).to_owned(), class))
            .collect(),
        ..Met::default()
    };
    known.sweep(now(), met);
    known
}

#[test]
fn a_name_that_may_not_be_read_is_a_finding_of_the_policies_that_name_it() {
    let mut own = payments();
    own.policy.selector.include = vec![Matcher {
        names: ["prod/a", "prod/b"].map(secret_name).into(),
        ..Matcher::default()
    }];
    let names = ["prod/b", "prod/other", "production/b"];
    let seen = unread(&own, &names, ErrorClass::Denied);
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
    let torn = unread(&own, &["prod/b"], ErrorClass::Malformed);
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
    let here = Known::swept(&own, vec![Observation::listed(secret("prod/a"))]);
    let mut there = Known::of(&own, "us-east-1", &PreviousFindings::default());
    let met = Met {
        unread: vec![("prod/a".to_owned(), ErrorClass::Denied)],
        ..Met::default()
    };
    there.sweep(now(), met);
    let (survey, _) = surveyed_and_planned(&own, &[&here, &there], &PreviousFindings::default());
    assert_eq!(survey.findings, []);
}

/// The policy does not select it, but it is not missing either.
#[test]
fn a_named_secret_that_its_tags_exclude_is_not_reported_as_missing() {
    let mut own = payments();
    own.policy.selector.include = vec![Matcher {
        names: [secret_name("prod/a")].into(),
        ..Matcher::default()
    }];
    let mut ignored = secret("prod/a");
    ignored.tags.insert(IGNORE_TAG.to_owned(), String::new());
    let mut known = Known::swept(&own, vec![Observation::listed(ignored)]);
    assert_eq!(
        (survey(&known).findings, survey(&known).selected),
        (vec![], 0)
    );
    for minute in [1, 7] {
        known.complete(now().plus(minutes(minute)), Vec::new());
    }
    assert_eq!(survey(&known).count(State::NotFound), 1, "now it is");
}

fn restarted(survey: &Survey) -> PreviousFindings {
    PreviousFindings {
        unconfirmed: survey.regions.keys().cloned().collect(),
        ..previous_findings(survey)
    }
}

/// Returns what a process knows that has started after this survey, and whose sweeps fail.
fn blind(own: &BoundPolicy, time: AwsTime, stored: &PreviousFindings) -> Known {
    let mut known = Known::of(own, REGION, stored);
    known.torn(time, Vec::new());
    known
}

#[test]
fn findings_from_before_a_restart_stay_until_their_region_was_seen_completely() {
    let own = payments();
    let before = vec![sick("prod/a"), Observation::listed(secret("prod/b"))];
    let first = survey(&Known::swept(&own, before));
    let later = now().plus(minutes(9));
    let mut known = blind(&own, later, &restarted(&first));
    let (mut second, plan) = surveyed_and_planned(&own, &[&known], &restarted(&first));
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
        known = blind(&own, later, &restarted(&second));
        second = surveyed_and_planned(&own, &[&known], &restarted(&second)).0;
    }
    let held: Vec<_> = plan.blocked.values().map(|block| block.reason).collect();
    assert_eq!(held, [BlockReason::SweepIncomplete]);
    let healed = vec![Observation::listed(secret("prod/a"))];
    known.complete(now().plus(hours(1)), healed);
    let settled = previous_findings(&second);
    assert_eq!(
        surveyed_and_planned(&own, &[&known], &settled).0.findings,
        []
    );
}

#[test]
fn a_previous_finding_of_a_secret_that_is_no_longer_selected_is_not_reported() {
    let own = payments();
    let first = survey(&Known::swept(&own, vec![sick("prod/a"), sick("prod/b")]));
    let mut narrower = payments();
    narrower.policy.selector.include = vec![prefix("prod/b")];
    let known = blind(&narrower, now(), &restarted(&first));
    let (survey, _) = surveyed_and_planned(&narrower, &[&known], &restarted(&first));
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
    let previous = PreviousFindings {
        tripped: [region(REGION)].into(),
        unconfirmed: [region(REGION)].into(),
        ..PreviousFindings::default()
    };
    let known = blind(&own, now(), &previous);
    assert_eq!(
        surveyed_and_planned(&own, &[&known], &previous).1.breaker,
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

fn swept(sweep: &Sweep) -> Vec<Observation> {
    let secrets = (0..sweep.total).map(|n| {
        let text = format!("prod/s{n:02}");
        let mut one = if n < sweep.stuck {
            sick(&text)
        } else {
            Observation::listed(secret(&text))
        };
        one.secret.arn = arn_in(sweep.place(), &text);
        one
    });
    let reached = if sweep.complete {
        sweep.total
    } else {
        sweep.reached
    };
    secrets.take(reached).collect()
}

impl Sweep {
    const fn place(&self) -> &'static str {
        if self.there { "us-east-1" } else { REGION }
    }
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
        let mut known = BTreeMap::<Region, Known>::new();
        let mut complete = BTreeMap::<Region, Option<Known>>::new();
        let nothing = PreviousFindings::default();
        let mut previous = PreviousFindings::default();
        for (sweep, at) in history.iter().zip(1..) {
            let (seen, place) = (swept(sweep), sweep.place());
            let time = now().plus(minutes(at));
            let alone = sweep.complete.then(|| {
                let mut alone = own.clone();
                alone.profile.regions = [region(place)].into();
                let mut alone = Known::of(&alone, place, &nothing);
                alone.complete(time, seen.clone());
                alone
            });
            complete.insert(region(place), alone);
            let one = known.entry(region(place)).or_insert_with(|| Known::of(&own, place, &nothing));
            let met = Met { seen, is_torn: !sweep.complete, ..Met::default() };
            one.sweep(time, met);
            let all: Vec<_> = known.values().collect();
            let (survey, plan) = surveyed_and_planned(&own, &all, &previous);
            previous = previous_findings(&survey);
            for proposal in &plan.create {
                let latest = complete[&proposal.region].as_ref();
                let latest = latest.expect("the latest sweep of the region was complete");
                let (_, alone) = surveyed_and_planned(&latest.own, &[latest], &nothing);
                prop_assert!(alone.create.iter().any(|one| one.arn == proposal.arn), "{proposal:?}");
            }
        }
    }
}

const NAMES: [&str; 6] = [
    "prod/s0", "prod/s1", "prod/s2", "prod/s3", "prod/s4", "prod/s5",
];

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
        let name_of = |n: usize| NAMES[n].to_owned();
        let (mut time, mut healed, mut lied) = (now(), BTreeSet::new(), BTreeSet::new());
        let mut previous = PreviousFindings::default();
        let mut known = Known::of(&own, REGION, &previous);
        let mut reported = BTreeMap::new();
        for pass in history {
            time = time.plus(minutes(pass.minutes));
            healed.extend(pass.heals);
            if pass.restarts {
                previous.unconfirmed = [region(REGION)].into();
                known = Known::of(&own, REGION, &previous);
            }
            let lie = pass.lies_about.filter(|n| lied.insert(*n));
            let seen = (0..6).filter(|n| Some(*n) != lie);
            let seen: Vec<_> = seen.take(if pass.complete { 6 } else { pass.reached }).collect();
            let rows = seen.iter().map(|n| {
                let text = name_of(*n);
                if healed.contains(n) { Observation::listed(secret(&text)) } else { sick(&text) }
            });
            // If a restart lost the secret, a complete view without it is all that is known.
            if let Some(n) = lie.filter(|n| pass.complete && !known.knows(&name_of(*n))) {
                reported.remove(&n);
            }
            let absent = lie.filter(|n| n.is_multiple_of(2)).map(|n| NAMES[n]);
            let met = Met {
                seen: rows.collect(),
                absent: absent.into_iter().collect(),
                is_torn: !pass.complete,
                ..Met::default()
            };
            known.sweep(time, met);
            if pass.complete {
                previous.unconfirmed.clear();
            }
            let (survey, plan) = surveyed_and_planned(&own, &[&known], &previous);
            let unconfirmed = std::mem::take(&mut previous.unconfirmed);
            previous = PreviousFindings { unconfirmed, ..previous_findings(&survey) };
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
        let mut met = Met::default();
        for (n, kind) in there.iter().enumerate() {
            met.seen.push(match kind {
                0 => Observation::listed(secret(&text(n))),
                1 => sick(&text(n)),
                2 => Observation { unreadable: Some(aws_error(ErrorClass::Denied)), ..sick(&text(n)) },
                _ => {
                    met.unread.push((text(n), ErrorClass::Malformed));
                    continue;
                }
            });
        }
        let mut known = Known::of(&own, REGION, &PreviousFindings::default());
        known.sweep(now(), met);
        let (survey, plan) = surveyed_and_planned(&own, &[&known], &PreviousFindings::default());
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
