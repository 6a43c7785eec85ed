//! Reads the event queues of profiles. An event is only a reason to look at a secret earlier.

use std::sync::Arc;
use std::time::Duration;

use secret_rotation_core::names::ProfileName;
use secret_rotation_core::policy::Suspension;

use crate::clock;
use crate::context::Context;
use crate::error::Error;

/// Waits for the next events in the queue of a profile, passes them on, and returns immediately for the next ones.
///
/// Events are deleted from the queue after they are recorded. A crash before the deletion causes a second look. A
/// crash after it loses only time, because the next sweep sees the same changes.
///
/// # Errors
///
/// Returns an error if the queue cannot be read, or if the lease is not held any more.
pub(crate) async fn listen(
    context: Arc<Context>,
    name: ProfileName,
) -> Result<Option<Duration>, Error> {
    let profile = context.store.profile(&name);
    let arn = profile.and_then(|entry| {
        let profile = entry.core.as_ref().ok()?;
        // Events of a suspended profile stay in the queue.
        profile
            .event_queue
            .clone()
            .filter(|_| profile.suspension == Suspension::Active)
    });
    let Some(arn) = arn else {
        return Ok(None);
    };
    let queue = context.connections.queue(&arn).await;
    let batch = tokio::select! {
        batch = queue.receive() => batch?,
        () = context.shutdown.begun() => return Ok(None),
    };
    // Another replica may hold the lease now. Events that stay in the queue are delivered to it.
    context.claim()?;
    for secret in &batch.secrets {
        for profile_region in context.sweeps.request_look(secret) {
            context.queues.sweeps.push(profile_region, clock::now());
        }
    }
    queue.forget(&batch).await?;
    Ok(Some(Duration::ZERO))
}
