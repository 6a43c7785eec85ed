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
    claimants: &'a [BoundPolicy],
    needed: impl Fn(&BoundPolicy) -> Option<Action>,
) -> Option<&'a ObjectKey> {
    claimants
        .iter()
        .filter(|claimant| claimant.policy.acts())
        .filter(|claimant| needed(claimant).is_some_and(|action| claimant.may(action, secret)))
        .min_by_key(|claimant| (claimant.policy.created, &claimant.policy.uid))
        .map(|claimant| &claimant.policy.key)
}

impl BoundPolicy {
    fn may(&self, action: Action, secret: &Secret) -> bool {
        authorise(&self.tenant, &self.profile, &self.policy, secret, action).is_ok()
    }
}
