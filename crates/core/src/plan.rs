//! What to do about a survey: operations to create, and what is held back and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::advance::Gate;
use crate::authorise::may_act;
use crate::classify::stuck_and_eligible;
use crate::clock::AwsTime;
use crate::history::History;
use crate::identity::{Arn, FunctionArn, ObjectKey, ObjectName, Region, SecretName};
use crate::naming;
use crate::operation::{Action, Expectation, Failure, Operation, Outcome, PendingValue, Trigger};
use crate::ownership::{Claimant, owner};
use crate::pin::{self, ClusterId};
use crate::policy::{Mode, OverdueRemedy, StuckRemedy, Suspension};
use crate::rotation_window;
use crate::secret::{HandsOff, Secret};
use crate::survey::{Ailment, Finding, State, Survey};

/// Operations to create for one policy, and why others are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be created now.
    pub create: Vec<Proposal>,
    /// Findings that are held back, by ARN.
    pub held: BTreeMap<Arn, Hold>,
    /// Attempts made within the attempt window, and when the next may begin, by ARN of each finding.
    pub attempts: BTreeMap<Arn, Attempts>,
    /// The unfinished operation at work on each finding.
    pub at_work: BTreeMap<Arn, ObjectKey>,
    /// Operations of this policy that have not started and whose reason is gone, with a sentence why.
    pub supersede: Vec<(ObjectKey, String)>,
    /// Whether the circuit breaker is open.
    pub breaker: Breaker,
    /// When time alone changes the plan.
    pub wake_at: Option<AwsTime>,
}

/// An automatic operation that does not exist yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Its name: the same inputs always make the same one.
    pub name: ObjectName,
    /// The secret's ARN.
    pub arn: Arn,
    /// The secret's name.
    pub secret: SecretName,
    /// The secret's region.
    pub region: Region,
    /// What to do.
    pub action: Action,
    /// What must be true before.
    pub expect: Expectation,
    /// Why, for the audit.
    pub reason: String,
    /// Time between pin and clear.
    pub confirm_after: Duration,
}

/// Why nothing is done about a finding, and until when if time alone changes that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The reason.
    pub reason: BlockReason,
    /// When it ends by itself.
    pub until: Option<AwsTime>,
}

/// Attempts on one secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Within the attempt window.
    pub count: usize,
    /// When the next may begin; absent if now, or if it is not known.
    pub next: Option<AwsTime>,
}

/// The circuit breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Breaker {
    /// Actions are allowed.
    #[default]
    Closed,
    /// Too much is stuck for a machine to act.
    Open,
}

/// Why nothing is done about a finding (`blockedBy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockReason {
    /// The policy observes only, or its remedy is Report.
    ObserveOnly,
    /// As many operations as allowed are at work.
    ConcurrencyLimit,
    /// The pause after an attempt is not over.
    BackingOff,
    /// No more attempts in this window.
    AttemptsExhausted,
    /// Too much is stuck.
    CircuitBreakerOpen,
    /// The policy selects more than it said.
    SelectionTooLarge,
    /// Another policy, or another cluster, takes care of it.
    Conflict,
    /// The profile does not allow it.
    ActionNotAllowed,
    /// AWS does not allow it.
    AccessDenied,
    /// No room for a pin.
    PinExhausted,
    /// Nothing may ever be done to this secret.
    Ineligible,
    /// Rotation is off; starting one would switch it on.
    RotationDisabled,
    /// AWS may still retry by itself.
    RotationWindowOpen,
    /// Something about it changed too recently.
    RecentlyChanged,
    /// A person acted.
    ManualHold,
    /// The policy is suspended.
    Suspended,
}

