//! The admission policies as the holder of the lease sees them.

use std::sync::Arc;
use std::time::Duration;

use secret_rotation_core::consent::Admission;

use crate::context::Context;
use crate::error::Error;

/// How often the holder of the lease checks for changes. An operation that was created less than this before a change
/// may have to be created again.
const INTERVAL: Duration = Duration::from_secs(20);

/// Reads the admission policies by quorum, which an approval needs.
///
/// # Errors
///
/// Returns an error if a request to the API server fails, or if its time is not known.
pub(crate) async fn look(context: &Context) -> Result<Admission, Error> {
    let view = &context.admission;
    view.look(&context.client, || context.server_time()).await
}

/// Returns what the last look saw, or looks. It is good enough for a message, but an approval must never be acted on because
/// of it.
///
/// # Errors
///
/// Returns an error if a look is needed and fails.
pub(crate) async fn seen(context: &Context) -> Result<Admission, Error> {
    match context.admission.seen() {
        Some(seen) => Ok(seen),
        None => look(context).await,
    }
}

/// Reads the policies at intervals while the lease is held, so that a change is noticed soon.
pub(crate) async fn run(context: Arc<Context>) {
    let mut last = None;
    loop {
        tokio::select! {
            () = context.shutdown.begun() => return,
            begun = context.leadership.next_term(last) => match begun {
                Some((term, _)) => last = Some(term),
                None => return,
            },
            () = tokio::time::sleep(INTERVAL) => {}
        }
        if context.claim().is_err() {
            continue;
        }
        if let Err(error) = look(&context).await {
            tracing::debug!(%error, "admission policies could not be read");
        }
    }
}
