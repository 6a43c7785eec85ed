//! The metrics that `/metrics` serves. Counters are kept here. The series of policies and secrets are built from the
//! last reports.

mod family;
pub(crate) mod labels;
mod leader_only;
mod policy_collector;
mod policy_sample;
mod recovery;
mod reference;
mod secret_label;
mod table;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus::process_collector::ProcessCollector;
use prometheus::{IntCounterVec, Registry, TextEncoder};
use secret_rotation_aws::Operation as AwsOperation;
use secret_rotation_core::names::{ObjectKey, ProfileName, Region};
use secret_rotation_core::operation::{Operation, Outcome};

pub(crate) use self::labels::{
    CallCode, ClearResult, Controller, ReconcileResult, RotationResult, WatchedKind,
};
use self::leader_only::LeaderOnly;
pub(crate) use self::policy_collector::PolicyCollector;
pub(crate) use self::policy_sample::PolicySample;
pub(crate) use self::recovery::Recoveries;
use self::reference::Described;
use self::table::{Families, PolicyFamilies};
use crate::lease;
use crate::options::SecretLabel;

/// The revision of the sources, if the build knew it.
const REVISION: &str = match option_env!("SECRET_ROTATION_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// The version of the compiler, if the build knew it.
const RUSTC: &str = match option_env!("SECRET_ROTATION_RUSTC") {
    Some(rustc) => rustc,
    None => "unknown",
};

const NO_LABELS: &[&str] = &[];

/// All metrics of the process, in their own registry.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    families: Families,
    reports: PolicyCollector,
    /// The existing policies. Only they have series, whatever names operations contain.
    known: Mutex<BTreeSet<ObjectKey>>,
}

impl Metrics {
    /// Creates and registers all metrics. Series with a closed set of label values start at 0.
    pub(crate) fn new(max_secrets: usize, label: SecretLabel) -> prometheus::Result<Arc<Self>> {
        let registry = Registry::new();
        let leader_only = LeaderOnly::default();
        let families = Families::new()?;
        for metric in families.all() {
            metric.register(&registry, &leader_only)?;
            metric.start();
        }
        families
            .build_info
            .with_label_values(&[env!("CARGO_PKG_VERSION"), REVISION, RUSTC])
            .set(1.0);
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let reports = PolicyCollector::new(max_secrets, leader_only)?.labelled(label);
        registry.register(Box::new(reports.clone()))?;
        Ok(Arc::new(Self {
            registry,
            families,
            reports,
            known: Mutex::default(),
        }))
    }

    /// Returns the reference page of all metric families.
    pub(crate) fn reference() -> prometheus::Result<String> {
        Self::described().map(|all| reference::page(&all))
    }

