//! The engine, against classification from scratch: whatever is seen, in whatever order, the survey of every policy
//! equals the one that judges everything again. And against the truth: two complete sweeps find it.
//!
//! The model keeps the values of core as they are, while the engine packs them.

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
use secret_rotation_core::names::{Arn, Region, SecretName, Uid};
use secret_rotation_core::operation_index::OperationIndex;
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::policy::Expiry;
use secret_rotation_core::secret::{PendingValue, Rotation, Secret, VersionListing};
use secret_rotation_core::selector::{Matcher, Selector, TagMatcher};
use secret_rotation_core::stability::StabilityTracker;
use secret_rotation_core::survey::{
    Finding, PreviousFinding, PreviousFindings, State, Survey, UnremarkableSecret,
};
use secret_rotation_core::time::AwsTime;

use fixtures::{
    REGION, aws_error, bare_secret, bound_policy, hours, labelled, minutes, now, observation,
    operation, policy, record_step, region, secret, secret_name, stage_label, version,
};

use crate::support::cases;

/// The names of the secrets: prefixes overlap, and one lies beyond the ceiling.
const NAMES: [&str; 7] = [
    "prod/a", "prod/a/b", "prod/ab", "prod/b", "shared/a", "shared/b", "beyond/a",
];

/// The regions, each with an engine of its own.
const REGIONS: [&str; 2] = [REGION, "us-east-1"];

/// The number of entries on one page of a list.
const PAGE: usize = 2;

/// What happens in one step. The first number is that of the region.
#[derive(Clone, Debug)]
enum Event {
    Pass(Duration),
    Change(usize, usize, Change),
    Sweep(usize, Sweep),
    Look(usize, usize),
    /// An operation has cleared the pending version of a secret.
    Operate(usize, usize, Action),
    SetPolicy(usize, Choice),
    RemovePolicy(usize),
    /// A policy is suspended.
    Rest(usize),
    /// A panic in the middle of a change has emptied an engine.
    Empty(usize),
}

/// A read of everything, or of what some policies select.
#[derive(Clone, Debug, Default)]
struct Sweep {
    policies: Option<Vec<usize>>,
    /// The list shows the secrets as they were this long ago.
    lag: Duration,
    /// The token expires after so many pages.
    expires: Option<usize>,
    /// Secrets that cannot be described, and why.
    denied: Vec<(usize, ErrorClass)>,
    /// Secrets whose entries in the list are malformed.
    malformed: Vec<usize>,
    /// Whether the secrets that the list lacks are looked at.
    looks: bool,
    /// What happens after each page.
    between: Vec<(usize, Event)>,
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

/// What a policy selects, from when it finds fault, and what its status contains.
#[derive(Clone, Debug)]
struct Choice {
    selector: usize,
    stuck_after: Duration,
    max_age: Option<Duration>,
    expiry: bool,
    stored: Option<(usize, usize)>,
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
        proptest::option::of((0..REGIONS.len(), 0..NAMES.len())),
    )
        .prop_map(|(selector, stuck_after, max_age, expiry, stored)| Choice {
            selector,
            stuck_after,
            max_age,
            expiry,
            stored,
        })
}

/// What may happen while a read runs.
fn small_event() -> BoxedStrategy<Event> {
    let place = 0..REGIONS.len();
    let name = 0..NAMES.len();
    prop_oneof![
        6 => (place.clone(), name.clone(), change())
            .prop_map(|(place, at, change)| Event::Change(place, at, change)),
        1 => (place.clone(), name, select(vec![Action::ClearPending, Action::ClearAndRotate]))
            .prop_map(|(place, at, action)| Event::Operate(place, at, action)),
        2 => (0..3_usize, choice()).prop_map(|(policy, choice)| Event::SetPolicy(policy, choice)),
        1 => (0..3_usize).prop_map(Event::RemovePolicy),
        1 => (0..3_usize).prop_map(Event::Rest),
        1 => (0..3_usize).prop_map(|minute| Event::Pass(minutes(minute as u64))),
    ]
    .boxed()
}

fn sweep_of(between: impl Strategy<Value = Event>) -> impl Strategy<Value = Sweep> {
    let some = || proptest::collection::vec(0..NAMES.len(), 0..3);
    let class = select(vec![
        ErrorClass::Denied,
        ErrorClass::Denied,
        ErrorClass::Malformed,
        ErrorClass::Gone,
    ]);
    (
        proptest::option::weighted(0.3, proptest::collection::vec(0..3_usize, 1..3)),
        select(vec![0_u64, 0, 0, 30, 120, 299]),
        proptest::option::weighted(0.3, 0..4_usize),
        proptest::collection::vec((0..NAMES.len(), class), 0..3),
        prop_oneof![2 => Just(Vec::new()), 1 => some()],
        any::<bool>(),
        prop_oneof![
            1 => Just(Vec::new()),
            1 => proptest::collection::vec((0..5_usize, between), 1..3),
        ],
    )
        .prop_map(
            |(policies, lag, expires, denied, malformed, looks, between)| Sweep {
                policies,
                lag: Duration::from_secs(lag),
                expires,
                denied,
                malformed,
                looks,
                between,
            },
        )
}

fn event() -> impl Strategy<Value = Event> {
    let place = 0..REGIONS.len();
    prop_oneof![
        3 => select(vec![1_u64, 4, 7, 60, 200, 1500, 5000])
            .prop_map(|length| Event::Pass(minutes(length))),
        6 => (place.clone(), sweep_of(small_event()))
            .prop_map(|(place, sweep)| Event::Sweep(place, sweep)),
        9 => small_event(),
        2 => (place.clone(), 0..NAMES.len()).prop_map(|(place, at)| Event::Look(place, at)),
        1 => proptest::option::weighted(0.2, place)
            .prop_map(|place| place.map_or(Event::Pass(minutes(1)), Event::Empty)),
    ]
}

