//! Decides which policy owns a secret if several select it.

use crate::action::Action;
use crate::authorise::{Tenant, authorise};
use crate::names::ObjectKey;
use crate::policy::Policy;
use crate::profile::Profile;
use crate::secret::Secret;

/// A policy with what limits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundPolicy {
    /// The namespace of the policy.
    pub tenant: Tenant,
    /// The profile of the policy.
    pub profile: Profile,
    /// The policy.
    pub policy: Policy,
}

/// Returns the policy that owns the secret: the oldest (then by UID) that is in mode `Remediate`, is not suspended, has
/// a remedy, and is authorized for exactly that action on the secret. `needed` returns the remedy of each policy.
/// `bound_policies` are at least those that select the secret.
///
/// A policy that could only perform another action blocks no one. Every caller gets the same answer for the same
/// secret.
pub fn owner<'a>(
    secret: &Secret,
    bound_policies: impl Iterator<Item = &'a BoundPolicy>,
    needed: impl Fn(&BoundPolicy) -> Option<Action>,
) -> Option<&'a ObjectKey> {
    bound_policies
        .filter(|bound_policy| bound_policy.policy.acts())
        .filter(|bound_policy| {
            needed(bound_policy).is_some_and(|action| bound_policy.may(action, secret))
        })
        .min_by_key(|bound_policy| (bound_policy.policy.created, &bound_policy.policy.uid))
        .map(|bound_policy| &bound_policy.policy.key)
}

impl BoundPolicy {
    fn may(&self, action: Action, secret: &Secret) -> bool {
        authorise(&self.tenant, &self.profile, &self.policy, secret, action).is_ok()
    }
}
