//! What is installed: the API server, the kinds, the admission policies, the profiles.

use http::{Request, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::ListParams;
use kube::client::Body;
use kube::{Api, Client, Resource};
use secret_rotation_api::admission_policies::{self, Defect};
use secret_rotation_api::profile::AWSAccessProfile;
use secret_rotation_api::{GROUP, VERSION};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use super::Finding;
use crate::CommandError;

/// The oldest minor version of Kubernetes that is supported.
const OLDEST_MINOR: u32 = 32;

const KINDS: [&str; 3] = [
    "secretrotationpolicies",
    "secretrotationoperations",
    "awsaccessprofiles",
];

/// No cluster to ask.
pub(super) fn unreachable(failure: &CommandError) -> Finding {
    Finding::failed("cluster", failure.message())
        .advice("choose one with --kubeconfig and --context, or set KUBECONFIG")
}

/// Whether the API server answers, and its time: ages of leases are measured by it.
pub(super) async fn server(client: &Client) -> (Finding, Option<Timestamp>) {
    let what = "API server";
    let Ok(request) = Request::get("/version").body(Body::empty()) else {
        return (Finding::failed(what, "it cannot be asked"), None);
    };
    let answer = match client.send(request).await {
        Ok(answer) => answer,
        Err(error) => {
            let advice = "check the context, the network and your login";
            return (
                Finding::failed(what, error.to_string()).advice(advice),
                None,
            );
        }
    };
    let now = answer
        .headers()
        .get(header::DATE)
        .and_then(|date| date.to_str().ok())
        .and_then(|date| rfc2822::parse(date).ok())
        .map(|zoned| zoned.timestamp());
    let finding = match client.apiserver_version().await {
        Ok(version) => judge_version(&version.git_version, &version.minor),
        Err(kube::Error::Api(status)) if matches!(status.code, 401 | 403) => {
            Finding::failed(what, "it does not let you in").advice("sign in to the cluster again")
        }
        Err(error) => Finding::warn(what, format!("its version is not known: {error}")),
    };
    (finding, now)
}

fn judge_version(version: &str, minor: &str) -> Finding {
    let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
    let supported = digits.parse().is_ok_and(|minor: u32| minor >= OLDEST_MINOR);
    if supported {
        Finding::ok("API server", version)
    } else {
        Finding::failed("API server", format!("{version} is too old"))
            .advice(format!("Kubernetes 1.{OLDEST_MINOR} or later is needed"))
    }
}

/// Whether the three kinds are served in the version that this plugin speaks. Anybody may ask for that.
pub(super) async fn kinds(client: &Client) -> Vec<Finding> {
    let what = format!("kinds of {GROUP}");
    let advice = "install them: kubectl apply -f deploy/crds, or the chart with crds.enabled=true";
    let groups = match client.list_api_groups().await {
        Ok(groups) => groups.groups,
        Err(error) => return vec![Finding::unseen(what, &error)],
    };
    let Some(group) = groups.into_iter().find(|group| group.name == GROUP) else {
        return vec![Finding::failed(what, "none is served").advice(advice)];
    };
    let versions: Vec<_> = group.versions.into_iter().map(|one| one.version).collect();
    if !versions.iter().any(|version| version == VERSION) {
        let seen = format!("served as {}, not as {VERSION}", versions.join(", "));
        return vec![Finding::failed(what, seen).advice("plugin and CRDs must be of one release")];
    }
    let resources = client
        .list_api_group_resources(&format!("{GROUP}/{VERSION}"))
        .await;
    match resources {
        Err(error) => vec![Finding::unseen(what, &error)],
        Ok(resources) => {
            let there: BTreeSet<_> = resources
                .resources
                .into_iter()
                .map(|one| one.name)
                .collect();
            vec![missing(&what, "served", &KINDS, &there, advice)]
        }
    }
}

/// Whether approvals and profiles are guarded: without the policies no approval counts.
pub(super) async fn admission(client: &Client) -> Vec<Finding> {
    let advice = "install them: kubectl apply -f deploy/admission; until then operations that need approval wait";
    let policies = all::<ValidatingAdmissionPolicy>(client).await;
    let bindings = all::<ValidatingAdmissionPolicyBinding>(client).await;
    let mut findings = vec![
        installed("admission policies", &policies, advice),
        installed("admission bindings", &bindings, advice),
    ];
    if let (Ok(policies), Ok(bindings)) = (&policies, &bindings) {
        let both = |name| Some((name, policies.get(name)?, bindings.get(name)?));
        let pairs = admission_policies::NAMES.into_iter().filter_map(both);
        let faults = pairs.filter_map(|(name, policy, binding)| {
            admission_policies::defect(name, policy, binding)
        });
        findings.extend(faults.map(faulty));
    }
    findings
}

/// Whoever runs this may have another version of it than the cluster has of the controller.
fn faulty(fault: Defect) -> Finding {
    let what = "admission policies";
    match fault {
        Defect::Weak(why) => Finding::failed(what, why)
            .advice("apply deploy/admission again; until then no approval counts"),
        Defect::OtherVersion(why) => Finding::warn(what, why)
            .advice("no approval counts unless their version is that of the controller"),
    }
}

fn installed<K>(
    what: &str,
    found: &Result<BTreeMap<String, K>, kube::Error>,
    advice: &str,
) -> Finding {
    match found {
        Ok(found) => {
            let there = found.keys().cloned().collect();
            missing(
                what,
                "installed",
                &admission_policies::NAMES,
                &there,
                advice,
            )
        }
        Err(error) => Finding::unseen(what, error),
    }
}

async fn all<K>(client: &Client) -> Result<BTreeMap<String, K>, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let all = Api::<K>::all(client.clone())
        .list(&ListParams::default())
        .await?;
    let named = all.items.into_iter().filter_map(|one| {
        let name = one.meta().name.clone()?;
        Some((name, one))
    });
    Ok(named.collect())
}

