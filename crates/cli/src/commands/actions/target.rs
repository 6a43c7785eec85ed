//! The target of an action: the secret, its policy and its region.

use kube::{Api, ResourceExt as _};
use secret_rotation_api::policy::{FindingStatus, SecretRotationPolicy, SelectorItem};
use secret_rotation_api::profile::AWSAccessProfile;
use secret_rotation_core::names::Region;

use super::args::ActionArgs;
use crate::CommandError;
use crate::aws::{SecretId, agreed};
use crate::kubernetes::{Cluster, similar_names};

/// The secret to act on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    pub(super) policy: SecretRotationPolicy,
    pub(super) secret: String,
    pub(super) region: String,
    /// The finding in the status of the policy; `None` while the secret is healthy.
    pub(super) finding: Option<FindingStatus>,
}

/// Finds the secret in the findings of the policies, else by their selectors.
///
/// # Errors
///
/// Returns an error if no policy or more than one fits, or if the region is unknown.
pub(super) async fn find(
    cluster: &Cluster,
    args: &ActionArgs,
    policies: &[SecretRotationPolicy],
) -> Result<Target, CommandError> {
    let typed = agreed(&args.secret, args.region.as_ref())?;
    let wanted = args.policy.as_deref();
    let candidates: Vec<_> = policies
        .iter()
        .filter(|policy| wanted.is_none_or(|wanted| policy.name_any() == wanted))
        .collect();
    if let Some(wanted) = wanted.filter(|_| candidates.is_empty()) {
        return Err(cluster.missing::<SecretRotationPolicy>(wanted).await);
    }
    let reported = reported(&args.secret, typed.as_ref(), &candidates);
    match reported.as_slice() {
        [one] => return Ok(one.clone()),
        [] => {}
        many => return Err(ambiguous(&args.secret, many)),
    }
    let (policy, secret) = selected(cluster.namespace(), args, &candidates)?;
    let region = match typed {
        Some(region) => region.to_string(),
        None => only_region(cluster, args, policy).await?,
    };
    Ok(Target {
        policy: policy.clone(),
        secret,
        region,
        finding: None,
    })
}

fn reported(
    secret: &SecretId,
    region: Option<&Region>,
    policies: &[&SecretRotationPolicy],
) -> Vec<Target> {
    let of = |policy: &&SecretRotationPolicy| {
        let findings = policy.status.iter().flat_map(|status| &status.findings);
        let meant = findings.filter(|finding| {
            let arn = finding.arn.as_deref();
            secret.means(&finding.name, &finding.region, arn)
                && region.is_none_or(|region| finding.region.as_str() == region.as_str())
        });
        let targets = meant.map(|finding| Target {
            policy: (*policy).clone(),
            secret: finding.name.to_string(),
            region: finding.region.to_string(),
            finding: Some(finding.clone()),
        });
        targets.collect::<Vec<_>>()
    };
    policies.iter().flat_map(of).collect()
}

/// Finds a secret without a finding, such as a healthy one, by the selectors that its name fits. Tags are left to the
/// controller.
fn selected<'a>(
    namespace: &str,
    args: &ActionArgs,
    policies: &[&'a SecretRotationPolicy],
) -> Result<(&'a SecretRotationPolicy, String), CommandError> {
    let secret = &args.secret;
    for name in secret.names() {
        let by_name: Vec<_> = policies
            .iter()
            .filter(|policy| args.policy.is_some() || may_select(policy, name))
            .collect();
        match by_name.as_slice() {
            [policy] => return Ok((policy, name.to_owned())),
            [] => {}
            many => {
                let names: Vec<_> = many.iter().map(|policy| policy.name_any()).collect();
                let what = format!("several policies may select {name}: {}", names.join(", "));
                return Err(CommandError::new(what).with_hint("select one with -p POLICY"));
            }
        }
    }
    Err(unknown(namespace, secret, policies))
}

