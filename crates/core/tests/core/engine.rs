//! The engine, against classification from scratch: whatever is seen, in whatever order, the survey of every policy
//! equals the one that judges everything again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::aws_error::{AwsError, ErrorClass};
use secret_rotation_core::classify::{ClassifyInput, classify, previous_findings};
use secret_rotation_core::engine::{self, Ended, Engine, Facts, Read, Sights};
use secret_rotation_core::inventory::{Detail, Inventory, Observation, Unseen};
use secret_rotation_core::journal::{Baseline, ResultKind};
use secret_rotation_core::names::{Arn, SecretName, Uid};
use secret_rotation_core::operation_index::OperationIndex;
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::policy::Expiry;
use secret_rotation_core::secret::{PendingValue, Rotation, Secret, VersionListing};
use secret_rotation_core::selector::{Matcher, TagMatcher};
use secret_rotation_core::stability::StabilityTracker;
use secret_rotation_core::survey::{PreviousFindings, Survey};
use secret_rotation_core::time::AwsTime;

use fixtures::{
    REGION, aws_error, bare_secret, bound_policy, hours, labelled, listing, minutes, now,
    operation, policy, record_step, region, secret, secret_name, version,
};

use crate::support::cases;

/// The names of the secrets: prefixes overlap, and one lies beyond the ceiling.
const NAMES: [&str; 7] = [
    "prod/a", "prod/a/b", "prod/ab", "prod/b", "shared/a", "shared/b", "beyond/a",
];

/// What happens in one step.
#[derive(Clone, Debug)]
enum Event {
    Pass(Duration),
    Change(usize, Change),
    /// A read of everything, or of what some policies select. Some of the secrets are not reached, and the details of
    /// some are denied.
    Sweep {
        policies: Option<Vec<usize>>,
        unreached: Vec<usize>,
        denied: Vec<usize>,
        complete: bool,
    },
    Look(usize),
    /// An operation has cleared the pending version of a secret; it rotates afterward or not.
    Operate(usize, Action),
    SetPolicy(usize, Choice),
    RemovePolicy(usize),
}

/// What happens to one secret in AWS.
#[derive(Clone, Debug)]
enum Change {
    Create,
    Recreate,
    Purge,
    Delete,
    Restore,
    Begin { valued: bool },
    Finish,
    Drop,
    RollBack,
    Pin,
    Unpin,
    Tag(&'static str, Option<String>),
    Switch(bool),
    Plan(i64),
    Touch,
}

/// What a policy selects, and from when it finds fault.
#[derive(Clone, Debug)]
struct Choice {
    selector: usize,
    stuck_after: Duration,
    max_age: Option<Duration>,
    expiry: bool,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => Just(Change::Create),
        1 => Just(Change::Recreate),
        1 => Just(Change::Purge),
        1 => Just(Change::Delete),
        1 => Just(Change::Restore),
        4 => any::<bool>().prop_map(|valued| Change::Begin { valued }),
        2 => Just(Change::Finish),
        1 => Just(Change::Drop),
        1 => Just(Change::RollBack),
        1 => Just(Change::Pin),
        1 => Just(Change::Unpin),
        2 => (select(vec!["team", "expires", "secretrotation.dev/ignore"]), tag_value())
            .prop_map(|(key, value)| Change::Tag(key, value)),
        1 => any::<bool>().prop_map(Change::Switch),
        2 => (-50..100_i64).prop_map(Change::Plan),
        1 => Just(Change::Touch),
    ]
}

fn tag_value() -> impl Strategy<Value = Option<String>> {
    let values = ["red", "blue", "2026-11-24", "2026-12-02", "soon"];
    prop_oneof![
        4 => select(values.to_vec()).prop_map(|value| Some(value.to_owned())),
        1 => Just(None),
    ]
}

fn choice() -> impl Strategy<Value = Choice> {
    (
        0..SELECTORS,
        select(vec![hours(2), hours(6)]),
        select(vec![None, Some(hours(24 * 30)), Some(hours(24 * 4))]),
        any::<bool>(),
    )
        .prop_map(|(selector, stuck_after, max_age, expiry)| Choice {
            selector,
            stuck_after,
            max_age,
            expiry,
        })
}

