//! The series of policies and secrets. Each scrape builds them from the last report of each policy, so they disappear
//! with the policy.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use prometheus::GaugeVec;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use secret_rotation_api::conditions::ConditionStatus;
use secret_rotation_core::names::ObjectKey;
use secret_rotation_core::plan::Breaker;
use secret_rotation_core::time::{AwsTime, ServerTime};

use super::leader_only::LeaderOnly;
use super::policy_sample::{PolicySample, SecretSample};
use super::secret_label;
use super::table::PolicyFamilies;
use crate::options::SecretLabel;
use crate::sweep::store::KnownSecrets;

/// The last report of each policy. It has no series while another replica holds the lease.
#[derive(Clone, Debug)]
pub(crate) struct PolicyCollector {
    leader_only: LeaderOnly,
    policies: Arc<Mutex<BTreeMap<ObjectKey, Arc<PolicySample>>>>,
    max_secrets: usize,
    label: SecretLabel,
    /// Where the secrets are known that need no attention: they are read at each scrape.
    known: KnownSecrets,
    /// Empty families, which only provide the descriptions.
    families: Arc<PolicyFamilies>,
}

impl PolicyCollector {
    /// Creates a store without reports.
    pub(super) fn new(max_secrets: usize, leader_only: LeaderOnly) -> prometheus::Result<Self> {
        Ok(Self {
            leader_only,
            policies: Arc::default(),
            max_secrets,
            label: SecretLabel::Name,
            known: KnownSecrets::default(),
            families: Arc::new(PolicyFamilies::new()?),
        })
    }

    /// Returns the store with other values of label `secret`.
    pub(crate) fn labelled(self, label: SecretLabel) -> Self {
        Self { label, ..self }
    }

    /// Returns what is known of secrets, to be filled by the sweeps.
    pub(crate) const fn known_secrets(&self) -> &KnownSecrets {
        &self.known
    }

    /// Returns the maximum number of secrets with their own series.
    pub(crate) const fn max_secrets(&self) -> usize {
        self.max_secrets
    }

    /// Replaces the report of a policy.
    pub(crate) fn set(&self, key: &ObjectKey, report: PolicySample) {
        self.policies().insert(key.clone(), Arc::new(report));
    }

    /// Returns the last report of a policy.
    pub(crate) fn last(&self, key: &ObjectKey) -> Option<Arc<PolicySample>> {
        self.policies().get(key).cloned()
    }

    /// Removes a deleted policy.
    pub(crate) fn forget(&self, key: &ObjectKey) {
        self.policies().remove(key);
    }

    /// Sets whether this replica holds the lease and so reports all policies. Without the lease, it also removes all
    /// reports.
    pub(crate) fn set_leader(&self, leads: bool) {
        self.leader_only.set(leads);
        if !leads {
            self.policies().clear();
        }
    }

    fn policies(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Arc<PolicySample>>> {
        self.policies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn filled(&self) -> prometheus::Result<PolicyFamilies> {
        let families = PolicyFamilies::new()?;
        let reports = if self.leader_only.leads() {
            self.policies().clone()
        } else {
            BTreeMap::new()
        };
        for (key, report) in &reports {
            families.fill_policy(key, report, self.last_check(report));
        }
        let truncated = if self.label == SecretLabel::None {
            0
        } else {
            self.fill_secrets(&families, &reports)
        };
        families
            .truncated
            .with_label_values(&[] as &[&str])
            .set(number(truncated));
        Ok(families)
    }
}

impl PolicyCollector {
    /// Returns when everything that a policy selects was last seen. A check that changes nothing makes no new report.
    fn last_check(&self, report: &PolicySample) -> Option<AwsTime> {
        let known = report.known_in.as_ref();
        let checked = known.and_then(|(policy, regions)| self.known.completed(policy, regions));
        checked.max(report.last_check)
    }

    /// Adds the series of secrets of all policies, those that need attention first. Returns the number of secrets
    /// without series because there are too many.
    fn fill_secrets(
        &self,
        families: &PolicyFamilies,
        reports: &BTreeMap<ObjectKey, Arc<PolicySample>>,
    ) -> usize {
        let mut room = self.max_secrets;
        let mut total = 0;
        for (key, report) in reports {
            total += report.secrets.len() + report.omitted + report.unremarkable_count();
            for sample in report.secrets.iter().take(room) {
                families.fill_secret(key, sample, self.label);
            }
            room = room.saturating_sub(report.secrets.len());
        }
        for (key, report) in reports {
            let Some((policy, regions)) = report.known_in.as_ref().filter(|_| room > 0) else {
                continue;
            };
            let rested = self.known.unremarkable(policy, regions, room);
            room = room.saturating_sub(rested.len());
            for member in &rested {
                families.fill_secret(key, &SecretSample::of_member(member), self.label);
            }
        }
        total.saturating_sub(self.max_secrets)
    }
}

impl Collector for PolicyCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.families
            .all()
            .into_iter()
            .flat_map(|metric| metric.collector().desc())
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let filled = self.filled();
        filled
            .iter()
            .flat_map(PolicyFamilies::all)
            .flat_map(|metric| metric.collector().collect())
            .collect()
    }
}

