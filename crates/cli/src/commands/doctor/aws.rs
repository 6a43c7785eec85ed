//! The caller's own access to AWS, which audit, list, versions and put need; the controller has its own.

use std::sync::Arc;

use secret_rotation_aws::Call;
use secret_rotation_core::names::Region;

use super::Finding;
use crate::CommandError;
use crate::aws::{AwsOptions, FailedCalls, RateArgs, Session};

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
    let session = options.session().await?;
    let mut findings = Vec::new();
    for region in &session.regions(regions)? {
        findings.push(ask(&session, region).await);
    }
    Ok(findings)
}

async fn ask(session: &Session, region: &Region) -> Finding {
    let what = format!("AWS in {region}");
    let failed_calls = FailedCalls::default();
    let seen = failed_calls.clone();
    let observer = Arc::new(move |call: &Call| seen.record(call));
    let account = session.observed_account(region.clone(), RateArgs::default(), observer);
    match account.reach().await {
        Ok(()) => Finding::ok(what, "you may list secrets"),
        Err(error) => {
            let problem = failed_calls.explain(session, &error, region);
            Finding::failed(what, problem.message).advice(problem.hint)
        }
    }
}
