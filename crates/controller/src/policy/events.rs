//! Derives events from the changes between two passes over a policy. No event is published twice, even after a
//! failover.

use std::collections::{BTreeMap, BTreeSet};

use secret_rotation_api::conditions::{ConditionType, find};
use secret_rotation_api::policy::{FindingStatus, SecretRotationPolicyStatus};
use secret_rotation_api::readiness::ReadyReason;
use secret_rotation_core::block::BlockReason;
use secret_rotation_core::plan::Plan;
use secret_rotation_core::survey::{State, Survey};

use crate::events::{EventNote, Reason};

/// Maximum number of secrets that one event names.
const MAX_NAMED: usize = 3;

/// The findings of a policy at one time. A status holds only the worst of them.
#[derive(Clone, Debug)]
pub(crate) struct Findings {
    by_key: BTreeMap<FindingKey, FindingStatus>,
    /// Whether these are all findings.
    all: bool,
    /// The regions that the pass did not see completely. `None` means that the status shows whether it saw
    /// everything.
    incomplete: Option<BTreeSet<String>>,
}

/// The region and the name of a secret.
type FindingKey = (String, String);

impl Findings {
    /// Returns the findings of a pass.
    pub(super) fn of_pass(survey: &Survey, plan: &Plan) -> Self {
        let findings = survey.findings.iter();
        let regions = survey.regions.iter();
        let incomplete = regions.filter(|(_, region)| !region.complete);
        Self {
            by_key: by_key(findings.map(|finding| FindingStatus::of(finding, plan))),
            all: true,
            incomplete: Some(incomplete.map(|(region, _)| region.to_string()).collect()),
        }
    }

    /// Adds the previous findings where the pass did not see everything: an absent finding is not a resolved one.
    pub(super) fn with_unseen_of(
        mut self,
        old: &Self,
        status: &SecretRotationPolicyStatus,
    ) -> Self {
        for (key, finding) in &old.by_key {
            if !self.has_seen(key, status) {
                let kept = self.by_key.entry(key.clone());
                kept.or_insert_with(|| finding.clone());
            }
        }
        self
    }

    /// Returns the findings in a status. After a restart they are all that is known of the last pass.
    pub(super) fn of_status(status: Option<&SecretRotationPolicyStatus>) -> Self {
        let findings = status.iter().flat_map(|status| &status.findings);
        Self {
            by_key: by_key(findings.cloned()),
            all: !is_truncated(status),
            incomplete: None,
        }
    }

    /// Returns whether an absent finding is known to be resolved.
    fn has_seen(&self, (region, _): &FindingKey, status: &SecretRotationPolicyStatus) -> bool {
        match &self.incomplete {
            Some(incomplete) => !incomplete.contains(region),
            None => !is_incomplete(status),
        }
    }
}

/// Keeps the first finding of each secret, which is the worst.
fn by_key(findings: impl Iterator<Item = FindingStatus>) -> BTreeMap<FindingKey, FindingStatus> {
    let mut all = BTreeMap::new();
    for finding in findings {
        let key = (finding.region.to_string(), finding.name.to_string());
        all.entry(key).or_insert(finding);
    }
    all
}

/// Returns the events that follow from two passes, each given by its findings and the status that shows them.
pub(super) fn events_between(
    old: (&Findings, Option<&SecretRotationPolicyStatus>),
    new: (&Findings, &SecretRotationPolicyStatus),
) -> Vec<EventNote> {
    let transition = Transition {
        old: old.0,
        new: new.0,
        status: new.1,
    };
    let findings = [
        transition.newly_in_state(Reason::RotationStuck, &[State::Stuck]),
        transition.newly_in_state(Reason::RotationOverdue, &[State::Overdue, State::TooOld]),
        transition.newly_in_state(Reason::SecretExpiring, &[State::Expiring]),
        transition.newly_blocked_by(Reason::AttemptsExhausted, BlockReason::AttemptsExhausted),
        transition.newly_blocked_by(Reason::ConflictingPolicy, BlockReason::Conflict),
        transition.first_blocked_by(Reason::CircuitBreakerOpen, BlockReason::CircuitBreakerOpen),
        transition.recovered(),
    ];
    findings
        .into_iter()
        .flatten()
        .chain(readiness(old.1, new.1))
        .collect()
}

struct Transition<'a> {
    old: &'a Findings,
    new: &'a Findings,
    status: &'a SecretRotationPolicyStatus,
}

fn is_truncated(status: Option<&SecretRotationPolicyStatus>) -> bool {
    status
        .and_then(|status| status.findings_omitted)
        .is_some_and(|omitted| omitted.value() > 0)
}

/// Returns whether the last check was incomplete.
fn is_incomplete(status: &SecretRotationPolicyStatus) -> bool {
    ReadyReason::of(&status.conditions).is_some_and(ReadyReason::is_incomplete_check)
}

