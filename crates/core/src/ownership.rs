//! Which policy a secret belongs to where several select it.

use crate::action::Action;
use crate::authorise::{Tenant, authorise};
use crate::names::ObjectKey;
use crate::policy::Policy;
use crate::profile::Profile;
use crate::secret::Secret;

/// A policy with what bounds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundPolicy {
    /// Its namespace.
    pub tenant: Tenant,
    /// Its profile.
    pub profile: Profile,
    /// The policy.
    pub policy: Policy,
}

/// The policy that may do by itself what a secret needs: the oldest (then by UID) that is in mode Remediate, not suspended,
/// has a remedy, and is authorised for that very action on the secret. `needed` tells the remedy of each policy.
///
/// A policy that could do something else stands in nobody's way. Whoever asks about the same secret gets the same answer.
pub fn owner<'a>(
    secret: &Secret,
    bound_policies: &'a [BoundPolicy],
    needed: impl Fn(&BoundPolicy) -> Option<Action>,
) -> Option<&'a ObjectKey> {
    bound_policies
        .iter()
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
