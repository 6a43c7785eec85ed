//! One secret with many actors: a policy that acts, people who change their minds, jobs that write tags, AWS that
//! retries, sweeps that see only a part, and clocks that are wrong. Every request is checked against the true state of
//! the world when it is sent.

use std::collections::BTreeMap;
use std::time::Duration;

use fixtures::{
    aws_error, bound_policy, cluster, hours, inventory, minutes, now, operation, operation_index,
    policy_index, secret, server, stuck, tenant, version, with_value, without_value,
};
use proptest::prelude::*;
use proptest::sample::select;
use secret_rotation_core::action::{Action, Step};
use secret_rotation_core::advance::{Gate, Request};
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::block::BlockReason;
use secret_rotation_core::classify::{ClassifyInput, classify, previous_findings};
use secret_rotation_core::history::History;
use secret_rotation_core::inventory::Observation;
use secret_rotation_core::names::{StageLabel, Uid, VersionId};
use secret_rotation_core::operation::{Failure, Operation, Outcome, Trigger};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::plan::{DeferredOperations, Plan, PlanInput, Proposal};
use secret_rotation_core::planner::{gate, plan};
use secret_rotation_core::policy::{StuckRemedy, Suspension};
use secret_rotation_core::secret::{Replication, Rotation, Secret};
use secret_rotation_core::stability::StabilityTracker;
use secret_rotation_core::survey::{PreviousFindings, State, Survey};
use secret_rotation_core::time::{AgreedTime, AwsTime};

use crate::support::cases;
use crate::support::planning::{functions, known};
use crate::support::shell::{Fault, Shell};
use crate::support::world::{EmptyVersions, Function, Replica, TinyAws};

