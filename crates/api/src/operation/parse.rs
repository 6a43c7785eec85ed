//! From the object to core: the request, and what its status has recorded.

use secret_rotation_core::{
    action, approval,
    names::{Arn, Namespace, ObjectKey, ObjectName, Region, SecretName, Uid, VersionId},
    operation as core,
    time::ServerTime,
};

use super::target::SecretTarget;
use super::{Decision, Expectation, PolicyReference, SecretReference, SecretRotationOperation};
use crate::{
    Invalid,
    conditions::{ConditionType, find, is_true},
    invalid::{created, deleted, named, possible, stored},
    text::Text,
};

impl SecretRotationOperation {
    /// Parses the operation and its journal.
    ///
    /// # Errors
    ///
    /// Returns an error if the request is invalid, or if the journal of an unfinished operation is unreadable: an
    /// operation must not continue without knowing what it did. A finished operation does not continue, so parts of
    /// its journal that only a newer release knows are left out.
    pub fn to_core(&self) -> Result<core::Operation, Invalid> {
        let spec = &self.spec;
        let outcome = self.outcome()?;
        let status = self.status.clone().unwrap_or_default();
        let status = match &outcome {
            // A finished operation still counts as an attempt.
            Some(_) => status.into_known(),
            None => status,
        };
        let operation = core::Operation {
            key: self.key()?,
            uid: named(
                "metadata.uid",
                stored("metadata.uid", self.metadata.uid.as_ref())?,
                Uid::parse,
            )?,
            created: created(self.metadata.creation_timestamp.as_ref())?,
            deletion_requested: deleted(self.metadata.deletion_timestamp.as_ref()),
            policy: spec.policy_ref.to_core()?,
            arn: self.arn()?,
            action: spec.action.into(),
            expect: spec
                .expect
                .as_ref()
                .map(Expectation::to_core)
                .transpose()?
                .unwrap_or_default(),
            trigger: spec.trigger.into(),
            requested_by: spec.requested_by.as_ref().map(ToString::to_string),
            approval: spec.approval.into(),
            decision: spec.decision.as_ref().map(Decision::to_core),
            approved: self.since(ConditionType::Approved),
            deadline: spec.deadline.parse("spec.deadline")?,
            ttl: spec.ttl_after_finished.parse("spec.ttlAfterFinished")?,
            ended: self
                .since(ConditionType::Complete)
                .or_else(|| self.since(ConditionType::Failed)),
            confirm_after: spec.confirm_after.parse("spec.confirmAfter")?,
            baseline: status.read_baseline()?,
            journal: status.read_journal()?,
            outcome,
            completed: status
                .completion_time
                .map(|time| time.parse("status.completionTime"))
                .transpose()?,
        };
        complete(operation)
    }

    /// Returns when the record may be deleted, if the operation ended without having begun to act. This also works
    /// for an operation that cannot be parsed.
    pub fn expires(&self) -> Option<ServerTime> {
        let never_began = self
            .status
            .as_ref()
            .is_some_and(|status| status.steps.is_empty());
        let ended = self.since(ConditionType::Failed).filter(|_| never_began)?;
        let ttl = &self.spec.ttl_after_finished;
        Some(
            ended.plus(
                ttl.parse("spec.ttlAfterFinished")
                    .unwrap_or(super::automatic::KEPT),
            ),
        )
    }

    /// Returns the secret that the request names.
    ///
    /// # Errors
    ///
    /// Returns an error if the request does not name exactly one secret, or if a name is invalid.
    pub fn target(&self) -> Result<SecretTarget, Invalid> {
        self.spec.secret.to_core()
    }

    fn key(&self) -> Result<ObjectKey, Invalid> {
        let namespace = stored("metadata.namespace", self.metadata.namespace.as_ref())?;
        let name = stored("metadata.name", self.metadata.name.as_ref())?;
        Ok(ObjectKey {
            namespace: named("metadata.namespace", namespace, Namespace::parse)?,
            name: named("metadata.name", name, ObjectName::parse)?,
        })
    }

    /// Returns the ARN of the request, or the ARN that the controller found for its name.
    fn arn(&self) -> Result<Option<Arn>, Invalid> {
        let found = self.status.as_ref().and_then(|status| status.arn.as_ref());
        let found = found
            .map(|arn| named("status.arn", arn, Arn::parse))
            .transpose()?;
        match (self.target()?, found) {
            (SecretTarget::Arn(asked), Some(found)) if asked != found => {
                Err(Invalid::contradiction(
                    "status.arn",
                    "differs from spec.secret.arn; create another operation",
                ))
            }
            (SecretTarget::Name { region, .. }, Some(found)) if region != *found.region() => {
                Err(Invalid::contradiction(
                    "status.arn",
                    "differs from spec.secret.region; create another operation",
                ))
            }
            (SecretTarget::Arn(asked), _) => Ok(Some(asked)),
            (SecretTarget::Name { .. }, found) => Ok(found),
        }
    }

    /// Returns since when a condition has been True; `None` if it is not.
    fn since(&self, kind: ConditionType) -> Option<ServerTime> {
        let conditions = &self.status.as_ref()?.conditions;
        let condition = find(conditions, kind).filter(|_| is_true(conditions, kind))?;
        Some(ServerTime::new(condition.last_transition_time.0))
    }

