//! The caller's own access to AWS, which audit, list, versions and put need; the controller has its own.

use std::sync::Arc;

use secret_rotation_aws::Call;
use secret_rotation_core::identity::Region;

use super::Finding;
use crate::CommandError;
use crate::aws::{AwsOptions, Login, Pace, Witness};

/// One request for each region; none at all if nothing about AWS was named.
pub(super) async fn check(options: &AwsOptions, regions: &[Region]) -> Vec<Finding> {
    let is_named = options.profile.is_some() || options.allow_custom_endpoint;
    if regions.is_empty() && !is_named {
        return Vec::new();
    }
    match ask_all(options, regions).await {
        Ok(findings) => findings,
        Err(failure) => vec![Finding::failed("AWS", failure.message())],
    }
}

async fn ask_all(options: &AwsOptions, regions: &[Region]) -> Result<Vec<Finding>, CommandError> {
    let login = options.login().await?;
    let regions = if regions.is_empty() {
        vec![login.region("--regions")?]
    } else {
        regions.to_vec()
    };
    let mut findings = Vec::new();
    for region in &regions {
        findings.push(ask(&login, region).await);
    }
    Ok(findings)
}

async fn ask(login: &Login, region: &Region) -> Finding {
    let what = format!("AWS in {region}");
    let witness = Witness::default();
    let seen = witness.clone();
    let observer = Arc::new(move |call: &Call| seen.saw(call));
    let account = login.account(region.clone(), Pace::default(), observer);
    match account.reach().await {
        Ok(()) => Finding::ok(what, "you may list secrets"),
        Err(error) => {
            let trouble = witness.explain(login, &error, region);
            Finding::failed(what, trouble.message).advice(trouble.hint)
        }
    }
}