fn event() -> impl Strategy<Value = Event> {
    let some = || proptest::collection::vec(0..NAMES.len(), 0..3);
    let sweep = (
        proptest::option::weighted(0.3, proptest::collection::vec(0..3_usize, 1..3)),
        some(),
        some(),
        any::<bool>(),
    );
    prop_oneof![
        3 => select(vec![1_u64, 4, 7, 60, 200, 1500, 5000])
            .prop_map(|length| Event::Pass(minutes(length))),
        6 => (0..NAMES.len(), change()).prop_map(|(at, change)| Event::Change(at, change)),
        6 => sweep.prop_map(|(policies, unreached, denied, complete)| Event::Sweep {
            policies,
            unreached,
            denied,
            complete,
        }),
        2 => (0..NAMES.len()).prop_map(Event::Look),
        1 => (0..NAMES.len(), select(vec![Action::ClearPending, Action::ClearAndRotate]))
            .prop_map(|(at, action)| Event::Operate(at, action)),
        1 => (0..3_usize, choice()).prop_map(|(policy, choice)| Event::SetPolicy(policy, choice)),
        1 => (0..3_usize).prop_map(Event::RemovePolicy),
    ]
}

const SELECTORS: usize = 7;

fn selector(number: usize) -> (Vec<Matcher>, Vec<Matcher>) {
    let prefix = |text: &str| Matcher {
        name_prefix: Some(text.to_owned()),
        ..Matcher::default()
    };
    let exact = |texts: &[&str]| Matcher {
        names: texts.iter().map(|text| secret_name(text)).collect(),
        ..Matcher::default()
    };
    let tagged = |values: &[&str]| Matcher {
        tags: vec![TagMatcher {
            key: "team".to_owned(),
            values: values.iter().map(|&value| value.to_owned()).collect(),
        }],
        ..Matcher::default()
    };
    match number {
        0 => (vec![Matcher::default()], vec![]),
        1 => (vec![prefix("prod/a")], vec![]),
        2 => (vec![prefix("prod/")], vec![prefix("prod/a/")]),
        3 => (vec![exact(&["prod/a", "shared/b", "prod/none"])], vec![]),
        4 => (vec![tagged(&["red"])], vec![]),
        5 => (
            vec![tagged(&[]), prefix("shared/")],
            vec![exact(&["shared/a"])],
        ),
        _ => (
            vec![prefix("prod/"), prefix("prod/a")],
            vec![tagged(&["blue"])],
        ),
    }
}

/// AWS, the model and the engine, side by side.
struct World {
    now: AwsTime,
    truth: BTreeMap<SecretName, (Secret, VersionListing)>,
    policies: BTreeMap<Uid, BoundPolicy>,
    model: Model,
    engine: Engine,
    operations: OperationIndex,
    /// The survey of each policy after the last event, without the time of the read.
    surveys: BTreeMap<Uid, Survey>,
    stability: StabilityTracker,
    made: u32,
}

/// Builds the facts from two fields of the world, so that the engine can be changed meanwhile.
macro_rules! facts {
    ($world:expr) => {
        Facts {
            operations: &$world.operations,
            stability: &$world.stability,
        }
    };
}

/// What the sweeps have seen, by rules that are as simple as possible.
#[derive(Default)]
struct Model {
    rows: BTreeMap<SecretName, ModelRow>,
    reads: BTreeMap<Uid, ModelRead>,
    memory: BTreeMap<Uid, PreviousFindings>,
    clock: u32,
}

struct ModelRow {
    seen: Observation,
    tick: u32,
    at: AwsTime,
    missed: Option<AwsTime>,
}