    /// Returns the descriptions of all families, sorted by name.
    fn described() -> prometheus::Result<Vec<Described>> {
        let (families, of_policies) = (Families::new()?, PolicyFamilies::new()?);
        let metrics = families.all().into_iter().chain(of_policies.all());
        let mut all: Vec<_> = metrics.map(Described::of).collect();
        all.extend(Described::of_collector(&ProcessCollector::for_self()));
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Returns the last reports about policies, from which their series are built.
    pub(crate) const fn reports(&self) -> &PolicyCollector {
        &self.reports
    }

    /// Returns the text for a scraper.
    pub(crate) fn text(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Adds a policy, whose counters start at 0.
    pub(crate) fn expect_policy(&self, key: &ObjectKey) {
        self.known().insert(key.clone());
        for metric in self.families.all() {
            metric.start_policy([key.namespace.as_str(), key.name.as_str()]);
        }
    }

    /// Removes a deleted policy and its series.
    pub(crate) fn forget_policy(&self, key: &ObjectKey) {
        // The lock is held until the series are removed. Otherwise `count` could bring one back.
        let mut known = self.known();
        known.remove(key);
        self.reports.forget(key);
        for metric in self.families.all() {
            metric.forget_policy([key.namespace.as_str(), key.name.as_str()]);
        }
    }

    /// Records whether this replica holds the lease.
    pub(crate) fn set_leader(&self, holds: bool) {
        self.families
            .leader
            .with_label_values(&[lease::NAME])
            .set(f64::from(u8::from(holds)));
    }

    /// Records a request to the API server.
    pub(crate) fn kubernetes_called(&self, verb: &str, resource: &str, code_class: &str) {
        self.families
            .kube_requests
            .with_label_values(&[verb, resource, code_class])
            .inc();
    }

    /// Records an error of a watch.
    pub(crate) fn watch_failed(&self, kind: WatchedKind) {
        self.families
            .watch_errors
            .with_label_values(&[kind.name()])
            .inc();
    }

    /// Records that a reconcile has begun.
    pub(crate) fn reconcile_began(&self, controller: Controller) {
        self.families
            .reconcile_active
            .with_label_values(&[controller.name()])
            .inc();
    }

    /// Records that a reconcile has ended.
    pub(crate) fn reconcile_ended(
        &self,
        controller: Controller,
        result: ReconcileResult,
        took: Duration,
    ) {
        let controller = controller.name();
        self.families
            .reconcile_active
            .with_label_values(&[controller])
            .dec();
        self.families
            .reconciles
            .with_label_values(&[controller, result.name()])
            .inc();
        self.families
            .reconcile_duration
            .with_label_values(&[controller])
            .observe(took.as_secs_f64());
    }

    /// Records that a reconcile has panicked.
    pub(crate) fn reconcile_panicked(&self, controller: Controller) {
        self.families
            .reconcile_panics
            .with_label_values(&[controller.name()])
            .inc();
    }

    /// Records that an AWS call has ended after `retries` retries.
    pub(crate) fn aws_called(
        &self,
        operation: AwsOperation,
        code: CallCode,
        took: Duration,
        retries: u32,
    ) {
        let operation = operation.name();
        self.families
            .aws_requests
            .with_label_values(&[operation, code.name()])
            .inc();
        self.families
            .aws_duration
            .with_label_values(&[operation])
            .observe(took.as_secs_f64());
        self.families
            .aws_retries
            .with_label_values(&[operation])
            .inc_by(u64::from(retries));
    }

    /// Records when the current credentials expire. `None` means that they do not.
    #[expect(
        clippy::cast_precision_loss,
        reason = "Unix seconds are exact in an f64 for millions of years"
    )]
    pub(crate) fn credentials_expire(&self, at: Option<Timestamp>) {
        match at {
            Some(at) => self
                .families
                .credentials_expiry
                .with_label_values(NO_LABELS)
                .set(at.as_second() as f64),
            None => self.families.credentials_expiry.reset(),
        }
    }

    /// Records whether AWS calls go to a custom endpoint.
    pub(crate) fn set_custom_endpoint(&self, custom: bool) {
        self.families
            .custom_endpoint
            .with_label_values(NO_LABELS)
            .set(f64::from(u8::from(custom)));
    }