fn missing(
    what: &str,
    verb: &str,
    wanted: &[&str],
    there: &BTreeSet<String>,
    advice: &str,
) -> Finding {
    let absent: Vec<_> = wanted
        .iter()
        .filter(|name| !there.contains(**name))
        .copied()
        .collect();
    if absent.is_empty() {
        return Finding::ok(what, format!("all {} are {verb}", wanted.len()));
    }
    Finding::failed(what, format!("not {verb}: {}", absent.join(", "))).advice(advice)
}

/// Whether the profiles can be used, by their own condition.
pub(super) async fn profiles(client: &Client) -> Vec<Finding> {
    let what = "AWSAccessProfiles";
    let listed = Api::<AWSAccessProfile>::all(client.clone())
        .list(&ListParams::default())
        .await;
    match listed {
        Err(error) => vec![Finding::unseen(what, &error)],
        Ok(profiles) if profiles.items.is_empty() => {
            vec![
                Finding::warn(what, "there are none")
                    .advice("policies need one: see deploy/samples/profile.yaml"),
            ]
        }
        Ok(profiles) => profiles.iter().map(profile).collect(),
    }
}

fn profile(profile: &AWSAccessProfile) -> Finding {
    let name = profile.metadata.name.as_deref().unwrap_or_default();
    let what = format!("AWSAccessProfile {name}");
    let status = profile.status.as_ref();
    let ready = |condition: &&Condition| condition.type_ == "Ready";
    let ready = status.and_then(|status| status.conditions.iter().find(ready));
    match ready {
        None => Finding::warn(what, "the controller has not looked at it")
            .advice("a profile is visited once a policy refers to it and the controller runs"),
        Some(ready) if ready.status == "True" => Finding::ok(what, "Ready"),
        Some(ready) => Finding::failed(what, format!("{}: {}", ready.reason, ready.message))
            .advice(format!("kubectl secret-rotation explain {}", ready.reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let there = BTreeSet::from(["a".to_owned()]);
        assert_eq!(
            missing("kinds", "served", &["a", "b"], &there, "install them"),
            Finding::failed("kinds", "not served: b").advice("install them")
        );
        assert_eq!(
            missing("kinds", "served", &["a"], &there, ""),
            Finding::ok("kinds", "all 1 are served")
        );
    }

    #[test]
    fn the_minor_version_may_carry_a_plus() {
        assert_eq!(
            judge_version("v1.34.2", "34+"),
            Finding::ok("API server", "v1.34.2")
        );
        assert_eq!(judge_version("v1.31.0", "31").seen, "v1.31.0 is too old");
    }
}