/// An event that an actor causes.
#[derive(Clone, Copy, Debug)]
enum Event {
    MovesBack,
    /// Moves AWSCURRENT to the pending version, and AWS leaves AWSPENDING there.
    MovesForward,
    SetsAValue,
    Tags,
    Switches,
    Clears,
    RunsAgain,
    /// A new rotation by AWS's own schedule.
    Rotates,
    ReplacesThePolicy,
    SuspendsThePolicy,
    SuspendsTheProfile,
    DeletesTheOperation,
    DeletesThePolicy,
    /// A person requests this action.
    Asks(Action),
    ChangesTheFunction(Function),
    /// Time passes, with or without a tag at every sweep.
    Waits {
        half_hours: u64,
        tagged: bool,
        sees_all: bool,
    },
    /// Responses show a date that is off by this many hours.
    ShowsNonsense(i64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let asked = vec![
        Action::RetryRotation,
        Action::RetryRotation,
        Action::PromotePending,
        Action::ClearPending,
        Action::ClearAndRotate,
        Action::PromotePending,
        Action::RevertToPrevious,
    ];
    let function = vec![
        Function::Rotates,
        Function::DiesEmpty,
        Function::DiesLive,
        Function::Hangs,
    ];
    let waits = |half_hours: std::ops::Range<u64>| {
        (
            half_hours,
            proptest::bool::weighted(0.15),
            proptest::bool::weighted(0.9),
        )
            .prop_map(|(half_hours, tagged, sees_all)| Event::Waits {
                half_hours,
                tagged,
                sees_all,
            })
    };
    let event = prop_oneof![
        3 => Just(Event::MovesBack),
        3 => Just(Event::MovesForward),
        1 => Just(Event::SetsAValue),
        1 => Just(Event::Tags),
        1 => Just(Event::Switches),
        1 => Just(Event::Clears),
        1 => Just(Event::RunsAgain),
        2 => Just(Event::Rotates),
        2 => Just(Event::ReplacesThePolicy),
        1 => Just(Event::SuspendsThePolicy),
        1 => Just(Event::SuspendsTheProfile),
        1 => Just(Event::DeletesTheOperation),
        1 => Just(Event::DeletesThePolicy),
        4 => select(asked).prop_map(Event::Asks),
        2 => select(function).prop_map(Event::ChangesTheFunction),
        1 => prop_oneof![Just(-40_000_i64), Just(-3), Just(2), Just(70_000)].prop_map(Event::ShowsNonsense),
        6 => waits(0..3),
        6 => waits(10..60),
    ];
    proptest::collection::vec(event, 1..16)
}

fn faults() -> impl Strategy<Value = BTreeMap<(Step, u32), Fault>> {
    let kinds = vec![
        Fault::LostRequest,
        Fault::LostReply,
        Fault::CrashBefore,
        Fault::CrashAfter,
        Fault::Refused(ErrorClass::Throttled),
        Fault::Refused(ErrorClass::Denied),
    ];
    let place = (select(Step::ALL.to_vec()), 1..3_u32);
    proptest::collection::btree_map(place, select(kinds), 0..3)
}

/// The initial state and what the policy chooses.
#[derive(Clone, Debug)]
struct Start {
    valued: bool,
    remedy: StuckRemedy,
    empty_versions: EmptyVersions,
    function: Function,
    replica: Replica,
}

fn starts() -> impl Strategy<Value = Start> {
    let remedies = vec![
        StuckRemedy::Recover,
        StuckRemedy::Recover,
        StuckRemedy::RetryRotation,
        StuckRemedy::ClearPending,
        StuckRemedy::ClearAndRotate,
    ];
    let empties = vec![
        EmptyVersions::CanBeLabelled,
        EmptyVersions::CannotBeLabelled,
    ];
    let functions = vec![
        Function::Rotates,
        Function::DiesEmpty,
        Function::DiesLive,
        Function::Hangs,
    ];
    let replicas = vec![
        Replica::None,
        Replica::Failed,
        Replica::Follows(minutes(1)),
        Replica::Follows(minutes(9)),
    ];
    (
        any::<bool>(),
        select(remedies),
        select(empties),
        select(functions),
        select(replicas),
    )
        .prop_map(
            |(valued, remedy, empty_versions, function, replica)| Start {
                valued,
                remedy,
                empty_versions,
                function,
                replica,
            },
        )
}

/// The secret, a controller, and the truth.
struct Company {
    shell: Shell,
    own: BoundPolicy,
    made: u32,
    operations: Vec<Operation>,
    due: BTreeMap<Uid, AwsTime>,
    stability: StabilityTracker,
    previous: PreviousFindings,
    last: Option<Observation>,
    agreement: AgreedTime,
    /// The local clock, which only shows how much time passes.
    began: AwsTime,
    nonsense: Option<i64>,
    /// Since when this process has watched without a gap.
    watched_since: AwsTime,
    judged: usize,
    /// Why the last plan does nothing about the secret.
    held: Option<BlockReason>,
}

impl Company {
    fn new(start: &Start, faults: BTreeMap<(Step, u32), Fault>) -> Self {
        let versions = if start.valued {
            with_value()
        } else {
            without_value()
        };
        let secret = Secret {
            next_rotation: Some(now().plus(hours(9000))),
            ..stuck("prod/a")
        };
        let mut world = TinyAws::new(secret, versions, now());
        world.empty_versions = start.empty_versions;
        world.function = start.function;
        world.replica = start.replica;
        if start.valued {
            world.live = version("p");
        }
        let mut own = bound_policy(fixtures::policy("payments"));
        own.policy.remediation.stuck = start.remedy;
        let mut shell = Shell::new(world, operation("none", Action::Rotate, "prod/a"));
        shell.faults = faults;
        let mut company = Self {
            shell,
            own,
            made: 0,
            operations: Vec::new(),
            due: BTreeMap::new(),
            stability: StabilityTracker::default(),
            previous: PreviousFindings::default(),
            last: None,
            agreement: AgreedTime::default(),
            began: now(),
            nonsense: None,
            watched_since: now(),
            judged: 0,
            held: None,
        };
        for _ in 0..2 {
            company.pass(Duration::from_secs(1));
            company.is_believed();
        }
        company
    }

