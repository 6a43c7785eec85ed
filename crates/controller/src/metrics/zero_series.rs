//! Series with a closed set of label values, which therefore start at 0.

use secret_rotation_aws::Operation as AwsOperation;
use secret_rotation_core::action::Action;
use secret_rotation_core::names::ObjectKey;
use secret_rotation_core::operation::Failure;

use super::Metrics;

/// The reconcilers, as values of label `controller`.
const CONTROLLERS: [&str; 5] = ["policy", "operation", "profile", "sweep", "events"];

/// The results of a reconcile, as values of label `result`.
const RESULTS: [&str; 4] = ["success", "requeue", "error", "terminal_error"];

/// The results of an AWS call, as values of label `code`.
const CODES: [&str; 9] = [
    "success",
    "throttled",
    "access_denied",
    "not_found",
    "invalid",
    "conflict",
    "server_error",
    "network",
    "other",
];

const KINDS: [&str; 4] = [
    "SecretRotationPolicy",
    "SecretRotationOperation",
    "AWSAccessProfile",
    "Namespace",
];

const TRIGGERS: [&str; 2] = ["Policy", "Manual"];
const ROTATED: [&str; 3] = ["success", "failed", "timeout"];
const CLEARED: [&str; 3] = ["success", "error", "superseded"];

impl Metrics {
    /// Starts series at 0: a series that appears with its first event hides that event from `increase()`.
    pub(super) fn start_at_zero(&self) {
        for controller in CONTROLLERS {
            for result in RESULTS {
                self.reconciles
                    .with_label_values(&[controller, result])
                    .inc_by(0);
            }
            self.reconcile_panics
                .with_label_values(&[controller])
                .inc_by(0);
            self.reconcile_active
                .with_label_values(&[controller])
                .set(0);
            drop(self.reconcile_duration.with_label_values(&[controller]));
        }
        for kind in KINDS {
            self.watch_errors.with_label_values(&[kind]).inc_by(0);
        }
        self.leader.with_label_values(&[crate::lease::NAME]).set(0);
        for operation in AwsOperation::ALL.map(AwsOperation::name) {
            for code in CODES {
                self.aws_requests
                    .with_label_values(&[operation, code])
                    .inc_by(0);
            }
            self.aws_retries.with_label_values(&[operation]).inc_by(0);
            drop(self.aws_duration.with_label_values(&[operation]));
        }
    }

    /// Adds a policy, whose counters start at 0.
    pub(crate) fn expect_policy(&self, key: &ObjectKey) {
        self.known().insert(key.clone());
        let (namespace, name) = (key.namespace.as_str(), key.name.as_str());
        for trigger in TRIGGERS {
            self.rotations_triggered
                .with_label_values(&[namespace, name, trigger])
                .inc_by(0);
        }
        for result in ROTATED {
            self.rotations_finished
                .with_label_values(&[namespace, name, result])
                .inc_by(0);
        }
        for result in CLEARED {
            self.pending_cleared
                .with_label_values(&[namespace, name, result])
                .inc_by(0);
        }
    }

    /// Removes a deleted policy and its series.
    pub(crate) fn forget_policy(&self, key: &ObjectKey) {
        let mut known = self.known();
        known.remove(key);
        let (namespace, name) = (key.namespace.as_str(), key.name.as_str());
        self.reports.forget(key);
        for trigger in TRIGGERS {
            let _ = self
                .rotations_triggered
                .remove_label_values(&[namespace, name, trigger]);
        }
        for result in ROTATED {
            let _ = self
                .rotations_finished
                .remove_label_values(&[namespace, name, result]);
        }
        for result in CLEARED {
            let _ = self
                .pending_cleared
                .remove_label_values(&[namespace, name, result]);
        }
        for action in Action::ALL {
            for result in std::iter::once("Succeeded").chain(Failure::ALL.map(Failure::name)) {
                let _ =
                    self.operations
                        .remove_label_values(&[namespace, name, action.name(), result]);
            }
        }
    }
}