/// What may happen while no policy changes, and no tag that decides which secrets a policy selects.
fn event_in_aws() -> impl Strategy<Value = Event> {
    let selects = |change: &Change| matches!(change, Change::Tag(key, _) if *key != "expires");
    let change = || {
        (
            0..NAMES.len(),
            change().prop_filter("the same selection", move |one| !selects(one)),
        )
            .prop_map(|(at, change)| Event::Change(0, at, change))
    };
    prop_oneof![
        2 => select(vec![1_u64, 2, 4, 7, 60]).prop_map(|length| Event::Pass(minutes(length))),
        5 => change(),
        5 => sweep_of(change()).prop_map(|sweep| Event::Sweep(0, Sweep { policies: None, ..sweep })),
        2 => (0..NAMES.len()).prop_map(|at| Event::Look(0, at)),
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

/// Builds the facts from two fields of the world, so that the engine can be changed meanwhile.
macro_rules! facts {
    ($world:expr) => {
        Facts {
            operations: &$world.operations,
            stability: &$world.stability,
        }
    };
}

/// AWS, the model and the engines, side by side.
struct World {
    now: AwsTime,
    places: Vec<Place>,
    policies: BTreeMap<Uid, BoundPolicy>,
    /// What each policy found, which is the memory of its next verdicts.
    memory: BTreeMap<Uid, PreviousFindings>,
    operations: OperationIndex,
    /// The survey of each policy after the last event, without the time of the read.
    surveys: BTreeMap<Uid, Survey>,
    stability: StabilityTracker,
    made: u32,
}

/// One region.
struct Place {
    region: Region,
    truth: BTreeMap<SecretName, (Secret, VersionListing)>,
    /// How each secret looked from when on; `None` = it did not exist.
    past: Vec<(AwsTime, SecretName, Option<Secret>)>,
    model: Model,
    engine: Engine,
}

/// What the sweeps have seen, by rules that are as simple as possible.
#[derive(Default)]
struct Model {
    rows: BTreeMap<SecretName, ModelRow>,
    reads: BTreeMap<Uid, ModelRead>,
    /// What the statuses contained about secrets that were not seen since.
    stored: BTreeMap<Uid, BTreeMap<SecretName, PreviousFinding>>,
    unread: BTreeMap<SecretName, (u32, AwsError)>,
    /// When the last secret of a name was proved gone, and when it had been created.
    gone: BTreeMap<SecretName, (AwsTime, Option<AwsTime>)>,
    clock: u32,
    /// The times of the last read with an answer, and of the read in progress.
    time: Option<AwsTime>,
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
    /// What the read covered; `None` = the policy has another selection now, or was suspended since.
    covered: Option<(Selector, Option<Duration>)>,
    completely: bool,
}

/// What a list entry is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// It shows nothing new about any row.
    Nothing,
    /// It shows that the secret exists, and nothing else.
    Existence,
    Everything,
    /// The secret must be described.
    Description,
}

impl Place {
    fn new(name: &str) -> Self {
        Self {
            region: region(name),
            truth: BTreeMap::new(),
            past: Vec::new(),
            model: Model::default(),
            engine: Engine::new(region(name)),
        }
    }

    fn create(&mut self, name: &SecretName, now: AwsTime, number: u32) {
        let made = secret(name.as_str());
        // The last name has an ARN without the six characters.
        let suffix = match name.as_str() {
            "shared/b" => String::new(),
            _ => format!("-{number:06}"),
        };
        let arn = made.arn.as_str().replace("-AbCdEf", &suffix);
        let arn = arn.replace(REGION, self.region.as_str());
        let moment = |ago| Some(now.minus(ago).minus(Duration::from_micros(876_544)));
        let (before, current) = (made_version(number, 0), made_version(number, 1));
        let bare = Secret {
            labels: BTreeMap::new(),
            arn: Arn::parse(arn).expect("an ARN"),
            // Of secrets with one name, the later one is created later.
            created: Some(now.minus(hours(24 * 365))),
            last_changed: moment(hours(1)),
            last_rotated: moment(hours(1)),
            next_rotation: Some(now.plus(hours(24))),
            ..made
        };
        let made = labelled(bare, "AWSPREVIOUS", &before);
        let made = labelled(made, "AWSCURRENT", &current);
        let versions = VersionListing {
            created: [
                (version(&before), moment(hours(500))),
                (version(&current), moment(hours(1))),
            ]
            .into(),
        };
        self.truth.insert(name.clone(), (made, versions));
        self.record(name, now);
    }

    fn record(&mut self, name: &SecretName, now: AwsTime) {
        let secret = self.truth.get(name).map(|(secret, _)| secret.clone());
        self.past.push((now, name.clone(), secret));
    }

    /// Returns the secret of a name as it was.
    fn as_of(&self, name: &SecretName, at: AwsTime) -> Option<Secret> {
        let mut past = self.past.iter().rev();
        let last = past.find(|(from, own, _)| own == name && *from <= at)?;
        last.2.clone()
    }

    fn change(&mut self, name: &SecretName, change: &Change, now: AwsTime, number: u32) {
        self.apply(name, change, now, number);
        self.record(name, now);
    }

    fn apply(&mut self, name: &SecretName, change: &Change, now: AwsTime, number: u32) {
        if matches!(change, Change::Create) {
            if !self.truth.contains_key(name) {
                self.create(name, now, number);
            }
            return;
        }
        if matches!(change, Change::Recreate | Change::Purge) {
            self.truth.remove(name);
            self.record(name, now);
            if matches!(change, Change::Recreate) {
                self.create(name, now, number);
            }
            return;
        }
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
                let id = made_version(number, 2);
                *secret = labelled(secret.clone(), "AWSPENDING", &id);
                if *valued {
                    versions.created.insert(version(&id), Some(now));
                }
            }
            Change::Finish => {
                let Some(pending) = pending else { return };
                let before = secret.current().cloned().expect("a current version");
                secret.labels.clear();
                *secret = labelled(secret.clone(), "AWSCURRENT", pending.as_str());
                *secret = labelled(secret.clone(), "AWSPREVIOUS", before.as_str());
                versions.created.insert(pending, Some(now));
                secret.last_rotated = Some(now);
                secret.next_rotation = Some(now.plus(hours(24)));
            }
            Change::Drop => {
                let Some(pending) = pending else { return };
                let labels = secret.labels.get_mut(&pending).expect("its labels");
                labels.remove(&stage_label("AWSPENDING"));
                secret.labels.retain(|_, labels| !labels.is_empty());
            }
            Change::RollBack => {
                let Some(pending) = pending else { return };
                for labels in secret.labels.values_mut() {
                    labels.remove(&stage_label("AWSPREVIOUS"));
                }
                secret.labels.retain(|_, labels| !labels.is_empty());
                *secret = labelled(secret.clone(), "AWSPREVIOUS", pending.as_str());
            }
            Change::Pin => {
                let current = secret.current().cloned().expect("a current version");
                let label = "srp-pin-aaaaaa-t8nyz4-c";
                *secret = labelled(secret.clone(), label, current.as_str());
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

    /// Returns the observation of a secret as a closer look sees it, with versions where they are needed; `None` = it
    /// does not exist.
    fn described(&self, arn: &Arn, name: &SecretName) -> Option<Observation> {
        let (secret, versions) = self.truth.get(name)?;
        if secret.arn != *arn {
            return None;
        }
        let last = self.model.rows.get(name).map(|row| &row.seen);
        let last = last.filter(|last| last.secret.arn == secret.arn);
        let known = last.and_then(|last| last.versions.clone());
        let unrested = is_unrested(secret);
        let versions = if Observation::versions_needed(secret, last) {
            Some(versions.clone())
        } else {
            known.filter(|_| unrested)
        };
        Some(observation(secret.clone(), versions))
    }

    /// Returns what an entry of a list is good for.
    fn use_of(&self, entry: &Secret, selected: bool) -> Use {
        let model = &self.model;
        let settled = entry.deleted.is_some() || entry.is_replica();
        let described = if selected {
            Use::Description
        } else {
            Use::Everything
        };
        let row = model.rows.get(&entry.name);
        let row = match row {
            Some(row) if row.seen.secret.arn == entry.arn => Some(row),
            Some(row) if entry.created < row.seen.secret.created => return Use::Nothing,
            Some(_) => None,
            None => {
                let gone = model.gone.get(&entry.name);
                if gone.is_some_and(|(at, created)| {
                    entry.created <= *created
                        && model.time.is_some_and(|now| now.since(*at) < minutes(5))
                }) {
                    return Use::Nothing;
                }
                None
            }
        };
        let Some(row) = row else {
            return if settled || !is_unrested(entry) {
                Use::Everything
            } else {
                described
            };
        };
        let known = &row.seen.secret;
        let unrested = is_unrested(known) || is_unrested(entry);
        if settled && entry.last_changed >= known.last_changed {
            return Use::Everything;
        }
        if row.seen.unreadable.is_some() || entry.last_changed > known.last_changed {
            return described;
        }
        if entry.last_changed == known.last_changed {
            return if unrested { described } else { Use::Everything };
        }
        let recent = model.time.is_some_and(|now| now.since(row.at) < minutes(5));
        if recent && !unrested {
            Use::Existence
        } else {
            described
        }
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
        let unread = self.model.unread.iter();
        let untrue = || aws_error(ErrorClass::Unreachable);
        Inventory {
            time: read.at,
            region: self.region.clone(),
            secrets: rows.collect(),
            unread: unread
                .map(|(name, (_, error))| (name.clone(), error.clone()))
                .collect(),
            gap: read
                .gap
                .clone()
                .or_else(|| read.covered.is_none().then(untrue)),
            completed: read.completed,
            looked_again,
        }
    }
}

/// A version id: mostly as AWS makes them, one in another form of a UUID, and one that is none.
fn made_version(number: u32, kind: u32) -> String {
    let uuid = format!("{number:08x}-abcd-4000-8000-{kind:012x}");
    match number % 4 {
        0 => uuid.to_uppercase(),
        1 => format!("version-{number}-of-kind-{kind}-with-32-characters"),
        _ => uuid,
    }
}

impl World {
    fn new(places: usize) -> Self {
        let mut world = Self {
            now: now(),
            places: REGIONS
                .iter()
                .take(places)
                .map(|one| Place::new(one))
                .collect(),
            policies: BTreeMap::new(),
            memory: BTreeMap::new(),
            operations: OperationIndex::default(),
            surveys: BTreeMap::new(),
            stability: StabilityTracker::default(),
            made: 0,
        };
        for place in &mut world.places {
            for text in NAMES {
                world.made += 1;
                place.create(&secret_name(text), world.now, world.made);
            }
        }
        // Whatever a list shows, these secrets were there.
        world.now = world.now.plus(minutes(5));
        world
    }

    fn apply(&mut self, event: &Event) -> Result<(), TestCaseError> {
        self.made += 1;
        match event {
            Event::Pass(length) => self.now = self.now.plus(*length),
            Event::Change(place, at, change) => {
                self.now = self.now.plus(Duration::from_millis(1_234));
                let (now, made) = (self.now, self.made);
                self.places[*place].change(&secret_name(NAMES[*at]), change, now, made);
            }
            Event::Sweep(place, sweep) => {
                self.now = self.now.plus(Duration::from_secs(20));
                self.sweep(*place, sweep)?;
            }
            Event::Look(place, at) => {
                self.now = self.now.plus(Duration::from_secs(20));
                self.look(*place, &secret_name(NAMES[*at]));
            }
            Event::Operate(place, at, action) => {
                self.now = self.now.plus(Duration::from_secs(1));
                self.operate(*place, &secret_name(NAMES[*at]), *action);
            }
            Event::SetPolicy(number, choice) => self.set_policy(*number, choice),
            Event::RemovePolicy(number) => {
                let uid = uid(*number);
                self.policies.remove(&uid);
                self.memory.remove(&uid);
                self.surveys.remove(&uid);
                for place in &mut self.places {
                    place.model.reads.remove(&uid);
                    place.model.stored.remove(&uid);
                    place.engine.remove_policy(&uid);
                }
                self.drop_unselected();
            }
            Event::Rest(number) => {
                let uid = uid(*number);
                for place in &mut self.places {
                    place.engine.rest_policy(&uid);
                    if let Some(read) = place.model.reads.get_mut(&uid) {
                        read.covered = None;
                        read.completely = false;
                    }
                }
            }
            Event::Empty(place) => self.empty(*place),
        }
        self.check()
    }

    fn set_policy(&mut self, number: usize, choice: &Choice) {
        let (uid, mut own) = (uid(number), policy(&number.to_string()));
        let (include, exclude) = selector(choice.selector);
        own.selector.include = include;
        own.selector.exclude = exclude;
        own.detection.stuck_after = choice.stuck_after;
        own.detection.max_age = choice.max_age;
        own.detection.expiry = choice.expiry.then(|| Expiry {
            tag_key: "expires".to_owned(),
            rotate_before: hours(24 * 7),
        });
        let mut bound = bound_policy(own);
        bound.profile.regions = REGIONS.iter().map(|one| region(one)).collect();
        let stored = self.stored(choice);
        for place in &mut self.places {
            place
                .engine
                .set_policy(&Arc::new(bound.clone()), &stored, facts!(self));
            if !self.policies.contains_key(&uid) {
                let stored = stored.findings.iter();
                let own = stored.filter(|((region, _), _)| *region == place.region);
                let own = own.map(|((_, name), old)| (name.clone(), old.clone()));
                place.model.stored.insert(uid.clone(), own.collect());
            }
            if self
                .policies
                .get(&uid)
                .is_some_and(|old| selection_of(old) != selection_of(&bound))
                && let Some(read) = place.model.reads.get_mut(&uid)
            {
                read.covered = None;
                read.completely = false;
            }
        }
        self.policies.insert(uid, bound);
        self.drop_unselected();
    }

    /// Returns what the status of a policy contains about one secret: it has been stuck for a while.
    fn stored(&self, choice: &Choice) -> PreviousFindings {
        let mut stored = PreviousFindings::default();
        let Some((place, at)) = choice.stored else {
            return stored;
        };
        let name = secret_name(NAMES[at]);
        let Some(place) = self.places.get(place) else {
            return stored;
        };
        let pending = place
            .truth
            .get(&name)
            .and_then(|(secret, _)| secret.unfinished().cloned());
        let old = PreviousFinding {
            state: if pending.is_some() {
                State::Stuck
            } else {
                State::Unknown
            },
            since: Some(self.now.minus(hours(3))),
            pending,
            first_observed: Some(self.now.minus(hours(2))),
            arn: None,
            message: String::new(),
            current: None,
            seen: None,
        };
        stored.findings.insert((place.region.clone(), name), old);
        stored
    }

    fn empty(&mut self, place: usize) {
        let place = &mut self.places[place];
        place.engine = place.engine.emptied();
        place.model = Model {
            clock: place.model.clock,
            ..Model::default()
        };
        for (uid, bound) in &self.policies {
            let nothing = PreviousFindings::default();
            place
                .engine
                .set_policy(&Arc::new(bound.clone()), &nothing, facts!(self));
            self.surveys.remove(uid);
        }
        for memory in self.memory.values_mut() {
            memory
                .findings
                .retain(|(region, _), _| *region != place.region);
        }
    }

    fn drop_unselected(&mut self) {
        let policies = &self.policies;
        for place in &mut self.places {
            place
                .model
                .rows
                .retain(|_, row| is_expected(policies, &row.seen.secret));
        }
    }

    fn sweep(&mut self, place: usize, sweep: &Sweep) -> Result<(), TestCaseError> {
        let all = || self.policies.keys().cloned().collect();
        let some = sweep.policies.as_ref().map(|policies| {
            let uids = policies.iter().map(|number| uid(*number));
            uids.filter(|uid| self.policies.contains_key(uid)).collect()
        });
        let is_whole = some.is_none();
        let covered: BTreeSet<Uid> = some.unwrap_or_else(all);
        let bounds: BTreeMap<_, _> = covered
            .iter()
            .map(|uid| (uid.clone(), self.policies[uid].clone()))
            .collect();
        let own = &mut self.places[place];
        let read = own.engine.begin(&covered, is_whole);
        own.engine.note_time(&read, self.now);
        own.model.clock += 1;
        let (tick, at) = (own.model.clock, self.now);
        own.model.time = Some(at);
        let mut moved = BTreeSet::new();
        let listed = self.list(place, sweep, &bounds, is_whole);
        let pages = sweep.expires.unwrap_or(usize::MAX);
        for (number, page) in listed.chunks(PAGE).enumerate().take(pages) {
            for (name, entry) in page {
                let at = NAMES.iter().position(|text| *text == name.as_str());
                let at = at.expect("a name");
                if !sweep.malformed.contains(&at) {
                    let denied = sweep.denied.iter().find(|(denied, _)| *denied == at);
                    self.read_one(place, &read, entry, denied.map(|(_, class)| *class))?;
                }
            }
            for (_, event) in sweep.between.iter().filter(|(after, _)| *after == number) {
                self.apply(event)?;
                // A policy that selects something else meanwhile is not covered by the read.
                for (uid, bound) in &bounds {
                    let policy = self.policies.get(uid);
                    if policy.is_none_or(|now| selection_of(now) != selection_of(bound)) {
                        moved.insert(uid.clone());
                    }
                }
            }
        }
        for at in sweep.malformed.iter().filter(|_| sweep.expires.is_none()) {
            self.unread(place, &read, &secret_name(NAMES[*at]));
        }
        let kept: BTreeMap<_, _> = bounds
            .iter()
            .filter(|(uid, _)| !moved.contains(*uid))
            .collect();
        let is_covered = |secret: &Secret| kept.values().any(|bound| expects(bound, secret));
        if sweep.looks && sweep.expires.is_none() {
            self.look_at_missed(place, &read, &is_covered)?;
        }
        self.look_up_ages(place, &read, &covered, sweep.looks)?;
        let gap = sweep.expires.map(|_| aws_error(ErrorClass::Unreachable));
        let own = &mut self.places[place];
        own.engine.end(&read, &Ended { gap: gap.clone() });
        if gap.is_none() {
            let mut gone = Vec::new();
            for (name, row) in &mut own.model.rows {
                if row.tick < tick && is_covered(&row.seen.secret) {
                    let first = *row.missed.get_or_insert(at);
                    if at.since(first) >= minutes(5) {
                        gone.push((name.clone(), (at, row.seen.secret.created)));
                    }
                }
            }
            for (name, proof) in gone {
                own.model.rows.remove(&name);
                own.model.gone.insert(name, proof);
            }
            own.model.unread.retain(|name, (seen, _)| {
                let mut kept = kept.values();
                *seen >= tick
                    || !is_whole && !kept.any(|bound| bound.policy.selector.may_select(name))
            });
        }
        for (uid, bound) in kept {
            let before = own.model.reads.get(uid);
            let completed = before.and_then(|read| read.completed);
            let completely = before.is_some_and(|read| read.completely);
            if gap.is_none() {
                own.model.stored.remove(uid);
            }
            let read = ModelRead {
                tick,
                at,
                gap: gap.clone(),
                completed: gap.is_none().then_some(at).or(completed),
                covered: Some((selection_of(bound), bound.policy.detection.max_age)),
                completely: gap.is_none() || completely,
            };
            own.model.reads.insert(uid.clone(), read);
        }
        Ok(())
    }

    /// Returns the entries of a list. A list of some policies contains only what they select.
    fn list(
        &self,
        place: usize,
        sweep: &Sweep,
        bounds: &BTreeMap<Uid, BoundPolicy>,
        is_whole: bool,
    ) -> Vec<(SecretName, Secret)> {
        let (place, at) = (&self.places[place], self.now.minus(sweep.lag));
        let names = NAMES.iter().map(|text| secret_name(text));
        let entries = names.filter_map(|name| Some((name.clone(), place.as_of(&name, at)?)));
        let entries = entries
            .filter(|(_, entry)| is_whole || bounds.values().any(|bound| expects(bound, entry)));
        entries.collect()
    }

    fn read_one(
        &mut self,
        place: usize,
        read: &Read,
        entry: &Secret,
        denied: Option<ErrorClass>,
    ) -> Result<(), TestCaseError> {
        let selected = is_expected(&self.policies, entry);
        let own = &mut self.places[place];
        let use_of = own.use_of(entry, selected);
        let detail = own.engine.listed(read, entry, facts!(self));
        let is_described = detail == Detail::Described;
        prop_assert_eq!(
            is_described,
            use_of == Use::Description,
            "{:?} {:?}",
            entry,
            use_of
        );
        self.forget_another(place, entry, use_of);
        let own = &mut self.places[place];
        match use_of {
            Use::Nothing => {}
            Use::Existence => {
                let row = own.model.rows.get_mut(&entry.name).expect("a row");
                row.tick = own.model.clock;
                row.at = own.model.time.expect("a time");
                row.missed = None;
            }
            Use::Everything => {
                // A list does not show versions; what is known of them stays.
                let known = own
                    .model
                    .rows
                    .get(&entry.name)
                    .map(|row| row.seen.versions.clone());
                let versions = known.flatten().filter(|_| entry.deleted.is_none());
                self.saw(place, observation(entry.clone(), versions));
            }
            Use::Description => {
                let described = own.described(&entry.arn, &entry.name);
                match (described, denied) {
                    (_, Some(class)) => {
                        let seen = own.denied(entry, class);
                        own.engine.take(read, &seen, facts!(self));
                        self.saw(place, seen);
                    }
                    (Some(seen), None) => self.take(place, read, seen),
                    (None, None) => self.absent(place, read, &entry.name, false),
                }
            }
        }
        Ok(())
    }

    /// Another secret of a name proves that the known one is gone.
    fn forget_another(&mut self, place: usize, seen: &Secret, use_of: Use) {
        let own = &mut self.places[place];
        let row = own.model.rows.get(&seen.name);
        let another = row.is_some_and(|row| row.seen.secret.arn != seen.arn);
        if another && use_of != Use::Nothing {
            own.model.rows.remove(&seen.name);
            self.forget(place, &seen.name);
        }
    }

    /// What was found about a secret does not count for another one of its name.
    fn forget(&mut self, place: usize, name: &SecretName) {
        let key = (self.places[place].region.clone(), name.clone());
        for memory in self.memory.values_mut() {
            memory.findings.remove(&key);
        }
    }

    fn take(&mut self, place: usize, read: &Read, seen: Observation) {
        let own = &mut self.places[place];
        let at = own.model.time.expect("a time");
        self.stability
            .observe(&seen.secret, seen.versions.as_ref(), at);
        own.engine.take(read, &seen, facts!(self));
        self.saw(place, seen);
    }

    fn absent(&mut self, place: usize, read: &Read, name: &SecretName, is_unlisted: bool) {
        let own = &mut self.places[place];
        own.engine.absent(read, name, self.now, is_unlisted);
        let Some(row) = own.model.rows.get_mut(name) else {
            return;
        };
        if row.tick == own.model.clock {
            return;
        }
        let first = *row.missed.get_or_insert(self.now);
        if is_unlisted || self.now.since(first) >= Duration::from_secs(10) {
            let proof = (self.now, row.seen.secret.created);
            own.model.rows.remove(name);
            own.model.gone.insert(name.clone(), proof);
        }
    }

    fn unread(&mut self, place: usize, read: &Read, name: &SecretName) {
        let own = &mut self.places[place];
        let error = aws_error(ErrorClass::Malformed);
        own.engine
            .unread(read, name.clone(), error.clone(), facts!(self));
        let seen = own.model.rows.get(name).map(|row| row.seen.clone());
        if let Some(seen) = seen {
            let unreadable = Some(error);
            return self.saw(place, Observation { unreadable, ..seen });
        }
        own.model
            .unread
            .insert(name.clone(), (own.model.clock, error));
    }

    fn look_at_missed(
        &mut self,
        place: usize,
        read: &Read,
        is_covered: &dyn Fn(&Secret) -> bool,
    ) -> Result<(), TestCaseError> {
        let own = &self.places[place];
        let unseen = own.engine.unseen_in(read, usize::MAX);
        let rows = own
            .model
            .rows
            .values()
            .filter(|row| row.tick < own.model.clock);
        let expected: BTreeSet<_> = rows
            .map(|row| &row.seen.secret)
            .filter(|secret| is_covered(secret) && is_expected(&self.policies, secret))
            .map(|secret| secret.name.clone())
            .collect();
        let names: BTreeSet<_> = unseen.iter().map(|one| one.secret.name.clone()).collect();
        prop_assert_eq!(names, expected);
        for last in unseen {
            match self.places[place].described(&last.secret.arn, &last.secret.name) {
                Some(seen) => self.take(place, read, seen),
                None => self.absent(place, read, &last.secret.name, true),
            }
        }
        Ok(())
    }

    /// Looks up the ages that no date shows. If there is no time for it, the next sweep does.
    fn look_up_ages(
        &mut self,
        place: usize,
        read: &Read,
        covered: &BTreeSet<Uid>,
        looks: bool,
    ) -> Result<(), TestCaseError> {
        let mut ages = self.places[place].engine.ages_needed(read, usize::MAX);
        ages.sort_by(|a, b| a.secret.name.cmp(&b.secret.name));
        prop_assert_eq!(&ages, &self.ages(place, covered));
        for seen in ages.into_iter().filter(|_| looks) {
            let own = &mut self.places[place];
            let truth = own.truth.get(&seen.secret.name);
            let Some((_, versions)) = truth.filter(|(one, _)| one.arn == seen.secret.arn) else {
                continue;
            };
            let seen = observation(seen.secret, Some(versions.clone()));
            self.take(place, read, seen);
        }
        Ok(())
    }

    /// Returns the secrets of which only the versions show the age that some policy of a read asks for.
    fn ages(&self, place: usize, covered: &BTreeSet<Uid>) -> Vec<Observation> {
        let own = &self.places[place];
        let (clock, now) = (own.model.clock, own.model.time.expect("a time"));
        let needed = |row: &&ModelRow| {
            let bounds = covered.iter().filter_map(|uid| self.policies.get(uid));
            let mut bounds = bounds.filter(|bound| selects(bound, &row.seen.secret));
            row.tick == clock
                && bounds.any(|bound| {
                    let max_age = bound.policy.detection.max_age;
                    max_age.is_some_and(|age| row.seen.age_needed(now.minus(age)))
                })
        };
        let needed = own.model.rows.values().filter(needed);
        needed.map(|row| row.seen.clone()).collect()
    }

    fn saw(&mut self, place: usize, seen: Observation) {
        let own = &mut self.places[place];
        let name = seen.secret.name.clone();
        if !is_expected(&self.policies, &seen.secret) {
            own.model.rows.remove(&name);
            return;
        }
        own.model.unread.remove(&name);
        own.model.gone.remove(&name);
        let row = ModelRow {
            seen,
            tick: own.model.clock,
            at: own.model.time.expect("a time"),
            missed: None,
        };
        own.model.rows.insert(name, row);
    }

    /// A look at one known secret, outside of any sweep.
    fn look(&mut self, place: usize, name: &SecretName) {
        let own = &mut self.places[place];
        let known = own
            .model
            .rows
            .get(name)
            .map(|row| row.seen.secret.arn.clone());
        let Some(seen) = known.and_then(|arn| own.described(&arn, name)) else {
            return;
        };
        let read = own.engine.begin(&BTreeSet::new(), false);
        own.engine.note_time(&read, self.now);
        own.model.clock += 1;
        own.model.time = Some(self.now);
        self.take(place, &read, seen);
        self.places[place].engine.end(&read, &Ended::default());
    }

    fn operate(&mut self, place: usize, name: &SecretName, action: Action) {
        let place = &mut self.places[place];
        let Some((secret, _)) = place.truth.get_mut(name) else {
            return;
        };
        let Some(pending) = secret.unfinished().cloned() else {
            return;
        };
        let mut own = operation(&self.made.to_string(), action, name.as_str());
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
        let labels = secret.labels.get_mut(&pending).expect("its labels");
        labels.remove(&stage_label("AWSPENDING"));
        secret.labels.retain(|_, labels| !labels.is_empty());
        secret.last_changed = Some(self.now);
        let arn = secret.arn.clone();
        place.record(name, self.now);
        self.operations.insert(&Arc::new(own));
        place.engine.judge_again(&arn, facts!(self));
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let mut changed = BTreeSet::new();
        for place in &mut self.places {
            changed.extend(place.engine.take_changed().into_keys());
            let rows: Vec<_> = place
                .model
                .rows
                .values()
                .map(|row| row.seen.clone())
                .collect();
            prop_assert_eq!(place.engine.observations().collect::<Vec<_>>(), rows);
            prop_assert_eq!(place.engine.len(), place.model.rows.len());
        }
        for (uid, bound) in self.policies.clone() {
            self.check_policy(&uid, &bound, changed.contains(&uid))?;
        }
        self.check_selections()
    }

    fn check_policy(
        &mut self,
        uid: &Uid,
        bound: &BoundPolicy,
        is_changed: bool,
    ) -> Result<(), TestCaseError> {
        // A policy that was not read yet judges what was read for others, and reports nothing.
        let nothing = ModelRead {
            tick: 0,
            at: self.now,
            gap: Some(aws_error(ErrorClass::Unreachable)),
            completed: None,
            covered: None,
            completely: false,
        };
        let judged = |inventories: &[Inventory], previous: &PreviousFindings| {
            let input = ClassifyInput {
                previous,
                operations: &self.operations,
                stability: &self.stability,
            };
            let (tenant, profile) = (&bound.tenant, &bound.profile);
            let inventories: Vec<_> = inventories.iter().collect();
            classify(tenant, profile, &bound.policy, &inventories, input)
        };
        let all = self.places.iter().map(|place| {
            let read = place.model.reads.get(uid);
            place.inventory(read.unwrap_or(&nothing))
        });
        let all: Vec<_> = all.collect();
        let mut before = self.memory.get(uid).cloned().unwrap_or_default();
        for place in &self.places {
            // What was found about a name is no memory of the secret that turns out to have it.
            let has_row = |(region, name): &(Region, SecretName)| {
                *region == place.region && place.model.rows.contains_key(name)
            };
            let findings = &mut before.findings;
            findings.retain(|key, old| old.arn.is_some() || !has_row(key));
            for (name, old) in place.model.stored.get(uid).into_iter().flatten() {
                let key = (place.region.clone(), name.clone());
                before.findings.entry(key).or_insert_with(|| old.clone());
            }
        }
        let memory = previous_findings(&judged(&all, &before));
        let read = self.places.iter().zip(&all);
        let read = read.filter(|(place, _)| place.model.reads.contains_key(uid));
        let read: Vec<_> = read.map(|(_, inventory)| inventory.clone()).collect();
        let expected = judged(&read, &memory);
        if !read.is_empty() {
            let engines: Vec<_> = self.places.iter().map(|place| &place.engine).collect();
            let small = expected.memory();
            let found = engine::survey(bound, &engines, &small, facts!(self));
            prop_assert_eq!(&found, &expected, "policy {}", uid);
            let timeless = timeless(found, bound, self.now);
            let before = self.surveys.insert(uid.clone(), timeless.clone());
            if !is_changed {
                let before = before.map(|before| Survey {
                    time: self.now,
                    ..before
                });
                prop_assert_eq!(before, Some(timeless), "no change of {} was reported", uid);
            }
        }
        for place in &self.places {
            Self::check_reads(place, uid, bound)?;
            Self::check_unremarkable(place, uid, bound, &judged(&all, &memory))?;
        }
        for place in &mut self.places {
            // What the status contained counts for the first verdict only.
            let rows = &place.model.rows;
            if let Some(stored) = place.model.stored.get_mut(uid) {
                stored.retain(|name, _| {
                    let row = rows.get(name);
                    row.is_none_or(|row| {
                        has_vanished(&row.seen) || !selects(bound, &row.seen.secret)
                    })
                });
            }
        }
        self.memory.insert(uid.clone(), memory);
        Ok(())
    }

    fn check_reads(place: &Place, uid: &Uid, bound: &BoundPolicy) -> Result<(), TestCaseError> {
        let (engine, read) = (&place.engine, place.model.reads.get(uid));
        let selection = selection_of(bound);
        let covered = read.and_then(|read| read.covered.as_ref());
        prop_assert_eq!(engine.covers(uid, &selection, None), covered.is_some());
        let asked = Some(hours(24 * 4));
        let age = covered.and_then(|(_, max_age)| *max_age);
        prop_assert_eq!(engine.covers(uid, &selection, asked), age == asked);
        let completely = read.is_some_and(|read| read.completely);
        prop_assert_eq!(engine.covers_completely(uid, &selection), completely);
        prop_assert_eq!(engine.gap(uid), read.and_then(|read| read.gap.as_ref()));
        prop_assert_eq!(engine.completed(uid), read.and_then(|read| read.completed));
        Ok(())
    }

    fn check_unremarkable(
        place: &Place,
        uid: &Uid,
        bound: &BoundPolicy,
        survey: &Survey,
    ) -> Result<(), TestCaseError> {
        let found = |name: &SecretName| {
            let mut findings = survey.findings.iter();
            findings.any(|one| one.region == place.region && one.name == *name)
        };
        let rows = place.model.rows.values().map(|row| &row.seen);
        let rows = rows.filter(|seen| !has_vanished(seen) && selects(bound, &seen.secret));
        let rested = rows
            .map(|seen| &seen.secret)
            .filter(|secret| !found(&secret.name));
        let names: BTreeMap<_, _> = rested
            .map(|secret| (secret.name.clone(), secret.next_rotation))
            .collect();
        let unremarkable = place.engine.unremarkable(uid);
        let unremarkable: Vec<UnremarkableSecret> = unremarkable.collect();
        let own = unremarkable
            .iter()
            .map(|one| (one.name.clone(), one.next_rotation));
        prop_assert_eq!(own.collect::<BTreeMap<_, _>>(), names.clone());
        prop_assert_eq!(unremarkable.len(), names.len(), "each once");
        for text in NAMES {
            let name = secret_name(text);
            let is_rested = place.engine.is_unremarkable(uid, &name);
            prop_assert_eq!(is_rested, names.contains_key(&name), "{}", text);
        }
        Ok(())
    }

    fn check_selections(&self) -> Result<(), TestCaseError> {
        for place in &self.places {
            for (secret, _) in place.truth.values() {
                let bounds = self
                    .policies
                    .values()
                    .filter(|bound| selects(bound, secret));
                let keys: BTreeSet<_> = bounds.map(|bound| bound.policy.key.clone()).collect();
                let found = place.engine.policies_of(secret);
                prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), keys);
            }
        }
        Ok(())
    }

    fn survey(&self, uid: &Uid) -> Survey {
        let engines: Vec<_> = self.places.iter().map(|place| &place.engine).collect();
        let nothing = PreviousFindings::default();
        engine::survey(&self.policies[uid], &engines, &nothing, facts!(self))
    }
}