impl BlockReason {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::ObserveOnly,
        Self::ConcurrencyLimit,
        Self::BackingOff,
        Self::AttemptsExhausted,
        Self::CircuitBreakerOpen,
        Self::SelectionTooLarge,
        Self::Conflict,
        Self::ActionNotAllowed,
        Self::AccessDenied,
        Self::PinExhausted,
        Self::Ineligible,
        Self::RotationDisabled,
        Self::RotationWindowOpen,
        Self::RecentlyChanged,
        Self::ManualHold,
        Self::Suspended,
    ];

    /// The name used in status and metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ObserveOnly => "ObserveOnly",
            Self::ConcurrencyLimit => "ConcurrencyLimit",
            Self::BackingOff => "BackingOff",
            Self::AttemptsExhausted => "AttemptsExhausted",
            Self::CircuitBreakerOpen => "CircuitBreakerOpen",
            Self::SelectionTooLarge => "SelectionTooLarge",
            Self::Conflict => "Conflict",
            Self::ActionNotAllowed => "ActionNotAllowed",
            Self::AccessDenied => "AccessDenied",
            Self::PinExhausted => "PinExhausted",
            Self::Ineligible => "Ineligible",
            Self::RotationDisabled => "RotationDisabled",
            Self::RotationWindowOpen => "RotationWindowOpen",
            Self::RecentlyChanged => "RecentlyChanged",
            Self::ManualHold => "ManualHold",
            Self::Suspended => "Suspended",
        }
    }
}

/// Everything a plan rests on beside the survey.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The policy, with its profile and namespace.
    pub own: &'a Claimant,
    /// Every policy of the cluster that is in order, the own one included.
    pub claimants: &'a [Claimant],
    /// Every operation of the cluster.
    pub operations: &'a [Operation],
    /// The rotation function of each secret that an unfinished operation is about.
    pub functions: &'a BTreeMap<Arn, FunctionArn>,
    /// Which pins are ours.
    pub cluster: &'a ClusterId,
    /// AWS time.
    pub now: AwsTime,
}

/// Plans what to do about the survey: creates nothing itself, and says of every finding why nothing is done.
pub fn plan(survey: &Survey, context: &Context<'_>) -> Plan {
    let breaker = breaker(survey, context.own);
    let mut planner = Planner { survey, context, breaker, plan: Plan { breaker, ..Plan::default() } };
    for finding in &survey.findings {
        planner.consider(finding);
    }
    for finding in &survey.pinned {
        planner.consider_release(finding);
    }
    planner.supersede();
    planner.plan.wake_at = planner.plan.held.values().filter_map(|hold| hold.until).filter(|until| *until > context.now).min();
    planner.plan
}

/// Whether budgets let an automatic operation begin, or go on to clear. `breaker` is what this process last planned for
/// the policy. Operations by hand are not subject to budgets.
pub fn gate(operation: &Operation, function: Option<&FunctionArn>, breaker: Option<Breaker>, context: &Context<'_>) -> Gate {
    if operation.trigger == Trigger::Manual {
        return Gate::Open;
    }
    if context.own.policy.mode == Mode::Observe {
        return Gate::Held(BlockReason::ObserveOnly);
    }
    match breaker {
        None => return Gate::Unknown,
        Some(Breaker::Open) => return Gate::Held(BlockReason::CircuitBreakerOpen),
        Some(Breaker::Closed) => {}
    }
    let ahead = || context.operations.iter().filter(|other| other.uid != operation.uid && is_ahead(other, operation));
    let of_policy = ahead().filter(|other| other.policy.uid.as_ref() == Some(&context.own.policy.uid) && other.trigger == Trigger::Policy);
    let on_function = ahead().filter(|other| function.is_some() && context.running_on(other) == function);
    let full = of_policy.count() >= context.own.policy.remediation.max_concurrent
        || operation.action.rotates() && on_function.count() >= context.own.profile.max_concurrent_per_function;
    if full { Gate::Held(BlockReason::ConcurrencyLimit) } else { Gate::Open }
}

/// An operation that takes a place before another one does: it has started, or it waits and is older.
fn is_ahead(other: &Operation, own: &Operation) -> bool {
    let waits_longer = other.trigger == Trigger::Policy && (other.created, &other.uid) < (own.created, &own.uid);
    !other.is_finished() && (other.has_started() || waits_longer)
}

fn breaker(survey: &Survey, own: &Claimant) -> Breaker {
    let stuck = stuck_and_eligible(survey);
    if own.policy.remediation.breaker.is_open(stuck, survey.eligible) { Breaker::Open } else { Breaker::Closed }
}

