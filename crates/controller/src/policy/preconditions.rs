//! Whether the controller can do its job for a policy, before and after it reads from AWS.
//!
//! Nothing here decides about a secret: core does.

use std::collections::BTreeSet;

use secret_rotation_api::Readiness;
use secret_rotation_core::action::Action;
use secret_rotation_core::authorise::{Refusal, Tenant, active, may_act, may_use, under_ceiling};
use secret_rotation_core::aws_error::AwsError;
use secret_rotation_core::names::Region;
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::policy::{Mode, Policy, StuckRemedy, Suspension};
use secret_rotation_core::profile::Profile;
use secret_rotation_core::selector::Selector;

/// The profile that a policy names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ProfileState<'a> {
    /// No profile has this name.
    Missing,
    /// The profile cannot be parsed.
    Invalid,
    /// The profile is valid.
    Valid(&'a Profile),
}

/// Returns the policy with its tenant and profile if its secrets may be looked at.
pub(crate) fn bound_policy(
    policy: &Policy,
    profile: ProfileState<'_>,
    tenant: Tenant,
) -> Result<BoundPolicy, Readiness> {
    if policy.suspension == Suspension::Suspended {
        return Err(Readiness::Suspended);
    }
    let profile = match profile {
        ProfileState::Missing => return Err(Readiness::ProfileNotFound(policy.profile.clone())),
        ProfileState::Invalid => return Err(Readiness::ProfileNotReady(policy.profile.clone())),
        ProfileState::Valid(profile) => profile.clone(),
    };
    may_use(&tenant, &profile).map_err(|refusal| Readiness::from(&refusal))?;
    active(policy, &profile).map_err(|refusal| Readiness::from(&refusal))?;
    within_regions(policy, &profile)?;
    Ok(BoundPolicy {
        tenant,
        profile,
        policy: policy.clone(),
    })
}

/// Returns the regions that a policy covers.
pub(crate) fn regions(bound_policy: &BoundPolicy) -> BTreeSet<Region> {
    bound_policy
        .policy
        .regions
        .clone()
        .unwrap_or_else(|| bound_policy.profile.regions.clone())
}

/// Returns the secrets that may be read for a policy: its selection within the bounds of the profile. The controller
/// requests nothing else from AWS.
pub(crate) fn selection(bound_policy: &BoundPolicy) -> Selector {
    let ceilings = bound_policy
        .profile
        .ceilings(&bound_policy.tenant.namespace);
    bound_policy.policy.selector.within(&ceilings)
}

/// Returns what a policy asks for but cannot get, although the rest of it works.
pub(crate) fn shortfall(bound_policy: &BoundPolicy) -> Option<Readiness> {
    beyond_ceiling(bound_policy).or_else(|| no_action(bound_policy))
}

/// Returns the readiness of the policies that an incomplete sweep served.
pub(crate) fn readiness_of_gaps(gaps: &[(Region, AwsError)]) -> Option<Readiness> {
    let readiness = Readiness::in_regions(gaps)?;
    let Readiness::AwsUnavailable(where_and_why) = readiness else {
        return Some(readiness);
    };
    Some(Readiness::SweepIncomplete(format!(
        "the last check did not see everything: {where_and_why}"
    )))
}

fn within_regions(policy: &Policy, profile: &Profile) -> Result<(), Readiness> {
    let beyond = policy
        .regions
        .iter()
        .flatten()
        .find(|region| !profile.regions.contains(*region));
    beyond.map_or(Ok(()), |region| {
        let refusal = Refusal::RegionNotAllowed {
            profile: profile.name.clone(),
            region: region.clone(),
        };
        Err(Readiness::from(&refusal))
    })
}

fn beyond_ceiling(bound_policy: &BoundPolicy) -> Option<Readiness> {
    let BoundPolicy {
        tenant,
        profile,
        policy,
    } = bound_policy;
    let mut names = policy.selector.exact_names();
    let refusal = names.find_map(|name| under_ceiling(&tenant.namespace, profile, name).err());
    let by_name = refusal.map(|refusal| Readiness::from(&refusal));
    by_name.or_else(|| {
        let mut prefixes = policy
            .selector
            .include
            .iter()
            .filter_map(|item| item.name_prefix.as_deref());
        let beyond = prefixes.find(|prefix| !meets_ceiling(prefix, bound_policy))?;
        Some(Readiness::SecretNotAllowed(format!(
            "no name that begins with {beyond} lies within allowedSecrets of profile {}",
            profile.name
        )))
    })
}