#[derive(Clone)]
struct ModelRead {
    tick: u32,
    at: AwsTime,
    gap: Option<AwsError>,
    completed: Option<AwsTime>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            now: now(),
            truth: BTreeMap::new(),
            policies: BTreeMap::new(),
            model: Model::default(),
            engine: Engine::new(region(REGION)),
            operations: OperationIndex::default(),
            surveys: BTreeMap::new(),
            stability: StabilityTracker::default(),
            made: 0,
        };
        for text in NAMES {
            world.create(&secret_name(text));
        }
        world
    }

    fn create(&mut self, name: &SecretName) {
        self.made += 1;
        let made = secret(name.as_str());
        let suffix = format!("-{:06}", self.made);
        let arn = made.arn.as_str().replace("-AbCdEf", &suffix);
        let made = Secret {
            arn: Arn::parse(arn).expect("an ARN"),
            created: Some(self.now.minus(hours(24 * 365))),
            last_changed: Some(self.now.minus(hours(1))),
            last_rotated: Some(self.now.minus(hours(1))),
            next_rotation: Some(self.now.plus(hours(24))),
            ..made
        };
        let versions = listing(&[
            ("b", self.now.minus(hours(500))),
            ("c", self.now.minus(hours(1))),
        ]);
        self.truth.insert(name.clone(), (made, versions));
    }

    fn change(&mut self, name: &SecretName, change: &Change) {
        if matches!(change, Change::Create) {
            if !self.truth.contains_key(name) {
                self.create(name);
            }
            return;
        }
        if matches!(change, Change::Recreate | Change::Purge) {
            self.truth.remove(name);
            if matches!(change, Change::Recreate) {
                self.create(name);
            }
            return;
        }
        let (now, number) = (self.now, self.made);
        self.made += 1;
        let Some((secret, versions)) = self.truth.get_mut(name) else {
            return;
        };
        secret.last_changed = Some(now);
        let pending = secret.pending().cloned();
        match change {
            Change::Create | Change::Recreate | Change::Purge | Change::Touch => {}
            Change::Delete => secret.deleted = Some(now),
            Change::Restore => secret.deleted = None,
            Change::Begin { valued } => {
                if pending.is_some() {
                    return;
                }
                let id = format!("p{number}");
                *secret = labelled(secret.clone(), "AWSPENDING", &id);
                if *valued {
                    versions.created.insert(version(&id), Some(now));
                }
            }
            Change::Finish => {
                let Some(pending) = pending else { return };
                secret.labels.clear();
                *secret = labelled(secret.clone(), "AWSCURRENT", pending.as_str());
                versions.created.insert(pending, Some(now));
                secret.last_rotated = Some(now);
                secret.next_rotation = Some(now.plus(hours(24)));
            }
            Change::Drop => {
                let Some(pending) = pending else { return };
                secret.labels.remove(&pending);
            }
            Change::RollBack => {
                let Some(pending) = pending else { return };
                *secret = labelled(secret.clone(), "AWSPREVIOUS", pending.as_str());
            }
            Change::Pin => {
                *secret = labelled(secret.clone(), "srp-pin-aaaaaa-t8nyz4-c", "c");
            }
            Change::Unpin => {
                for labels in secret.labels.values_mut() {
                    labels.retain(|label| !label.as_str().starts_with("srp-pin"));
                }
                secret.labels.retain(|_, labels| !labels.is_empty());
            }
            Change::Tag(key, Some(value)) => {
                secret.tags.insert((*key).to_owned(), value.clone());
            }
            Change::Tag(key, None) => {
                secret.tags.remove(*key);
            }
            Change::Switch(true) => secret.rotation = fixtures::secret("x").rotation,
            Change::Switch(false) => secret.rotation = Rotation::Disabled,
            Change::Plan(hours) => {
                let seconds = jiff::SignedDuration::from_hours(*hours);
                let at = now.timestamp().checked_add(seconds).expect("a time");
                secret.next_rotation = Some(AwsTime::new(at));
            }
        }
    }

    /// Returns the observation of a secret as a closer look sees it, with versions where they are needed.
    fn described(&self, name: &SecretName) -> Observation {
        let (secret, versions) = &self.truth[name];
        let last = self.model.rows.get(name).map(|row| &row.seen);
        let last = last.filter(|last| last.secret.arn == secret.arn);
        let known = last.and_then(|last| last.versions.clone());
        let unrested = secret.unfinished().is_some() || has_pins(secret);
        let versions = if Observation::versions_needed(secret, last) {
            Some(versions.clone())
        } else {
            known.filter(|_| unrested)
        };
        Observation {
            versions,
            ..Observation::listed(secret.clone())
        }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Pass(length) => self.now = self.now.plus(*length),
            Event::Change(at, change) => {
                self.now = self.now.plus(Duration::from_secs(1));
                self.change(&secret_name(NAMES[*at]), change);
            }
            Event::Sweep {
                policies,
                unreached,
                denied,
                complete,
            } => {
                self.now = self.now.plus(Duration::from_secs(20));
                let some = policies.as_ref().map(|policies| {
                    let uids = policies.iter().map(|number| uid(*number));
                    uids.filter(|uid| self.policies.contains_key(uid)).collect()
                });
                let named = |all: &[usize]| -> BTreeSet<SecretName> {
                    all.iter().map(|at| secret_name(NAMES[*at])).collect()
                };
                let unreached = if *complete {
                    BTreeSet::new()
                } else {
                    named(unreached)
                };
                self.sweep(some.as_ref(), &unreached, &named(denied), *complete);
            }
            Event::Look(at) => {
                self.now = self.now.plus(Duration::from_secs(20));
                self.look(&secret_name(NAMES[*at]));
            }
            Event::Operate(at, action) => {
                self.now = self.now.plus(Duration::from_secs(1));
                self.operate(&secret_name(NAMES[*at]), *action);
            }
            Event::SetPolicy(number, choice) => self.set_policy(*number, choice),
            Event::RemovePolicy(number) => {
                let uid = uid(*number);
                self.policies.remove(&uid);
                self.model.reads.remove(&uid);
                self.model.memory.remove(&uid);
                self.engine.remove_policy(&uid);
                self.drop_unselected();
            }
        }
    }

    fn set_policy(&mut self, number: usize, choice: &Choice) {
        let mut own = policy(&number.to_string());
        let (include, exclude) = selector(choice.selector);
        own.selector.include = include;
        own.selector.exclude = exclude;
        own.detection.stuck_after = choice.stuck_after;
        own.detection.max_age = choice.max_age;
        own.detection.expiry = choice.expiry.then(|| Expiry {
            tag_key: "expires".to_owned(),
            rotate_before: hours(24 * 7),
        });
        let bound = bound_policy(own);
        self.engine.set_policy(
            &Arc::new(bound.clone()),
            &PreviousFindings::default(),
            facts!(self),
        );
        self.policies.insert(uid(number), bound);
        self.drop_unselected();
    }

    fn drop_unselected(&mut self) {
        let policies = &self.policies;
        self.model.rows.retain(|_, row| {
            policies
                .values()
                .any(|bound| selects(bound, &row.seen.secret))
        });
    }

    fn sweep(
        &mut self,
        policies: Option<&BTreeSet<Uid>>,
        unreached: &BTreeSet<SecretName>,
        denied: &BTreeSet<SecretName>,
        complete: bool,
    ) {
        let gap = (!complete).then(|| aws_error(ErrorClass::Unreachable));
        let all = || self.policies.keys().cloned().collect();
        let covered: BTreeSet<Uid> = policies.cloned().unwrap_or_else(all);
        let in_scope = |world: &Self, secret: &Secret| {
            let mut bounds = covered.iter().map(|uid| &world.policies[uid]);
            bounds.any(|bound| selects(bound, secret))
        };
        let read = self.engine.begin(&covered, policies.is_none());
        self.engine.note_time(&read, self.now);
        self.model.clock += 1;
        let names: Vec<_> = self.truth.keys().cloned().collect();
        for name in names.into_iter().filter(|name| !unreached.contains(name)) {
            let listed = self.truth[&name].0.clone();
            // A list of some policies contains only what they select.
            if policies.is_some() && !in_scope(self, &listed) {
                continue;
            }
            self.read_one(&read, &name, &listed, denied.contains(&name));
        }
        self.engine.end(&read, &Ended { gap: gap.clone() });
        let (tick, at) = (self.model.clock, self.now);
        if gap.is_none() {
            let covers = |bound: &BoundPolicy, row: &ModelRow| selects(bound, &row.seen.secret);
            let bounds: Vec<_> = covered.iter().map(|uid| &self.policies[uid]).collect();
            self.model.rows.retain(|_, row| {
                let missed = row.tick < tick && bounds.iter().any(|bound| covers(bound, row));
                if !missed {
                    return true;
                }
                let first = *row.missed.get_or_insert(at);
                at.since(first) < minutes(5)
            });
        }
        for uid in covered {
            let before = self.model.reads.get(&uid);
            let completed = before.and_then(|read| read.completed);
            let read = ModelRead {
                tick,
                at,
                gap: gap.clone(),
                completed: gap.is_none().then_some(at).or(completed),
            };
            self.model.reads.insert(uid, read);
        }
    }

    fn read_one(&mut self, read: &Read, name: &SecretName, listed: &Secret, denied: bool) {
        let detail = self.engine.listed(read, listed, facts!(self));
        let described = self.described(name);
        let last = self
            .model
            .rows
            .get(name)
            .map(|row| row.seen.versions.clone());
        let seen = if denied && detail == Detail::Described {
            Observation {
                unreadable: Some(aws_error(ErrorClass::Denied)),
                versions: last.flatten(),
                ..Observation::listed(listed.clone())
            }
        } else {
            described
        };
        if detail == Detail::Described {
            if !denied {
                let versions = seen.versions.as_ref();
                self.stability.observe(&seen.secret, versions, self.now);
            }
            self.engine.take(read, &seen, facts!(self));
        }
        self.saw(name, seen, detail);
    }

    fn saw(&mut self, name: &SecretName, seen: Observation, detail: Detail) {
        if !self
            .policies
            .values()
            .any(|bound| selects(bound, &seen.secret))
        {
            self.model.rows.remove(name);
            return;
        }
        let (tick, at) = (self.model.clock, self.now);
        let known = self.model.rows.get(name).map(|row| row.seen.clone());
        let known = known.filter(|known| known.secret.arn == seen.secret.arn);
        // A list does not show versions; what is known of them stays.
        let seen = match (detail, known) {
            (Detail::Listed, Some(known)) if seen.secret.deleted.is_none() => Observation {
                versions: known.versions,
                ..seen
            },
            (Detail::Listed, _) => Observation::listed(seen.secret),
            (Detail::Described, _) => seen,
        };
        let row = ModelRow {
            seen,
            tick,
            at,
            missed: None,
        };
        self.model.rows.insert(name.clone(), row);
    }

    /// A look at one known secret, outside of any sweep.
    fn look(&mut self, name: &SecretName) {
        if !self.truth.contains_key(name) || !self.model.rows.contains_key(name) {
            return;
        }
        let read = self.engine.begin(&BTreeSet::new(), false);
        self.engine.note_time(&read, self.now);
        self.model.clock += 1;
        let seen = self.described(name);
        self.engine.take(&read, &seen, facts!(self));
        self.engine.end(&read, &Ended::default());
        self.saw(name, seen, Detail::Described);
    }

    fn operate(&mut self, name: &SecretName, action: Action) {
        let Some((secret, _)) = self.truth.get_mut(name) else {
            return;
        };
        let Some(pending) = secret.unfinished().cloned() else {
            return;
        };
        let mut own = operation(&self.made.to_string(), action, name.as_str());
        self.made += 1;
        own.arn = Some(secret.arn.clone());
        own.expect.pending = Some(pending.clone());
        own.baseline = Some(Baseline {
            labels: secret.labels.clone(),
            last_changed: secret.last_changed,
            pending_value: PendingValue::Unknown,
            rotates: Some(true),
            function: None,
        });
        record_step(&mut own, Step::Clear, self.now, ResultKind::Applied);
        secret.labels.remove(&pending);
        secret.last_changed = Some(self.now);
        let arn = secret.arn.clone();
        self.operations.insert(&Arc::new(own));
        self.engine.judge_again(&arn, facts!(self));
    }

    fn inventory(&self, read: &ModelRead) -> Inventory {
        let mut looked_again = BTreeMap::new();
        let rows = self.model.rows.values().map(|row| {
            let unseen = (row.tick < read.tick).then_some(Unseen {
                since: row.at,
                missed: row.missed,
            });
            let arn = row.seen.secret.arn.clone();
            if row.tick > read.tick {
                looked_again.insert(arn.clone(), row.at);
            }
            let seen = Observation {
                unseen,
                ..row.seen.clone()
            };
            (arn, seen)
        });
        Inventory {
            time: read.at,
            region: region(REGION),
            secrets: rows.collect(),
            missing: Vec::new(),
            gone: BTreeSet::new(),
            unread: BTreeMap::new(),
            gap: read.gap.clone(),
            completed: read.completed,
            looked_again,
        }
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let changed = self.engine.take_changed();
        for (uid, bound) in &self.policies {
            let read = self.model.reads.get(uid);
            // A policy that was not read yet judges what was read for others, and reports nothing.
            let nothing = ModelRead {
                tick: 0,
                at: self.now,
                gap: Some(aws_error(ErrorClass::Unreachable)),
                completed: None,
            };
            let inventory = self.inventory(read.unwrap_or(&nothing));
            let judged = |previous: &PreviousFindings| {
                let input = ClassifyInput {
                    previous,
                    operations: &self.operations,
                    stability: &self.stability,
                };
                let (tenant, profile) = (&bound.tenant, &bound.profile);
                classify(tenant, profile, &bound.policy, &[&inventory], input)
            };
            let before = self.model.memory.get(uid).cloned().unwrap_or_default();
            let memory = previous_findings(&judged(&before));
            let expected = judged(&memory);
            if read.is_some() {
                let engines = [&self.engine];
                let small = judged(&memory).memory();
                let found = engine::survey(bound, &engines, &small, facts!(self));
                prop_assert_eq!(&found, &expected, "policy {}", uid);
                let mut timeless = Survey {
                    time: self.now,
                    checked: None,
                    ..found
                };
                // How long it was watched grows with time, too.
                for finding in &mut timeless.findings {
                    finding.stability = None;
                }
                // A healthy secret is healthy as of its read.
                for finding in &mut timeless.pinned {
                    finding.since = None;
                }
                timeless.pinned.sort_by(|a, b| a.name.cmp(&b.name));
                let before = self.surveys.insert(uid.clone(), timeless.clone());
                if !changed.contains_key(uid) {
                    let before = before.map(|before| Survey {
                        time: self.now,
                        ..before
                    });
                    prop_assert_eq!(
                        before,
                        Some(timeless),
                        "nothing told of a change of {}",
                        uid
                    );
                }
            }
            self.model.memory.insert(uid.clone(), memory);
        }
        Ok(())
    }
}

