//! The Kubernetes side: one client, bounded calls, watches that survive, quorum reads and status patches.

pub(crate) mod admission;
pub(crate) mod client;
pub(crate) mod reads;
pub(crate) mod status;
pub(crate) mod watches;

use std::time::Duration;

use crate::error::Error;

/// No call to the API server takes longer, its body included.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// Bounds a whole call: the client's own time-out ends with the headers.
pub(crate) async fn bounded<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    within(CALL_TIMEOUT, call).await
}

/// Bounds a whole call by another time.
pub(crate) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::Unreachable("no answer in time".to_owned())),
    }
}