impl Context<'_> {
    /// The rotation function on which an operation runs or may run, if it is one that rotates.
    fn running_on(&self, operation: &Operation) -> Option<&FunctionArn> {
        operation.arn.as_ref().filter(|_| operation.action.rotates()).and_then(|arn| self.functions.get(arn))
    }

    fn unfinished_of_policy(&self) -> usize {
        let own = &self.own.policy.uid;
        let automatic = self.operations.iter().filter(|operation| operation.trigger == Trigger::Policy && !operation.is_finished());
        automatic.filter(|operation| operation.policy.uid.as_ref() == Some(own)).count()
    }

    fn unfinished_on(&self, function: &FunctionArn) -> usize {
        let unfinished = self.operations.iter().filter(|operation| !operation.is_finished());
        unfinished.filter(|operation| self.running_on(operation) == Some(function)).count()
    }
}

struct Planner<'a> {
    survey: &'a Survey,
    context: &'a Context<'a>,
    breaker: Breaker,
    plan: Plan,
}

/// What is to be done about one finding.
enum Decision {
    Nothing,
    AtWork(ObjectKey),
    Hold(Hold),
    Create(Proposal),
}

impl Planner<'_> {
    fn consider(&mut self, finding: &Finding) {
        let (Some(arn), Some(secret)) = (&finding.arn, &finding.secret) else { return };
        let history = History::of(arn, self.context.operations);
        let attempts = self.attempts(&history, secret);
        let decision = self.decide(finding, arn, secret, &history);
        self.record(arn, attempts, decision);
    }

    fn record(&mut self, arn: &Arn, attempts: Attempts, decision: Decision) {
        if attempts.count > 0 {
            self.plan.attempts.insert(arn.clone(), attempts);
        }
        match decision {
            Decision::Nothing => {}
            Decision::AtWork(key) => drop(self.plan.at_work.insert(arn.clone(), key)),
            Decision::Hold(hold) => drop(self.plan.held.insert(arn.clone(), hold)),
            Decision::Create(proposal) => self.plan.create.push(proposal),
        }
    }

    fn attempts(&self, history: &History<'_>, secret: &Secret) -> Attempts {
        let remediation = &self.context.own.policy.remediation;
        let (window, now) = (remediation.attempt_window, self.context.now);
        let count = history.attempts(secret, window, now);
        let next = history.next_attempt(secret, remediation.backoff, window, now).filter(|next| *next > now);
        Attempts { count, next: next.filter(|_| count > 0) }
    }

    fn decide(&self, finding: &Finding, arn: &Arn, secret: &Secret, history: &History<'_>) -> Decision {
        let Some(remedy) = self.remedy(finding, history) else { return Decision::Nothing };
        if let Some(operation) = history.unfinished() {
            return Decision::AtWork(operation.key.clone());
        }
        let remedy = match remedy {
            Remedy::Act(action) => action,
            Remedy::Report => return Decision::Hold(Hold::open(BlockReason::ObserveOnly)),
        };
        let hold = self
            .forbidden(secret, remedy)
            .or_else(|| self.too_much())
            .or_else(|| self.spent(finding, secret, history))
            .or_else(|| self.too_early(finding, secret, history, remedy))
            .or_else(|| self.crowded(secret, remedy));
        match hold {
            Some(hold) => Decision::Hold(hold),
            None => self.propose(finding, arn, remedy, history).map_or(Decision::Nothing, Decision::Create),
        }
    }

    /// What the policy wants done about this kind of finding; `None` if nothing could be done.
    fn remedy(&self, finding: &Finding, history: &History<'_>) -> Option<Remedy> {
        let remediation = &self.context.own.policy.remediation;
        Some(match (finding.ailment, remediation.stuck, remediation.overdue) {
            (Ailment::Untreatable, _, _) => return None,
            (Ailment::Stuck, StuckRemedy::Report, _) | (Ailment::Overdue, _, OverdueRemedy::Report) => Remedy::Report,
            (Ailment::Stuck, StuckRemedy::RetryRotation, _) => Remedy::Act(Action::RetryRotation),
            (Ailment::Stuck, StuckRemedy::ClearPending, _) => Remedy::Act(Action::ClearPending),
            (Ailment::Stuck, StuckRemedy::ClearAndRotate, _) => Remedy::Act(Action::ClearAndRotate),
            (Ailment::Stuck, StuckRemedy::Recover, _) => Remedy::Act(recovery(finding, history)),
            (Ailment::Overdue, _, OverdueRemedy::Rotate) => Remedy::Act(Action::Rotate),
        })
    }

    /// Reasons that only people can take away.
    fn forbidden(&self, secret: &Secret, action: Action) -> Option<Hold> {
        let own = self.context.own;
        let reason = match secret.hands_off() {
            Some(HandsOff::RotationDisabled) => Some(BlockReason::RotationDisabled),
            Some(_) => Some(BlockReason::Ineligible),
            None if own.policy.mode == Mode::Observe => Some(BlockReason::ObserveOnly),
            None if own.policy.suspension == Suspension::Suspended => Some(BlockReason::Suspended),
            None if may_act(&own.profile, action).is_err() => Some(BlockReason::ActionNotAllowed),
            None if owner(secret, self.context.claimants) != Some(&own.policy.key) => Some(BlockReason::Conflict),
            None if self.pinned_by_another_cluster(secret) => Some(BlockReason::Conflict),
            None => None,
        };
        reason.map(Hold::open)
    }

    fn pinned_by_another_cluster(&self, secret: &Secret) -> bool {
        let window = self.context.own.policy.remediation.attempt_window;
        pin::on(secret).any(|(_, _, pin)| pin.cluster != *self.context.cluster && pin.is_within(window, self.context.now))
    }

    /// Too much at once for a machine to be trusted with.
    fn too_much(&self) -> Option<Hold> {
        if self.survey.selected > self.context.own.policy.selector.max_secrets {
            return Some(Hold::open(BlockReason::SelectionTooLarge));
        }
        (self.breaker == Breaker::Open).then(|| Hold::open(BlockReason::CircuitBreakerOpen))
    }

    /// Budgets of this secret: attempts, back-off, and respect for what a person did.
    fn spent(&self, finding: &Finding, secret: &Secret, history: &History<'_>) -> Option<Hold> {
        let remediation = &self.context.own.policy.remediation;
        let (window, now) = (remediation.attempt_window, self.context.now);
        if let Some(until) = history.manual_hold(window, now) {
            return Some(Hold::until(BlockReason::ManualHold, until));
        }
        if history.attempts(secret, window, now) >= remediation.max_attempts {
            return Some(Hold { reason: BlockReason::AttemptsExhausted, until: history.budget_returns(secret, window, now) });
        }
        let next = history.next_attempt(secret, remediation.backoff, window, now).filter(|next| *next > now);
        next.map(|next| Hold::until(BlockReason::BackingOff, next)).or_else(|| self.failed_before(finding, history))
    }

    /// Operations that failed before they did anything count as no attempt, but they too must not follow one another at once.
    fn failed_before(&self, finding: &Finding, history: &History<'_>) -> Option<Hold> {
        let subject = finding.pending.as_ref().or(finding.current.as_ref())?;
        let failed: Vec<_> = history.about(&self.context.own.policy.uid, subject).filter_map(failure).collect();
        let (last, reason) = failed.iter().max_by_key(|(at, _)| *at)?;
        let backoff = self.context.own.policy.remediation.backoff;
        let (reason, pause) = match reason {
            Failure::AccessDenied => (BlockReason::AccessDenied, backoff.max),
            Failure::PinExhausted => (BlockReason::PinExhausted, backoff.max),
            Failure::Superseded
            | Failure::PreconditionFailed
            | Failure::Refused
            | Failure::RotationDidNotFinish
            | Failure::NotAuthorised
            | Failure::PolicyGone
            | Failure::Gone
            | Failure::AwsUnavailable
            | Failure::Unexpected => (BlockReason::BackingOff, backoff.after(failed.len())),
        };
        let until = last.plus(pause);
        (until > self.context.now).then(|| Hold::until(reason, until))
    }

    /// Acting on a stuck rotation needs quiet by AWS's own dates, whatever status remembers.
    fn too_early(&self, finding: &Finding, secret: &Secret, history: &History<'_>, action: Action) -> Option<Hold> {
        if finding.ailment != Ailment::Stuck {
            return None;
        }
        let now = self.context.now;
        let Some(quiet_since) = history.quiet_since(secret) else { return Some(Hold::open(BlockReason::RecentlyChanged)) };
        let ripe = quiet_since.plus(self.context.own.policy.detection.stuck_after);
        if now < ripe {
            return Some(Hold::until(BlockReason::RecentlyChanged, ripe));
        }
        let retried_by_aws = action.clears() && finding.pending_value != PendingValue::Empty;
        let closes = rotation_window::closes_at(secret, quiet_since, now).filter(|_| retried_by_aws)?;
        Some(Hold::until(BlockReason::RotationWindowOpen, closes))
    }

    /// Places at work, counting what this plan creates.
    fn crowded(&self, secret: &Secret, action: Action) -> Option<Hold> {
        let own = self.context.own;
        let in_policy = self.context.unfinished_of_policy() + self.plan.create.len();
        let function = secret.function().filter(|_| action.rotates());
        let on_function = function.map_or(0, |function| self.context.unfinished_on(function) + self.proposed_on(function));
        let full = in_policy >= own.policy.remediation.max_concurrent || on_function >= own.profile.max_concurrent_per_function;
        full.then(|| Hold::open(BlockReason::ConcurrencyLimit))
    }

    fn proposed_on(&self, function: &FunctionArn) -> usize {
        let proposed: BTreeSet<_> = self.plan.create.iter().filter(|proposal| proposal.action.rotates()).map(|proposal| &proposal.arn).collect();
        let secrets = self.survey.findings.iter().filter_map(|finding| finding.secret.as_ref());
        secrets.filter(|secret| proposed.contains(&secret.arn) && secret.function() == Some(function)).count()
    }

    fn propose(&self, finding: &Finding, arn: &Arn, action: Action, history: &History<'_>) -> Option<Proposal> {
        let policy = &self.context.own.policy;
        let subject = finding.pending.as_ref().or(finding.current.as_ref())?;
        let sequence = history.about(&policy.uid, subject).count().saturating_add(1);
        Some(Proposal {
            name: naming::operation(policy, arn, subject, sequence)?,
            arn: arn.clone(),
            secret: finding.name.clone(),
            region: finding.region.clone(),
            action,
            expect: Expectation { current: finding.current.clone(), pending: finding.pending.clone() },
            reason: finding.message.clone(),
            confirm_after: policy.remediation.confirm_after,
        })
    }

    /// Pins that failed recoveries left are taken away once a rotation has succeeded since and all has long been well.
    fn consider_release(&mut self, finding: &Finding) {
        let (Some(arn), Some(secret)) = (&finding.arn, &finding.secret) else { return };
        let history = History::of(arn, self.context.operations);
        let window = self.context.own.policy.remediation.attempt_window;
        let releasable = releasable(secret, self.context.cluster, window, self.context.now);
        if releasable.is_err() || history.unfinished().is_some() {
            return;
        }
        let held = self.forbidden(secret, Action::ReleasePins).or_else(|| self.failed_before(finding, &history));
        if let Some(hold) = held.or_else(|| self.crowded(secret, Action::ReleasePins)) {
            return drop(self.plan.held.insert(arn.clone(), hold));
        }
        let reason = "healthy for a whole attempt window since the recovery".to_owned();
        let proposal = self.propose(finding, arn, Action::ReleasePins, &history);
        self.plan.create.extend(proposal.map(|proposal| Proposal { reason, ..proposal }));
    }

    /// Operations that wait although what they were made for is gone.
    fn supersede(&mut self) {
        let own = &self.context.own.policy;
        let waiting = self.context.operations.iter().filter(|operation| {
            operation.policy.uid.as_ref() == Some(&own.uid)
                && operation.trigger == Trigger::Policy
                && !operation.is_finished()
                && !operation.has_started()
        });
        let gone = waiting.filter_map(|operation| self.pointless(operation).map(|why| (operation.key.clone(), why.to_owned())));
        self.plan.supersede = gone.collect();
    }

    fn pointless(&self, operation: &Operation) -> Option<&'static str> {
        if self.context.own.policy.mode == Mode::Observe {
            return Some("the policy is in mode Observe now");
        }
        let arn = operation.arn.as_ref()?;
        let findings = self.survey.findings.iter().chain(&self.survey.pinned);
        let about = |finding: &&Finding| finding.arn.as_ref() == Some(arn);
        match findings.into_iter().find(about) {
            Some(finding) => (!still_wanted(operation, finding)).then_some("the secret is in another state now"),
            None => self.survey.complete.then_some("the secret needs it no longer"),
        }
    }
}

