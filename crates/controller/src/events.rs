//! Kubernetes events, with a closed list of reasons. An event is published once when something changes. A failure to
//! publish has no other effect.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
pub(crate) use secret_rotation_api::event_reason::EventReason as Reason;

use crate::kubernetes::CALL_TIMEOUT;
use crate::lease;

/// Maximum length of a note that an API server accepts.
const MAX_NOTE: usize = 1000;

/// An event to publish about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventNote {
    /// The reason.
    pub reason: Reason,
    /// The reason in a sentence, with absolute times only.
    pub note: String,
}

/// Publishes events.
#[derive(Clone)]
pub(crate) struct EventRecorder {
    recorder: Recorder,
}

impl std::fmt::Debug for EventRecorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Announcer").finish_non_exhaustive()
    }
}

impl EventRecorder {
    /// Creates the recorder. All events share one recorder, which combines repeated events within six minutes.
    pub(crate) fn new(client: Client, instance: String) -> Self {
        let reporter = Reporter {
            controller: lease::NAME.to_owned(),
            instance: Some(instance),
        };
        Self {
            recorder: Recorder::new(client, reporter),
        }
    }

    /// Publishes events about one object, one after the other.
    pub(crate) async fn publish(&self, about: &ObjectReference, notes: &[EventNote]) {
        for EventNote { reason, note } in notes {
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
                    tracing::warn!(?reason, error = %crate::error::Error::from(error), "event publication failed");
                }
                Err(_) => tracing::warn!(?reason, "event publication timed out"),
            }
        }
    }
}
