//! Long histories of a secret, as AWS, people and jobs make them. It is swept every half hour, and a policy that acts
//! plans for it. The truth is tracked separately, by other rules.

use std::collections::BTreeSet;

use fixtures::{
    ago, bound_policy, cluster, hours, inventory, listing, minutes, now, operation_index, policy,
    policy_index, secret, secret_name, version,
};
use proptest::prelude::*;
use proptest::sample::select;
use secret_rotation_core::action::Action;
use secret_rotation_core::classify::{ClassifyInput, classify, previous_findings};
use secret_rotation_core::inventory::Observation;
use secret_rotation_core::names::{StageLabel, VersionId};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::plan::{DeferredOperations, PlanInput, RegionGates};
use secret_rotation_core::planner::plan;
use secret_rotation_core::policy::{DisabledReporting, StuckRemedy};
use secret_rotation_core::secret::{Rotation, Secret, VersionListing};
use secret_rotation_core::stability::StabilityTracker;
use secret_rotation_core::survey::{PreviousFindings, State, Survey};
use secret_rotation_core::time::AwsTime;

use crate::support::planning::{functions, known};

#[derive(Clone, Copy, Debug)]
enum Event {
    /// A rotation starts and fails before it made a value, or after.
    Dies { valued: bool },
    /// AWS retries the pending version, which now has a value.
    GetsAValue,
    /// The rotation succeeds; AWS may leave AWSPENDING where it is.
    ComesThrough { label_stays: bool },
    /// A person moves AWSCURRENT to the previous version.
    MovedBack,
    /// A person sets a value, and AWSPENDING stays; `LastRotatedDate` may move.
    ValueSet { counts_as_rotation: bool },
    /// A person removes AWSPENDING.
    Cleared,
    /// Someone sets a tag.
    Tagged,
    /// Rotation is switched off, or on again.
    Switched,
    /// The policy is deleted and created again.
    PolicyReplaced,
    /// This many half hours pass, with or without a tag in each of them.
    Pass { sweeps: u64, tagged: bool },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => any::<bool>().prop_map(|valued| Event::Dies { valued }),
        1 => Just(Event::GetsAValue),
        2 => any::<bool>().prop_map(|label_stays| Event::ComesThrough { label_stays }),
        2 => Just(Event::MovedBack),
        2 => any::<bool>().prop_map(|counts_as_rotation| Event::ValueSet { counts_as_rotation }),
        1 => Just(Event::Cleared),
        1 => Just(Event::Tagged),
        1 => Just(Event::Switched),
        1 => Just(Event::PolicyReplaced),
        4 => (1..60_u64, any::<bool>()).prop_map(|(sweeps, tagged)| Event::Pass { sweeps, tagged }),
    ];
    proptest::collection::vec(event, 1..14)
}

/// The secret, the truth about it, and a controller that watches it.
struct Life {
    now: AwsTime,
    secret: Secret,
    values: VersionListing,
    made: u32,
    /// Versions that a person rolled back.
    refused: BTreeSet<VersionId>,
    /// When a label or a version last moved, and when anything did.
    moved: AwsTime,
    watched_since: AwsTime,
    last: Option<Observation>,
    stability: StabilityTracker,
    previous: PreviousFindings,
    own: BoundPolicy,
}

impl Life {
    fn new(remedy: StuckRemedy) -> Self {
        let mut own = bound_policy(policy("payments"));
        own.policy.remediation.stuck = remedy;
        Self {
            now: now(),
            secret: Secret {
                next_rotation: Some(now().plus(hours(9000))),
                ..secret("prod/a")
            },
            values: listing(&[("b", ago(hours(500))), ("c", ago(hours(72)))]),
            made: 0,
            refused: BTreeSet::new(),
            moved: ago(hours(72)),
            watched_since: now(),
            last: None,
            stability: StabilityTracker::default(),
            previous: PreviousFindings::default(),
            own,
        }
    }

    fn take(&mut self, label: &StageLabel) {
        for labels in self.secret.labels.values_mut() {
            labels.remove(label);
        }
        self.secret.labels.retain(|_, labels| !labels.is_empty());
    }

    fn put(&mut self, label: StageLabel, on: &VersionId) {
        self.take(&label);
        let labels = self.secret.labels.entry(on.clone()).or_default();
        labels.insert(label);
        self.moved = self.now;
        self.secret.last_changed = Some(self.now);
    }

    fn make_current(&mut self, next: &VersionId) {
        let before = self.secret.current().cloned().expect("always one");
        self.put(StageLabel::previous(), &before);
        self.put(StageLabel::current(), next);
    }

    fn fresh(&mut self) -> VersionId {
        self.made += 1;
        version(&format!("v{}", self.made))
    }