enum Remedy {
    Report,
    Act(Action),
}

impl Hold {
    const fn open(reason: BlockReason) -> Self {
        Self { reason, until: None }
    }

    const fn until(reason: BlockReason, until: AwsTime) -> Self {
        Self { reason, until: Some(until) }
    }
}

/// A version without a value cannot have reached the target: it is cleared. One with a value may be the only copy of the
/// live password, and running it again heals what clearing would break: that comes first, once.
fn recovery(finding: &Finding, history: &History<'_>) -> Action {
    let retried = finding.pending.as_ref().is_some_and(|pending| history.has_retried(pending));
    match finding.pending_value {
        PendingValue::Empty => Action::ClearAndRotate,
        PendingValue::Present | PendingValue::Unknown | PendingValue::None if retried => Action::ClearAndRotate,
        PendingValue::Present | PendingValue::Unknown | PendingValue::None => Action::RetryRotation,
    }
}

fn failure(operation: &Operation) -> Option<(AwsTime, Failure)> {
    match (&operation.outcome, operation.completed) {
        (Some(Outcome::Failed { reason, .. }), Some(at)) => Some((at, *reason)),
        (Some(Outcome::Failed { .. } | Outcome::Succeeded { .. }) | None, _) => None,
    }
}

fn still_wanted(operation: &Operation, finding: &Finding) -> bool {
    match operation.action {
        Action::RetryRotation | Action::ClearPending | Action::ClearAndRotate => {
            finding.ailment == Ailment::Stuck && finding.pending == operation.expect.pending
        }
        Action::Rotate => finding.ailment == Ailment::Overdue && finding.current == operation.expect.current,
        Action::ReleasePins => finding.state == State::Healthy && finding.current == operation.expect.current,
    }
}

