//! The metrics that `/metrics` serves. Counters are kept here. The series of policies and secrets are built from the
//! last reports.

mod builder;
mod leader_only;
mod policy_collector;
mod policy_sample;
mod reference;
mod secret_label;
mod zero_series;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramVec, IntCounterVec, IntGaugeVec, Registry, TextEncoder,
};
use secret_rotation_core::names::{ObjectKey, ProfileName, Region};
use secret_rotation_core::operation::{Operation, Outcome, Trigger};

use self::builder::Maker;
use self::leader_only::LeaderOnly;
pub(crate) use self::policy_collector::PolicyCollector;
pub(crate) use self::policy_sample::PolicySample;
use self::reference::{Catalogue, Described};
use crate::options::SecretLabel;

const PREFIX: &str = "secretrotation";

const RECONCILE_BUCKETS: [f64; 12] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
const ROTATION_BUCKETS: [f64; 11] = [
    1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0,
];
const SWEEP_BUCKETS: [f64; 12] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0,
];
const AWS_BUCKETS: [f64; 10] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// All metrics of the process, in their own registry.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    /// Counts requests to the API server.
    pub kube_requests: IntCounterVec,
    /// Counts errors of watches, by resource.
    pub watch_errors: IntCounterVec,
    /// Whether this replica holds the lease.
    pub leader: IntGaugeVec,
    reconciles: IntCounterVec,
    reconcile_duration: HistogramVec,
    reconcile_active: IntGaugeVec,
    reconcile_panics: IntCounterVec,
    aws_requests: IntCounterVec,
    aws_duration: HistogramVec,
    aws_retries: IntCounterVec,
    sweep_duration: HistogramVec,
    sweep_success: GaugeVec,
    rotations_triggered: IntCounterVec,
    rotations_finished: IntCounterVec,
    rotation_duration: Histogram,
    pending_cleared: IntCounterVec,
    operations: IntCounterVec,
    custom_endpoint: Gauge,
    credentials_expiry: GaugeVec,
    reports: PolicyCollector,
    /// The existing policies. Only they have series, whatever names operations contain.
    known: Mutex<BTreeSet<ObjectKey>>,
}

impl Metrics {
    /// Creates and registers all metrics. Series with a closed set of label values start at 0.
    pub(crate) fn new(max_secrets: usize, label: SecretLabel) -> prometheus::Result<Arc<Self>> {
        let metrics = Self::made(max_secrets, label, &Catalogue::default())?;
        metrics.start_at_zero();
        Ok(Arc::new(metrics))
    }

    /// Returns the reference page of all metric families.
    pub(crate) fn reference() -> prometheus::Result<String> {
        Self::described().map(|all| reference::page(&all))
    }

    fn described() -> prometheus::Result<Vec<Described>> {
        let catalogue = Catalogue::default();
        Self::made(0, SecretLabel::Name, &catalogue)?;
        Ok(catalogue.into_sorted())
    }