    fn happen(&mut self, event: Event) {
        self.now = self.now.plus(minutes(1));
        match event {
            Event::Dies { valued }
                if self.secret.rotates() && self.secret.unfinished().is_none() =>
            {
                let next = self.fresh();
                self.put(StageLabel::pending(), &next);
                if valued {
                    self.values.created.insert(next, Some(self.now));
                }
            }
            Event::GetsAValue => self.value(),
            Event::ComesThrough { label_stays } => self.come_through(label_stays),
            Event::MovedBack => {
                if let (Some(from), Some(to)) = (
                    self.secret.current().cloned(),
                    self.secret.previous().cloned(),
                ) {
                    self.make_current(&to);
                    self.refused.insert(from);
                    self.refused.remove(&to);
                }
            }
            Event::ValueSet { counts_as_rotation } => {
                let next = self.fresh();
                self.values.created.insert(next.clone(), Some(self.now));
                let passed = self.secret.unfinished().cloned();
                self.refused
                    .extend(passed.filter(|passed| self.values.lists(passed)));
                self.make_current(&next);
                if counts_as_rotation {
                    self.secret.last_rotated = Some(self.now);
                }
            }
            Event::Cleared => {
                self.take(&StageLabel::pending());
                self.moved = self.now;
                self.secret.last_changed = Some(self.now);
            }
            Event::Tagged => self.tag(),
            Event::Switched => {
                let on = secret("prod/a").rotation;
                let off = self.secret.rotates();
                self.secret.rotation = if off { Rotation::Disabled } else { on };
                self.secret.last_changed = Some(self.now);
            }
            Event::PolicyReplaced => self.previous = PreviousFindings::default(),
            Event::Pass { sweeps, tagged } => {
                for _ in 0..sweeps {
                    self.now = self.now.plus(minutes(30));
                    if tagged {
                        self.tag();
                    }
                    self.sweep();
                }
            }
            Event::Dies { .. } => {}
        }
        self.sweep();
    }

    fn value(&mut self) {
        if let Some(pending) = self.secret.unfinished().cloned()
            && !self.values.lists(&pending)
        {
            self.values.created.insert(pending, Some(self.now));
            self.moved = self.now;
            self.secret.last_changed = Some(self.now);
        }
    }

    fn come_through(&mut self, label_stays: bool) {
        let Some(pending) = self.secret.unfinished().cloned() else {
            return;
        };
        if !self.secret.rotates() || self.refused.contains(&pending) {
            return;
        }
        self.value();
        self.make_current(&pending);
        if !label_stays {
            self.take(&StageLabel::pending());
        }
        self.secret.last_rotated = Some(self.now);
    }

    fn tag(&mut self) {
        let tags = &mut self.secret.tags;
        tags.insert("synced".to_owned(), self.now.to_string());
        self.secret.last_changed = Some(self.now);
    }

    /// Sweeps: versions are listed if core asks for them.
    fn sweep(&mut self) {
        let mut observation = Observation::listed(self.secret.clone());
        observation.versions = if Observation::versions_needed(&self.secret, self.last.as_ref()) {
            Some(self.values.clone())
        } else {
            self.last.as_ref().and_then(|last| last.versions.clone())
        };
        let versions = observation.versions.as_ref();
        self.stability.observe(&self.secret, versions, self.now);
        self.last = Some(observation.clone());
        let mut inventory = inventory(vec![observation.clone()]);
        inventory.time = self.now;
        let known = ClassifyInput {
            previous: &self.previous,
            operations: &operation_index(&[]),
            stability: &self.stability,
        };
        let own = &self.own;
        let survey = classify(&own.tenant, &own.profile, &own.policy, &[&inventory], known);
        self.check_state(&survey);
        self.check_plan(&survey, observation);
        self.previous = previous_findings(&survey);
    }

    fn check_state(&self, survey: &Survey) {
        let finding = survey.findings.first();
        let state = finding.map_or(State::Healthy, |finding| finding.state);
        let unfinished = self.secret.unfinished();
        if !self.secret.rotates() {
            assert_eq!(state, State::Disabled);
            let message = &finding.expect("a finding").message;
            let named = unfinished.is_none_or(|left| message.contains(left.as_str()));
            assert!(named, "{message}");
            return;
        }
        let Some(pending) = unfinished else {
            assert_eq!(state, State::Healthy, "nothing is late, nothing unfinished");
            return;
        };
        if self.refused.contains(pending) {
            assert_eq!(state, State::Stuck);
            let message = &finding.expect("a finding").message;
            assert!(message.contains("was rolled back"), "{message}");
        }
    }

    fn check_plan(&self, survey: &Survey, observation: Observation) {
        let functions = functions(&[observation]);
        let input = PlanInput {
            own: &self.own,
            bound_policies: &policy_index(std::slice::from_ref(&self.own)),
            operations: &known(&[], &functions),
            region_gates: &RegionGates::default(),
            stability: &self.stability,
            deferred: &DeferredOperations::default(),
            cluster: &cluster(),
            now: self.now,
        };
        for proposal in plan(survey, &input).create {
            let pending = self.secret.unfinished().expect("nothing else is ill");
            assert!(self.secret.rotates(), "rotation is off");
            assert!(
                !self.refused.contains(pending) || proposal.action == Action::ClearPending,
                "{} of a version that a person decided against",
                proposal.action
            );
            let quiet = self
                .secret
                .last_changed
                .map(|changed| self.now.since(changed));
            let rested = self.now.since(self.moved.max(self.watched_since));
            let empty = !self.values.lists(pending);
            let clears = proposal.action.clears();
            assert!(
                quiet.is_some_and(|quiet| quiet >= hours(6))
                    || clears && empty && rested >= hours(24),
                "{} after a rest of {rested:?} and a change {quiet:?} ago",
                proposal.action
            );
            assert_eq!(proposal.secret, secret_name("prod/a"));
        }
    }
}

proptest! {
    #![proptest_config(crate::support::cases(300))]

    #[test]
    fn no_history_makes_the_controller_undo_a_decision_or_act_on_a_secret_that_keeps_changing(
        events in events(),
        remedy in select(vec![
            StuckRemedy::Recover,
            StuckRemedy::RetryRotation,
            StuckRemedy::ClearPending,
            StuckRemedy::ClearAndRotate,
        ]),
        ignores in any::<bool>(),
    ) {
        let mut life = Life::new(remedy);
        life.own.policy.detection.rotation_disabled =
            if ignores { DisabledReporting::ReportUnconfigured } else { DisabledReporting::Report };
        for event in events {
            life.happen(event);
        }
    }
}
