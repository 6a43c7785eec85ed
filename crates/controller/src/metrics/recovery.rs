//! Measures how long secrets take to recover. It observes and decides nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use secret_rotation_api::policy::{FindingStatus, SecretRotationPolicyStatus};
use secret_rotation_api::time::Time;
use secret_rotation_core::policy::Detection;
use secret_rotation_core::survey::{State, Survey};
use secret_rotation_core::time::AwsTime;

/// The secrets of one policy that were stuck and have not been healthy since, by region and name, and when each became
/// stuck.
///
/// A secret becomes stuck when its rotation has not progressed for `stuckAfter` and the controller has seen its pending
/// version, whichever is later. It has recovered with the first check that finds it healthy. What happens in between,
/// such as a new rotation, does not start the measurement again. A secret that is deleted, or that the policy no longer
/// selects, has not recovered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recoveries(BTreeMap<(String, String), AwsTime>);

impl Recoveries {
    /// Returns the stuck secrets that a status lists, for the first check after a restart.
    pub(crate) fn of_status(status: &SecretRotationPolicyStatus, detection: &Detection) -> Self {
        let stuck = |finding: &FindingStatus| finding.known_state() == Some(State::Stuck);
        let findings = status.findings.iter().filter(|finding| stuck(finding));
        let known = findings.filter_map(|finding| {
            let since = finding.since.as_ref().and_then(Time::aws)?;
            let observed = finding.first_observed_time.as_ref().and_then(Time::aws);
            let began = began(since, observed, detection);
            Some((
                (finding.region.to_string(), finding.name.to_string()),
                began,
            ))
        });
        Self(known.collect())
    }

    /// Returns the secrets that have not recovered by this survey, and how long each of the others took.
    /// `is_healthy` answers for a secret of the policy, by region and name.
    pub(crate) fn after(
        &self,
        survey: &Survey,
        detection: &Detection,
        is_healthy: impl Fn(&str, &str) -> bool,
    ) -> (Self, Vec<Duration>) {
        let findings = survey.findings.iter().filter_map(|finding| {
            let key = (finding.region.to_string(), finding.name.to_string());
            let known = self.0.get(&key).copied();
            let found = || {
                let since = finding.since.filter(|_| finding.state == State::Stuck)?;
                let began = began(since, finding.first_observed, detection);
                Some(began.min(survey.time))
            };
            Some((key, known.or_else(found)?))
        });
        let recovered = self
            .0
            .iter()
            .filter(|((region, name), _)| is_healthy(region, name));
        let recovered = recovered.map(|(_, began)| survey.time.since(*began));
        (Self(findings.collect()), recovered.collect())
    }
}

fn began(since: AwsTime, observed: Option<AwsTime>, detection: &Detection) -> AwsTime {
    let stuck = since.plus(detection.stuck_after);
    observed.map_or(stuck, |observed| stuck.max(observed))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use secret_rotation_core::names::{Region, SecretName};
    use secret_rotation_core::policy::{DisabledReporting, Reporting};
    use secret_rotation_core::survey::Finding;

    use super::*;

    const STUCK_AFTER: Duration = Duration::from_hours(2);

    #[test]
    fn it_is_measured_from_stuck_to_healthy_whatever_happens_in_between() {
        let known = Recoveries::default();
        let (known, took) = after(&known, &survey(200, &[(State::Stuck, 0)]));
        assert_eq!((known.0.len(), took), (1, vec![]));
        for (minute, state) in [
            (210, State::Overdue),
            (220, State::Rotating),
            (500, State::Stuck),
            (510, State::Unknown),
        ] {
            let (later, took) = after(&known, &survey(minute, &[(state, minute)]));
            assert_eq!((&later, took), (&known, vec![]), "{state:?}");
        }
        let (known, took) = after(&known, &survey(520, &[]));
        assert_eq!(known, Recoveries::default());
        assert_eq!(took, [minutes(400)], "since minute 0 plus stuckAfter");
    }

    #[test]
    fn what_was_stuck_before_the_controller_saw_it_does_not_count() {
        let mut survey = survey(10_000, &[(State::Stuck, 0)]);
        survey.findings[0].first_observed = Some(at(9_990));
        let (known, _) = after(&Recoveries::default(), &survey);
        let (_, took) = after(&known, &self::survey(10_005, &[]));
        assert_eq!(took, [minutes(15)]);
    }

    #[test]
    fn a_secret_that_disappears_or_was_never_stuck_has_not_recovered() {
        let (known, _) = after(&Recoveries::default(), &survey(200, &[(State::Overdue, 0)]));
        assert_eq!(known, Recoveries::default());
        let (known, _) = after(&known, &survey(200, &[(State::Stuck, 0)]));
        let gone = survey(300, &[]);
        let (known, took) = known.after(&gone, &detection(), |_, _| false);
        assert_eq!((known, took), (Recoveries::default(), vec![]));
    }

    /// Returns what has not recovered. A secret without a finding is healthy.
    fn after(known: &Recoveries, survey: &Survey) -> (Recoveries, Vec<Duration>) {
        known.after(survey, &detection(), |_, _| survey.findings.is_empty())
    }

    fn detection() -> Detection {
        Detection {
            stuck_after: STUCK_AFTER,
            overdue_after: Duration::from_hours(6),
            max_age: None,
            expiry: None,
            rotation_disabled: DisabledReporting::Report,
            scheduled_for_deletion: Reporting::Report,
        }
    }

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(count * 60)
    }

    fn at(minute: u64) -> AwsTime {
        AwsTime::new(jiff::Timestamp::UNIX_EPOCH).plus(minutes(minute))
    }

    /// Returns a survey at a minute, of one secret that is in this state since a minute, or healthy.
    fn survey(minute: u64, states: &[(State, u64)]) -> Survey {
        let name = SecretName::parse("app/db").expect("valid");
        let region = Region::parse("eu-west-1").expect("valid");
        let finding = |&(state, since)| Finding {
            since: Some(at(since)),
            ..Finding::named(name.clone(), region.clone(), state)
        };
        Survey {
            time: at(minute),
            checked: None,
            counts: BTreeMap::new(),
            selected: 1,
            regions: BTreeMap::new(),
            findings: states.iter().map(finding).collect(),
            pinned: Vec::new(),
        }
    }
}
