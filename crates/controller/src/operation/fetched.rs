//! The fresh reads of one step: operation, policy, profile and namespace, by quorum.

use std::time::Duration;

use kube::ResourceExt as _;
use secret_rotation_api::SECRET_LABEL;
use secret_rotation_api::operation::{
    SecretRotationOperation, SecretRotationOperationStatus, SecretTarget, secret_label,
};
use secret_rotation_core::advance::Phase;
use secret_rotation_core::authorise::{Refusal, Tenant, may_use, under_ceiling};
use secret_rotation_core::names::{Arn, ObjectKey, Region, SecretName, Uid};
use secret_rotation_core::operation::{Failure, Operation, Outcome};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::policy::Policy;
use secret_rotation_core::profile::Profile;
use secret_rotation_core::time::ServerTime;
use tokio::time::Instant;

use crate::clock;
use crate::context::Context;
use crate::error::Error;
use crate::store::OperationEntry;

/// Minimum pause of an operation that waits.
pub(super) const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// An operation that was just read.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    /// When the first read was about to be sent.
    pub began: Instant,
    /// The stored object. Its resourceVersion guards every write of its status.
    pub object: SecretRotationOperation,
    /// The parsed operation.
    pub operation: Operation,
    /// The secret that it names.
    pub subject: SecretTarget,
}

/// The bounds of an operation, which were just read.
#[derive(Clone, Debug)]
pub(super) enum Bounds {
    /// It may ask AWS about its secret, within the bounds of this policy.
    Within(Box<BoundPolicy>),
    /// It may not, and never will.
    Ended(Outcome),
}

impl Fetched {
    /// Reads the operation. Returns `None` if it does not exist or has ended.
    pub(super) async fn read(context: &Context, key: &ObjectKey) -> Result<Option<Self>, Error> {
        let began = clock::now();
        let Some(object) = context.reader.operation(key).await? else {
            return Ok(None);
        };
        let invalid = |error: secret_rotation_api::Invalid| Error::Invalid(error.to_string());
        let operation = object.to_core().map_err(invalid)?;
        let subject = object.target().map_err(invalid)?;
        Ok((!operation.is_finished()).then_some(Self {
            began,
            object,
            operation,
            subject,
        }))
    }

    /// Returns what the operation was doing last, according to its status.
    pub(super) fn phase(&self) -> Option<Phase> {
        let status = self.object.status.as_ref();
        status.and_then(SecretRotationOperationStatus::phase)
    }

    /// Returns the operation as the watches show it, or `None` if it cannot be parsed. It is good enough to report
    /// about, but a write to AWS must never rest on it.
    pub(super) fn cached(entry: &OperationEntry) -> Option<Self> {
        let object = entry.object.clone()?;
        Some(Self {
            began: clock::now(),
            operation: Operation::clone(entry.core.as_ref().ok()?),
            subject: object.target().ok()?,
            object,
        })
    }

    /// Reads the policy, profile and namespace of the operation. A policy of another UID under the same name is
    /// another policy.
    pub(super) async fn bounds(&self, context: &Context) -> Result<Bounds, Error> {
        let key = ObjectKey {
            namespace: self.operation.key.namespace.clone(),
            name: self.operation.policy.name.clone(),
        };
        let policy = context.reader.policy(&key).await?;
        let policy = policy.filter(|policy| {
            self.operation
                .policy
                .uid
                .as_ref()
                .is_none_or(|uid| *uid == policy.uid)
        });
        let Some(policy) = policy else {
            return Ok(ended(
                Failure::PolicyGone,
                "the policy of this operation no longer exists",
            ));
        };
        let Some(profile) = context.reader.profile(&policy.profile).await? else {
            return Ok(ended(
                Failure::NotAuthorised,
                &format!("AWSAccessProfile {} does not exist", policy.profile),
            ));
        };
        let tenant = context.reader.tenant(&key.namespace).await?;
        Ok(match may_look(&tenant, &profile, &policy, &self.subject) {
            Ok(()) => Bounds::Within(Box::new(BoundPolicy {
                tenant,
                profile,
                policy,
            })),
            Err(refusal) => ended(Failure::NotAuthorised, &refusal.to_string()),
        })
    }

    /// Returns the region of the secret.
    pub(super) fn region(&self) -> &Region {
        match &self.subject {
            SecretTarget::Arn(arn) => arn.region(),
            SecretTarget::Name { region, .. } => region,
        }
    }

    /// Returns the id with which AWS is asked for the secret. It is the name if the request names one, so that a new
    /// secret of that name is noticed.
    pub(super) fn secret_id(&self) -> &str {
        match &self.subject {
            SecretTarget::Arn(arn) => arn.as_str(),
            SecretTarget::Name { name, .. } => name.as_str(),
        }
    }