    fn world(&mut self) -> &mut TinyAws {
        &mut self.shell.world
    }

    fn now(&self) -> AwsTime {
        self.shell.world.now
    }

    fn pass(&mut self, time: Duration) {
        self.shell.pass(time);
    }

    /// Returns whether a response that arrives now is used: its date is checked as the shell checks it.
    fn is_believed(&mut self) -> bool {
        let local = self.now().since(self.began);
        let shown = match self.nonsense.take() {
            Some(off) if off > 0 => self.now().plus(hours(off.unsigned_abs())),
            Some(off) => self.now().minus(hours(off.unsigned_abs())),
            None => self.now(),
        };
        let believed = self
            .agreement
            .observe(Some(shown.timestamp()), local)
            .is_believed();
        assert!(
            !believed || shown == self.now(),
            "a date that is hours off is believed"
        );
        believed
    }

    fn happen(&mut self, event: Event) {
        // A tag within seconds of a pin cannot be distinguished from the pin.
        self.pass(Duration::from_secs(30));
        match event {
            Event::MovesBack if self.shell.world.runs().is_none() => self.world().move_back(),
            Event::SetsAValue if self.shell.world.runs().is_none() => {
                self.made += 1;
                let id = format!("by-hand-{}", self.made);
                self.world().set_value(&id);
            }
            Event::MovesForward if self.shell.world.runs().is_none() => {
                self.world().move_forward();
            }
            Event::MovesBack | Event::MovesForward | Event::SetsAValue => {}
            Event::Tags => self.world().tag(),
            Event::Switches => {
                let (on, off) = (secret("prod/a").rotation, Rotation::Disabled);
                let rotates = self.world().secret.rotates();
                self.world().switch(if rotates { off } else { on });
            }
            Event::Clears => {
                if self.shell.world.secret.pending().is_some() && self.shell.world.runs().is_none()
                {
                    self.keep_the_live_one();
                    self.world().unlabel("AWSPENDING");
                }
            }
            Event::RunsAgain => self.world().run_again(),
            Event::Rotates => self.rotates(),
            Event::ReplacesThePolicy => {
                self.shell.policy = None;
                self.step_all();
                self.made += 1;
                self.own.policy.uid =
                    Uid::parse(format!("uid-again-{}", self.made)).expect("a UID");
                self.own.policy.created = server(self.now());
                self.own.policy.deletion_requested = None;
                self.previous = PreviousFindings::default();
                self.restore_policy();
            }
            Event::DeletesThePolicy => {
                self.own.policy.deletion_requested = Some(server(self.now()));
                self.restore_policy();
            }
            Event::SuspendsThePolicy => {
                let is = self.own.policy.suspension == Suspension::Active;
                self.own.policy.suspension = Suspension::of(is);
                self.restore_policy();
            }
            Event::SuspendsTheProfile => {
                let is = self.own.profile.suspension == Suspension::Active;
                self.own.profile.suspension = Suspension::of(is);
                self.restore_policy();
            }
            Event::DeletesTheOperation => {
                let deleted = server(self.now());
                for one in self.operations.iter_mut().filter(|one| !one.is_finished()) {
                    one.deletion_requested = Some(deleted);
                }
            }
            Event::Asks(action) => self.ask(action),
            Event::ChangesTheFunction(function) => self.world().function = function,
            Event::ShowsNonsense(off) => {
                // Three wrong dates in a row that agree are a clock that was set, and are trusted.
                self.is_believed();
                self.nonsense = Some(off);
            }
            Event::Waits {
                half_hours,
                tagged,
                sees_all,
            } => {
                for _ in 0..half_hours {
                    self.rest(minutes(30));
                    if tagged {
                        self.pass(Duration::from_secs(30));
                        self.world().tag();
                    }
                    self.sweep(sees_all);
                }
            }
        }
        self.sweep(true);
        self.step_all();
    }