    fn made(
        max_secrets: usize,
        label: SecretLabel,
        catalogue: &Catalogue,
    ) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let voice = LeaderOnly::default();
        let reports = PolicyCollector::new(max_secrets, voice.clone())?.labelled(label);
        let make = Maker {
            registry: &registry,
            catalogue,
            voice: None,
        };
        let make_for_holder = make.for_holder(&voice);
        let metrics = Self {
            kube_requests: make.counter(
                "kube_requests_total",
                "Total number of Kubernetes API requests",
                &["verb", "resource", "code_class"],
            )?,
            watch_errors: make.counter(
                "watch_errors_total",
                "Total number of Kubernetes watch errors",
                &["kind"],
            )?,
            leader: make.leader()?,
            reconciles: make.counter(
                "reconcile_total",
                "Total number of reconciliations by result",
                &["controller", "result"],
            )?,
            reconcile_duration: make.histogram(
                "reconcile_duration_seconds",
                "Time taken by one reconciliation",
                &["controller"],
                &RECONCILE_BUCKETS,
            )?,
            reconcile_active: make.gauge(
                "reconcile_active",
                "Number of reconciliations in progress",
                &["controller"],
            )?,
            reconcile_panics: make.counter(
                "reconcile_panics_total",
                "Total number of panics caught during reconciliation",
                &["controller"],
            )?,
            aws_requests: make.counter(
                "aws_requests_total",
                "Total number of AWS API calls by outcome",
                &["operation", "code"],
            )?,
            aws_duration: make.histogram(
                "aws_request_duration_seconds",
                "Latency of AWS API calls including retries",
                &["operation"],
                &AWS_BUCKETS,
            )?,
            aws_retries: make.counter(
                "aws_request_retries_total",
                "Total number of retried AWS API attempts",
                &["operation"],
            )?,
            sweep_duration: make_for_holder.sweep_duration()?,
            sweep_success: make_for_holder.float_gauge(
                "sweep_last_success_timestamp_seconds",
                "Unix time of the last complete sweep",
                &["profile", "region"],
            )?,
            rotations_triggered: make_for_holder.counter(
                "rotations_triggered_total",
                "Total number of rotations started by the controller",
                &["namespace", "policy", "trigger"],
            )?,
            rotations_finished: make_for_holder.counter(
                "rotations_finished_total",
                "Total number of started rotations that ended",
                &["namespace", "policy", "result"],
            )?,
            rotation_duration: make.rotation_duration()?,
            pending_cleared: make_for_holder.counter(
                "pending_cleared_total",
                "Total number of stale AWSPENDING labels removed",
                &["namespace", "policy", "result"],
            )?,
            operations: make_for_holder.counter(
                "operations_total",
                "Total number of finished operations",
                &["namespace", "policy", "action", "result"],
            )?,
            custom_endpoint: make.custom_endpoint()?,
            credentials_expiry: make_for_holder.credentials_expiry()?,
            reports: reports.clone(),
            registry: registry.clone(),
            known: Mutex::default(),
        };
        make.build_info()?;
        make.add(ProcessCollector::for_self())?;
        make.add(reports)?;
        Ok(metrics)
    }

    /// Returns the last reports about policies, from which their series are built.
    pub(crate) const fn reports(&self) -> &PolicyCollector {
        &self.reports
    }

    /// Returns the text for a scraper.
    pub(crate) fn text(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Records that a reconcile has begun.
    pub(crate) fn reconcile_began(&self, controller: &str) {
        self.reconcile_active.with_label_values(&[controller]).inc();
    }

    /// Records that a reconcile has ended.
    pub(crate) fn reconcile_ended(&self, controller: &str, result: &str, took: Duration) {
        self.reconcile_active.with_label_values(&[controller]).dec();
        self.reconciles
            .with_label_values(&[controller, result])
            .inc();
        self.reconcile_duration
            .with_label_values(&[controller])
            .observe(took.as_secs_f64());
    }

    /// Records that a reconcile has panicked.
    pub(crate) fn reconcile_panicked(&self, controller: &str) {
        self.reconcile_panics.with_label_values(&[controller]).inc();
    }

    /// Records that an AWS call has ended after `retries` retries.
    pub(crate) fn aws_called(&self, operation: &str, code: &str, took: Duration, retries: u32) {
        self.aws_requests
            .with_label_values(&[operation, code])
            .inc();
        self.aws_duration
            .with_label_values(&[operation])
            .observe(took.as_secs_f64());
        self.aws_retries
            .with_label_values(&[operation])
            .inc_by(u64::from(retries));
    }

    /// Records when the current credentials expire. `None` means that they do not.
    #[expect(
        clippy::cast_precision_loss,
        reason = "Unix seconds are exact in an f64 for millions of years"
    )]
    pub(crate) fn credentials_expire(&self, at: Option<Timestamp>) {
        let none: [&str; 0] = [];
        match at {
            Some(at) => self
                .credentials_expiry
                .with_label_values(&none)
                .set(at.as_second() as f64),
            None => self.credentials_expiry.reset(),
        }
    }

    /// Records whether AWS calls go to a custom endpoint.
    pub(crate) fn set_custom_endpoint(&self, custom: bool) {
        self.custom_endpoint.set(f64::from(u8::from(custom)));
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
        self.sweep_duration
            .with_label_values(&labels)
            .observe(took.as_secs_f64());
        self.sweep_success
            .with_label_values(&labels)
            .set(at.timestamp().as_second() as f64);
    }

    /// Removes the series of a region that is no longer swept.
    pub(crate) fn forget_sweep(&self, profile: &ProfileName, region: &Region) {
        let labels = [profile.as_str(), region.as_str()];
        let _ = self.sweep_duration.remove_label_values(&labels);
        let _ = self.sweep_success.remove_label_values(&labels);
    }

    /// Records that AWS accepted a rotation.
    pub(crate) fn rotation_triggered(&self, operation: &Operation) {
        let trigger = match operation.trigger {
            Trigger::Policy => "Policy",
            Trigger::Manual => "Manual",
        };
        self.count(&self.rotations_triggered, operation, &[trigger]);
    }

    /// Records whether AWSPENDING was removed.
    pub(crate) fn pending_cleared(&self, operation: &Operation, result: &str) {
        self.count(&self.pending_cleared, operation, &[result]);
    }

    /// Records that a rotation that the controller started has ended.
    pub(crate) fn rotation_finished(
        &self,
        operation: &Operation,
        result: &str,
        took: Option<Duration>,
    ) {
        self.count(&self.rotations_finished, operation, &[result]);
        if let Some(took) = took {
            self.rotation_duration.observe(took.as_secs_f64());
        }
    }

    /// Records that an operation has ended.
    pub(crate) fn operation_finished(&self, operation: &Operation, outcome: &Outcome) {
        let result = match outcome {
            Outcome::Succeeded { .. } => "Succeeded",
            Outcome::Failed { reason, .. } => reason.name(),
        };
        let values = [operation.action.name(), result];
        self.count(&self.operations, operation, &values);
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
    use secret_rotation_core::names::{Namespace, ObjectName};

    use super::*;

    /// Anyone may write any name into `policyRef`.
    #[test]
    fn an_operation_of_a_policy_that_does_not_exist_has_no_series_of_its_own() {
        let metrics = Metrics::new(10, SecretLabel::Name).expect("metrics register");
        metrics.reports().speak(true);
        let policy = crate::testing::key("payments");
        let gone = Outcome::Failed {
            reason: secret_rotation_core::operation::Failure::PolicyGone,
            message: String::new(),
        };
        let text = || metrics.text().expect("metrics encode");
        let lines = |word: &str| text().lines().filter(|line| line.contains(word)).count();
        for name in ["made-up", "payments", "made-up-too"] {
            let operation = crate::testing::operation(name);
            metrics.operation_finished(&operation, &gone);
            metrics.rotation_triggered(&operation);
            metrics.pending_cleared(&operation, "success");
            metrics.rotation_finished(&operation, "failed", None);
        }
        let before = text().lines().count();
        assert_eq!((lines("made-up"), lines("payments")), (0, 0));
        let counted =
            r#"operations_total{action="Rotate",namespace="",policy="",result="PolicyGone"} 3"#;
        assert_eq!(lines(counted), 1);
        metrics.expect_policy(&policy);
        metrics.operation_finished(&crate::testing::operation("payments"), &gone);
        assert!(lines("payments") > 0);
        metrics.forget_policy(&policy);
        metrics.operation_finished(&crate::testing::operation("payments"), &gone);
        assert_eq!(
            text().lines().count(),
            before,
            "they went with it, and stay away"
        );
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
        let told = || metrics.text().expect("metrics encode").contains("payments");
        assert!(!told());
        metrics.reports().speak(true);
        assert!(told());
        metrics.reports().speak(false);
        assert!(!told());
    }

    #[test]
    fn credentials_that_do_not_expire_have_no_date() {
        let metrics = Metrics::new(10, SecretLabel::Name).expect("metrics register");
        metrics.reports().speak(true);
        let line = "secretrotation_aws_credentials_expiry_timestamp_seconds 1764000000\n";
        let told = || metrics.text().expect("metrics encode").contains(line);
        metrics.credentials_expire(Timestamp::from_second(1_764_000_000).ok());
        assert!(told());
        metrics.credentials_expire(None);
        assert!(!told());
    }
}
