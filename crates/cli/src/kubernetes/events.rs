//! Kubernetes events, as commands show them.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;

/// Returns the time of the last occurrence, if the event has one.
pub(crate) fn time(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref();
    let times = [
        series.and_then(|series| series.last_observed_time.as_ref().map(|time| time.0)),
        event.last_timestamp.as_ref().map(|time| time.0),
        event.event_time.as_ref().map(|time| time.0),
        event
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0),
    ];
    times.into_iter().flatten().next()
}

/// Returns whether it is a warning.
pub(crate) fn is_warning(event: &Event) -> bool {
    event.type_.as_deref() == Some("Warning")
}

/// Formats the event in one line, without its time.
pub(crate) fn line(event: &Event) -> String {
    let reason = event.reason.as_deref().unwrap_or_default();
    let message = event.message.as_deref().unwrap_or_default();
    format!("{reason}: {message}")
}
