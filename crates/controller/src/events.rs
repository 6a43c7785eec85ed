//! Kubernetes events: a closed list of reasons, told once when something turns. Failing to tell fails nothing else.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
pub(crate) use secret_rotation_api::event_reason::EventReason as Reason;

use crate::kubernetes::CALL_TIMEOUT;
use crate::lease;

/// Longest note that an API server takes.
const MAX_NOTE: usize = 1000;

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
                reason: reason.name().to_owned(),
                note: Some(
                    note.chars()
                        .filter(|c| !c.is_control())
                        .take(MAX_NOTE)
                        .collect(),
                ),
                action: reason.name().to_owned(),
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