/// Whether our pins may go: nothing is pending, a rotation succeeded after each pin, and nothing changed for `window`.
pub fn releasable(secret: &Secret, cluster: &ClusterId, window: Duration, now: AwsTime) -> Result<(), &'static str> {
    let newest = pin::on(secret).filter(|(_, _, pin)| pin.cluster == *cluster).map(|(_, _, pin)| pin.time()).max();
    let Some(newest) = newest else { return Err("the secret carries no pin of this cluster") };
    if secret.unfinished().is_some() {
        return Err("a rotation is not finished");
    }
    if secret.last_rotated.is_none_or(|rotated| rotated <= newest) {
        return Err("no rotation has succeeded since the last pin");
    }
    let quiet = secret.last_changed.is_some_and(|changed| now.since(changed) >= window);
    if quiet { Ok(()) } else { Err("the secret changed within the attempt window") }
}

impl fmt::Display for Plan {
    /// One line per decision, for tests and logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for proposal in &self.create {
            writeln!(f, "create {} {} {}", proposal.name, proposal.action, proposal.secret)?;
        }
        for (arn, hold) in &self.held {
            let until = hold.until.map_or_else(String::new, |until| format!(" until {until}"));
            writeln!(f, "hold {arn} {}{until}", hold.reason.reason())?;
        }
        for (key, why) in &self.supersede {
            writeln!(f, "supersede {key}: {why}")?;
        }
        Ok(())
    }
}
