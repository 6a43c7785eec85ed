//! Decides whether an action on a secret is allowed. It is the only place that does, and is asked right before each
//! write.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::action::Action;
use crate::action::Permission;
use crate::names::{AccountId, Namespace, ObjectName, ProfileName, Region, SecretName};
use crate::policy::{Policy, Suspension};
use crate::profile::Profile;
use crate::secret::Secret;

/// The namespace that a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The namespace of the policy and the operation.
    pub namespace: Namespace,
    /// The labels of that namespace.
    pub labels: BTreeMap<String, String>,
}

/// Proof that [`authorise`] allowed this action on this secret. Nothing else can make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    action: Action,
    secret: crate::names::Arn,
}

impl Authority {
    /// Returns whether it covers the action on the secret.
    pub fn covers(&self, action: Action, secret: &crate::names::Arn) -> bool {
        self.action == action && self.secret == *secret
    }
}

/// Why an action is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The policy refers to another profile.
    #[error("policy {policy} does not use profile {profile}")]
    ProfileMismatch {
        /// The policy.
        policy: ObjectName,
        /// The profile that was offered.
        profile: ProfileName,
    },
    /// The namespace may not use the profile.
    #[error(
        "profile {profile} does not allow namespace {namespace}; ask its owner to add it to allowedNamespaces"
    )]
    NamespaceNotAllowed {
        /// The profile.
        profile: ProfileName,
        /// The namespace.
        namespace: Namespace,
    },
    /// The profile or the policy does not contain the region.
    #[error("region {region} is not among the regions of the policy and its profile {profile}")]
    RegionNotAllowed {
        /// The profile.
        profile: ProfileName,
        /// The region.
        region: Region,
    },
    /// The secret belongs to another account than that of the profile.
    #[error(
        "the secret belongs to account {account}, which is not the account of profile {profile}"
    )]
    AccountNotAllowed {
        /// The profile.
        profile: ProfileName,
        /// The account of the secret.
        account: AccountId,
    },
    /// The name is outside the ceiling of the profile.
    #[error("secret {secret} is not covered by allowedSecrets of profile {profile}")]
    SecretNotAllowed {
        /// The profile.
        profile: ProfileName,
        /// The secret.
        secret: SecretName,
    },
    /// The policy does not select the secret.
    #[error("policy {policy} does not select secret {secret}")]
    NotSelected {
        /// The policy.
        policy: ObjectName,
        /// The secret.
        secret: SecretName,
    },
    /// The profile does not allow the action.
    #[error("profile {profile} does not list {permission} in allowedActions")]
    ActionNotAllowed {
        /// The profile.
        profile: ProfileName,
        /// The permission that is missing.
        permission: Permission,
    },
    /// The profile does not exist, or was deleted and a finalizer still keeps it.
    #[error("AWSAccessProfile {profile} does not exist; ask an admin to create it")]
    ProfileGone {
        /// Its name.
        profile: ProfileName,
    },
    /// The profile is suspended: nothing runs for any of its policies.
    #[error("AWSAccessProfile {profile} is suspended; an admin can set its spec.suspend to false")]
    ProfileSuspended {
        /// The profile.
        profile: ProfileName,
    },
    /// The policy is suspended.
    #[error("the policy is suspended; set its spec.suspend to false")]
    PolicySuspended,
}

impl Refusal {
    /// Returns the condition reason.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::ProfileMismatch { .. } | Self::ProfileGone { .. } => "ProfileNotFound",
            Self::NamespaceNotAllowed { .. } => "NamespaceNotAllowed",
            Self::RegionNotAllowed { .. } => "RegionNotAllowed",
            Self::AccountNotAllowed { .. }
            | Self::SecretNotAllowed { .. }
            | Self::NotSelected { .. } => "SecretNotAllowed",
            Self::ActionNotAllowed { .. } => "ActionNotAllowed",
            Self::ProfileSuspended { .. } | Self::PolicySuspended => "Suspended",
        }
    }

    /// Returns whether it is a suspension, which a person will end: an operation that it holds waits and does not fail.
    pub const fn is_suspension(&self) -> bool {
        matches!(self, Self::ProfileSuspended { .. } | Self::PolicySuspended)
    }
}

/// Decides whether a policy of this tenant, using this profile, may perform this action on this secret.
///
///
/// # Errors
///
///
/// Returns the first reason that forbids it.
pub fn authorise(
    tenant: &Tenant,
    profile: &Profile,
    policy: &Policy,
    secret: &Secret,
    action: Action,
) -> Result<Authority, Refusal> {
    within_reach(tenant, profile, policy, &secret.name, secret.arn.region())?;
    in_account(profile, secret.arn.account())?;
    selected(policy, secret)?;
    may_act(profile, action)?;
    active(policy, profile)?;
    Ok(Authority {
        action,
        secret: secret.arn.clone(),
    })
}