    /// Records a complete sweep.
    #[expect(
        clippy::cast_precision_loss,
        reason = "Unix seconds are exact in an f64 for millions of years"
    )]
    pub(crate) fn swept(
        &self,
        profile: &ProfileName,
        region: &Region,
        took: Duration,
        at: secret_rotation_core::time::AwsTime,
    ) {
        let labels = [profile.as_str(), region.as_str()];
        self.families
            .sweep_duration
            .with_label_values(&labels)
            .observe(took.as_secs_f64());
        self.families
            .sweep_success
            .with_label_values(&labels)
            .set(at.timestamp().as_second() as f64);
    }

    /// Removes the series of a region that is no longer swept.
    pub(crate) fn forget_sweep(&self, profile: &ProfileName, region: &Region) {
        let labels = [profile.as_str(), region.as_str()];
        let _ = self.families.sweep_duration.remove_label_values(&labels);
        let _ = self.families.sweep_success.remove_label_values(&labels);
    }

    /// Records that AWS accepted a rotation.
    pub(crate) fn rotation_triggered(&self, operation: &Operation) {
        let trigger = operation.trigger.name();
        self.count(&self.families.rotations_triggered, operation, &[trigger]);
    }

    /// Records whether AWSPENDING was removed.
    pub(crate) fn pending_cleared(&self, operation: &Operation, result: ClearResult) {
        self.count(&self.families.pending_cleared, operation, &[result.name()]);
    }

    /// Records that a rotation that the controller started has ended.
    pub(crate) fn rotation_finished(
        &self,
        operation: &Operation,
        result: RotationResult,
        took: Option<Duration>,
    ) {
        self.count(
            &self.families.rotations_finished,
            operation,
            &[result.name()],
        );
        if let Some(took) = took {
            self.families
                .rotation_duration
                .with_label_values(NO_LABELS)
                .observe(took.as_secs_f64());
        }
    }

    /// Records how long secrets of a policy took to recover.
    pub(crate) fn recovered(&self, policy: &ObjectKey, took: &[Duration]) {
        // The lock is held until the values are recorded, as in `count`.
        let known = self.known();
        if !known.contains(policy) {
            return;
        }
        let histogram = self
            .families
            .time_to_recover
            .with_label_values(&[policy.namespace.as_str(), policy.name.as_str()]);
        for took in took {
            histogram.observe(took.as_secs_f64());
        }
    }

    /// Records that an operation has ended.
    pub(crate) fn operation_finished(&self, operation: &Operation, outcome: &Outcome) {
        let values = [operation.action.name(), labels::operation_result(outcome)];
        self.count(&self.families.operations, operation, &values);
    }

    /// Increments a counter for the policy of an operation. Users can write any name into `policyRef`, and a policy
    /// may be deleted before its operation. Operations of no existing policy are counted together, with an empty
    /// name.
    fn count(&self, counter: &IntCounterVec, operation: &Operation, values: &[&str]) {
        let policy = ObjectKey {
            namespace: operation.key.namespace.clone(),
            name: operation.policy.name.clone(),
        };
        // The lock is held until the count is recorded. Otherwise a series could return that was removed with its
        // policy.
        let known = self.known();
        let named = match known.get(&policy) {
            Some(policy) => [policy.namespace.as_str(), policy.name.as_str()],
            None => ["", ""],
        };
        counter
            .with_label_values(&[named.as_slice(), values].concat())
            .inc();
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<ObjectKey>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use secret_rotation_core::action::Action;
    use secret_rotation_core::names::{Namespace, ObjectName};

    use super::*;

    fn of_policy(name: &str) -> Operation {
        let mut operation = fixtures::operation("o", Action::Rotate, "prod/db");
        operation.policy.name = ObjectName::parse(name).expect("a name");
        operation
    }

    /// Anyone may write any name into `policyRef`.
    #[test]
    fn an_operation_of_a_policy_that_does_not_exist_has_no_series_of_its_own() {
        let metrics = Metrics::new(10, SecretLabel::Name).expect("metrics register");
        metrics.reports().set_leader(true);
        let policy = fixtures::key("prod", "payments");
        let gone = Outcome::Failed {
            reason: secret_rotation_core::operation::Failure::PolicyGone,
            message: String::new(),
        };
        let text = || metrics.text().expect("metrics encode");
        let lines = |word: &str| text().lines().filter(|line| line.contains(word)).count();
        for name in ["made-up", "payments", "made-up-too"] {
            let operation = of_policy(name);
            metrics.operation_finished(&operation, &gone);
            metrics.rotation_triggered(&operation);
            metrics.pending_cleared(&operation, ClearResult::Success);
            metrics.rotation_finished(&operation, RotationResult::Failed, None);
        }
        let before = text().lines().count();
        assert_eq!((lines("made-up"), lines("payments")), (0, 0));
        let counted = r#"operations_total{action="Rotate",policy="",policy_namespace="",result="PolicyGone"} 3"#;
        assert_eq!(lines(counted), 1);
        metrics.expect_policy(&policy);
        metrics.operation_finished(&of_policy("payments"), &gone);
        assert!(lines("payments") > 0);
        metrics.forget_policy(&policy);
        metrics.operation_finished(&of_policy("payments"), &gone);
        assert_eq!(
            text().lines().count(),
            before,
            "they went with it, and stay away"
        );
    }

    #[test]
    fn recoveries_are_counted_from_zero_while_the_policy_exists() {
        let metrics = Metrics::new(10, SecretLabel::Name).expect("metrics register");
        metrics.reports().set_leader(true);
        let policy = fixtures::key("prod", "payments");
        let counted = || {
            let text = metrics.text().expect("metrics encode");
            let mut lines = text.lines();
            lines
                .find(|line| line.starts_with("secretrotation_time_to_recover_seconds_count{"))
                .and_then(|line| line.rsplit_once(' ').map(|(_, count)| count.to_owned()))
        };
        metrics.recovered(&policy, &[Duration::from_mins(7)]);
        assert_eq!(counted(), None);
        metrics.expect_policy(&policy);
        assert_eq!(counted().as_deref(), Some("0"));
        metrics.recovered(&policy, &[Duration::from_mins(7), Duration::from_hours(3)]);
        assert_eq!(counted().as_deref(), Some("2"));
        metrics.forget_policy(&policy);
        assert_eq!(counted(), None);
    }

    #[test]
    fn every_family_has_a_help_text_a_unit_and_the_prefix() {
        let text = Metrics::new(10, SecretLabel::Name)
            .expect("metrics register")
            .text()
            .expect("metrics encode");
        for line in text.lines().filter(|line| line.starts_with("# HELP")) {
            let (name, help) = line["# HELP ".len()..]
                .split_once(' ')
                .expect("a name and a text");
            let known = name.starts_with("secretrotation_")
                || name.starts_with("process_")
                || name == "leader_election_master_status";
            assert!(known, "{name}");
            assert!(!help.is_empty(), "{name}");
        }
        for line in text.lines().filter(|line| line.starts_with("# TYPE")) {
            let (name, kind) = line["# TYPE ".len()..]
                .split_once(' ')
                .expect("a name and a type");
            assert_eq!(
                kind == "counter",
                name.ends_with("_total"),
                "{name} is a {kind}"
            );
        }
    }

    #[test]
    fn closed_label_sets_start_at_zero() {
        let text = Metrics::new(10, SecretLabel::Name)
            .expect("metrics register")
            .text()
            .expect("metrics encode");
        for line in [
            r#"secretrotation_reconcile_total{controller="policy",result="error"} 0"#,
            r#"secretrotation_reconcile_panics_total{controller="operation"} 0"#,
            r#"secretrotation_watch_errors_total{kind="AWSAccessProfile"} 0"#,
            r#"leader_election_master_status{name="secret-rotation-controller"} 0"#,
            r#"secretrotation_aws_requests_total{code="access_denied",operation="RotateSecret"} 0"#,
            r#"secretrotation_aws_request_retries_total{operation="ListSecrets"} 0"#,
            r#"secretrotation_aws_request_duration_seconds_count{operation="DescribeSecret"} 0"#,
            "secretrotation_custom_endpoint 0",
            "secretrotation_metrics_truncated_secrets 0",
        ] {
            assert!(
                text.lines().any(|have| have == line),
                "{line} is not in\n{text}"
            );
        }
    }

    #[test]
    fn only_the_holder_of_the_lease_reports_policies() {
        let metrics = Metrics::new(10, SecretLabel::Name).expect("metrics register");
        let key = ObjectKey {
            namespace: Namespace::parse("team").expect("valid"),
            name: ObjectName::parse("payments").expect("valid"),
        };
        metrics.expect_policy(&key);
        let is_exported = || metrics.text().expect("metrics encode").contains("payments");
        assert!(!is_exported());
        metrics.reports().set_leader(true);
        assert!(is_exported());
        metrics.reports().set_leader(false);
        assert!(!is_exported());
    }

    #[test]
    fn credentials_that_do_not_expire_have_no_date() {
        let metrics = Metrics::new(10, SecretLabel::Name).expect("metrics register");
        metrics.reports().set_leader(true);
        let line = "secretrotation_aws_credentials_expiry_timestamp_seconds 1764000000\n";
        let is_exported = || metrics.text().expect("metrics encode").contains(line);
        metrics.credentials_expire(Timestamp::from_second(1_764_000_000).ok());
        assert!(is_exported());
        metrics.credentials_expire(None);
        assert!(!is_exported());
    }
}
