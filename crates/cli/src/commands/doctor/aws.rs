//! Checks the access of the user to AWS, for audit, list, versions and put. The controller has its own access.

use std::sync::Arc;

use secret_rotation_aws::Call;
use secret_rotation_core::names::Region;

use super::CheckResult;
use crate::CommandError;
use crate::aws::{AwsOptions, FailedCalls, RateArgs, Session};

/// Sends one request per region; none if no AWS flag is set.
pub(super) async fn check(options: &AwsOptions, regions: &[Region]) -> Vec<CheckResult> {
    let is_named = options.profile.is_some() || options.allow_custom_endpoint;
    if regions.is_empty() && !is_named {
        return Vec::new();
    }
    match ask_all(options, regions).await {
        Ok(results) => results,
        Err(failure) => vec![CheckResult::failed("AWS", failure.message())],
    }
}

async fn ask_all(
    options: &AwsOptions,
    regions: &[Region],
) -> Result<Vec<CheckResult>, CommandError> {
    let session = options.session().await?;
    let mut results = Vec::new();
    for region in &session.regions(regions)? {
        results.push(ask(&session, region).await);
    }
    Ok(results)
}

async fn ask(session: &Session, region: &Region) -> CheckResult {
    let what = format!("AWS in {region}");
    let failed_calls = FailedCalls::default();
    let found = failed_calls.clone();
    let observer = Arc::new(move |call: &Call| found.record(call));
    let account = session.observed_account(region.clone(), RateArgs::default(), observer);
    match account.reach().await {
        Ok(()) => CheckResult::ok(what, "you may list secrets"),
        Err(error) => {
            let problem = session.explain(&failed_calls, &error, region);
            CheckResult::failed(what, problem.message).with_hint(problem.hint)
        }
    }
}