impl Place {
    /// Returns the best observation of a secret that could not be described: the later of the list entry and the last
    /// description.
    fn denied(&self, entry: &Secret, class: ErrorClass) -> Observation {
        let last = self.model.rows.get(&entry.name).map(|row| row.seen.clone());
        let seen = match last {
            Some(last) if last.secret.last_changed >= entry.last_changed => last,
            Some(last) => {
                let subject = |one: &Secret| (one.unfinished().cloned(), one.current().cloned());
                let same = subject(&last.secret) == subject(entry);
                observation(entry.clone(), last.versions.filter(|_| same))
            }
            None => Observation::listed(entry.clone()),
        };
        Observation {
            unreadable: Some(aws_error(class)),
            ..seen
        }
    }
}

/// Returns the survey without what changes with time alone.
fn timeless(found: Survey, bound: &BoundPolicy, now: AwsTime) -> Survey {
    let mut include = bound.policy.selector.include.iter();
    let by_tags = include.any(|item| item.names.is_empty() && item.name_prefix.is_none());
    let mut timeless = Survey {
        time: now,
        checked: None,
        ..found
    };
    // How long it was watched grows with time, too.
    for finding in &mut timeless.findings {
        finding.stability = None;
    }
    // A policy that selects by tags alone is not marked when another region has a name that could not be read here.
    if by_tags {
        let is_unread = |finding: &mut Finding| finding.secret.is_none();
        for finding in timeless.findings.extract_if(.., is_unread) {
            *timeless.counts.entry(finding.state).or_default() -= 1;
            timeless.regions.entry(finding.region).or_default().selected -= 1;
            timeless.selected -= 1;
        }
    }
    // A healthy secret is healthy as of its read.
    for finding in &mut timeless.pinned {
        finding.since = None;
    }
    timeless
        .pinned
        .sort_by(|a, b| (&a.name, &a.region).cmp(&(&b.name, &b.region)));
    timeless
}

