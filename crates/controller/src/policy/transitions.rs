//! What turned between two statuses of a policy, as events: nothing is told twice, also after a failover.

use std::collections::BTreeMap;

use secret_rotation_api::conditions::find;
use secret_rotation_api::policy::{FindingStatus, SecretRotationPolicyStatus};
use secret_rotation_core::plan::BlockReason;
use secret_rotation_core::survey::State;

use crate::events::{Announcement, Reason};

/// At most this many secrets are named in one event.
const MAX_NAMED: usize = 3;

/// The events that follow from the change of a status.
pub(super) fn between(
    old: Option<&SecretRotationPolicyStatus>,
    new: &SecretRotationPolicyStatus,
) -> Vec<Announcement> {
    let blurred = is_truncated(old) || is_truncated(Some(new)) || is_incomplete(new);
    let turned = Turned {
        old: by_place(old),
        new: by_place(Some(new)),
        blurred,
    };
    let findings = [
        turned.newly_in(Reason::RotationStuck, &[State::Stuck]),
        turned.newly_in(Reason::RotationOverdue, &[State::Overdue, State::TooOld]),
        turned.newly_in(Reason::SecretExpiring, &[State::Expiring]),
        turned.newly_blocked_by(Reason::AttemptsExhausted, BlockReason::AttemptsExhausted),
        turned.newly_blocked_by(Reason::ConflictingPolicy, BlockReason::Conflict),
        turned.first_blocked_by(Reason::CircuitBreakerOpen, BlockReason::CircuitBreakerOpen),
        turned.recovered(),
    ];
    findings
        .into_iter()
        .flatten()
        .chain(readiness(old, new))
        .collect()
}

type Place<'a> = (&'a str, &'a str);

struct Turned<'a> {
    old: BTreeMap<Place<'a>, &'a FindingStatus>,
    new: BTreeMap<Place<'a>, &'a FindingStatus>,
    /// Whether a finding may be missing only because there are too many, or because it was not seen.
    blurred: bool,
}

fn by_place(status: Option<&SecretRotationPolicyStatus>) -> BTreeMap<Place<'_>, &FindingStatus> {
    let findings = status.iter().flat_map(|status| &status.findings);
    findings
        .map(|finding| ((finding.region.as_str(), finding.name.as_str()), finding))
        .collect()
}

fn is_truncated(status: Option<&SecretRotationPolicyStatus>) -> bool {
    status
        .and_then(|status| status.findings_omitted)
        .is_some_and(|omitted| omitted.value() > 0)
}

/// Whether the last check did not see everything.
fn is_incomplete(status: &SecretRotationPolicyStatus) -> bool {
    const REASONS: [&str; 5] = [
        "SweepIncomplete",
        "AccessDenied",
        "CredentialsUnavailable",
        "Throttled",
        "AWSUnavailable",
    ];
    find(&status.conditions, "Ready").is_some_and(|ready| REASONS.contains(&ready.reason.as_str()))
}

impl Turned<'_> {
    fn newly_in(&self, reason: Reason, states: &[State]) -> Option<Announcement> {
        let is = |finding: &FindingStatus| states.iter().any(|state| finding.state == state.name());
        self.newly(reason, &is)
    }

    fn newly_blocked_by(&self, reason: Reason, block: BlockReason) -> Option<Announcement> {
        let is = |finding: &FindingStatus| is_blocked(finding, block);
        self.newly(reason, &is)
    }

    /// Told when the first finding turns, not for each.
    fn first_blocked_by(&self, reason: Reason, block: BlockReason) -> Option<Announcement> {
        let before = self.old.values().any(|finding| is_blocked(finding, block));
        if before {
            None
        } else {
            self.newly_blocked_by(reason, block)
        }
    }

    fn newly(&self, reason: Reason, is: &dyn Fn(&FindingStatus) -> bool) -> Option<Announcement> {
        let was = |place: &Place<'_>| self.old.get(place).is_some_and(|finding| is(finding));
        let turned: Vec<_> = self
            .new
            .iter()
            .filter(|(place, finding)| is(finding) && !was(place))
            .map(|(_, finding)| *finding)
            .collect();
        announce(reason, &turned, |finding| finding.message.to_string())
    }

    /// Findings that are gone. A rotation that has come through is told if it followed an attempt of ours: others were
    /// never unwell. Where the view is blurred nobody can tell.
    fn recovered(&self) -> Option<Announcement> {
        let ailing = |finding: &FindingStatus| {
            let was_tried = finding
                .attempts
                .as_ref()
                .is_some_and(|made| made.value() > 0);
            was_tried && finding.state == State::Rotating.name()
                || finding.state != State::Rotating.name() && finding.state != State::Unknown.name()
        };
        let well = |place: &Place<'_>| !self.blurred && !self.new.contains_key(place);
        let recovered: Vec<_> = self
            .old
            .iter()
            .filter(|(place, finding)| ailing(finding) && well(place))
            .map(|(_, finding)| *finding)
            .collect();
        announce(Reason::RotationRecovered, &recovered, |finding| {
            format!("no longer {}", finding.state)
        })
    }
}

fn is_blocked(finding: &FindingStatus, block: BlockReason) -> bool {
    finding
        .blocked_by
        .as_ref()
        .is_some_and(|reason| *reason == block.reason())
}

fn announce(
    reason: Reason,
    findings: &[&FindingStatus],
    say: impl Fn(&FindingStatus) -> String,
) -> Option<Announcement> {
    let named = findings
        .iter()
        .take(MAX_NAMED)
        .map(|finding| format!("{} in {}: {}", finding.name, finding.region, say(finding)));
    let more = findings.len().saturating_sub(MAX_NAMED);
    let rest = (more > 0).then(|| format!("and {more} more"));
    let note = named.chain(rest).collect::<Vec<_>>().join("; ");
    (!findings.is_empty()).then_some(Announcement { reason, note })
}

