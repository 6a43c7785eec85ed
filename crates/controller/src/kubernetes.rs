//! The Kubernetes side: one client, calls with a time limit, resilient watches, quorum reads and status patches.

pub(crate) mod admission;
pub(crate) mod client;
pub(crate) mod reads;
pub(crate) mod status;
pub(crate) mod watches;

use std::time::Duration;

use crate::error::Error;

/// Maximum time of one call to the API server, including its body.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// Limits the time of a whole call to [`CALL_TIMEOUT`]. The timeout of the client itself covers only the headers.
pub(crate) async fn with_call_timeout<T>(
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, Error> {
    with_timeout(CALL_TIMEOUT, call).await
}

/// Limits the time of a whole call to `limit`.
pub(crate) async fn with_timeout<T>(
    limit: Duration,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::Unreachable("no answer in time".to_owned())),
    }
}