fn has_vanished(seen: &Observation) -> bool {
    let error = seen.unreadable.as_ref();
    error.is_some_and(|error| error.class == ErrorClass::Gone)
}

fn is_unrested(secret: &Secret) -> bool {
    let mut labels = secret.labels.values().flatten();
    secret.unfinished().is_some() || labels.any(|label| label.as_str().starts_with("srp-pin"))
}

/// Returns whether it counts for some policy that the secret exists.
fn is_expected(policies: &BTreeMap<Uid, BoundPolicy>, secret: &Secret) -> bool {
    policies.values().any(|bound| expects(bound, secret))
}

fn expects(bound: &BoundPolicy, secret: &Secret) -> bool {
    let mut names = bound.policy.selector.exact_names();
    is_reachable(secret) && names.any(|name| *name == secret.name) || selects(bound, secret)
}

fn selects(bound: &BoundPolicy, secret: &Secret) -> bool {
    is_reachable(secret) && bound.policy.selector.selects(secret)
}

fn is_reachable(secret: &Secret) -> bool {
    let reachable = ["prod/", "shared/"];
    let mut reachable = reachable.iter();
    reachable.any(|prefix| secret.name.as_str().starts_with(prefix))
}

fn selection_of(bound: &BoundPolicy) -> Selector {
    let ceilings = bound.profile.ceilings(&bound.tenant.namespace);
    bound.policy.selector.within(&ceilings)
}

