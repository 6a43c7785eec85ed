//! Which sources of updates are connected, and since when the others are not.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// A source of updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The API server itself, polled at intervals.
    Server,
    /// The watch of policies.
    Policies,
    /// The watch of operations.
    Operations,
}

/// A source that is not connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LostSource {
    /// The time since, by the API server's clock.
    pub(super) since: Option<Timestamp>,
    /// The error.
    pub(super) why: String,
}

/// The sources that are not connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Connections {
    lost: BTreeMap<Source, LostSource>,
}

impl Connections {
    /// Records that a source is not connected. The time is that of the first record.
    pub(super) fn lost(&mut self, source: Source, now: Option<Timestamp>, why: &str) {
        let since = self.lost.get(&source).map_or(now, |loss| loss.since);
        let why = why.to_owned();
        self.lost.insert(source, LostSource { since, why });
    }

    /// Records that a source is connected.
    pub(super) fn found(&mut self, source: Source) {
        self.lost.remove(&source);
    }

    /// Returns the loss to show, the server before its watches; `None` if everything is connected.
    pub(super) fn loss(&self) -> Option<&LostSource> {
        self.lost.values().next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connected_server_does_not_hide_a_broken_watch() {
        let mut connections = Connections::default();
        let (early, late) = ("2026-11-23T10:00:00Z".parse().ok(), None);
        connections.lost(Source::Policies, early, "no CRDs");
        connections.lost(Source::Policies, late, "still none");
        connections.found(Source::Server);
        let loss = LostSource {
            since: early,
            why: "still none".to_owned(),
        };
        assert_eq!(connections.loss(), Some(&loss));
        connections.found(Source::Policies);
        assert_eq!(connections.loss(), None);
    }
}
