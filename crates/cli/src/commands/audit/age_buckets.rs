//! Secrets by the age of their last rotation, in a few buckets that fit a chart.

use std::time::Duration;

use schemars::JsonSchema;
use secret_rotation_core::survey::Survey;
use secret_rotation_core::time::AwsTime;
use serde::Serialize;

use crate::aws::{Criteria, RegionSweep};

const DAY: Duration = Duration::from_hours(24);

/// The upper bounds of the buckets, in days.
const BUCKETS: [(u32, &str); 5] = [
    (7, "a week"),
    (30, "30 days"),
    (90, "90 days"),
    (180, "180 days"),
    (365, "a year"),
];

/// The secrets whose last completed rotation is within a range of ages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AgeBucket {
    /// The range in words.
    pub label: String,
    /// The upper bound in days; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up_to_days: Option<u32>,
    /// The number of secrets.
    pub secrets: usize,
}

/// Counts every selected secret that exists by its last rotation; the last bucket holds those that were never rotated.
pub(super) fn count(criteria: &Criteria, swept: &[RegionSweep], survey: &Survey) -> Vec<AgeBucket> {
    let findings = survey
        .findings
        .iter()
        .filter_map(|finding| finding.secret.as_ref())
        .map(|secret| secret.last_rotated);
    let policy = &criteria.policy.uid;
    let others = swept
        .iter()
        .flat_map(|swept| swept.engine.unremarkable(policy))
        .map(|member| member.last_rotated);
    let mut counts = [0; BUCKETS.len() + 2];
    for rotated in findings.chain(others) {
        counts[bucket(rotated, survey.time)] += 1;
    }
    let bounded = BUCKETS
        .iter()
        .map(|(days, words)| (format!("within {words}"), Some(*days)));
    let open = [
        ("longer ago".to_owned(), None),
        ("never rotated".to_owned(), None),
    ];
    bounded
        .chain(open)
        .zip(counts)
        .map(|((label, up_to_days), secrets)| AgeBucket {
            label,
            up_to_days,
            secrets,
        })
        .collect()
}

fn bucket(rotated: Option<AwsTime>, now: AwsTime) -> usize {
    let Some(rotated) = rotated else {
        return BUCKETS.len() + 1;
    };
    let age = now.since(rotated);
    BUCKETS
        .iter()
        .position(|(days, _)| age <= DAY * *days)
        .unwrap_or(BUCKETS.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_includes_its_last_day() {
        let now = AwsTime::new("2026-11-23T10:00:00Z".parse().expect("a time"));
        let ago = |days: u32| bucket(Some(now.minus(DAY * days)), now);
        assert_eq!([0, 7, 8, 30, 365, 366].map(ago), [0, 0, 1, 1, 4, 5]);
        assert_eq!(bucket(None, now), 6);
    }
}