fn uid(number: usize) -> Uid {
    policy(&number.to_string()).uid
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn the_survey_equals_classification_from_scratch(
        choices in proptest::collection::vec(choice(), 1..3),
        events in proptest::collection::vec(event(), 1..30),
    ) {
        let mut world = World::new(REGIONS.len());
        for (number, choice) in choices.iter().enumerate() {
            world.set_policy(number, choice);
        }
        for event in &events {
            world.apply(event)?;
        }
    }
}

proptest! {
    #![proptest_config(cases(300))]

    /// Lists lag, tokens expire, and secrets are created and deleted while a read runs. Then nothing changes any more,
    /// and two complete sweeps five minutes apart show what is true, as to one who has never looked before.
    #[test]
    fn two_complete_sweeps_five_minutes_apart_find_the_truth_and_no_secret_rises_from_the_dead(
        choices in proptest::collection::vec(choice(), 1..3),
        events in proptest::collection::vec(event_in_aws(), 1..40),
        lags in (0..300_u64, 0..300_u64),
    ) {
        let mut world = World::new(1);
        for (number, choice) in choices.iter().enumerate() {
            let selector = choice.selector % 4;
            world.set_policy(number, &Choice { selector, stored: None, ..choice.clone() });
        }
        let (mut known, mut dead) = (BTreeSet::new(), BTreeSet::new());
        let lags = [lags.0, lags.1].map(|lag| Event::Sweep(0, Sweep {
            lag: Duration::from_secs(lag),
            looks: true,
            ..Sweep::default()
        }));
        let [first, second] = lags;
        for event in events.iter().chain([&first, &Event::Pass(minutes(5)), &second]) {
            world.apply(event)?;
            let place = &world.places[0];
            let rows: BTreeSet<_> = place.engine.observations().map(|one| one.secret.arn).collect();
            let exists = |arn: &Arn| place.truth.values().any(|(secret, _)| secret.arn == *arn);
            dead.extend(known.difference(&rows).filter(|arn| !exists(arn)).cloned());
            // Secrets of one name have one ARN if it lacks the six characters.
            dead.retain(|arn: &Arn| !arn.as_str().ends_with("shared/b"));
            let risen: Vec<_> = rows.intersection(&dead).filter(|arn| !exists(arn)).collect();
            prop_assert_eq!(risen, Vec::<&Arn>::new());
            known = rows;
        }
        let truth = std::mem::take(&mut world.places[0].truth);
        let past = std::mem::take(&mut world.places[0].past);
        let surveys: BTreeMap<_, _> =
            world.policies.keys().map(|uid| (uid.clone(), world.survey(uid))).collect();
        let mut fresh = World { places: vec![Place { truth, past, ..Place::new(REGION) }], ..world };
        for bound in fresh.policies.values() {
            let memory = previous_findings(&surveys[&bound.policy.uid]);
            fresh.places[0].engine.set_policy(&Arc::new(bound.clone()), &memory, facts!(fresh));
        }
        fresh.policies.keys().for_each(|uid| {
            fresh.places[0].model.stored.insert(uid.clone(), BTreeMap::new());
        });
        fresh.sweep(0, &Sweep { looks: true, ..Sweep::default() })?;
        for (uid, survey) in surveys {
            prop_assert_eq!(fresh.survey(&uid), survey);
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
