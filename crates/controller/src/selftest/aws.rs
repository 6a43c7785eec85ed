//! Checks that AWS credentials exist, and that they work in the first region of each profile.

use std::sync::Arc;
use std::time::Duration;

use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::{Api, Client, ResourceExt as _};
use secret_rotation_api::profile::AWSAccessProfile;
use secret_rotation_aws::find_credentials;
use secret_rotation_core::aws_error::{AwsError, ErrorGroup};

use super::check::Check;
use crate::aws_connections::{self, Connections};
use crate::kubernetes::with_call_timeout;
use crate::metrics::Metrics;
use crate::options::Options;

/// Maximum time to find credentials. On a machine without an instance profile the SDK waits for one.
const PATIENCE: Duration = Duration::from_secs(15);

const CREDENTIALS: &str = "AWS credentials";
const PROFILES: &str = "AWS by profile";

/// Finds credentials, and then tries them for each profile. Without a client there is no API server that lists
/// profiles.
pub(super) async fn check_all(
    client: Option<&Client>,
    options: &Options,
    metrics: Arc<Metrics>,
) -> Vec<Check> {
    if let Err(refused) = aws_connections::custom_endpoint(options.allow_custom_endpoint) {
        return vec![Check::failed("AWS endpoint", refused.to_string())];
    }
    let credentials = credentials().await;
    if credentials.has_failed() {
        let why = "no AWS credentials were found";
        return vec![credentials, Check::skipped(PROFILES, why)];
    }
    let mut checks = vec![credentials];
    match client {
        Some(client) => {
            checks.extend(profiles(client, &Connections::new(metrics, Arc::default())).await);
        }
        None => checks.push(Check::skipped(
            PROFILES,
            "the API server, which lists them, does not answer",
        )),
    }
    checks
}

async fn credentials() -> Check {
    match tokio::time::timeout(PATIENCE, find_credentials()).await {
        Ok(Ok(())) => Check::passed(CREDENTIALS),
        Ok(Err(_)) | Err(_) => Check::failed(
            CREDENTIALS,
            "none found; give the ServiceAccount a role, by EKS Pod Identity or by annotation eks.amazonaws.com/role-arn",
        ),
    }
}

async fn profiles(client: &Client, connections: &Connections) -> Vec<Check> {
    let api: Api<DeserializeGuard<AWSAccessProfile>> = Api::all(client.clone());
    let found = match with_call_timeout(api.list(&ListParams::default())).await {
        Ok(found) => found.items,
        Err(error) => return vec![Check::failed(PROFILES, format!("not listed: {error}"))],
    };
    if found.is_empty() {
        return vec![Check::skipped(PROFILES, "no AWSAccessProfile exists yet")];
    }
    let mut checks = Vec::new();
    for profile in found {
        let name = profile.name_any();
        checks.push(match profile.0 {
            Ok(profile) => check_profile(&name, &profile, connections).await,
            Err(invalid) => Check::failed(subject(&name), invalid.error),
        });
    }
    checks
}

fn subject(name: &str) -> String {
    format!("AWS by profile {name}")
}

/// Makes one read-only call to AWS.
async fn check_profile(name: &str, profile: &AWSAccessProfile, connections: &Connections) -> Check {
    let profile = match profile.to_core() {
        Ok(profile) => profile,
        Err(invalid) => return Check::failed(subject(name), invalid.to_string()),
    };
    let Some(region) = profile.regions.first() else {
        return Check::failed(subject(name), "its regions are empty");
    };
    let subject = format!("{}, ListSecrets in {region}", subject(name));
    match connections.of(&profile, region).await.account.reach().await {
        Ok(()) => Check::passed(subject),
        Err(error) => Check::failed(subject, format!("{error}; {}", advice(&error))),
    }
}

const fn advice(error: &AwsError) -> &'static str {
    match error.class.group() {
        ErrorGroup::Denied => "attach deploy/iam/observe.json or more to the role",
        ErrorGroup::Credentials => "check the trust policy of the role, and the clock",
        ErrorGroup::Throttled => "try again later",
        ErrorGroup::Unavailable | ErrorGroup::Answered => {
            "check the region, and the network between this pod and AWS"
        }
    }
}
