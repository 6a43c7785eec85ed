//! The caller's own access to AWS, which audit, list, versions and put need; the controller has its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use secret_rotation_aws::{Call, Scope};
use secret_rotation_core::identity::Region;

use super::Finding;
use crate::aws::{AwsOptions, Login, Pace, Witness};

/// A list of the secrets whose names begin so is short, and shows whether listing is allowed.
const NOTHING: &str = "secret-rotation-doctor/";

/// One request for each region; none at all if no region was named.
pub(super) async fn check(options: &AwsOptions, regions: &[Region]) -> Vec<Finding> {
    if regions.is_empty() {
        return Vec::new();
    }
    let login = match options.login().await {
        Ok(login) => login,
        Err(failure) => return vec![Finding::failed("AWS", failure.to_string())],
    };
    let mut findings = Vec::new();
    for region in regions {
        findings.push(ask(&login, region).await);
    }
    findings
}

async fn ask(login: &Login, region: &Region) -> Finding {
    let what = format!("AWS in {region}");
    let witness = Witness::default();
    let seen = witness.clone();
    let observer = Arc::new(move |call: &Call| seen.saw(call));
    let account = login.account(region.clone(), Pace::default(), observer);
    let scope = Scope::Prefixes(BTreeSet::from([NOTHING.to_owned()]));
    let inventory = account
        .inventory(&scope, &BTreeMap::new(), &|_| false, None)
        .await;
    match &inventory.gap {
        None => Finding::ok(what, "you may list secrets"),
        Some(error) => {
            let trouble = witness.explain(error, region);
            Finding::failed(what, trouble.message).advice(trouble.hint)
        }
    }
}