    /// Keeps the live password labelled: a person who clears a label without the controller is outside its
    /// responsibility.
    fn keep_the_live_one(&mut self) {
        if self.shell.world.secret.pending() == Some(&self.shell.world.live) {
            let current = self.shell.world.secret.current().cloned();
            self.world().live = current.expect("always one");
        }
    }

    fn rotates(&mut self) {
        let world = &self.shell.world;
        if !world.secret.rotates() || world.secret.unfinished().is_some() {
            return;
        }
        self.made += 1;
        let token = version(&format!("scheduled-{}", self.made));
        let kept = self.world().accepted.len();
        let _ = self.world().apply(&Request::Rotate { token });
        self.world().accepted.truncate(kept);
    }

    fn restore_policy(&mut self) {
        self.shell.policy = Some(self.own.policy.clone());
        self.shell.profile = self.own.profile.clone();
    }

    /// Requests an action as `kubectl secret-rotation` does: it expects what is seen.
    fn ask(&mut self, action: Action) {
        let secret = &self.shell.world.secret;
        let needs_pending =
            action.clears() || matches!(action, Action::RetryRotation | Action::PromotePending);
        self.made += 1;
        let mut asked = operation(&format!("by-hand-{}", self.made), action, "prod/a");
        asked.trigger = Trigger::Manual;
        asked.expect.current = secret.current().cloned();
        asked.expect.pending = secret.pending().cloned().filter(|_| needs_pending);
        asked.expect.previous = secret
            .previous()
            .cloned()
            .filter(|_| action == Action::RevertToPrevious);
        asked.created = server(self.now());
        asked.policy.uid = Some(self.own.policy.uid.clone());
        self.operations.push(asked);
    }

    /// Lets time pass in which operations continue.
    fn rest(&mut self, time: Duration) {
        let until = self.now().plus(time);
        while self.now() < until {
            self.step_all();
            let next = self.due.values().copied().min().unwrap_or(until);
            let next = next.min(until);
            self.pass(next.since(self.now()).max(Duration::from_secs(1)));
        }
    }

    /// Lets every unfinished operation that is due take steps until it waits.
    fn step_all(&mut self) {
        for place in 0..self.operations.len() {
            for _ in 0..60 {
                let one = &self.operations[place];
                let due = self.due.get(&one.uid).is_none_or(|due| *due <= self.now());
                if one.is_finished() || !due {
                    break;
                }
                self.step(place);
            }
        }
    }

    fn step(&mut self, place: usize) {
        if !self.is_believed() {
            self.pass(Duration::from_secs(1));
            return;
        }
        let own = self.operations[place].clone();
        let is_own = own.policy.uid.as_ref() == Some(&self.own.policy.uid);
        let policy = self.shell.policy.clone();
        self.shell.policy = policy.clone().filter(|_| is_own);
        self.shell.others = self.operations.clone();
        self.shell.others.remove(place);
        self.shell.gate = self.gate(&own);
        let (secret, now) = (self.shell.world.secret.clone(), self.now());
        self.stability.observe(&secret, None, now);
        self.shell.unchanged_since = self
            .stability
            .stability(&secret, now)
            .map(|rest| rest.since);
        self.shell.operation = own;
        let pause = self.shell.once();
        let own = self.shell.operation.clone();
        self.shell.policy = policy;
        self.judge_requests(&own);
        if own.is_finished() {
            self.judge_end(&own);
            self.due.remove(&own.uid);
        } else {
            self.due.insert(own.uid.clone(), self.now().plus(pause));
        }
        self.operations[place] = own;
        assert!(
            self.shell.world.is_live_version_labelled(),
            "orphaned: {}",
            self.shell.story()
        );
    }

    fn gate(&self, own: &Operation) -> Gate {
        self.with_context(|input| {
            let region = fixtures::region(fixtures::REGION);
            let judged = input.region_gates.get(&self.own.policy.uid, &region);
            gate(own, None, judged.as_ref(), input)
        })
    }