fn readiness(
    old: Option<&SecretRotationPolicyStatus>,
    new: &SecretRotationPolicyStatus,
) -> Option<Announcement> {
    let ready = find(&new.conditions, "Ready")?;
    let before = old.and_then(|old| find(&old.conditions, "Ready"));
    let reason = match ready.reason.as_str() {
        "AccessDenied" => Reason::AccessDenied,
        "InvalidSpec"
        | "InvalidSchedule"
        | "NamespaceNotAllowed"
        | "RegionNotAllowed"
        | "SecretNotAllowed"
        | "ActionNotAllowed" => Reason::PolicyInvalid,
        _ => return None,
    };
    let same = before.is_some_and(|before| before.reason == ready.reason);
    (!same).then(|| Announcement {
        reason,
        note: ready.message.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_gets_stuck_is_told_once() {
        let stuck = status(&[("a", State::Stuck, None)]);
        assert_eq!(
            told(Some(&status(&[])), &stuck),
            ["RotationStuck a in eu-west-1: said"]
        );
        assert_eq!(told(Some(&stuck), &stuck), Vec::<String>::new());
        assert_eq!(told(None, &stuck), ["RotationStuck a in eu-west-1: said"]);
    }

    #[test]
    fn a_secret_that_is_well_again_is_told_once() {
        let stuck = status(&[("a", State::Stuck, None)]);
        assert_eq!(
            told(Some(&stuck), &status(&[])),
            ["RotationRecovered a in eu-west-1: no longer Stuck"]
        );
        assert_eq!(
            told(Some(&stuck), &status(&[("a", State::Rotating, None)])),
            Vec::<String>::new(),
            "not yet"
        );
    }

    #[test]
    fn nobody_is_called_well_for_being_one_finding_too_many() {
        let stuck = status(&[("a", State::Stuck, None)]);
        let other = status(&[("b", State::Stuck, None)]);
        let truncated = SecretRotationPolicyStatus {
            findings_omitted: Some(1_usize.into()),
            ..other
        };
        assert_eq!(
            told(Some(&stuck), &truncated),
            ["RotationStuck b in eu-west-1: said"]
        );
    }

    #[test]
    fn an_open_breaker_is_told_once_however_many_secrets_it_holds_back() {
        let one = status(&[("a", State::Stuck, Some(BlockReason::CircuitBreakerOpen))]);
        let two = status(&[
            ("a", State::Stuck, Some(BlockReason::CircuitBreakerOpen)),
            ("b", State::Stuck, Some(BlockReason::CircuitBreakerOpen)),
        ]);
        let first = told(Some(&status(&[("a", State::Stuck, None)])), &one);
        assert_eq!(first, ["CircuitBreakerOpen a in eu-west-1: said"]);
        assert_eq!(
            told(Some(&one), &two),
            ["RotationStuck b in eu-west-1: said"]
        );
    }

    /// With what the stories above tell, these are all the warnings about secrets.
    #[test]
    fn every_turn_for_the_worse_is_told_once_under_its_own_reason() {
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
            let said = format!("{reason} a in eu-west-1: said");
            assert_eq!(told(Some(&before), &after), [said], "{state} {block:?}");
            assert_eq!(told(Some(&after), &after), Vec::<String>::new());
        }
    }

    #[test]
    fn a_policy_that_is_not_ready_is_told_once_by_kind() {
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
            assert_eq!(told(None, &status), expected, "{reason}");
            assert_eq!(told(Some(&status), &status), Vec::<String>::new());
        }
    }

    /// On the way a recovered secret rotates, and the next status no longer knows it as stuck.
    #[test]
    fn a_rotation_that_was_tried_by_us_is_told_when_it_has_come_through() {
        let rotating = |attempts: Option<usize>| {
            let mut status = status(&[("a", State::Rotating, None)]);
            status.findings[0].attempts = attempts.map(Into::into);
            told(Some(&status), &self::status(&[]))
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
        let notes = told(Some(&status(&[])), &status(&names));
        assert_eq!(notes.len(), 1);
        assert!(notes[0].ends_with("; and 2 more"), "{notes:?}");
    }

    fn unready(reason: &str) -> SecretRotationPolicyStatus {
        let ready = serde_json::json!({
            "type": "Ready", "status": "False", "reason": reason, "message": "said",
            "lastTransitionTime": "2026-11-23T10:00:00Z",
        });
        SecretRotationPolicyStatus {
            conditions: vec![serde_json::from_value(ready).expect("a condition")],
            ..SecretRotationPolicyStatus::default()
        }
    }

    fn told(
        old: Option<&SecretRotationPolicyStatus>,
        new: &SecretRotationPolicyStatus,
    ) -> Vec<String> {
        between(old, new)
            .into_iter()
            .map(|announcement| format!("{:?} {}", announcement.reason, announcement.note))
            .collect()
    }

    fn status(findings: &[(&str, State, Option<BlockReason>)]) -> SecretRotationPolicyStatus {
        let finding = |(name, state, block): &(&str, State, Option<BlockReason>)| FindingStatus {
            name: (*name).into(),
            region: "eu-west-1".into(),
            state: state.name().into(),
            message: "said".into(),
            blocked_by: block.map(|block| block.reason().into()),
            ..FindingStatus::default()
        };
        SecretRotationPolicyStatus {
            findings: findings.iter().map(finding).collect(),
            ..SecretRotationPolicyStatus::default()
        }
    }
}