fn meets_ceiling(prefix: &str, bound_policy: &BoundPolicy) -> bool {
    bound_policy.profile.allowed_secrets.iter().any(|pattern| {
        let ceiling = pattern.prefix(&bound_policy.tenant.namespace);
        ceiling.starts_with(prefix) || prefix.starts_with(&ceiling)
    })
}

/// Returns the reason if the profile forbids every action that the policy needs for stuck rotations. Other remedies
/// are checked for each finding, because their defaults allow more than many profiles do.
fn no_action(bound_policy: &BoundPolicy) -> Option<Readiness> {
    let BoundPolicy {
        profile, policy, ..
    } = bound_policy;
    if policy.mode == Mode::Observe {
        return None;
    }
    if profile.allowed_actions.is_empty() {
        let message = format!(
            "mode is Remediate, but profile {} allows no action; ask its owner to add some to allowedActions",
            profile.name
        );
        return Some(Readiness::ActionNotAllowed(message));
    }
    let wanted: &[Action] = match policy.remediation.stuck {
        StuckRemedy::Report => return None,
        StuckRemedy::RetryRotation => &[Action::RetryRotation],
        StuckRemedy::ClearPending => &[Action::ClearPending],
        StuckRemedy::ClearAndRotate => &[Action::ClearAndRotate],
        StuckRemedy::Recover => &[Action::ClearAndRotate, Action::RetryRotation],
    };
    let refusals: Vec<_> = wanted
        .iter()
        .filter_map(|action| may_act(profile, *action).err())
        .collect();
    let refusal = refusals
        .first()
        .filter(|_| refusals.len() == wanted.len())?;
    Some(Readiness::from(refusal))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fixtures::{aws_error, policy};
    use secret_rotation_core::aws_error::ErrorClass;

    use super::*;

    fn sample() -> BoundPolicy {
        fixtures::bound_policy(policy("payments"))
    }

    fn gap(region: &str, class: ErrorClass, code: &str) -> (Region, AwsError) {
        let error = AwsError {
            code: Some(code.to_owned()),
            ..aws_error(class)
        };
        (fixtures::region(region), error)
    }

    #[test]
    fn a_region_that_is_not_enabled_is_distinguished_from_missing_credentials() {
        let off = || {
            gap(
                "eu-south-1",
                ErrorClass::Credentials,
                "UnrecognizedClientException",
            )
        };
        let message = readiness_of_gaps(&[off()]).expect("a problem").message();
        assert!(
            message.starts_with("eu-south-1: the region does not accept these AWS credentials: it is not enabled for the account"),
            "{message}"
        );
        // A region that is down too is named next to it, and does not replace it.
        let dead = gap(
            "eu-central-1",
            ErrorClass::Unreachable,
            "InternalServiceError",
        );
        let both = readiness_of_gaps(&[dead.clone(), off()]).expect("a problem");
        assert_eq!(both.reason().name(), "CredentialsUnavailable");
        assert!(both.message().contains(&message), "{}", both.message());
        assert!(
            both.message()
                .starts_with("eu-central-1: AWS could not be reached"),
            "{}",
            both.message()
        );
        assert_eq!(
            readiness_of_gaps(&[dead]),
            Some(Readiness::SweepIncomplete(
                "the last check did not see everything: eu-central-1: AWS could not be reached (InternalServiceError)"
                    .to_owned()
            ))
        );
        assert_eq!(readiness_of_gaps(&[]), None);
    }

    #[test]
    fn a_suspended_policy_is_not_looked_at_whatever_else_is_wrong() {
        let mut policy = sample().policy;
        policy.suspension = Suspension::Suspended;
        assert_eq!(
            bound_policy(&policy, ProfileState::Missing, sample().tenant),
            Err(Readiness::Suspended)
        );
    }

    #[test]
    fn no_policy_of_a_suspended_profile_is_looked_at() {
        let mut given = sample();
        given.profile.suspension = Suspension::Suspended;
        let profile = ProfileState::Valid(&given.profile);
        assert_eq!(
            bound_policy(&given.policy, profile, given.tenant.clone()),
            Err(Readiness::ProfileSuspended(given.profile.name.clone()))
        );
    }

    #[test]
    fn a_profile_that_is_missing_or_invalid_is_named() {
        let policy = sample().policy;
        let missing =
            bound_policy(&policy, ProfileState::Missing, sample().tenant).expect_err("no profile");
        assert_eq!(missing.reason().name(), "ProfileNotFound");
        let invalid = bound_policy(&policy, ProfileState::Invalid, sample().tenant)
            .expect_err("a bad profile");
        assert_eq!(invalid.reason().name(), "ProfileNotReady");
    }

    #[test]
    fn a_namespace_that_is_not_admitted_reaches_nothing() {
        let mut given = sample();
        given.profile.allowed_namespaces.names.clear();
        let refused = bound_policy(
            &given.policy,
            ProfileState::Valid(&given.profile),
            given.tenant.clone(),
        );
        assert_eq!(
            refused.expect_err("nobody is admitted").reason().name(),
            "NamespaceNotAllowed"
        );
        let labels = BTreeMap::from([("tier".to_owned(), "prod".to_owned())]);
        given.profile.allowed_namespaces.labels = Some(labels.clone());
        given.tenant.labels = labels;
        assert!(
            bound_policy(
                &given.policy,
                ProfileState::Valid(&given.profile),
                given.tenant
            )
            .is_ok()
        );
    }

    #[test]
    fn a_region_beyond_the_profile_is_refused() {
        let mut given = sample();
        given.policy.regions = Some([fixtures::region("us-east-1")].into());
        let refused = bound_policy(
            &given.policy,
            ProfileState::Valid(&given.profile),
            given.tenant,
        );
        assert_eq!(
            refused.expect_err("another region").reason().name(),
            "RegionNotAllowed"
        );
    }

    #[test]
    fn prefixes_and_names_beyond_the_ceiling_are_a_shortfall() {
        let mut given = sample();
        for (prefix, within) in [
            ("prod/", true),
            ("prod/db/", true),
            ("pr", true),
            ("prods/", false),
            ("other/", false),
        ] {
            given.policy.selector.include[0].name_prefix = Some(prefix.to_owned());
            assert_eq!(
                shortfall(&given).map(|readiness| readiness.reason().name()),
                (!within).then_some("SecretNotAllowed"),
                "{prefix}"
            );
        }
    }

    #[test]
    fn mode_remediate_without_any_allowed_action_is_a_shortfall() {
        let mut given = sample();
        given.policy.mode = Mode::Remediate;
        given.profile.allowed_actions.clear();
        assert_eq!(
            shortfall(&given).map(|readiness| readiness.reason().name()),
            Some("ActionNotAllowed")
        );
        given.policy.mode = Mode::Observe;
        assert_eq!(shortfall(&given), None);
    }

    #[test]
    fn a_stuck_remedy_that_the_profile_forbids_altogether_is_a_shortfall() {
        use secret_rotation_core::action::Permission::{ClearPending, Rotate};
        let cases: [(StuckRemedy, &[_], bool); 7] = [
            (StuckRemedy::ClearAndRotate, &[Rotate], true),
            (StuckRemedy::ClearAndRotate, &[Rotate, ClearPending], false),
            (StuckRemedy::ClearPending, &[Rotate], true),
            (StuckRemedy::RetryRotation, &[Rotate], false),
            (StuckRemedy::Recover, &[Rotate], false),
            (StuckRemedy::Recover, &[ClearPending], true),
            (StuckRemedy::Report, &[ClearPending], false),
        ];
        for (remedy, allowed, short) in cases {
            let mut given = sample();
            given.policy.mode = Mode::Remediate;
            given.policy.remediation.stuck = remedy;
            given.profile.allowed_actions = allowed.iter().copied().collect();
            let reason = shortfall(&given).map(|readiness| readiness.reason().name());
            assert_eq!(reason, short.then_some("ActionNotAllowed"), "{remedy:?}");
        }
    }
}
