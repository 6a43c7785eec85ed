//! The table of metrics. Registration, series that start at 0, the replicas that export a metric and the reference page
//! are derived from its row. A new metric needs a row here and the code that sets it.

use prometheus::{GaugeVec, HistogramVec, IntCounterVec};
use secret_rotation_aws::Operation as AwsOperation;
use secret_rotation_core::action::Action;
use secret_rotation_core::operation::Trigger;

use super::family::Exporter::{EveryReplica, Leader};
use super::family::InitialSeries::{FromStart, WithFirstValue, WithPolicy};
use super::family::Stability::{Alpha, Stable};
use super::family::{AnyMetric, Family, Label, Metric};
use super::labels::{
    CallCode, ClearResult, Controller, ReconcileResult, RotationResult, WatchedKind,
    operation_results,
};
use crate::lease;

const RECONCILE_BUCKETS: &[f64] = &[
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
const ROTATION_BUCKETS: &[f64] = &[
    1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0,
];
/// 5 and 15 minutes, 1 and 4 hours, 1, 3 and 7 days. Each policy has its own histogram, so the buckets are few.
const RECOVERY_BUCKETS: &[f64] = &[300.0, 900.0, 3600.0, 14400.0, 86400.0, 259_200.0, 604_800.0];
const SWEEP_BUCKETS: &[f64] = &[
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0,
];
const AWS_BUCKETS: &[f64] = &[0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

const ACTION: Label = Label::closed("action", || Action::ALL.map(Action::name).to_vec());
const CALL: Label = Label::closed("operation", || {
    AwsOperation::ALL.map(AwsOperation::name).to_vec()
});
const CALL_CODE: Label = Label::closed("code", || CallCode::ALL.map(CallCode::name).to_vec());
const CLEAR_RESULT: Label = Label::closed("result", || {
    ClearResult::ALL.map(ClearResult::name).to_vec()
});
const CODE_CLASS: Label = Label::open("code_class");
const CONDITION: Label = Label::open("condition");
const CONTROLLER: Label = Label::closed("controller", || {
    Controller::ALL.map(Controller::name).to_vec()
});
const KIND: Label = Label::closed("kind", || WatchedKind::ALL.map(WatchedKind::name).to_vec());
/// The metric has the name that client-go uses, so that common dashboards find it.
const LEASE: Label = Label::closed("name", || vec![lease::NAME]);
const MODE: Label = Label::open("mode");
/// The namespace of the policy. A label `namespace` would collide with the one that Prometheus gives every series of a pod.
const NAMESPACE: Label = Label::open("policy_namespace");
const OPERATION_RESULT: Label = Label::closed("result", operation_results);
const POLICY: Label = Label::open("policy");
const PROFILE: Label = Label::open("profile");
const REASON: Label = Label::open("reason");
const RECONCILE_RESULT: Label = Label::closed("result", || {
    ReconcileResult::ALL.map(ReconcileResult::name).to_vec()
});
const REGION: Label = Label::open("region");
const RESOURCE: Label = Label::open("resource");
const REVISION: Label = Label::open("revision");
const ROTATION_RESULT: Label = Label::closed("result", || {
    RotationResult::ALL.map(RotationResult::name).to_vec()
});
const RUSTC: Label = Label::open("rustc");
const SECRET: Label = Label::open("secret");
const STATE: Label = Label::open("state");
const STATUS: Label = Label::open("status");
const TRIGGER: Label = Label::closed("trigger", || Trigger::ALL.map(Trigger::name).to_vec());
const VERB: Label = Label::open("verb");
const VERSION: Label = Label::open("version");

/// Defines a struct with a field for each row: name, help, labels, first series, exporter, stability and, for a histogram, the
/// buckets.
macro_rules! families {
    (
        $(#[$about:meta])*
        $visibility:vis struct $Families:ident;
        $($field:ident: $Vector:ty = $name:literal, $help:literal,
            [$($label:ident),*], $series:ident, $exporter:ident, $stability:ident $(, $buckets:ident)?;)+
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug)]
        $visibility struct $Families {
            $(pub(super) $field: Metric<$Vector>,)+
        }

        impl $Families {
            /// Creates all families, without series.
            pub(super) fn new() -> prometheus::Result<Self> {
                Ok(Self {
                    $($field: Metric::new(Family {
                        name: $name,
                        help: $help,
                        labels: &[$($label),*],
                        series: $series,
                        exporter: $exporter,
                        stability: $stability,
                        buckets: families!(@buckets $($buckets)?),
                    })?,)+
                })
            }

            /// Returns all families.
            pub(super) fn all(&self) -> Vec<&dyn AnyMetric> {
                vec![$(&self.$field),+]
            }
        }
    };
    (@buckets) => { &[] };
    (@buckets $buckets:ident) => { $buckets };
}

families! {
    /// The metrics that keep their values between scrapes.
    pub(super) struct Families;
    kube_requests: IntCounterVec = "secretrotation_kube_requests_total",
        "Total number of Kubernetes API requests",
        [VERB, RESOURCE, CODE_CLASS], WithFirstValue, EveryReplica, Alpha;
    watch_errors: IntCounterVec = "secretrotation_watch_errors_total",
        "Total number of Kubernetes watch errors",
        [KIND], FromStart, EveryReplica, Alpha;
    leader: GaugeVec = "leader_election_master_status",
        "Whether this replica holds the lease (1) or not (0)",
        [LEASE], FromStart, EveryReplica, Stable;
    reconciles: IntCounterVec = "secretrotation_reconcile_total",
        "Total number of reconciliations by result",
        [CONTROLLER, RECONCILE_RESULT], FromStart, EveryReplica, Stable;
    reconcile_duration: HistogramVec = "secretrotation_reconcile_duration_seconds",
        "Time taken by one reconciliation",
        [CONTROLLER], FromStart, EveryReplica, Alpha, RECONCILE_BUCKETS;
    reconcile_active: GaugeVec = "secretrotation_reconcile_active",
        "Number of reconciliations in progress",
        [CONTROLLER], FromStart, EveryReplica, Alpha;
    reconcile_panics: IntCounterVec = "secretrotation_reconcile_panics_total",
        "Total number of panics caught during reconciliation",
        [CONTROLLER], FromStart, EveryReplica, Stable;
    aws_requests: IntCounterVec = "secretrotation_aws_requests_total",
        "Total number of AWS API calls by outcome",
        [CALL, CALL_CODE], FromStart, EveryReplica, Stable;
    aws_duration: HistogramVec = "secretrotation_aws_request_duration_seconds",
        "Latency of AWS API calls including retries",
        [CALL], FromStart, EveryReplica, Stable, AWS_BUCKETS;
    aws_retries: IntCounterVec = "secretrotation_aws_request_retries_total",
        "Total number of retried AWS API attempts",
        [CALL], FromStart, EveryReplica, Alpha;
    sweep_duration: HistogramVec = "secretrotation_sweep_duration_seconds",
        "Time taken by one complete sweep",
        [PROFILE, REGION], WithFirstValue, Leader, Alpha, SWEEP_BUCKETS;
    sweep_success: GaugeVec = "secretrotation_sweep_last_success_timestamp_seconds",
        "Unix time of the last complete sweep",
        [PROFILE, REGION], WithFirstValue, Leader, Stable;
    rotations_triggered: IntCounterVec = "secretrotation_rotations_triggered_total",
        "Total number of rotations started by the controller",
        [NAMESPACE, POLICY, TRIGGER], WithPolicy, Leader, Stable;
    rotations_finished: IntCounterVec = "secretrotation_rotations_finished_total",
        "Total number of started rotations that ended",
        [NAMESPACE, POLICY, ROTATION_RESULT], WithPolicy, Leader, Stable;
    rotation_duration: HistogramVec = "secretrotation_rotation_duration_seconds",
        "Time from start of a rotation to promotion to AWSCURRENT",
        [], FromStart, EveryReplica, Stable, ROTATION_BUCKETS;
    time_to_recover: HistogramVec = "secretrotation_time_to_recover_seconds",
        "Time from when a secret counts as stuck and the controller has seen its pending version to the first check that finds the secret Healthy",
        [NAMESPACE, POLICY], WithPolicy, Leader, Stable, RECOVERY_BUCKETS;
    pending_cleared: IntCounterVec = "secretrotation_pending_cleared_total",
        "Total number of stale AWSPENDING labels removed",
        [NAMESPACE, POLICY, CLEAR_RESULT], WithPolicy, Leader, Stable;
    operations: IntCounterVec = "secretrotation_operations_total",
        "Total number of finished operations",
        [NAMESPACE, POLICY, ACTION, OPERATION_RESULT], WithFirstValue, Leader, Alpha;
    custom_endpoint: GaugeVec = "secretrotation_custom_endpoint",
        "Whether AWS calls go to a custom endpoint",
        [], FromStart, EveryReplica, Stable;
    credentials_expiry: GaugeVec = "secretrotation_aws_credentials_expiry_timestamp_seconds",
        "Unix time at which the current AWS credentials expire",
        [], WithFirstValue, Leader, Stable;
    build_info: GaugeVec = "secretrotation_build_info",
        "Build information of the running controller",
        [VERSION, REVISION, RUSTC], WithFirstValue, EveryReplica, Stable;
}

families! {
    /// The metrics that each scrape builds from the last reports of the policies.
    pub(super) struct PolicyFamilies;
    info: GaugeVec = "secretrotation_policy_info",
        "Static facts about a policy, for joins",
        [NAMESPACE, POLICY, MODE, PROFILE], WithFirstValue, Leader, Stable;
    condition: GaugeVec = "secretrotation_policy_status_condition",
        "Status of a policy condition, 1 for the current status",
        [NAMESPACE, POLICY, CONDITION, STATUS], WithFirstValue, Leader, Stable;
    suspended: GaugeVec = "secretrotation_policy_suspended",
        "Whether the policy is suspended",
        [NAMESPACE, POLICY], WithFirstValue, Leader, Stable;
    secrets: GaugeVec = "secretrotation_policy_secrets",
        "Number of secrets selected by the policy in each state",
        [NAMESPACE, POLICY, STATE], WithFirstValue, Leader, Stable;
    last_check: GaugeVec = "secretrotation_policy_last_check_timestamp_seconds",
        "Unix time of the last completed check against AWS",
        [NAMESPACE, POLICY], WithFirstValue, Leader, Stable;
    check_interval: GaugeVec = "secretrotation_policy_check_interval_seconds",
        "Time between two checks against AWS as configured in the policy and its profile",
        [NAMESPACE, POLICY], WithFirstValue, Leader, Stable;
    breaker: GaugeVec = "secretrotation_policy_circuit_breaker_open",
        "Whether the circuit breaker of the policy is open",
        [NAMESPACE, POLICY], WithFirstValue, Leader, Stable;
    blocked: GaugeVec = "secretrotation_operations_blocked",
        "Number of blocked remedies, by reason",
        [NAMESPACE, POLICY, REASON], WithFirstValue, Leader, Stable;
    approval_waiting: GaugeVec = "secretrotation_policy_approval_waiting_since_timestamp_seconds",
        "Unix time at which the oldest operation that waits for an approval was created; absent if none waits",
        [NAMESPACE, POLICY], WithFirstValue, Leader, Stable;
    oldest: GaugeVec = "secretrotation_policy_state_since_timestamp_seconds",
        "Unix time since which the oldest finding in each state has been in it, without secrets that another service manages; absent if there is none",
        [NAMESPACE, POLICY, STATE], WithFirstValue, Leader, Stable;
    denied: GaugeVec = "secretrotation_policy_denied_secrets",
        "Number of secrets that AWS did not let the controller read: the role may not read them, or they do not exist",
        [NAMESPACE, POLICY], WithFirstValue, Leader, Stable;
    unseen: GaugeVec = "secretrotation_policy_unseen_secrets",
        "Number of findings that the latest checks could not see, and whose state is as last known",
        [NAMESPACE, POLICY], WithFirstValue, Leader, Stable;
    stuck: GaugeVec = "secretrotation_secret_stuck",
        "Whether the rotation of the secret is stuck",
        [NAMESPACE, POLICY, REGION, SECRET], WithFirstValue, Leader, Stable;
    stuck_since: GaugeVec = "secretrotation_secret_stuck_since_timestamp_seconds",
        "Unix time since which the rotation has not progressed; a pin does not move it",
        [NAMESPACE, POLICY, REGION, SECRET], WithFirstValue, Leader, Stable;
    state_since: GaugeVec = "secretrotation_secret_state_since_timestamp_seconds",
        "Unix time since which the secret has been in this state; absent while it is Healthy or Ineligible",
        [NAMESPACE, POLICY, REGION, SECRET, STATE], WithFirstValue, Leader, Stable;
    managed: GaugeVec = "secretrotation_secret_managed",
        "1 for a finding about a secret that another service manages, on which neither the controller nor a user can act; absent otherwise",
        [NAMESPACE, POLICY, REGION, SECRET], WithFirstValue, Leader, Stable;
    last_rotation: GaugeVec = "secretrotation_secret_last_rotation_timestamp_seconds",
        "Unix time of the last completed rotation",
        [NAMESPACE, POLICY, REGION, SECRET], WithFirstValue, Leader, Stable;
    next_rotation: GaugeVec = "secretrotation_secret_next_rotation_timestamp_seconds",
        "Unix time of the next scheduled rotation",
        [NAMESPACE, POLICY, REGION, SECRET], WithFirstValue, Leader, Stable;
    expiry: GaugeVec = "secretrotation_secret_expiry_timestamp_seconds",
        "Unix time at which the value expires, from its tag",
        [NAMESPACE, POLICY, REGION, SECRET], WithFirstValue, Leader, Stable;
    deletion: GaugeVec = "secretrotation_secret_deletion_timestamp_seconds",
        "Unix time until which a deleted secret can certainly be restored; once that has passed, the latest possible time",
        [NAMESPACE, POLICY, REGION, SECRET], WithFirstValue, Leader, Stable;
    truncated: GaugeVec = "secretrotation_metrics_truncated_secrets",
        "Number of secrets without per-secret series because of the limit",
        [], WithFirstValue, Leader, Stable;
}
