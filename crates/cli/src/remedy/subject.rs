//! Which secret, of which policy, in which region.

use kube::ResourceExt as _;
use secret_rotation_api::policy::{FindingStatus, SecretRotationPolicy, SelectorItem};

use super::arguments::RemedyArgs;
use crate::Failure;
use crate::cluster::{Cluster, did_you_mean};

/// The secret to act on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Subject {
    pub(super) policy: SecretRotationPolicy,
    pub(super) secret: String,
    pub(super) region: String,
    /// What the policy reports of it; none while it is healthy.
    pub(super) finding: Option<FindingStatus>,
}

/// Finds the secret by the findings of policies, else by their selectors.
pub(super) async fn find(
    cluster: &Cluster,
    arguments: &RemedyArgs,
    policies: &[SecretRotationPolicy],
) -> Result<Subject, Failure> {
    let wanted = arguments.policy.as_deref();
    let candidates: Vec<_> = policies
        .iter()
        .filter(|policy| wanted.is_none_or(|wanted| policy.name_any() == wanted))
        .collect();
    match wanted {
        Some(wanted) if candidates.is_empty() => {
            return Err(cluster.missing::<SecretRotationPolicy>(wanted).await);
        }
        _ => judge(cluster.namespace(), arguments, &candidates),
    }
}

fn judge(
    namespace: &str,
    arguments: &RemedyArgs,
    policies: &[&SecretRotationPolicy],
) -> Result<Subject, Failure> {
    let reported = reported(arguments, policies);
    match reported.as_slice() {
        [one] => Ok(one.clone()),
        [] => selected(namespace, arguments, policies),
        many => Err(ambiguous(&arguments.secret, many)),
    }
}

fn reported(arguments: &RemedyArgs, policies: &[&SecretRotationPolicy]) -> Vec<Subject> {
    let of = |policy: &&SecretRotationPolicy| {
        let findings = policy.status.iter().flat_map(|status| &status.findings);
        let meant = findings.filter(|finding| {
            finding.name.as_str() == arguments.secret
                && arguments
                    .region
                    .as_deref()
                    .is_none_or(|region| finding.region.as_str() == region)
        });
        let subjects = meant.map(|finding| Subject {
            policy: (*policy).clone(),
            secret: arguments.secret.clone(),
            region: finding.region.to_string(),
            finding: Some(finding.clone()),
        });
        subjects.collect::<Vec<_>>()
    };
    policies.iter().flat_map(of).collect()
}

/// A healthy secret is in no finding. Its name may fit a selector; tags are the controller's to judge.
fn selected(
    namespace: &str,
    arguments: &RemedyArgs,
    policies: &[&SecretRotationPolicy],
) -> Result<Subject, Failure> {
    let secret = &arguments.secret;
    let by_name: Vec<_> = policies
        .iter()
        .filter(|policy| arguments.policy.is_some() || may_select(policy, secret))
        .collect();
    match by_name.as_slice() {
        [policy] => Ok(Subject {
            region: region(arguments, policy)?,
            policy: (**policy).clone(),
            secret: secret.clone(),
            finding: None,
        }),
        [] => Err(unknown(namespace, secret, policies)),
        many => {
            let names: Vec<_> = many.iter().map(|policy| policy.name_any()).collect();
            let what = format!("several policies may hold {secret}: {}", names.join(", "));
            Err(Failure::new(what).hint("name one with -p POLICY"))
        }
    }
}

fn may_select(policy: &SecretRotationPolicy, secret: &str) -> bool {
    let fits = |item: &SelectorItem| {
        let names = item.names.is_empty() || item.names.iter().any(|name| name.as_str() == secret);
        let prefix = item.name_prefix.as_ref();
        names && prefix.is_none_or(|prefix| secret.starts_with(prefix.as_str()))
    };
    policy.spec.selector.include.iter().any(fits)
}

fn region(arguments: &RemedyArgs, policy: &SecretRotationPolicy) -> Result<String, Failure> {
    if let Some(region) = &arguments.region {
        return Ok(region.clone());
    }
    match policy.spec.regions.as_slice() {
        [region] => Ok(region.to_string()),
        regions => {
            let what = format!(
                "policy {} reports nothing of {}, so its region is not known",
                policy.name_any(),
                arguments.secret
            );
            let regions: Vec<_> = regions.iter().map(ToString::to_string).collect();
            let known = if regions.is_empty() {
                String::new()
            } else {
                format!("; the policy watches {}", regions.join(", "))
            };
            Err(Failure::new(what).hint(format!("name it with --region REGION{known}")))
        }
    }
}

fn ambiguous(secret: &str, subjects: &[Subject]) -> Failure {
    let places: Vec<_> = subjects
        .iter()
        .map(|subject| format!("policy {} in {}", subject.policy.name_any(), subject.region))
        .collect();
    Failure::new(format!(
        "{secret} is reported more than once: {}",
        places.join("; ")
    ))
    .hint("name one with -p POLICY or --region REGION")
}

fn unknown(namespace: &str, secret: &str, policies: &[&SecretRotationPolicy]) -> Failure {
    let what = format!("no policy of namespace {namespace} reports or selects {secret}");
    let findings = policies
        .iter()
        .flat_map(|policy| policy.status.iter().flat_map(|status| &status.findings));
    let names: Vec<_> = findings.map(|finding| finding.name.to_string()).collect();
    Failure::new(what).hint(did_you_mean(secret, &names).map_or_else(
        || "name the policy with -p POLICY, or another namespace with -n".to_owned(),
        |offer| format!("of the secrets that need attention {offer}"),
    ))
}
