//! Checks that the API server answers, serves the three CRDs and guards approvals.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;
use kube::{Client, Resource};
use secret_rotation_api::operation::SecretRotationOperation;
use secret_rotation_api::policy::SecretRotationPolicy;
use secret_rotation_api::profile::AWSAccessProfile;
use secret_rotation_core::consent::Admission;
use secret_rotation_core::time::ServerTime;

use super::check::Check;
use crate::error::Error;
use crate::kubernetes::{admission, with_call_timeout};

pub(super) const API_SERVER: &str = "Kubernetes API server";

/// Checks that the API server answers, and reports its version.
pub(super) async fn answers(client: &Client) -> Check {
    match with_call_timeout(client.apiserver_version()).await {
        Ok(version) => Check::passed(format!("{API_SERVER} {}", version.git_version)),
        Err(error) => Check::failed(
            API_SERVER,
            format!("{error}; check its address and the network policies"),
        ),
    }
}

/// Checks that the three CRDs are served with their status.
pub(super) async fn kinds(client: &Client) -> Vec<Check> {
    let version = SecretRotationPolicy::api_version(&());
    let served = match with_call_timeout(client.list_api_group_resources(&version)).await {
        Ok(list) => Ok(list.resources),
        Err(Error::NotFound) => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    [
        SecretRotationPolicy::plural(&()),
        SecretRotationOperation::plural(&()),
        AWSAccessProfile::plural(&()),
    ]
    .map(|plural| kind(&plural, &version, served.as_deref()))
    .into()
}

fn kind(plural: &str, version: &str, served: Result<&[APIResource], &Error>) -> Check {
    let subject = format!("CRD {plural} at {version}");
    let served = match served {
        Ok(served) => served,
        Err(error) => return Check::failed(subject, error.to_string()),
    };
    let has = |name: &str| served.iter().any(|resource| resource.name == name);
    if has(plural) && has(&format!("{plural}/status")) {
        return Check::passed(subject);
    }
    let advice = "not served; apply deploy/crds, or install the chart with crds.enabled=true";
    Check::failed(subject, advice)
}

/// Checks that approvals are guarded.
pub(super) async fn admission(client: &Client) -> Check {
    let subject = "admission policies of approvals";
    match admission::enforced(client, |_| Ok(ServerTime::new(Timestamp::MIN))).await {
        Ok(Admission::Enforced { .. }) => Check::passed(subject),
        Ok(Admission::Missing { what } | Admission::OtherVersion { what }) => Check::failed(
            subject,
            format!("{what}; apply deploy/admission, or no approval counts"),
        ),
        Ok(Admission::Unreadable { what }) => Check::failed(
            subject,
            format!("may not read {what}; apply deploy/controller, or no approval counts"),
        ),
        Err(error) => Check::failed(subject, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crd_counts_as_served_only_with_its_status() {
        let served = |names: &[&str]| -> Vec<APIResource> {
            let resource = |name: &&str| APIResource {
                name: (*name).to_owned(),
                ..APIResource::default()
            };
            names.iter().map(resource).collect()
        };
        let found = |names: &[&str]| kind("things", "v1", Ok(&served(names))).to_string();
        assert_eq!(
            found(&["things", "things/status"]),
            "ok       CRD things at v1"
        );
        let missing = "FAILED   CRD things at v1: not served; apply deploy/crds, or install the chart with crds.enabled=true";
        assert_eq!(found(&["things"]), missing);
        assert_eq!(found(&[]), missing);
    }
}