impl Transition<'_> {
    fn newly_in_state(&self, reason: Reason, states: &[State]) -> Option<EventNote> {
        let is = |finding: &FindingStatus| {
            let state = finding.known_state();
            state.is_some_and(|state| states.contains(&state))
        };
        self.newly(reason, &is)
    }

    fn newly_blocked_by(&self, reason: Reason, block: BlockReason) -> Option<EventNote> {
        let is = |finding: &FindingStatus| is_blocked(finding, block);
        self.newly(reason, &is)
    }

    /// Reports the first finding that changes, not each one.
    fn first_blocked_by(&self, reason: Reason, block: BlockReason) -> Option<EventNote> {
        let mut before = self.old.by_key.values();
        let before = before.any(|finding| is_blocked(finding, block));
        if before {
            None
        } else {
            self.newly_blocked_by(reason, block)
        }
    }

    fn newly(&self, reason: Reason, is: &dyn Fn(&FindingStatus) -> bool) -> Option<EventNote> {
        let was = |key: &FindingKey| self.old.by_key.get(key).is_some_and(is);
        let changed: Vec<_> = self
            .new
            .by_key
            .iter()
            .filter(|(key, finding)| is(finding) && !was(key) && self.is_new(finding))
            .map(|(_, finding)| finding)
            .collect();
        event(reason, &changed, |finding| finding.message.to_string())
    }

    /// Returns whether the finding is new. Findings that did not fit in the last status may have been reported before
    /// a restart. Findings that the current status lists were not.
    fn is_new(&self, finding: &FindingStatus) -> bool {
        let same = |listed: &&FindingStatus| {
            listed.name == finding.name && listed.region == finding.region
        };
        self.old.all || self.status.findings.iter().any(|listed| same(&listed))
    }

    /// Reports findings that are resolved. A rotation that finished is reported only if the controller had attempted
    /// it: other rotating secrets were never unhealthy. In a region that was not seen completely nothing is known to
    /// be resolved.
    fn recovered(&self) -> Option<EventNote> {
        let was_unhealthy = |finding: &FindingStatus| {
            let was_tried = finding
                .attempts
                .as_ref()
                .is_some_and(|made| made.value() > 0);
            let state = finding.known_state();
            if state == Some(State::Rotating) {
                was_tried
            } else {
                state != Some(State::Unknown)
            }
        };
        let is_resolved = |key: &FindingKey| {
            let is_known = self.new.all && self.new.has_seen(key, self.status);
            is_known && !self.new.by_key.contains_key(key)
        };
        let recovered: Vec<_> = self
            .old
            .by_key
            .iter()
            .filter(|(key, finding)| was_unhealthy(finding) && is_resolved(key))
            .map(|(_, finding)| finding)
            .collect();
        event(Reason::RotationRecovered, &recovered, |finding| {
            format!("no longer {}", finding.state)
        })
    }
}

fn is_blocked(finding: &FindingStatus, block: BlockReason) -> bool {
    finding.block_reason() == Some(block)
}

fn event(
    reason: Reason,
    findings: &[&FindingStatus],
    describe: impl Fn(&FindingStatus) -> String,
) -> Option<EventNote> {
    let named = findings.iter().take(MAX_NAMED).map(|finding| {
        format!(
            "{} in {}: {}",
            finding.name,
            finding.region,
            describe(finding)
        )
    });
    let more = findings.len().saturating_sub(MAX_NAMED);
    let rest = (more > 0).then(|| format!("and {more} more"));
    let note = named.chain(rest).collect::<Vec<_>>().join("; ");
    (!findings.is_empty()).then_some(EventNote { reason, note })
}