    /// Returns the name of the secret, as an earlier step found it or as the request names it.
    pub(super) fn secret_name(&self) -> SecretName {
        let status = self.object.status.as_ref();
        let found =
            status.and_then(|status| SecretName::parse(status.secret_name.as_deref()?).ok());
        if let Some(found) = found {
            return found;
        }
        match &self.subject {
            SecretTarget::Arn(arn) => arn.secret_name(),
            SecretTarget::Name { name, .. } => name.clone(),
        }
    }

    /// Returns whether other operations on the secret can find this one by its label.
    pub(super) fn is_labelled(&self, arn: &Arn) -> bool {
        self.operation.arn.as_ref() == Some(arn)
            && self.object.labels().get(SECRET_LABEL) == Some(&secret_label(arn))
    }

    /// Shortens a pause to the time until the deadline, which ends an operation that has not acted yet. An operation
    /// that still waits after its deadline, because its pin cannot be removed yet, keeps its pause.
    pub(super) fn limit_to_deadline(&self, pause: Duration, server_now: ServerTime) -> Duration {
        let operation = &self.operation;
        let left = operation.expires().since(server_now);
        if operation.has_acted() || left.is_zero() {
            return pause;
        }
        pause.min(left.max(SHORTEST_PAUSE))
    }

    /// Returns the resourceVersion that was read.
    pub(super) fn version(&self) -> String {
        self.object.resource_version().unwrap_or_default()
    }
}

#[cfg(test)]
impl Fetched {
    /// Returns an operation as an API server stores it, with some changes. Its name is `waits`, and it is an hour old
    /// at 10:00.
    pub(super) fn stored(changes: &serde_json::Value) -> Self {
        let operation = fixtures::operation_resource("team", "waits", "ClearAndRotate", "team/db");
        let object = fixtures::merged(fixtures::stored(operation), changes);
        let object: SecretRotationOperation = serde_json::from_value(object).expect("an operation");
        Self {
            began: clock::now(),
            operation: object.to_core().expect("it can be parsed"),
            subject: object.target().expect("a secret"),
            object,
        }
    }
}

fn ended(reason: Failure, message: &str) -> Bounds {
    Bounds::Ended(Outcome::Failed {
        reason,
        message: message.to_owned(),
    })
}

/// Checks whether AWS may be asked about the secret at all: a tenant must not learn what exists outside its bounds.
///
/// This is not the authority to act, which core gives on what the look shows.
fn may_look(
    tenant: &Tenant,
    profile: &Profile,
    policy: &Policy,
    subject: &SecretTarget,
) -> Result<(), Refusal> {
    may_use(tenant, profile)?;
    let (name, region) = match subject {
        SecretTarget::Arn(arn) => (arn.secret_name(), arn.region()),
        SecretTarget::Name { name, region } => (name.clone(), region),
    };
    if !profile.regions.contains(region)
        || policy
            .regions
            .as_ref()
            .is_some_and(|regions| !regions.contains(region))
    {
        return Err(Refusal::RegionNotAllowed {
            profile: profile.name.clone(),
            region: region.clone(),
        });
    }
    under_ceiling(&tenant.namespace, profile, &name)
}

/// Returns the policy, profile and tenant of an operation as the watches show them. Returns `None` if one is missing
/// or cannot be parsed: quorum reads then show which.
pub(super) fn cached_bounds(context: &Context, fetched: &Fetched) -> Option<BoundPolicy> {
    let operation = &fetched.operation;
    let policy = context.store.policy(&ObjectKey {
        namespace: operation.key.namespace.clone(),
        name: operation.policy.name.clone(),
    })?;
    let (policy, _) = policy.core.as_ref().ok()?;
    let is_another = |uid: &Uid| policy.uid != *uid;
    if operation.policy.uid.as_ref().is_some_and(is_another) {
        return None;
    }
    let profile = context.store.profile(&policy.profile)?;
    Some(BoundPolicy {
        tenant: context.store.tenant(&operation.key.namespace),
        profile: profile.core.as_ref().ok()?.clone(),
        policy: policy.clone(),
    })
}

#[cfg(test)]
mod tests {
    use fixtures::{arn_in, bound_policy, policy, region, secret_name};

    use super::*;

    #[test]
    fn aws_is_not_asked_about_a_secret_beyond_the_ceiling() {
        let given = bound_policy(policy("payments"));
        let look = |subject: &SecretTarget| {
            may_look(&given.tenant, &given.profile, &given.policy, subject)
                .map_err(|refusal| refusal.reason())
        };
        assert_eq!(look(&arn("eu-west-1", "prod/db")), Ok(()));
        assert_eq!(look(&arn("eu-west-1", "prods/db")), Err("SecretNotAllowed"));
        assert_eq!(look(&arn("us-east-1", "prod/db")), Err("RegionNotAllowed"));
        assert_eq!(look(&name("eu-west-1", "other")), Err("SecretNotAllowed"));
    }

    fn arn(region: &str, name: &str) -> SecretTarget {
        SecretTarget::Arn(arn_in(region, name))
    }

    fn name(in_region: &str, name: &str) -> SecretTarget {
        SecretTarget::Name {
            name: secret_name(name),
            region: region(in_region),
        }
    }
}
