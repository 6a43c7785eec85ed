//! Announces the shutdown: after SIGTERM or SIGINT, no new write starts.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Shows whether the shutdown has begun. All clones show the same.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown {
    begun: watch::Receiver<bool>,
}

/// Begins the shutdown. All clones begin the same one.
#[derive(Clone, Debug)]
pub(crate) struct Trigger {
    begun: watch::Sender<bool>,
}

/// Creates a connected pair.
pub(crate) fn channel() -> (Trigger, Shutdown) {
    let (sender, begun) = watch::channel(false);
    (Trigger { begun: sender }, Shutdown { begun })
}

impl Trigger {
    /// Begins the shutdown: from now on no new write starts.
    pub(crate) fn begin(&self) {
        self.begun.send_replace(true);
    }
}

impl Shutdown {
    /// Returns whether the shutdown has begun.
    pub(crate) fn has_begun(&self) -> bool {
        *self.begun.borrow() || self.begun.has_changed().is_err()
    }

    /// Waits until the shutdown begins.
    pub(crate) async fn begun(&self) {
        let mut begun = self.begun.clone();
        // An error means that the trigger was dropped, which ends the process too.
        let _ = begun.wait_for(|begun| *begun).await;
    }
}

/// Waits for SIGTERM or SIGINT.
pub(crate) async fn requested() -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
