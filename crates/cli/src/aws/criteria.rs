//! The criteria of an audit: a policy and a profile, from a file or with defaults.

use std::collections::BTreeSet;
use std::path::Path;

use secret_rotation_core::authorise::Tenant;
use secret_rotation_core::names::{Arn, Region};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::policy::{Policy, Suspension};
use secret_rotation_core::profile::{NamePattern, NamespaceRule, Profile, RateLimit};
use secret_rotation_core::selector::{Matcher, Selector};

use super::policy_file::{self, PolicyFile};
use crate::CommandError;
use crate::ui::output;

/// What core needs to evaluate an inventory.
#[derive(Clone, Debug)]
pub(crate) struct Criteria {
    /// The namespace that the policy would be in.
    pub tenant: Tenant,
    /// The limits of the policy.
    pub profile: Profile,
    /// Which secrets are selected, and what is unhealthy.
    pub policy: Policy,
    /// Whether the policy was read from a file.
    pub is_given: bool,
}

impl Criteria {
    /// Reads a policy file, or builds a policy that selects everything. Calls `regions` if neither names any.
    pub(crate) fn read(
        file: Option<&Path>,
        stuck_after: Option<&str>,
        regions: impl FnOnce() -> Result<Vec<Region>, CommandError>,
    ) -> Result<Self, CommandError> {
        let source = match file {
            Some(path) => PolicyFile::read(path)?,
            None => PolicyFile::default_policy()?,
        };
        let mut policy = source.to_core(stuck_after)?;
        for arn in policy.selector.exclude.iter().flat_map(|item| &item.arns) {
            output::note(&exclusion_warning(arn));
        }
        if file.is_none() {
            // The schema cannot express "every secret": no policy in a cluster should mean it.
            policy.selector = Selector {
                include: vec![Matcher::default()],
                ..policy.selector
            };
        }
        let profile = match &source.profile {
            Some(profile) => policy_file::limits(profile, &policy)?,
            None => unlimited_profile(&policy, regions)?,
        };
        Ok(Self {
            tenant: Tenant {
                namespace: policy.key.namespace.clone(),
                labels: std::collections::BTreeMap::new(),
            },
            profile,
            policy,
            is_given: file.is_some(),
        })
    }

    /// Returns criteria that select every secret of these regions.
    pub(crate) fn everything(regions: Vec<Region>) -> Result<Self, CommandError> {
        Self::read(None, None, || Ok(regions))
    }

    /// Limits the criteria to these regions, if there are any.
    pub(crate) fn within(mut self, asked: &[Region]) -> Result<Self, CommandError> {
        if asked.is_empty() {
            return Ok(self);
        }
        let known = self.regions();
        if let Some(unknown) = asked.iter().find(|region| !known.contains(region)) {
            return Err(CommandError::usage(format!(
                "region {unknown} is not among the regions of the policy and its profile"
            )));
        }
        self.profile.regions = asked.iter().cloned().collect();
        Ok(self)
    }

    /// Returns the regions to read.
    pub(crate) fn regions(&self) -> Vec<Region> {
        let chosen = |region: &&Region| {
            let regions = self.policy.regions.as_ref();
            regions.is_none_or(|regions| regions.contains(*region))
        };
        self.profile
            .regions
            .iter()
            .filter(chosen)
            .cloned()
            .collect()
    }

    /// Returns the policy with its namespace and profile.
    pub(crate) fn bound_policy(&self) -> BoundPolicy {
        BoundPolicy {
            tenant: self.tenant.clone(),
            profile: self.profile.clone(),
            policy: self.policy.clone(),
        }
    }
}

/// Returns a warning about an exclusion by ARN: stored policies keep it, so an audit does too, but it cannot be created
/// any more.
fn exclusion_warning(arn: &Arn) -> String {
    format!(
        "warning: spec.selector.exclude names ARN {arn}, which the API server does not accept in a new policy: write the name {}",
        arn.name()
    )
}

/// Returns a profile without limits, in the regions of the policy or else in those that `regions` returns.
fn unlimited_profile(
    policy: &Policy,
    regions: impl FnOnce() -> Result<Vec<Region>, CommandError>,
) -> Result<Profile, CommandError> {
    let regions: BTreeSet<_> = match &policy.regions {
        Some(regions) => regions.clone(),
        None => regions()?.into_iter().collect(),
    };
    Ok(Profile {
        name: policy.profile.clone(),
        account: None,
        regions,
        allowed_namespaces: NamespaceRule::default(),
        allowed_secrets: NamePattern::parse("*").into_iter().collect(),
        allowed_actions: BTreeSet::new(),
        approval_required_for: BTreeSet::new(),
        suspension: Suspension::Active,
        deletion_requested: None,
        min_check_interval: policy.check_interval,
        max_concurrent_per_function: 1,
        rate_limit: RateLimit {
            reads_per_second: 20,
            writes_per_second: 1,
        },
        event_queue: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_file_everything_is_selected_with_defaults() {
        let region = Region::parse("eu-west-1").expect("a region");
        let criteria = Criteria::everything(vec![region.clone()]).expect("a criteria");
        assert_eq!(criteria.regions(), [region]);
        assert_eq!(criteria.policy.selector.include, [Matcher::default()]);
        assert_eq!(criteria.policy.detection.stuck_after.as_secs(), 6 * 3600);
    }

    #[test]
    fn an_invalid_threshold_is_reported_with_its_flag() {
        let failure = Criteria::read(None, Some("1h"), || Ok(Vec::new())).expect_err("too short");
        assert!(
            failure
                .to_string()
                .starts_with("error: --stuck-after is \"1h\""),
            "{failure}"
        );
    }
}