fn has_pins(secret: &Secret) -> bool {
    let mut labels = secret.labels.values().flatten();
    labels.any(|label| label.as_str().starts_with("srp-pin"))
}

fn selects(bound: &BoundPolicy, secret: &Secret) -> bool {
    let reachable = ["prod/", "shared/"];
    reachable
        .iter()
        .any(|prefix| secret.name.as_str().starts_with(prefix))
        && bound.policy.selector.selects(secret)
}

fn uid(number: usize) -> Uid {
    policy(&number.to_string()).uid
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn the_survey_equals_classification_from_scratch(
        choices in proptest::collection::vec(choice(), 1..3),
        events in proptest::collection::vec(event(), 1..40),
    ) {
        let mut world = World::new();
        for (number, choice) in choices.iter().enumerate() {
            world.set_policy(number, choice);
        }
        for event in &events {
            world.apply(event);
            world.check()?;
        }
    }
}

/// Feeds one sweep of one stuck secret into an engine that a policy watches.
fn sweep(engine: &mut Engine, stability: &mut StabilityTracker, minute: u64, seen: &Observation) {
    let mut sights = Sights {
        engine,
        stability,
        operations: &OperationIndex::default(),
    };
    let bound = Arc::new(bound_policy(policy("payments")));
    sights.set_policy(&bound, &PreviousFindings::default());
    let read = sights
        .engine
        .begin(&[bound.policy.uid.clone()].into(), true);
    sights.engine.note_time(&read, now().plus(minutes(minute)));
    sights.take(&read, seen);
    sights.engine.end(&read, &Ended::default());
}