    fn with_context<T>(&self, ask: impl FnOnce(&PlanInput<'_>) -> T) -> T {
        let observations: Vec<_> = self.last.iter().cloned().collect();
        let functions = functions(&observations);
        let region = fixtures::region(fixtures::REGION);
        let open = secret_rotation_core::plan::RegionGate::Open;
        let judged = [(self.own.policy.uid.clone(), [(region, open)].into())];
        let judged = judged.into_iter().collect();
        ask(&PlanInput {
            own: &self.own,
            bound_policies: &policy_index(std::slice::from_ref(&self.own)),
            operations: &known(&self.operations, &functions),
            region_gates: &judged,
            stability: &self.stability,
            deferred: &DeferredOperations::default(),
            cluster: &cluster(),
            now: self.now(),
        })
    }

    /// Sweeps: versions are listed if core asks for them, and operations are created.
    fn sweep(&mut self, sees_all: bool) {
        if !self.is_believed() {
            return;
        }
        let secret = self.shell.world.secret.clone();
        let mut observation = Observation::listed(secret.clone());
        observation.versions = if Observation::versions_needed(&secret, self.last.as_ref()) {
            self.shell.world.look(true).versions
        } else {
            self.last.as_ref().and_then(|last| last.versions.clone())
        };
        let now = self.now();
        self.stability
            .observe(&secret, observation.versions.as_ref(), now);
        self.last = Some(observation.clone());
        let mut seen = inventory(vec![observation]);
        seen.time = now;
        if !sees_all {
            seen.gap = Some(aws_error(ErrorClass::Unreachable));
        }
        let known = ClassifyInput {
            previous: &self.previous,
            operations: &operation_index(&self.operations),
            stability: &self.stability,
        };
        let own = &self.own;
        let survey = classify(&own.tenant, &own.profile, &own.policy, &[&seen], known);
        self.judge_survey(&survey);
        let planned = self.with_context(|input| plan(&survey, input));
        self.previous = previous_findings(&survey);
        self.held = planned.blocked.values().map(|block| block.reason).next();
        assert!(
            sees_all || planned.create.is_empty(),
            "half seen: {planned}"
        );
        if self.own.policy.deletion_requested.is_none() {
            self.carry_out(planned);
        }
    }

    fn carry_out(&mut self, plan: Plan) {
        let now = self.now();
        for (key, why) in plan.supersede {
            let mut all = self.operations.iter_mut();
            if let Some(one) = all.find(|one| one.key == key && !one.is_finished()) {
                one.outcome = Some(Outcome::Failed {
                    reason: Failure::Superseded,
                    message: why,
                });
                one.completed = Some(now);
            }
        }
        for proposal in plan.create {
            self.create(proposal);
        }
    }

    fn create(&mut self, proposal: Proposal) {
        self.made += 1;
        let mut made = operation(proposal.name.as_str(), proposal.action, "prod/a");
        made.uid = Uid::parse(format!("op-{}", self.made)).expect("a UID");
        made.expect = proposal.expect;
        made.created = server(self.now());
        made.policy.uid = Some(self.own.policy.uid.clone());
        self.operations.push(made);
    }

    /// Checks the survey against the truth: the state, and which changes are the controller's own.
    fn judge_survey(&self, survey: &Survey) {
        let world = &self.shell.world;
        let history = History::of(&world.secret.arn, &self.operations);
        let history = history.trusting(&self.own.profile, [&tenant("prod")]);
        let foreign = history.last_foreign_change(&world.secret).expect("a date");
        assert_eq!(
            foreign,
            world.disturbed,
            "own and foreign changes: {}",
            self.shell.story()
        );
        let Some(pending) = world.secret.unfinished().filter(|_| world.secret.rotates()) else {
            return;
        };
        let state = survey.findings.first().map(|finding| finding.state);
        let rested = world.now.since(world.disturbed) >= hours(6);
        if rested || world.refused.contains(pending) && has_value(world, pending) {
            assert_eq!(state, Some(State::Stuck), "{}", self.shell.story());
        }
    }

    /// Checks each request that was sent since the last check.
    fn judge_requests(&mut self, own: &Operation) {
        let sent = self.shell.sent.len();
        for n in self.judged..sent {
            let (_, request) = self.shell.sent[n].clone();
            let before = self.shell.before[n].clone();
            self.judge_request(own, &request, &before);
            self.judge_replica(own, n, &before);
            self.judge_pace(own, n);
        }
        self.judged = sent;
    }

    fn judge_request(&self, own: &Operation, request: &Request, world: &TinyAws) {
        let story = self.shell.story();
        let policy = self.shell.policy.as_ref();
        assert!(own.deletion_requested.is_none(), "deleted: {story}");
        assert!(
            policy.is_some_and(secret_rotation_core::policy::Policy::acts),
            "stopped: {story}"
        );
        assert_eq!(self.own.profile.suspension, Suspension::Active, "{story}");
        let by_machine = own.trigger == Trigger::Policy;
        let secret = &world.secret;
        let takes_back =
            matches!(request, Request::Detach { label, .. } if *label != StageLabel::pending());
        assert!(
            secret.rotates() || !by_machine || takes_back,
            "rotation is off: {story}"
        );
        let unfinished = secret.unfinished();
        match request {
            Request::Detach { label, version } if *label == StageLabel::pending() => {
                assert_ne!(world.runs(), Some(version), "a live rotation: {story}");
                if own.action.clears() {
                    assert!(
                        rests(world, version, self.watched_since),
                        "too early: {story}"
                    );
                }
            }
            Request::Rotate { .. } => {
                assert!(secret.rotates(), "it would switch rotation on: {story}");
                let refused = |version: &VersionId| {
                    world.refused.contains(version) && has_value(world, version)
                };
                let about = unfinished.or(own.expect.pending.as_ref());
                assert!(
                    !by_machine || !about.is_some_and(refused),
                    "a person decided against it: {story}"
                );
                assert!(
                    !by_machine || own.action != Action::Rotate || self.is_owed(),
                    "no one requested it: {story}"
                );
            }
            Request::Move { .. } | Request::RestoreSecret => assert!(!by_machine, "{story}"),
            Request::Attach { .. } | Request::Detach { .. } => {}
        }
    }

    /// Checks that no write follows another before the replica has followed, or has had its time.
    fn judge_replica(&self, own: &Operation, n: usize, world: &TinyAws) {
        if world.replica_status() != Some(Replication::InProgress) {
            return;
        }
        // A request counts from its intent: one that was never sent looks like one whose response was lost.
        let entries = own.journal.0.iter();
        let tries = entries.flat_map(|entry| {
            entry
                .earlier
                .iter()
                .map(|one| one.intent)
                .chain([entry.intent])
        });
        let mut tries: Vec<_> = tries.collect();
        tries.sort_unstable();
        let (at, _) = self.shell.sent[n];
        let before = tries.len().checked_sub(2).map(|before| tries[before]);
        assert!(
            before.is_none_or(|before| at.since(before) >= minutes(10)),
            "the replica is behind: {}",
            self.shell.story()
        );
    }

    /// Returns whether the rotation completes a recovery that cleared and could not rotate.
    fn is_owed(&self) -> bool {
        let mut ended = self.operations.iter();
        ended.any(|one| {
            one.action == Action::ClearAndRotate && one.journal.entry(Step::Clear).is_some()
        })
    }

    /// Checks that automatic attempts are few and far enough apart, and that none follows a person's action.
    fn judge_pace(&self, own: &Operation, n: usize) {
        let (at, _) = self.shell.sent[n];
        let first = own.journal.0.len() == 1 && own.journal.0[0].tries == 1;
        if own.trigger != Trigger::Policy || !first {
            return;
        }
        let story = self.shell.story();
        let others = self.operations.iter().filter(|other| other.uid != own.uid);
        let by_hand = others.clone().filter(|one| one.trigger == Trigger::Manual);
        let wrote = by_hand
            .filter_map(|one| one.journal.last_intent(&Step::ALL))
            .max();
        assert!(
            wrote.is_none_or(|wrote| at.since(wrote) >= hours(24)),
            "after a person: {story}"
        );
        let attempts =
            others.filter_map(|one| one.journal.last_intent(&[Step::Clear, Step::Rotate]));
        let attempts: Vec<_> = attempts
            .filter(|when| at.since(*when) < hours(24))
            .collect();
        assert!(attempts.len() < 3, "too many attempts: {story}");
        let last = attempts.iter().max();
        assert!(
            last.is_none_or(|last| at.since(*last) >= minutes(15)),
            "too soon after the last attempt: {story}"
        );
    }

    /// Checks that a success happened after it was requested.
    fn judge_end(&self, own: &Operation) {
        let Some(Outcome::Succeeded { .. }) = own.outcome else {
            return;
        };
        let subject = match own.action {
            Action::Rotate | Action::ClearAndRotate => own.request_token(),
            Action::RetryRotation | Action::PromotePending => own.expect.pending.clone(),
            Action::RevertToPrevious => own.expect.previous.clone(),
            Action::ClearPending
            | Action::RestorePending
            | Action::RestoreSecret
            | Action::ReleasePins => None,
        };
        let began = own
            .journal
            .0
            .iter()
            .map(|entry| entry.first_try().intent)
            .min();
        if let (Some(subject), Some(began)) = (subject, began) {
            let mut current = self.shell.world.became_current.iter();
            assert!(
                current.any(|(version, at)| *version == subject && *at >= began),
                "{subject} did not become current: {}",
                self.shell.story()
            );
        }
    }
}

fn has_value(world: &TinyAws, version: &VersionId) -> bool {
    world.versions.get(version).is_some_and(Option::is_some)
}

/// Returns whether nothing but pins has happened for `stuckAfter`, or the version is empty and labels and versions have
/// not changed for a day.
fn rests(world: &TinyAws, version: &VersionId, watched_since: AwsTime) -> bool {
    let slack = Duration::from_secs(5);
    let quiet = world.now.since(world.disturbed) + slack >= hours(6);
    let moved = world.moved.max(watched_since);
    let rested = world.now.since(moved) + slack >= hours(24);
    quiet || rested && !has_value(world, version)
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn every_request_is_correct_when_it_is_sent_whatever_others_do(
        start in starts(),
        events in events(),
        faults in faults(),
    ) {
        let mut company = Company::new(&start, faults);
        for event in events {
            company.happen(event);
        }
    }

    /// No one else acts, the function works and the policy may act: the secret is recovered, or the finding shows why
    /// not.
    #[test]
    fn a_stuck_secret_is_finally_recovered_or_reports_why_not(
        start in starts(),
        events in events(),
    ) {
        let mut company = Company::new(&start, BTreeMap::new());
        for event in events {
            company.happen(event);
        }
        company.world().function = Function::Rotates;
        if !company.world().secret.rotates() {
            // A change within seconds of a pin cannot be distinguished from the pin.
            company.pass(Duration::from_secs(30));
            company.world().switch(secret("prod/a").rotation);
        }
        company.own.policy.deletion_requested = None;
        company.own.policy.suspension = Suspension::Active;
        company.own.profile.suspension = Suspension::Active;
        company.restore_policy();
        for _ in 0..80 {
            company.rest(minutes(60));
            company.sweep(true);
        }
        let world = &company.shell.world;
        let left = company.operations.iter().filter(|one| !one.is_finished()).count();
        prop_assert_eq!(left, 0, "{}", company.shell.story());
        let Some(pending) = world.secret.unfinished() else { return Ok(()) };
        let refused = world.refused.contains(pending) && start.remedy == StuckRemedy::RetryRotation;
        let expected = if refused { BlockReason::ManualHold } else { BlockReason::PinExhausted };
        prop_assert_eq!(company.held, Some(expected), "{}", company.shell.story());
    }
}
