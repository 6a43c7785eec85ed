//! Which sources of news answer, and since when the others do not.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// Where news come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The API server itself, asked now and then.
    Server,
    /// The watch of policies.
    Policies,
    /// The watch of operations.
    Operations,
}

/// A source that does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    /// Since when, by the API server's clock.
    pub(super) since: Option<Timestamp>,
    /// Why, in a sentence.
    pub(super) why: String,
}

/// The sources that do not answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Links {
    lost: BTreeMap<Source, Loss>,
}

impl Links {
    /// Takes note that a source does not answer; since when, the first note says.
    pub(super) fn lost(&mut self, source: Source, now: Option<Timestamp>, why: &str) {
        let since = self.lost.get(&source).map_or(now, |loss| loss.since);
        let why = why.to_owned();
        self.lost.insert(source, Loss { since, why });
    }

    /// Takes note that a source answers.
    pub(super) fn found(&mut self, source: Source) {
        self.lost.remove(&source);
    }

    /// What is lost, the server before what it serves; `None` = nothing.
    pub(super) fn loss(&self) -> Option<&Loss> {
        self.lost.values().next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_answers_does_not_hide_a_watch_that_does_not() {
        let mut links = Links::default();
        let (early, late) = ("2026-11-23T10:00:00Z".parse().ok(), None);
        links.lost(Source::Policies, early, "no CRDs");
        links.lost(Source::Policies, late, "still none");
        links.found(Source::Server);
        let loss = Loss {
            since: early,
            why: "still none".to_owned(),
        };
        assert_eq!(links.loss(), Some(&loss));
        links.found(Source::Policies);
        assert_eq!(links.loss(), None);
    }
}
