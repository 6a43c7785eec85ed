//! Operations that the controller creates for a policy.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use secret_rotation_core::{operation as core, plan::Proposal, policy::Policy};

use super::target::secret_label;
use super::{
    Expectation, PolicyReference, SecretReference, SecretRotationOperation,
    SecretRotationOperationSpec, Trigger,
};
use crate::{POLICY_LABEL, POLICY_UID_LABEL, SECRET_LABEL, duration::BoundedDuration};

/// The minimum time for which a finished operation is kept. It is kept longer if the attempt window is longer, so
/// that it exists for as long as it counts as an attempt. The time is stored in the operation, because the policy,
/// and the window with it, may be deleted by then.
pub(super) const KEPT: Duration = Duration::from_hours(168);

impl SecretRotationOperation {
    /// Builds the object that carries out a proposal.
    ///
    /// It has no owner reference: it is a record for audits and counts as an attempt, and must outlive the policy.
    pub fn automatic(proposal: &Proposal, policy: &Policy) -> Self {
        let spec = SecretRotationOperationSpec {
            policy_ref: PolicyReference {
                name: policy.key.name.as_str().into(),
                uid: Some(policy.uid.as_str().into()),
            },
            secret: SecretReference {
                arn: Some(proposal.arn.as_str().into()),
                ..SecretReference::default()
            },
            action: proposal.action.into(),
            expect: Expectation::of(&proposal.expect),
            reason: proposal.reason.as_str().into(),
            trigger: Trigger::Policy,
            approval: proposal.approval.into(),
            requested_by: None,
            deadline: BoundedDuration::default(),
            ttl_after_finished: BoundedDuration::new(policy.remediation.attempt_window.max(KEPT)),
            decision: None,
            confirm_after: BoundedDuration::new(proposal.confirm_after),
        };
        Self {
            metadata: metadata(proposal, policy),
            spec,
            status: None,
        }
    }
}

impl Expectation {
    fn of(expect: &core::Expectation) -> Option<Self> {
        let text = |id: &Option<_>| {
            id.as_ref()
                .map(|id: &secret_rotation_core::names::VersionId| id.as_str().into())
        };
        let expectation = Self {
            current_version_id: text(&expect.current),
            pending_version_id: text(&expect.pending),
            previous_version_id: text(&expect.previous),
            pinned_version_id: text(&expect.pinned),
            deleted_time: expect.deleted.map(crate::time::Time::exact),
        };
        (expectation != Self::default()).then_some(expectation)
    }
}

fn metadata(proposal: &Proposal, policy: &Policy) -> ObjectMeta {
    let labels = [
        (POLICY_LABEL, policy.key.name.as_str().to_owned()),
        (POLICY_UID_LABEL, policy.uid.as_str().to_owned()),
        (SECRET_LABEL, secret_label(&proposal.arn)),
    ];
    ObjectMeta {
        name: Some(proposal.name.as_str().to_owned()),
        namespace: Some(policy.key.namespace.as_str().to_owned()),
        labels: Some(
            labels
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect::<BTreeMap<_, _>>(),
        ),
        ..ObjectMeta::default()
    }
}