    /// Returns how the operation ended, by its conditions.
    fn outcome(&self) -> Result<Option<core::Outcome>, Invalid> {
        let conditions = self
            .status
            .as_ref()
            .map(|status| status.conditions.as_slice())
            .unwrap_or_default();
        let failed = find(conditions, ConditionType::Failed)
            .filter(|_| is_true(conditions, ConditionType::Failed));
        let complete = find(conditions, ConditionType::Complete)
            .filter(|_| is_true(conditions, ConditionType::Complete));
        match (complete, failed) {
            (Some(_), Some(_)) => Err(Invalid::contradiction(
                "status.conditions",
                "Complete and Failed are both True",
            )),
            (Some(complete), None) => Ok(Some(core::Outcome::Succeeded {
                message: complete.message.clone(),
            })),
            (None, Some(failed)) => Ok(Some(core::Outcome::Failed {
                reason: failure(&failed.reason),
                message: failed.message.clone(),
            })),
            (None, None) => Ok(None),
        }
    }
}

/// Parses the reason of a failure. A finished operation stays finished even if only a newer release knows the reason.
fn failure(reason: &str) -> core::Failure {
    core::Failure::parse(reason).unwrap_or(core::Failure::Unexpected)
}

/// Refuses an operation whose `expect` lacks a field that its action needs. The schema requires the fields too, but
/// the controller does not rely on the schema.
fn complete(operation: core::Operation) -> Result<core::Operation, Invalid> {
    for (path, advice) in required(operation.action) {
        if !given(&operation.expect, path) {
            return Err(Invalid::Missing {
                path: format!("spec.expect.{path}"),
                advice,
            });
        }
    }
    Ok(operation)
}

const CURRENT: &str = "currentVersionId";
const PENDING: &str = "pendingVersionId";
const PREVIOUS: &str = "previousVersionId";
const PINNED: &str = "pinnedVersionId";
const DELETED: &str = "deletedTime";

/// Returns the fields of `expect` that an action needs, each with advice on what to write.
const fn required(action: action::Action) -> &'static [(&'static str, &'static str)] {
    const MOVES: (&str, &str) = (CURRENT, "write the version that loses AWSCURRENT");
    const SUBJECT: (&str, &str) = (PENDING, "write the pending version that the action acts on");
    match action {
        action::Action::Rotate => &[(CURRENT, "write the version that Rotate replaces")],
        action::Action::RetryRotation
        | action::Action::ClearPending
        | action::Action::ClearAndRotate => &[SUBJECT],
        action::Action::PromotePending => &[SUBJECT, MOVES],
        action::Action::RestorePending => {
            &[(PINNED, "write the pinned version that gets AWSPENDING back")]
        }
        action::Action::RevertToPrevious => {
            &[MOVES, (PREVIOUS, "write the version that gets AWSCURRENT")]
        }
        action::Action::RestoreSecret => &[(
            DELETED,
            "write the DeletedDate of the deletion that is canceled",
        )],
        action::Action::ReleasePins => &[],
    }
}

fn given(expect: &core::Expectation, path: &str) -> bool {
    match path {
        CURRENT => expect.current.is_some(),
        PENDING => expect.pending.is_some(),
        PREVIOUS => expect.previous.is_some(),
        PINNED => expect.pinned.is_some(),
        _ => expect.deleted.is_some(),
    }
}

impl Decision {
    fn to_core(&self) -> approval::Decision {
        approval::Decision {
            answer: self.verdict.into(),
            by: self.by.to_string(),
            message: self.message.as_ref().map(ToString::to_string),
        }
    }
}

impl SecretReference {
    fn to_core(&self) -> Result<SecretTarget, Invalid> {
        match (&self.arn, &self.name, &self.region) {
            (Some(arn), None, None) => Ok(SecretTarget::Arn(named(
                "spec.secret.arn",
                arn,
                Arn::parse,
            )?)),
            (None, Some(name), Some(region)) => {
                possible("spec.secret.name", name)?;
                Ok(SecretTarget::Name {
                    name: named("spec.secret.name", name, SecretName::parse)?,
                    region: named("spec.secret.region", region, Region::parse)?,
                })
            }
            _ => Err(Invalid::contradiction(
                "spec.secret",
                "write either arn, or both name and region",
            )),
        }
    }
}

impl PolicyReference {
    fn to_core(&self) -> Result<core::PolicyReference, Invalid> {
        let uid = self
            .uid
            .as_ref()
            .map(|uid| named("spec.policyRef.uid", uid, Uid::parse));
        Ok(core::PolicyReference {
            name: named("spec.policyRef.name", &self.name, ObjectName::parse)?,
            uid: uid.transpose()?,
        })
    }
}

impl Expectation {
    fn to_core(&self) -> Result<core::Expectation, Invalid> {
        let version = |path, id: &Option<Text<1, 64>>| {
            id.as_ref()
                .map(|id| named(path, id, VersionId::parse))
                .transpose()
        };
        Ok(core::Expectation {
            current: version("spec.expect.currentVersionId", &self.current_version_id)?,
            pending: version("spec.expect.pendingVersionId", &self.pending_version_id)?,
            previous: version("spec.expect.previousVersionId", &self.previous_version_id)?,
            pinned: version("spec.expect.pinnedVersionId", &self.pinned_version_id)?,
            deleted: self
                .deleted_time
                .as_ref()
                .map(|time| time.parse("spec.expect.deletedTime"))
                .transpose()?,
        })
    }
}