impl PolicyFamilies {
    fn fill_policy(&self, key: &ObjectKey, report: &PolicySample, last_check: Option<AwsTime>) {
        let (namespace, policy) = (key.namespace.as_str(), key.name.as_str());
        let own = [namespace, policy];
        // A policy that cannot be parsed has no mode.
        if !report.mode.is_empty() {
            self.info
                .with_label_values(&[namespace, policy, report.mode, &report.profile])
                .set(1.0);
        }
        self.suspended
            .with_label_values(&own)
            .set(f64::from(u8::from(report.suspended)));
        for (condition, current) in &report.conditions {
            for status in ConditionStatus::ALL {
                let value = f64::from(u8::from(status == *current));
                let status = status.name().to_ascii_lowercase();
                self.condition
                    .with_label_values(&[namespace, policy, condition, &*status])
                    .set(value);
            }
        }
        if let Some(breaker) = report.breaker {
            let open = f64::from(u8::from(breaker == Breaker::Open));
            self.breaker.with_label_values(&own).set(open);
        }
        for (state, count) in &report.counts {
            self.secrets
                .with_label_values(&[namespace, policy, state.name()])
                .set(number(*count));
        }
        for (reason, count) in &report.blocked {
            self.blocked
                .with_label_values(&[namespace, policy, reason.name()])
                .set(number(*count));
        }
        if let Some(interval) = report.check_interval {
            self.check_interval
                .with_label_values(&own)
                .set(interval.as_secs_f64());
        }
        set(&self.last_check, &own, last_check);
        set_timestamp(
            &self.approval_waiting,
            &own,
            report.approval_waiting.map(ServerTime::timestamp),
        );
        for (state, since) in &report.oldest {
            set(
                &self.oldest,
                &[namespace, policy, state.name()],
                Some(*since),
            );
        }
        for (family, count) in [(&self.denied, report.denied), (&self.unseen, report.unseen)] {
            if let Some(count) = count {
                family.with_label_values(&own).set(number(count));
            }
        }
    }

    fn fill_secret(&self, key: &ObjectKey, sample: &SecretSample, label: SecretLabel) {
        let Some(secret) = secret_label::of(&sample.name, label) else {
            return;
        };
        let labels = [
            key.namespace.as_str(),
            key.name.as_str(),
            &sample.region,
            &*secret,
        ];
        self.stuck
            .with_label_values(&labels)
            .set(f64::from(u8::from(sample.stuck_since.is_some())));
        set(&self.stuck_since, &labels, sample.stuck_since);
        if let Some((state, since)) = sample.state {
            let [namespace, policy, region, secret] = labels;
            let labels = [namespace, policy, region, secret, state.name()];
            set(&self.state_since, &labels, Some(since));
        }
        if sample.is_managed {
            self.managed.with_label_values(&labels).set(1.0);
        }
        set(&self.last_rotation, &labels, sample.last_rotated);
        set(&self.next_rotation, &labels, sample.next_rotation);
        set(&self.expiry, &labels, sample.expires);
        set(&self.deletion, &labels, sample.restorable_until);
    }
}

fn set(family: &GaugeVec, labels: &[&str], time: Option<AwsTime>) {
    set_timestamp(family, labels, time.map(AwsTime::timestamp));
}

