//! Checks what is installed: the API server, the CRDs, the admission policies, the profiles.

use http::{Request, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::api::ListParams;
use kube::client::Body;
use kube::{Api, Client, Resource};
use secret_rotation_api::admission_policies::{self, Defect};
use secret_rotation_api::conditions::{ConditionStatus, ConditionType, find};
use secret_rotation_api::profile::AWSAccessProfile;
use secret_rotation_api::{GROUP, VERSION};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use super::CheckResult;
use crate::CommandError;

/// The oldest supported minor version of Kubernetes.
const OLDEST_MINOR: u32 = 32;

const RESOURCES: [&str; 3] = [
    "secretrotationpolicies",
    "secretrotationoperations",
    "awsaccessprofiles",
];

/// Returns the result if there is no cluster to connect to.
pub(super) fn unreachable(failure: &CommandError) -> CheckResult {
    CheckResult::failed("cluster", failure.message())
        .with_hint("select one with --kubeconfig and --context, or set KUBECONFIG")
}

/// Checks that the API server responds, and returns its time: the age of leases is measured by it.
pub(super) async fn server(client: &Client) -> (CheckResult, Option<Timestamp>) {
    let what = "API server";
    let Ok(request) = Request::get("/version").body(Body::empty()) else {
        return (
            CheckResult::failed(what, "the request cannot be built"),
            None,
        );
    };
    let answer = match client.send(request).await {
        Ok(answer) => answer,
        Err(error) => {
            let hint = "check the context, the network and your login";
            return (
                CheckResult::failed(what, error.to_string()).with_hint(hint),
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
    let result = match client.apiserver_version().await {
        Ok(version) => check_version(&version.git_version, &version.minor),
        Err(kube::Error::Api(status)) if matches!(status.code, 401 | 403) => {
            CheckResult::failed(what, "it rejects your credentials")
                .with_hint("sign in to the cluster again")
        }
        Err(error) => CheckResult::warn(what, format!("its version is unknown: {error}")),
    };
    (result, now)
}

fn check_version(version: &str, minor: &str) -> CheckResult {
    let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
    let supported = digits.parse().is_ok_and(|minor: u32| minor >= OLDEST_MINOR);
    if supported {
        CheckResult::ok("API server", version)
    } else {
        CheckResult::failed("API server", format!("{version} is too old"))
            .with_hint(format!("Kubernetes 1.{OLDEST_MINOR} or later is required"))
    }
}

/// Checks that the API server serves the three CRDs in the version of this plugin. Every user may read that.
pub(super) async fn crds(client: &Client) -> Vec<CheckResult> {
    let what = format!("CRDs of {GROUP}");
    let hint = "install them: kubectl apply -f deploy/crds, or the chart with crds.enabled=true";
    let groups = match client.list_api_groups().await {
        Ok(groups) => groups.groups,
        Err(error) => return vec![CheckResult::unreadable(what, &error)],
    };
    let Some(group) = groups.into_iter().find(|group| group.name == GROUP) else {
        return vec![CheckResult::failed(what, "none is served").with_hint(hint)];
    };
    let versions: Vec<_> = group.versions.into_iter().map(|one| one.version).collect();
    if !versions.iter().any(|version| version == VERSION) {
        let found = format!("served as {}, not as {VERSION}", versions.join(", "));
        return vec![
            CheckResult::failed(what, found)
                .with_hint("install plugin and CRDs of the same release"),
        ];
    }
    let resources = client
        .list_api_group_resources(&format!("{GROUP}/{VERSION}"))
        .await;
    match resources {
        Err(error) => vec![CheckResult::unreadable(what, &error)],
        Ok(resources) => {
            let existing: BTreeSet<_> = resources
                .resources
                .into_iter()
                .map(|one| one.name)
                .collect();
            vec![missing(&what, "served", &RESOURCES, &existing, hint)]
        }
    }
}

/// Checks the admission policies that protect approvals and profiles: without them no approval counts.
pub(super) async fn admission(client: &Client) -> Vec<CheckResult> {
    let hint = "install them: kubectl apply -f deploy/admission; until then operations that need approval wait";
    let policies = all::<ValidatingAdmissionPolicy>(client).await;
    let bindings = all::<ValidatingAdmissionPolicyBinding>(client).await;
    let mut results = vec![
        installed("admission policies", &policies, hint),
        installed("admission bindings", &bindings, hint),
    ];
    if let (Ok(policies), Ok(bindings)) = (&policies, &bindings) {
        let both = |name| Some((name, policies.get(name)?, bindings.get(name)?));
        let pairs = admission_policies::NAMES.into_iter().filter_map(both);
        let defects = pairs.filter_map(|(name, policy, binding)| {
            admission_policies::defect(name, policy, binding)
        });
        results.extend(defects.map(defective));
    }
    results
}

/// Converts a defect. The plugin may have another version than the controller in the cluster.
fn defective(defect: Defect) -> CheckResult {
    let what = "admission policies";
    match defect {
        Defect::Weak(why) => CheckResult::failed(what, why)
            .with_hint("apply deploy/admission again; until then no approval counts"),
        Defect::OtherVersion(why) => CheckResult::warn(what, why)
            .with_hint("no approval counts unless they have the version of the controller"),
    }
}

fn installed<K>(
    what: &str,
    found: &Result<BTreeMap<String, K>, kube::Error>,
    hint: &str,
) -> CheckResult {
    match found {
        Ok(found) => {
            let existing = found.keys().cloned().collect();
            missing(
                what,
                "installed",
                &admission_policies::NAMES,
                &existing,
                hint,
            )
        }
        Err(error) => CheckResult::unreadable(what, error),
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
    existing: &BTreeSet<String>,
    hint: &str,
) -> CheckResult {
    let absent: Vec<_> = wanted
        .iter()
        .filter(|name| !existing.contains(**name))
        .copied()
        .collect();
    if absent.is_empty() {
        return CheckResult::ok(what, format!("all {} are {verb}", wanted.len()));
    }
    CheckResult::failed(what, format!("not {verb}: {}", absent.join(", "))).with_hint(hint)
}

/// Checks the profiles by their condition `Ready`.
pub(super) async fn profiles(client: &Client) -> Vec<CheckResult> {
    let what = "AWSAccessProfiles";
    let listed = Api::<AWSAccessProfile>::all(client.clone())
        .list(&ListParams::default())
        .await;
    match listed {
        Err(error) => vec![CheckResult::unreadable(what, &error)],
        Ok(profiles) if profiles.items.is_empty() => {
            vec![
                CheckResult::warn(what, "there are none")
                    .with_hint("policies need one: see deploy/samples/profile.yaml"),
            ]
        }
        Ok(profiles) => profiles.iter().map(profile).collect(),
    }
}

fn profile(profile: &AWSAccessProfile) -> CheckResult {
    let name = profile.metadata.name.as_deref().unwrap_or_default();
    let what = format!("AWSAccessProfile {name}");
    let status = profile.status.as_ref();
    let ready = status.and_then(|status| find(&status.conditions, ConditionType::Ready));
    match ready {
        None => CheckResult::warn(what, "the controller has not checked it")
            .with_hint("the controller checks a profile when a policy refers to it"),
        Some(ready) if ready.status == ConditionStatus::True.name() => {
            CheckResult::ok(what, ConditionType::Ready.name())
        }
        Some(ready) => CheckResult::failed(what, format!("{}: {}", ready.reason, ready.message))
            .with_hint(format!("kubectl secret-rotation explain {}", ready.reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_resources_are_named() {
        let existing = BTreeSet::from(["a".to_owned()]);
        assert_eq!(
            missing("CRDs", "served", &["a", "b"], &existing, "install them"),
            CheckResult::failed("CRDs", "not served: b").with_hint("install them")
        );
        assert_eq!(
            missing("CRDs", "served", &["a"], &existing, ""),
            CheckResult::ok("CRDs", "all 1 are served")
        );
    }

    #[test]
    fn the_minor_version_may_end_with_a_plus() {
        assert_eq!(
            check_version("v1.34.2", "34+"),
            CheckResult::ok("API server", "v1.34.2")
        );
        assert_eq!(check_version("v1.31.0", "31").found, "v1.31.0 is too old");
    }
}
