//! Listens to the event queues of profiles. An event is a hint to look at a secret sooner, and never more.

use std::sync::Arc;
use std::time::Duration;

use secret_rotation_core::names::ProfileName;
use secret_rotation_core::policy::Suspension;

use crate::clock;
use crate::context::Context;
use crate::error::Error;

/// Waits for the next events of a profile's queue, passes them on, and comes back at once.
///
/// Events leave the queue once they are noted. A crash in between costs a second look; one right after costs nothing but
/// time, for the next sweep sees whatever they were about.
pub(crate) async fn listen(
    context: Arc<Context>,
    name: ProfileName,
) -> Result<Option<Duration>, Error> {
    let profile = context.world.profile(&name);
    let arn = profile.and_then(|entry| {
        let profile = entry.core.as_ref().ok()?;
        // Events of a profile that stands still wait in the queue.
        profile
            .event_queue
            .clone()
            .filter(|_| profile.suspension == Suspension::Active)
    });
    let Some(arn) = arn else {
        return Ok(None);
    };
    let queue = context.accounts.queue(&arn).await;
    let batch = tokio::select! {
        batch = queue.receive() => batch?,
        () = context.shutdown.begun() => return Ok(None),
    };
    // Another replica may hold the lease by now; what stays in the queue is handed out to it.
    context.tenure()?;
    for secret in &batch.secrets {
        for place in context.sweeps.hint(secret) {
            context.queues.places.push(place, clock::now());
        }
    }
    queue.forget(&batch).await?;
    Ok(Some(Duration::ZERO))
}