fn set_timestamp(family: &GaugeVec, labels: &[&str], time: Option<Timestamp>) {
    if let Some(time) = time {
        let seconds = time.as_second();
        #[expect(
            clippy::cast_precision_loss,
            reason = "Unix seconds are exact in an f64 for millions of years"
        )]
        family.with_label_values(labels).set(seconds as f64);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers of secrets are far below 2^52"
)]
const fn number(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus::{Registry, TextEncoder};
    use secret_rotation_core::inventory::Observation;
    use secret_rotation_core::names::{Namespace, ObjectName};
    use secret_rotation_core::survey::State;

    use super::*;
    use crate::sweep::profile_regions;

    #[test]
    fn series_vanish_with_their_policy_and_with_the_lease() {
        let reports =
            PolicyCollector::new(10, LeaderOnly::default()).expect("families are well formed");
        let key = key("payments");
        reports.set_leader(true);
        reports.set(&key, report(1, 1));
        assert!(text(&reports).contains(r#"secretrotation_secret_stuck{policy="payments",policy_namespace="team",region="eu-west-1",secret="stuck-0"} 1"#));
        reports.forget(&key);
        assert!(!text(&reports).contains("payments"));
        reports.set(&key, report(1, 1));
        reports.set_leader(false);
        assert!(!text(&reports).contains("payments"));
    }

    #[test]
    fn secrets_that_need_attention_keep_their_series_when_there_are_too_many() {
        let mut reports =
            PolicyCollector::new(3, LeaderOnly::default()).expect("families are well formed");
        let bound_policy = fixtures::bound_policy(fixtures::policy("a"));
        let names = ["prod/a", "prod/b", "prod/c", "prod/d", "prod/e"];
        let rested = names.map(|name| Observation::listed(fixtures::secret(name)));
        reports.known = reports.known.with_sweep(&bound_policy, &rested);
        reports.set_leader(true);
        let uid = &bound_policy.policy.uid;
        let of_five = report(0, 5).with_regions(uid, profile_regions(&bound_policy));
        reports.set(&key("a"), of_five);
        reports.set(&key("b"), report(2, 5));
        let text = text(&reports);
        let stuck = text
            .lines()
            .filter(|line| line.starts_with("secretrotation_secret_stuck{") && line.ends_with(" 1"))
            .count();
        assert_eq!(stuck, 2);
        assert_eq!(
            text.lines()
                .filter(|line| line.starts_with("secretrotation_secret_stuck{"))
                .count(),
            3
        );
        assert!(
            text.contains("secretrotation_metrics_truncated_secrets 9\n"),
            "{text}"
        );
    }

    #[test]
    fn names_of_secrets_can_be_hashed_or_left_out() {
        let lines = |label| {
            let reports =
                PolicyCollector::new(1, LeaderOnly::default()).expect("families are well formed");
            let reports = reports.labelled(label);
            reports.set_leader(true);
            reports.set(&key("a"), report(2, 0));
            let text = text(&reports);
            let wanted = |line: &&str| {
                line.starts_with("secretrotation_secret_stuck{")
                    || line.starts_with("secretrotation_metrics_truncated_secrets ")
            };
            text.lines()
                .filter(wanted)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            lines(SecretLabel::Hash),
            [
                "secretrotation_metrics_truncated_secrets 1",
                r#"secretrotation_secret_stuck{policy="a",policy_namespace="team",region="eu-west-1",secret="c1e22b76a9036ff8"} 1"#,
            ]
        );
        assert_eq!(
            lines(SecretLabel::None),
            ["secretrotation_metrics_truncated_secrets 0"]
        );
    }

    #[test]
    fn the_interval_is_that_of_the_policy_unless_the_profile_is_slower() {
        let interval = |shortest| {
            let report = PolicySample {
                check_interval: Some(Duration::from_mins(5)),
                ..PolicySample::default()
            };
            let reports =
                PolicyCollector::new(3, LeaderOnly::default()).expect("families are well formed");
            reports.set_leader(true);
            reports.set(&key("a"), report.not_more_often_than(shortest));
            let text = text(&reports);
            let series = r#"secretrotation_policy_check_interval_seconds{policy="a",policy_namespace="team"} "#;
            let found = text.lines().find_map(|line| line.strip_prefix(series));
            found.map(str::to_owned)
        };
        assert_eq!(interval(Duration::from_mins(1)).as_deref(), Some("300"));
        assert_eq!(interval(Duration::from_hours(1)).as_deref(), Some("3600"));
    }

    #[test]
    fn exactly_one_status_of_a_condition_is_one() {
        let reports =
            PolicyCollector::new(3, LeaderOnly::default()).expect("families are well formed");
        reports.set_leader(true);
        reports.set(
            &key("a"),
            report(0, 0).with_conditions([("Ready", ConditionStatus::False)]),
        );
        let text = text(&reports);
        let ones: Vec<_> = text
            .lines()
            .filter(|line| line.contains(r#"condition="Ready""#) && line.ends_with(" 1"))
            .collect();
        assert_eq!(
            ones,
            [
                r#"secretrotation_policy_status_condition{condition="Ready",policy="a",policy_namespace="team",status="false"} 1"#
            ]
        );
    }

    /// A policy that was never evaluated has no series.
    #[test]
    fn an_open_breaker_is_reported_until_it_is_known_to_be_closed() {
        let reports =
            PolicyCollector::new(3, LeaderOnly::default()).expect("families are well formed");
        reports.set_leader(true);
        let of = |breaker| PolicySample {
            breaker,
            ..report(0, 0)
        };
        reports.set(&key("unjudged"), of(None));
        reports.set(&key("closed"), of(Some(Breaker::Closed)));
        let open = of(Some(Breaker::Open));
        reports.set(&key("open"), of(None).with_findings_of(&open));
        let text = text(&reports);
        let exported: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("secretrotation_policy_circuit_breaker_open"))
            .collect();
        assert_eq!(
            exported,
            [
                r#"{policy="closed",policy_namespace="team"} 0"#,
                r#"{policy="open",policy_namespace="team"} 1"#
            ]
        );
    }

    #[test]
    fn a_finding_has_its_state_its_owner_and_the_numbers_of_its_policy() {
        let reports =
            PolicyCollector::new(3, LeaderOnly::default()).expect("families are well formed");
        reports.set_leader(true);
        let since = AwsTime::new(Timestamp::from_second(1_764_000_000).expect("a time"));
        let secret = SecretSample {
            name: "db".to_owned(),
            region: "eu-west-1".to_owned(),
            state: Some((State::Overdue, since)),
            is_managed: true,
            ..SecretSample::default()
        };
        let sample = PolicySample {
            secrets: vec![secret],
            oldest: [(State::Broken, since)].into(),
            approval_waiting: Some(ServerTime::new(since.timestamp())),
            denied: Some(2),
            unseen: Some(0),
            ..PolicySample::default()
        };
        reports.set(&key("a"), sample);
        let of = r#"policy="a",policy_namespace="team""#;
        let secret = r#"region="eu-west-1",secret="db""#;
        for line in [
            format!(
                r#"secret_state_since_timestamp_seconds{{{of},{secret},state="Overdue"}} 1764000000"#
            ),
            format!("secret_managed{{{of},{secret}}} 1"),
            format!(r#"policy_state_since_timestamp_seconds{{{of},state="Broken"}} 1764000000"#),
            format!("policy_approval_waiting_since_timestamp_seconds{{{of}}} 1764000000"),
            format!("policy_denied_secrets{{{of}}} 2"),
            format!("policy_unseen_secrets{{{of}}} 0"),
        ] {
            let text = text(&reports);
            let line = format!("secretrotation_{line}\n");
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
    }

    /// A policy that was never evaluated claims nothing, not even 0.
    #[test]
    fn a_healthy_secret_has_no_state_and_an_unevaluated_policy_no_numbers() {
        let reports =
            PolicyCollector::new(3, LeaderOnly::default()).expect("families are well formed");
        reports.set_leader(true);
        reports.set(&key("a"), report(0, 1));
        let text = text(&reports);
        for name in ["state_since", "managed", "denied", "unseen", "waiting"] {
            let series = |line: &str| !line.starts_with('#') && line.contains(name);
            assert!(!text.lines().any(series), "{name} is in\n{text}");
        }
    }

    fn text(reports: &PolicyCollector) -> String {
        let registry = Registry::new();
        registry
            .register(Box::new(reports.clone()))
            .expect("not registered before");
        TextEncoder::new()
            .encode_to_string(&registry.gather())
            .expect("text")
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey {
            namespace: Namespace::parse("team").expect("valid"),
            name: ObjectName::parse(name).expect("valid"),
        }
    }

    fn report(stuck: usize, healthy: usize) -> PolicySample {
        let since = Some(AwsTime::new(
            "2026-11-23T02:14:09Z".parse().expect("a time"),
        ));
        let stuck = (0..stuck).map(|n| SecretSample {
            name: format!("stuck-{n}"),
            region: "eu-west-1".to_owned(),
            stuck_since: since,
            ..SecretSample::default()
        });
        PolicySample {
            mode: "Observe",
            secrets: stuck.collect(),
            counts: [(State::Healthy, healthy)].into(),
            ..PolicySample::default()
        }
    }
}
