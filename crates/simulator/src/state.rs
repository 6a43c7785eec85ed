//! The state of the simulator: secrets, functions, scheduled events and the trace. No I/O.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::arn::Arn;
use crate::clock::Clock;
use crate::errors::ApiError;
use crate::event::Event;
use crate::faults::Faults;
use crate::functions::Script;
use crate::model::{Labels, Secret};
use crate::queues::{self, Queues};
use crate::quirks::{Draw, Quirks};
use crate::secrets::Secrets;
use crate::trace::{Cause, Trace};

/// The state behind the API.
#[derive(Debug)]
pub(crate) struct SimulatedAws {
    pub(crate) clock: Clock,
    pub(crate) quirks: Quirks,
    pub(crate) secrets: Secrets,
    pub(crate) functions: BTreeMap<String, Script>,
    pub(crate) events: BTreeMap<(Timestamp, u64), Event>,
    pub(crate) trace: Trace,
    pub(crate) faults: Faults,
    pub(crate) queues: Queues,
    pub(crate) draw: Draw,
    pub(crate) seed: u64,
    sequence: u64,
}

impl SimulatedAws {
    pub(crate) fn new(clock: Clock, seed: u64, quirks: Quirks, trace: Trace) -> Self {
        Self {
            clock,
            quirks,
            secrets: Secrets::default(),
            functions: BTreeMap::new(),
            events: BTreeMap::new(),
            trace,
            faults: Faults::default(),
            queues: Queues::default(),
            draw: Draw(seed),
            seed,
            sequence: 0,
        }
    }

    pub(crate) fn schedule(&mut self, at: Timestamp, event: Event) {
        self.sequence += 1;
        self.events.insert((at, self.sequence), event);
    }

    /// Schedules many events. Faster and denser than each by itself, but it touches all scheduled events once.
    pub(crate) fn schedule_all(&mut self, events: Vec<(Timestamp, Event)>) {
        let numbers = self.sequence + 1..;
        self.sequence += events.len() as u64;
        let numbered = numbers.zip(events);
        let mut new = numbered
            .map(|(number, (at, event))| ((at, number), event))
            .collect();
        self.events.append(&mut new);
    }

    /// Runs all due events in order, each at its own time. Returns the time now.
    pub(crate) fn catch_up(&mut self) -> Timestamp {
        let now = self.clock.now();
        while let Some(entry) = self
            .events
            .first_entry()
            .filter(|entry| entry.key().0 <= now)
        {
            let at = entry.key().0;
            let event = entry.remove();
            self.handle(&event, at);
        }
        now
    }

    /// Changes a secret. Records and announces changes of its labels with their cause.
    pub(crate) fn change<T>(
        &mut self,
        arn: &Arn,
        cause: &Cause,
        at: Timestamp,
        change: impl FnOnce(&mut Secret) -> T,
    ) -> Option<T> {
        let secret = self.secrets.get_mut(arn)?;
        let before = secret.labels();
        let result = change(secret);
        let after = secret.labels();
        if before != after {
            let name = secret.name().to_owned();
            self.announce_labels(arn, &before, &after, at);
            self.trace.record_change(at, cause, &name, before, after);
        }
        self.replicate(arn);
        Some(result)
    }

    fn announce_labels(&mut self, arn: &Arn, before: &Labels, after: &Labels, at: Timestamp) {
        let Some(secret) = self.secrets.get(arn).filter(|_| !self.queues.is_empty()) else {
            return;
        };
        for event in queues::labels(secret, before, after, at) {
            self.queues.announce(secret, &event, at);
        }
    }

    /// Sends the event of a rotation that began, succeeded or failed.
    pub(crate) fn announce_rotation(
        &mut self,
        arn: &Arn,
        token: &str,
        name: &str,
        error: Option<String>,
        at: Timestamp,
    ) {
        let Some(secret) = self.secrets.get(arn).filter(|_| !self.queues.is_empty()) else {
            return;
        };
        let event = queues::rotation(secret, token, name, error, at);
        self.queues.announce(secret, &event, at);
    }

    /// Copies versions and labels of a primary to its replicas at once.
    fn replicate(&mut self, arn: &Arn) {
        let primary = self.secrets.get(arn);
        let Some(primary) = primary
            .filter(|primary| !primary.rare.replicas.is_empty())
            .cloned()
        else {
            return;
        };
        for region in &primary.rare.replicas {
            if let Some(replica) = self.secrets.get_mut(&primary.arn.within(region)) {
                replica.versions.clone_from(&primary.versions);
                replica.target.clone_from(&primary.target);
                replica.last_changed = primary.last_changed;
                replica.last_rotated = primary.last_rotated;
            }
        }
    }

    /// Returns the secret for a `SecretId` of a caller in this account and region.
    pub(crate) fn resolve(
        &self,
        id: &str,
        account: &str,
        region: &str,
    ) -> Result<&Secret, ApiError> {
        let found = if id.starts_with("arn:") {
            let whole = self.secrets.get(id);
            whole.or_else(|| self.secrets.by_partial_arn(id))
        } else {
            self.secrets.named(&scope(region, account), id)
        };
        found.ok_or_else(ApiError::secret_not_found)
    }

    /// Returns `arn:aws:secretsmanager:<region>:<account>:secret:<name>-<six characters>`. The same seed gives the same
    /// characters.
    pub(crate) fn new_arn(&self, name: &str, region: &str, account: &str) -> Arn {
        let start = name
            .bytes()
            .chain(region.bytes())
            .fold(self.seed, |sum, byte| {
                sum.wrapping_mul(31).wrapping_add(u64::from(byte))
            });
        let suffix = suffix(&mut Draw(start));
        Arn::new(&scope(region, account), name, &suffix)
    }
}

/// Draws the six characters that AWS adds to a name.
pub(crate) fn suffix(draw: &mut Draw) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let letter = |_| char::from(LETTERS[draw.below(LETTERS.len())]);
    (0..6).map(letter).collect()
}

/// Returns the key of an account in a region.
pub(crate) fn scope(region: &str, account: &str) -> String {
    format!("{region}:{account}")
}