/// Decides what [`authorise`] decides, by the name and region of the secret alone. It gives no authority: that needs
/// the secret.
///
///
/// # Errors
///
///
/// Returns the first reason that forbids it.
pub fn authorise_by_name(
    tenant: &Tenant,
    profile: &Profile,
    policy: &Policy,
    (name, region): (&SecretName, &Region),
    action: Action,
) -> Result<(), Refusal> {
    within_reach(tenant, profile, policy, name, region)?;
    may_act(profile, action)?;
    active(policy, profile)
}

/// Decides whether neither policy nor profile is suspended. This check comes last: an operation that is not allowed at
/// all must fail and not wait for the end of a suspension.
///
///
/// # Errors
///
///
/// Returns a refusal if one of them is suspended.
pub fn active(policy: &Policy, profile: &Profile) -> Result<(), Refusal> {
    if profile.suspension == Suspension::Suspended {
        return Err(Refusal::ProfileSuspended {
            profile: profile.name.clone(),
        });
    }
    match policy.suspension {
        Suspension::Active => Ok(()),
        Suspension::Suspended => Err(Refusal::PolicySuspended),
    }
}

/// Decides whether the namespace may use the profile at all.
///
///
/// # Errors
///
///
/// Returns a refusal if the profile does not admit the namespace.
pub fn may_use(tenant: &Tenant, profile: &Profile) -> Result<(), Refusal> {
    if profile
        .allowed_namespaces
        .admits(&tenant.namespace, &tenant.labels)
    {
        return Ok(());
    }
    Err(Refusal::NamespaceNotAllowed {
        profile: profile.name.clone(),
        namespace: tenant.namespace.clone(),
    })
}

/// Decides whether the profile allows the action on any secret.
///
///
/// # Errors
///
///
/// Returns the first permission that the profile does not list.
pub fn may_act(profile: &Profile, action: Action) -> Result<(), Refusal> {
    match action
        .permissions()
        .iter()
        .find(|permission| !profile.allowed_actions.contains(permission))
    {
        Some(&permission) => Err(Refusal::ActionNotAllowed {
            profile: profile.name.clone(),
            permission,
        }),
        None => Ok(()),
    }
}

/// Decides whether the name is within the ceiling of the profile for this namespace.
///
///
/// # Errors
///
///
/// Returns a refusal if no pattern covers the name.
pub fn under_ceiling(
    namespace: &Namespace,
    profile: &Profile,
    name: &SecretName,
) -> Result<(), Refusal> {
    if profile
        .allowed_secrets
        .iter()
        .any(|pattern| pattern.covers(namespace, name))
    {
        return Ok(());
    }
    Err(Refusal::SecretNotAllowed {
        profile: profile.name.clone(),
        secret: name.clone(),
    })
}

fn within_reach(
    tenant: &Tenant,
    profile: &Profile,
    policy: &Policy,
    name: &SecretName,
    region: &Region,
) -> Result<(), Refusal> {
    if policy.profile != profile.name || policy.key.namespace != tenant.namespace {
        return Err(Refusal::ProfileMismatch {
            policy: policy.key.name.clone(),
            profile: profile.name.clone(),
        });
    }
    if profile.deletion_requested.is_some() {
        return Err(Refusal::ProfileGone {
            profile: profile.name.clone(),
        });
    }
    may_use(tenant, profile)?;
    in_region(profile, policy, region)?;
    under_ceiling(&tenant.namespace, profile, name)
}

fn selected(policy: &Policy, secret: &Secret) -> Result<(), Refusal> {
    if policy.selector.selects(secret) {
        return Ok(());
    }
    Err(Refusal::NotSelected {
        policy: policy.key.name.clone(),
        secret: secret.name.clone(),
    })
}

fn in_region(profile: &Profile, policy: &Policy, region: &Region) -> Result<(), Refusal> {
    let chosen = policy
        .regions
        .as_ref()
        .is_none_or(|regions| regions.contains(region));
    if chosen && profile.regions.contains(region) {
        return Ok(());
    }
    Err(Refusal::RegionNotAllowed {
        profile: profile.name.clone(),
        region: region.clone(),
    })
}

fn in_account(profile: &Profile, account: &AccountId) -> Result<(), Refusal> {
    if profile.account.as_ref().is_none_or(|own| own == account) {
        return Ok(());
    }
    Err(Refusal::AccountNotAllowed {
        profile: profile.name.clone(),
        account: account.clone(),
    })
}