fn readiness(
    old: Option<&SecretRotationPolicyStatus>,
    new: &SecretRotationPolicyStatus,
) -> Option<EventNote> {
    let ready = find(&new.conditions, ConditionType::Ready)?;
    let before = old.and_then(|old| ReadyReason::of(&old.conditions));
    let now = ReadyReason::of(&new.conditions)?;
    let reason = match now {
        ReadyReason::AccessDenied => Reason::AccessDenied,
        ReadyReason::InvalidSpec
        | ReadyReason::InvalidSchedule
        | ReadyReason::NamespaceNotAllowed
        | ReadyReason::RegionNotAllowed
        | ReadyReason::SecretNotAllowed
        | ReadyReason::ActionNotAllowed => Reason::PolicyInvalid,
        ReadyReason::Succeeded
        | ReadyReason::Suspended
        | ReadyReason::Progressing
        | ReadyReason::ProfileNotFound
        | ReadyReason::ProfileNotReady
        | ReadyReason::WrongAccount
        | ReadyReason::CredentialsUnavailable
        | ReadyReason::Throttled
        | ReadyReason::AwsUnavailable
        | ReadyReason::SweepIncomplete => return None,
    };
    let same = before == Some(now);
    (!same).then(|| EventNote {
        reason,
        note: ready.message.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_gets_stuck_is_reported_once() {
        let stuck = status(&[("a", State::Stuck, None)]);
        assert_eq!(
            notes(Some(&status(&[])), &stuck),
            ["RotationStuck a in eu-west-1: said"]
        );
        assert_eq!(notes(Some(&stuck), &stuck), Vec::<String>::new());
        assert_eq!(notes(None, &stuck), ["RotationStuck a in eu-west-1: said"]);
    }

    #[test]
    fn a_secret_that_recovers_is_reported_once() {
        let stuck = status(&[("a", State::Stuck, None)]);
        assert_eq!(
            notes(Some(&stuck), &status(&[])),
            ["RotationRecovered a in eu-west-1: no longer Stuck"]
        );
        assert_eq!(
            notes(Some(&stuck), &status(&[("a", State::Rotating, None)])),
            Vec::<String>::new(),
            "not yet"
        );
    }

    #[test]
    fn a_finding_that_no_longer_fits_is_not_reported_as_recovered() {
        let stuck = status(&[("a", State::Stuck, None)]);
        let other = status(&[("b", State::Stuck, None)]);
        let truncated = SecretRotationPolicyStatus {
            findings_omitted: Some(1_usize.into()),
            ..other
        };
        assert_eq!(
            notes(Some(&stuck), &truncated),
            ["RotationStuck b in eu-west-1: said"]
        );
    }

    #[test]
    fn an_open_breaker_is_reported_once_however_many_secrets_it_blocks() {
        let one = status(&[("a", State::Stuck, Some(BlockReason::CircuitBreakerOpen))]);
        let two = status(&[
            ("a", State::Stuck, Some(BlockReason::CircuitBreakerOpen)),
            ("b", State::Stuck, Some(BlockReason::CircuitBreakerOpen)),
        ]);
        let first = notes(Some(&status(&[("a", State::Stuck, None)])), &one);
        assert_eq!(first, ["CircuitBreakerOpen a in eu-west-1: said"]);
        assert_eq!(
            notes(Some(&one), &two),
            ["RotationStuck b in eu-west-1: said"]
        );
    }

    /// With the tests above, these are all the warnings about secrets.
    #[test]
    fn every_deterioration_is_reported_once_under_its_own_reason() {
        let cases = [
            (State::Overdue, None, "RotationOverdue"),
            (State::TooOld, None, "RotationOverdue"),
            (State::Expiring, None, "SecretExpiring"),
            (
                State::Stuck,
                Some(BlockReason::AttemptsExhausted),
                "AttemptsExhausted",
            ),
            (
                State::Stuck,
                Some(BlockReason::Conflict),
                "ConflictingPolicy",
            ),
        ];
        for (state, block, reason) in cases {
            let before = status(&[("a", State::Stuck, None)]);
            let after = status(&[("a", state, block)]);
            let expected = format!("{reason} a in eu-west-1: said");
            assert_eq!(
                notes(Some(&before), &after),
                [expected],
                "{state} {block:?}"
            );
            assert_eq!(notes(Some(&after), &after), Vec::<String>::new());
        }
    }

    #[test]
    fn a_policy_that_is_not_ready_is_reported_once_per_reason() {
        for (reason, event) in [
            ("InvalidSpec", Some("PolicyInvalid")),
            ("InvalidSchedule", Some("PolicyInvalid")),
            ("NamespaceNotAllowed", Some("PolicyInvalid")),
            ("RegionNotAllowed", Some("PolicyInvalid")),
            ("SecretNotAllowed", Some("PolicyInvalid")),
            ("ActionNotAllowed", Some("PolicyInvalid")),
            ("AccessDenied", Some("AccessDenied")),
            ("AWSUnavailable", None),
            ("Progressing", None),
        ] {
            let status = unready(reason);
            let expected: Vec<_> = event.iter().map(|event| format!("{event} said")).collect();
            assert_eq!(notes(None, &status), expected, "{reason}");
            assert_eq!(notes(Some(&status), &status), Vec::<String>::new());
        }
    }

    /// A region that does not answer does not suppress the events of another one.
    #[test]
    fn a_recovery_is_reported_only_in_regions_that_were_seen_completely() {
        let stuck = status(&[("a", State::Stuck, None)]);
        let mut old = Findings::of_status(Some(&stuck));
        let here = old.by_key.values().next().cloned().expect("a finding");
        let there = FindingStatus {
            region: "us-east-1".into(),
            ..here
        };
        old.by_key.extend(by_key([there].into_iter()));
        let new = unready("SweepIncomplete");
        let found = Findings {
            incomplete: Some(["us-east-1".to_owned()].into()),
            all: true,
            by_key: BTreeMap::new(),
        };
        let found = found.with_unseen_of(&old, &new);
        assert_eq!(found.by_key.len(), 1, "absent is not gone");
        let notes = events_between((&old, Some(&stuck)), (&found, &new)).into_iter();
        let notes: Vec<_> = notes.map(|one| one.note).collect();
        assert_eq!(notes, ["a in eu-west-1: no longer Stuck"]);
    }

    /// While it recovers, a secret rotates, and the next status no longer shows it as stuck.
    #[test]
    fn a_rotation_that_the_controller_attempted_is_reported_when_it_finishes() {
        let rotating = |attempts: Option<usize>| {
            let mut status = status(&[("a", State::Rotating, None)]);
            status.findings[0].attempts = attempts.map(Into::into);
            notes(Some(&status), &self::status(&[]))
        };
        assert_eq!(
            rotating(Some(1)),
            ["RotationRecovered a in eu-west-1: no longer Rotating"]
        );
        assert_eq!(rotating(None), Vec::<String>::new(), "it was never unwell");
    }

    #[test]
    fn many_secrets_make_one_event() {
        let names = ["a", "b", "c", "d", "e"].map(|name| (name, State::Stuck, None));
        let notes = notes(Some(&status(&[])), &status(&names));
        assert_eq!(notes.len(), 1);
        assert!(notes[0].ends_with("; and 2 more"), "{notes:?}");
    }

    /// A status lists only the worst findings. Events report all of them.
    #[test]
    fn a_finding_that_does_not_fit_in_the_status_is_reported_once_and_so_is_its_recovery() {
        let full = |names: &[&str]| {
            let findings: Vec<_> = names
                .iter()
                .map(|name| (*name, State::Stuck, None))
                .collect();
            let whole = status(&findings);
            let mut listed = whole.clone();
            let omitted = listed.findings.split_off(1).len();
            listed.findings_omitted = Some(omitted.into());
            (
                Findings {
                    all: true,
                    ..Findings::of_status(Some(&whole))
                },
                listed,
            )
        };
        let notes = |old: &(Findings, SecretRotationPolicyStatus),
                     new: &(Findings, SecretRotationPolicyStatus)| {
            let all = events_between((&old.0, Some(&old.1)), (&new.0, &new.1)).into_iter();
            all.map(|one| format!("{:?} {}", one.reason, one.note))
                .collect::<Vec<_>>()
        };
        let (none, two) = (full(&["a"]), full(&["a", "b"]));
        assert_eq!(notes(&none, &two), ["RotationStuck b in eu-west-1: said"]);
        assert_eq!(notes(&two, &two), Vec::<String>::new());
        // One secret recovers and another gets stuck: the status is the same.
        assert_eq!(
            notes(&two, &full(&["a", "c"])),
            [
                "RotationStuck c in eu-west-1: said",
                "RotationRecovered b in eu-west-1: no longer Stuck"
            ]
        );
        // After a restart only the status is known: nothing is reported again, and nothing is taken for recovered.
        let known = (Findings::of_status(Some(&two.1)), two.1.clone());
        assert_eq!(notes(&known, &two), Vec::<String>::new());
        assert_eq!(
            notes(&known, &full(&["b"]))[1..],
            ["RotationRecovered a in eu-west-1: no longer Stuck"]
        );
    }

    fn unready(reason: &str) -> SecretRotationPolicyStatus {
        let ready = fixtures::condition("Ready", "False", reason, "said");
        SecretRotationPolicyStatus {
            conditions: vec![serde_json::from_value(ready).expect("a condition")],
            ..SecretRotationPolicyStatus::default()
        }
    }

    fn notes(
        old: Option<&SecretRotationPolicyStatus>,
        new: &SecretRotationPolicyStatus,
    ) -> Vec<String> {
        let (before, now) = (Findings::of_status(old), Findings::of_status(Some(new)));
        events_between((&before, old), (&now, new))
            .into_iter()
            .map(|note| format!("{:?} {}", note.reason, note.note))
            .collect()
    }

    fn status(findings: &[(&str, State, Option<BlockReason>)]) -> SecretRotationPolicyStatus {
        let finding = |(name, state, block): &(&str, State, Option<BlockReason>)| FindingStatus {
            name: (*name).into(),
            region: "eu-west-1".into(),
            state: state.name().into(),
            message: "said".into(),
            blocked_by: block.map(|block| block.name().into()),
            ..FindingStatus::default()
        };
        SecretRotationPolicyStatus {
            findings: findings.iter().map(finding).collect(),
            ..SecretRotationPolicyStatus::default()
        }
    }
}