#[test]
fn a_closer_look_is_watched_and_a_failed_one_is_not() {
    let (mut engine, mut stability) = (Engine::new(region(REGION)), StabilityTracker::default());
    let stuck = Observation::listed(labelled(bare_secret("prod/a"), "AWSPENDING", "two"));
    let since = |stability: &StabilityTracker| {
        let known = stability.stability(&stuck.secret, now().plus(minutes(40)));
        known.map(|known| known.since)
    };
    let denied = Observation {
        unreadable: Some(aws_error(ErrorClass::Denied)),
        ..stuck.clone()
    };
    sweep(&mut engine, &mut stability, 0, &denied);
    assert_eq!(since(&stability), None);
    sweep(&mut engine, &mut stability, 10, &stuck);
    sweep(&mut engine, &mut stability, 40, &stuck);
    assert_eq!(since(&stability), Some(now().plus(minutes(10))));
}

#[test]
fn a_list_shows_the_end_of_a_rotation_and_not_its_beginning() {
    let (mut engine, mut stability) = (Engine::new(region(REGION)), StabilityTracker::default());
    let stuck = labelled(bare_secret("prod/a"), "AWSPENDING", "two");
    sweep(
        &mut engine,
        &mut stability,
        0,
        &Observation::listed(stuck.clone()),
    );
    let list = |engine: &mut Engine, stability: &mut StabilityTracker, listed: &Secret| {
        let mut sights = Sights {
            engine,
            stability,
            operations: &OperationIndex::default(),
        };
        let read = sights.engine.begin(&BTreeSet::new(), false);
        sights.engine.note_time(&read, now().plus(minutes(10)));
        sights.listed(&read, listed)
    };
    let detail = list(&mut engine, &mut stability, &stuck);
    assert_eq!(detail, Detail::Described);
    assert_eq!(stability.last_moved(&stuck.arn), Some(now()));
    let rested = bare_secret("prod/elsewhere");
    list(&mut engine, &mut stability, &rested);
    assert_eq!(stability.last_moved(&stuck.arn), Some(now()));
}