fn may_select(policy: &SecretRotationPolicy, secret: &str) -> bool {
    let fits = |item: &SelectorItem| {
        let names = item.names.is_empty() || item.names.iter().any(|name| name.as_str() == secret);
        let prefix = item.name_prefix.as_ref();
        names && prefix.is_none_or(|prefix| secret.starts_with(prefix.as_str()))
    };
    policy.spec.selector.include.iter().any(fits)
}

/// Returns the region of a secret without a finding: the only region of the policy, else of its profile, else that of
/// the environment or the AWS profile if the policy watches it.
async fn only_region(
    cluster: &Cluster,
    args: &ActionArgs,
    policy: &SecretRotationPolicy,
) -> Result<String, CommandError> {
    let mut watched: Vec<_> = policy
        .spec
        .regions
        .iter()
        .map(ToString::to_string)
        .collect();
    if watched.is_empty() {
        watched = regions_of_profile(cluster, policy).await;
    }
    if let [region] = watched.as_slice() {
        return Ok(region.clone());
    }
    let session = args.aws.session().await?;
    if let Ok(region) = session.region("--region")
        && (watched.is_empty() || watched.iter().any(|one| one == region.as_str()))
    {
        return Ok(region.to_string());
    }
    let what = format!(
        "policy {} does not report {}, so its region is unknown",
        policy.name_any(),
        args.secret
    );
    let known = if watched.is_empty() {
        String::new()
    } else {
        format!("; the policy watches {}", watched.join(", "))
    };
    Err(CommandError::new(what)
        .with_hint(format!("set it with --region REGION or AWS_REGION{known}")))
}

/// Returns the regions of the profile; none if the user may not read profiles, and then --region is needed.
async fn regions_of_profile(cluster: &Cluster, policy: &SecretRotationPolicy) -> Vec<String> {
    let profiles: Api<AWSAccessProfile> = Api::all(cluster.client().clone());
    let profile = profiles.get_opt(&policy.spec.profile_ref.name).await;
    let regions = profile.ok().flatten().map(|profile| profile.spec.regions);
    regions.iter().flatten().map(ToString::to_string).collect()
}

fn ambiguous(secret: &SecretId, targets: &[Target]) -> CommandError {
    let places: Vec<_> = targets
        .iter()
        .map(|target| format!("policy {} in {}", target.policy.name_any(), target.region))
        .collect();
    CommandError::new(format!(
        "{secret} is reported more than once: {}",
        places.join("; ")
    ))
    .with_hint("select one with -p POLICY or --region REGION")
}

fn unknown(namespace: &str, secret: &SecretId, policies: &[&SecretRotationPolicy]) -> CommandError {
    let what = format!("no policy of namespace {namespace} reports or selects {secret}");
    let findings = policies
        .iter()
        .flat_map(|policy| policy.status.iter().flat_map(|status| &status.findings));
    let names: Vec<_> = findings.map(|finding| finding.name.to_string()).collect();
    let name = secret.names().last().copied().unwrap_or_default();
    CommandError::new(what).with_hint(similar_names(name, &names).map_or_else(
        || "select the policy with -p POLICY, or another namespace with -n".to_owned(),
        |offer| format!("secrets that need attention: {offer}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn found(text: &str) -> Vec<(String, String)> {
        let policy = testing::payments();
        let secret = SecretId::parse(text).expect("a secret");
        let region = secret.region().cloned();
        reported(&secret, region.as_ref(), &[&policy])
            .into_iter()
            .map(|target| (target.secret, target.region))
            .collect()
    }

    #[test]
    fn a_secret_is_found_by_name_and_by_every_form_of_its_arn() {
        let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:payments/db/main";
        let one = [("payments/db/main".to_owned(), "eu-west-1".to_owned())];
        for text in ["payments/db/main", arn, &format!("{arn}-AbCdEf")] {
            assert_eq!(found(text), one, "{text}");
        }
        assert_eq!(found(&format!("{arn}-ZzZzZz")), []);
        assert_eq!(found("payments/ledger").len(), 2);
        let central = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:payments/ledger";
        assert_eq!(found(central).len(), 1);
    }
}
