//! Which policy a secret belongs to where several select it.

use crate::authorise::{Tenant, authorise};
use crate::identity::ObjectKey;
use crate::operation::Action;
use crate::policy::Policy;
use crate::profile::Profile;
use crate::secret::Secret;

/// A policy with what bounds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// Its namespace.
    pub tenant: Tenant,
    /// Its profile.
    pub profile: Profile,
    /// The policy.
    pub policy: Policy,
}

/// The policy that may act on the secret by itself: the oldest (then by UID) that is in mode Remediate,
/// not suspended, and authorised for at least one action on it.
pub fn owner<'a>(secret: &Secret, claimants: &'a [Claimant]) -> Option<&'a ObjectKey> {
    claimants
        .iter()
        .filter(|claimant| claimant.policy.acts() && claimant.may_act_on(secret))
        .min_by_key(|claimant| (claimant.policy.created, &claimant.policy.uid))
        .map(|claimant| &claimant.policy.key)
}

impl Claimant {
    fn may_act_on(&self, secret: &Secret) -> bool {
        Action::ALL.iter().any(|action| {
            authorise(&self.tenant, &self.profile, &self.policy, secret, *action).is_ok()
        })
    }
}
