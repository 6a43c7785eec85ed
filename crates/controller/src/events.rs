//! Kubernetes events: a closed list of reasons, told once when something turns. Failing to tell fails nothing else.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use crate::kubernetes::CALL_TIMEOUT;
use crate::lease;

/// Longest note that an API server takes.
const MAX_NOTE: usize = 1000;

/// The reasons of all events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// A rotation makes no progress.
    RotationStuck,
    /// A rotation is due.
    RotationOverdue,
    /// A value is about to expire.
    SecretExpiring,
    /// An operation failed.
    RemediationFailed,
    /// No more attempts in this window.
    AttemptsExhausted,
    /// Too much is stuck for a machine to act.
    CircuitBreakerOpen,
    /// AWS denies what the policy needs.
    AccessDenied,
    /// The policy cannot be understood, or asks for what it may not have.
    PolicyInvalid,
    /// Another policy takes care of the same secret.
    ConflictingPolicy,
    /// A secret that needed attention no longer does.
    RotationRecovered,
    /// An operation was created.
    OperationCreated,
    /// A pending version was pinned.
    PendingPinned,
    /// AWSPENDING was removed from a version.
    PendingCleared,
    /// AWS accepted a rotation.
    RotationTriggered,
    /// A rotation that was started came through.
    RotationCompleted,
    /// AWSPENDING was put back on a version.
    PendingRestored,
    /// A pending version was made current.
    PendingPromoted,
    /// The previous version was made current.
    VersionReverted,
    /// A scheduled deletion was called off.
    SecretRestored,
    /// Pins were removed.
    PinsReleased,
    /// An operation waits.
    OperationDeferred,
}

impl Reason {
    /// Whether somebody should look.
    pub(crate) const fn is_warning(self) -> bool {
        match self {
            Self::RotationStuck
            | Self::RotationOverdue
            | Self::SecretExpiring
            | Self::RemediationFailed
            | Self::AttemptsExhausted
            | Self::CircuitBreakerOpen
            | Self::AccessDenied
            | Self::PolicyInvalid
            | Self::ConflictingPolicy => true,
            Self::RotationRecovered
            | Self::OperationCreated
            | Self::PendingPinned
            | Self::PendingCleared
            | Self::RotationTriggered
            | Self::RotationCompleted
            | Self::PendingRestored
            | Self::PendingPromoted
            | Self::VersionReverted
            | Self::SecretRestored
            | Self::PinsReleased
            | Self::OperationDeferred => false,
        }
    }
}

/// Something to tell about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Announcement {
    /// Why, in one word.
    pub reason: Reason,
    /// Why, in a sentence with absolute times only.
    pub note: String,
}

/// Tells.
#[derive(Clone)]
pub(crate) struct Announcer {
    recorder: Recorder,
}

impl std::fmt::Debug for Announcer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Announcer").finish_non_exhaustive()
    }
}

impl Announcer {
    /// One recorder for all: it folds what is told again within six minutes.
    pub(crate) fn new(client: Client, instance: String) -> Self {
        let reporter = Reporter {
            controller: lease::NAME.to_owned(),
            instance: Some(instance),
        };
        Self {
            recorder: Recorder::new(client, reporter),
        }
    }

    /// Tells all of it about one object, one after the other.
    pub(crate) async fn tell(&self, about: &ObjectReference, announcements: &[Announcement]) {
        for Announcement { reason, note } in announcements {
            let event = Event {
                type_: if reason.is_warning() {
                    EventType::Warning
                } else {
                    EventType::Normal
                },
                reason: format!("{reason:?}"),
                note: Some(
                    note.chars()
                        .filter(|c| !c.is_control())
                        .take(MAX_NOTE)
                        .collect(),
                ),
                action: format!("{reason:?}"),
                secondary: None,
            };
            match tokio::time::timeout(CALL_TIMEOUT, self.recorder.publish(&event, about)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(?reason, error = %crate::error::Error::from(error), "event not published");
                }
                Err(_) => tracing::warn!(?reason, "event not published in time"),
            }
        }
    }
}
