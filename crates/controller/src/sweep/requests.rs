//! Requests to a sweeper since it last ran: to read what some policies select, or to look at some secrets. Each
//! request has an earliest time.

use std::collections::{BTreeMap, BTreeSet};

use secret_rotation_core::names::{Arn, Uid};
use tokio::time::Instant;

/// The pending requests for one region of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Requests {
    policies: BTreeMap<Uid, Instant>,
    unread: BTreeMap<Uid, Instant>,
    changed: BTreeMap<Arn, Instant>,
    outdated: BTreeMap<Arn, Instant>,
}

/// The requests that are due now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SweepTask {
    /// Policies whose selections must be read.
    pub(super) policies: BTreeSet<Uid>,
    /// Policies whose selections must be read, unless that was done meanwhile.
    pub(super) unread: BTreeSet<Uid>,
    /// Secrets to look at.
    pub(super) secrets: BTreeSet<Arn>,
}

impl Requests {
    /// Requests that the selection of a policy is read. The earlier of two requests counts.
    pub(super) fn request_read(&mut self, policy: Uid, at: Instant) {
        let due = self.policies.entry(policy).or_insert(at);
        *due = at.min(*due);
    }

    /// Requests that the selection of a policy is read for the first time. A sweep in progress may do so before this
    /// request is due.
    pub(super) fn request_first_read(&mut self, policy: Uid, at: Instant) {
        let due = self.unread.entry(policy).or_insert(at);
        *due = at.min(*due);
    }

    /// Requests a look at a secret to which something may have happened, as early as possible.
    pub(super) fn request_look(&mut self, secret: Arn, at: Instant) {
        let due = self.changed.entry(secret).or_insert(at);
        *due = at.min(*due);
    }

    /// Requests a look at a secret whose known state is outdated. The later of two requests counts, because an
    /// earlier look would not be current.
    pub(super) fn request_fresh_look(&mut self, secret: Arn, at: Instant) {
        let due = self.outdated.entry(secret).or_insert(at);
        *due = at.max(*due);
    }

    /// Removes and returns the requests that are due.
    pub(super) fn take_due(&mut self, now: Instant) -> SweepTask {
        let mut secrets = due(&mut self.changed, now);
        secrets.append(&mut due(&mut self.outdated, now));
        SweepTask {
            policies: due(&mut self.policies, now),
            unread: due(&mut self.unread, now),
            secrets,
        }
    }

    /// Removes the requests that a whole sweep that begins now covers. A sweep reads every policy, so requests for
    /// policies that are not due yet are covered too.
    pub(super) fn take_covered(&mut self, now: Instant) {
        self.policies.clear();
        self.unread.clear();
        self.changed.clear();
        due(&mut self.outdated, now);
    }

    /// Returns when the next request is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let looks = self.changed.values().chain(self.outdated.values());
        let reads = self.policies.values().chain(self.unread.values());
        looks.chain(reads).min().copied()
    }
}

fn due<K: Ord + Clone>(requests: &mut BTreeMap<K, Instant>, now: Instant) -> BTreeSet<K> {
    let due = requests.extract_if(.., |_, at| *at <= now);
    due.map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    #[tokio::test(start_paused = true)]
    async fn each_request_is_carried_out_once_and_not_before_its_time() {
        let (now, mut requests) = (clock::now(), Requests::default());
        assert_eq!(requests.next_due(), None, "nothing is requested");
        requests.request_look(secret(1), now);
        requests.request_read(policy("a"), now + minutes(1));
        assert_eq!(requests.next_due(), Some(now));
        let first = SweepTask {
            secrets: [secret(1)].into(),
            ..SweepTask::default()
        };
        assert_eq!(requests.take_due(now), first);
        assert_eq!(requests.take_due(now), SweepTask::default());
        assert_eq!(requests.next_due(), Some(now + minutes(1)));
        let second = SweepTask {
            policies: [policy("a")].into(),
            ..SweepTask::default()
        };
        assert_eq!(requests.take_due(now + minutes(1)), second);
        assert_eq!(requests.next_due(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_of_two_looks_and_the_later_of_two_ends_counts() {
        let (now, mut requests) = (clock::now(), Requests::default());
        for at in [now + minutes(2), now + minutes(1), now + minutes(3)] {
            requests.request_read(policy("a"), at);
            requests.request_look(secret(1), at);
            requests.request_fresh_look(secret(2), at);
        }
        let first = requests.take_due(now + minutes(1));
        assert_eq!(first.policies, [policy("a")].into());
        assert_eq!(first.secrets, [secret(1)].into());
        assert_eq!(
            requests.take_due(now + minutes(3)).secrets,
            [secret(2)].into()
        );
    }

    /// The first pass over a policy requests a read during the sweep that answers it. A requested check must begin
    /// after the request.
    #[tokio::test(start_paused = true)]
    async fn first_reads_are_kept_apart_from_requested_reads() {
        let (now, mut requests) = (clock::now(), Requests::default());
        requests.request_first_read(policy("a"), now);
        requests.request_read(policy("b"), now);
        let task = requests.take_due(now);
        assert_eq!(task.unread, [policy("a")].into());
        assert_eq!(task.policies, [policy("b")].into());
        requests.request_first_read(policy("a"), now);
        assert_eq!(requests.next_due(), Some(now));
        requests.take_covered(now);
        assert_eq!(requests.next_due(), None, "a whole sweep reads it");
    }

    /// An event about a secret is followed immediately, and the secret is looked at again once the look is current.
    #[tokio::test(start_paused = true)]
    async fn a_requested_look_does_not_wait_for_the_look_after_an_operation() {
        let (now, mut requests) = (clock::now(), Requests::default());
        requests.request_fresh_look(secret(1), now + minutes(1));
        requests.request_look(secret(1), now);
        assert_eq!(requests.take_due(now).secrets, [secret(1)].into());
        assert_eq!(
            requests.take_due(now + minutes(1)).secrets,
            [secret(1)].into()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_whole_sweep_covers_every_check_and_every_look_that_is_due() {
        let (now, mut requests) = (clock::now(), Requests::default());
        requests.request_read(policy("a"), now + minutes(5));
        requests.request_look(secret(1), now);
        requests.request_fresh_look(secret(1), now);
        requests.request_fresh_look(secret(2), now + minutes(1));
        requests.take_covered(now);
        assert_eq!(requests.next_due(), Some(now + minutes(1)));
        assert_eq!(
            requests.take_due(now + minutes(9)).secrets,
            [secret(2)].into()
        );
    }

    const fn minutes(count: u64) -> Duration {
        Duration::from_mins(count)
    }

    fn policy(uid: &str) -> Uid {
        fixtures::uid(uid)
    }

    fn secret(number: usize) -> Arn {
        fixtures::arn(&format!("s{number}"))
    }
}
