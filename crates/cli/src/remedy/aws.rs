//! The labels of one secret, read with the credentials of the person who types.

use std::env;
use std::sync::Arc;

use secret_rotation_aws::{Account, Call, Endpoint, Limits};
use secret_rotation_core::identity::Region;
use secret_rotation_core::secret::{Secret, Seen};

/// Far more than one look needs.
const LIMITS: Limits = Limits {
    reads_per_second: 5,
    writes_per_second: 1,
};

/// Looks at a secret; the error is a sentence.
pub(super) async fn look(region: &str, secret: &str) -> Result<Secret, String> {
    let region = Region::parse(region).map_err(|error| error.to_string())?;
    // Signed requests leave for no other host than AWS's own or this machine.
    Endpoint::discover(|name| env::var(name).ok(), false).map_err(|error| error.to_string())?;
    let account = Account::connect(region, LIMITS, Arc::new(|_: &Call| {})).await;
    let look = account
        .look(secret, false)
        .await
        .map_err(|error| format!("DescribeSecret: {error}"))?;
    match look.secret {
        Seen::Present(secret) => Ok(*secret),
        Seen::Absent => Err("there is no such secret in this region".to_owned()),
    }
}
