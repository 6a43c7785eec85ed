//! The controller's own stage labels: they prevent AWS from deleting a version, and show when and by which cluster it
//! was pinned.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::names::{InvalidName, StageLabel, VersionId};
use crate::policy::Policy;
use crate::secret::Secret;
use crate::time::{AwsTime, ServerTime};

/// The prefix of every pin of every cluster.
pub const PREFIX: &str = "srp-pin-";

/// The maximum number of pins on one secret.
pub const MAX_PINS: usize = 5;

/// The number of labels that AWS allows on one secret.
pub const MAX_LABELS: usize = 20;

/// The cluster that a pin belongs to: six hexadecimal digits of the UID of namespace kube-system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClusterId(String);

impl ClusterId {
    /// Takes the first six hexadecimal digits of a UID.
    pub fn from_uid(uid: &str) -> Option<Self> {
        let digits: String = uid
            .chars()
            .filter(char::is_ascii_hexdigit)
            .take(6)
            .collect();
        (digits.len() == 6).then(|| Self(digits.to_ascii_lowercase()))
    }

    /// Returns the six digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A pin: `srp-pin-<cluster>-<creation minute of the operation, base 36>-<whole version id>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pin {
    /// The cluster that set it.
    pub cluster: ClusterId,
    /// Minutes since 1970 at which the operation that set it was created.
    pub minute: u64,
    /// The version it pins.
    pub version: VersionId,
}

impl Pin {
    /// Returns the pin that an operation created at `created` sets on `version`.
    pub fn new(cluster: ClusterId, created: ServerTime, version: VersionId) -> Self {
        Self {
            cluster,
            minute: minute_of(created),
            version,
        }
    }

    /// Parses a label; `None` if it is not a pin.
    pub fn parse(label: &StageLabel) -> Option<Self> {
        let mut parts = label.as_str().strip_prefix(PREFIX)?.splitn(3, '-');
        let (cluster, minute, version) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            cluster: ClusterId::from_uid(cluster).filter(|id| id.as_str() == cluster)?,
            minute: u64::from_str_radix(minute, 36).ok()?,
            version: VersionId::parse(version).ok()?,
        })
    }

    /// Returns the label as AWS stores it.
    ///
    ///
    /// # Errors
    ///
    ///
    /// Returns an error if the text is no valid label.
    pub fn label(&self) -> Result<StageLabel, InvalidName> {
        StageLabel::parse(self.to_string())
    }

    /// Returns the minute of the pin as an instant.
    pub fn time(&self) -> AwsTime {
        let second = i64::try_from(self.minute.saturating_mul(60)).unwrap_or(i64::MAX);
        AwsTime::new(Timestamp::from_second(second).unwrap_or(Timestamp::MAX))
    }

    /// Returns whether it was set less than `window` ago. Its minute is rounded down, so one more minute is allowed.
    pub fn is_within(&self, window: Duration, now: AwsTime) -> bool {
        now.since(self.time()) < window.saturating_add(Duration::from_mins(1))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{PREFIX}{}-{}-{}",
            self.cluster.as_str(),
            base36(self.minute),
            self.version
        )
    }
}

/// Returns the minute in the pins of an operation that was created at that time.
pub(crate) fn minute_of(created: ServerTime) -> u64 {
    u64::try_from(created.timestamp().as_second()).unwrap_or(0) / 60
}

/// Returns all pins on a secret with the version that carries each. It can differ from the version that the pin names.
pub fn on(secret: &Secret) -> impl Iterator<Item = (&VersionId, &StageLabel, Pin)> {
    secret
        .labels
        .iter()
        .flat_map(|(version, labels)| labels.iter().map(move |label| (version, label)))
        .filter_map(|(version, label)| Pin::parse(label).map(|pin| (version, label, pin)))
}

/// Returns whether another cluster has pinned a version of the secret within the attempt window: that cluster is
/// recovering the secret.
pub fn is_foreign(secret: &Secret, cluster: &ClusterId, policy: &Policy, now: AwsTime) -> bool {
    let window = policy.remediation.attempt_window;
    on(secret).any(|(_, _, pin)| pin.cluster != *cluster && pin.is_within(window, now))
}

/// Checks whether the labels of the secret leave room for one more pin.
///
///
/// # Errors
///
///
/// Returns what uses up the labels if there is no room.
pub fn check_room(secret: &Secret, cluster: &ClusterId) -> Result<(), Full> {
    let (labels, pins) = (secret.label_count(), on(secret).count());
    if pins < MAX_PINS && labels < MAX_LABELS {
        return Ok(());
    }
    let ours = on(secret).filter(|(_, _, pin)| pin.cluster == *cluster);
    Err(Full {
        labels,
        pins,
        ours: ours.count(),
        others: of_others(secret),
    })
}

/// Checks whether the pins of this cluster may be removed: no rotation is unfinished, a rotation succeeded after each
/// pin, and nothing changed for `window`.
///
///
/// # Errors
///
///
/// Returns the first condition that is not met, as a sentence.
pub fn releasable(
    secret: &Secret,
    cluster: &ClusterId,
    window: Duration,
    now: AwsTime,
) -> Result<(), &'static str> {
    let newest = on(secret)
        .filter(|(_, _, pin)| pin.cluster == *cluster)
        .map(|(_, _, pin)| pin.time())
        .max();
    let Some(newest) = newest else {
        return Err("the secret carries no pin of this cluster");
    };
    if secret.unfinished().is_some() {
        return Err("a rotation is not finished");
    }
    if secret.last_rotated.is_none_or(|rotated| rotated <= newest) {
        return Err("no rotation has succeeded since the last pin");
    }
    let quiet = secret
        .last_changed
        .is_some_and(|changed| now.since(changed) >= window);
    if quiet {
        Ok(())
    } else {
        Err("the secret changed within the attempt window")
    }
}

/// Describes why the pending version of a secret cannot be pinned, and so cannot be cleared. `None` if the version
/// carries a pin: it may be cleared with that one.
pub fn crowding(secret: &Secret) -> Option<String> {
    let (labels, pins) = (secret.label_count(), on(secret).count());
    let is_pinned = on(secret).any(|(version, ..)| secret.pending() == Some(version));
    if is_pinned || pins < MAX_PINS && labels < MAX_LABELS {
        return None;
    }
    let (what, advice) = if labels < MAX_LABELS {
        (
            format!("{pins} of at most {MAX_PINS} pins"),
            "release older pins with action ReleasePins",
        )
    } else {
        (
            format!("{labels} of at most {MAX_LABELS} labels"),
            "remove labels that no one uses",
        )
    };
    let names = named(&of_others(secret))
        .map_or_else(String::new, |names| format!(", other labels: {names}"));
    Some(format!(
        "AWSPENDING cannot be removed safely, because the secret carries {what}{names}; {advice}"
    ))
}

/// Returns the labels that are neither AWS's nor pins.
fn of_others(secret: &Secret) -> Vec<StageLabel> {
    let aws = [
        StageLabel::current(),
        StageLabel::pending(),
        StageLabel::previous(),
    ];
    let others = secret.labels.values().flatten();
    others
        .filter(|label| Pin::parse(label).is_none() && !aws.contains(label))
        .cloned()
        .collect()
}

fn named(labels: &[StageLabel]) -> Option<String> {
    let mut names: Vec<_> = labels.iter().map(|label| clipped(label.as_str())).collect();
    names.sort();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The labels on a secret that has no room for one more pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Full {
    labels: usize,
    pins: usize,
    ours: usize,
    others: Vec<StageLabel>,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            labels,
            pins,
            ours,
            others,
        } = self;
        write!(
            f,
            "the secret has no room for another pin, and nothing is cleared without one: it carries {labels} of at most \
             {MAX_LABELS} labels, among them {pins} of at most {MAX_PINS} pins, {ours} of them from this cluster"
        )?;
        if let Some(names) = named(others) {
            write!(f, "; other labels: {names}")?;
        }
        match (*labels >= MAX_LABELS, *ours) {
            (true, 0) => f.write_str("; remove labels that no one uses"),
            (true, _) => f.write_str(
                "; remove labels that no one uses, or release older pins with `kubectl secret-rotation release`",
            ),
            (false, 0) => f.write_str(
                "; another cluster set them: release older ones there with `kubectl secret-rotation release`",
            ),
            (false, _) => f.write_str("; release older pins with `kubectl secret-rotation release`"),
        }
    }
}

/// Shortens a label. It may have 256 characters, and a message must stay readable.
fn clipped(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Returns whether the secret carries a pin of any cluster.
pub fn has_any(secret: &Secret) -> bool {
    on(secret).next().is_some()
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(number % 36).unwrap_or(0);
        digits.push(char::from_digit(digit, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            break digits.into_iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin() -> Pin {
        let created = ServerTime::new("2026-11-23T10:00:42Z".parse().expect("a time"));
        let cluster = ClusterId::from_uid("0A1b2c3d-0000").expect("six digits");
        Pin::new(
            cluster,
            created,
            VersionId::parse("6F1C-with-hyphens").expect("valid"),
        )
    }

    #[test]
    fn a_pin_survives_being_written_and_read() {
        let label = pin().label().expect("short enough");
        assert_eq!(label.as_str(), "srp-pin-0a1b2c-htdco-6F1C-with-hyphens");
        assert_eq!(Pin::parse(&label), Some(pin()));
    }

    #[test]
    fn a_pin_of_the_longest_version_id_fits_a_label() {
        let version = VersionId::parse("v".repeat(64)).expect("valid");
        assert!(
            Pin {
                version,
                minute: u64::MAX,
                ..pin()
            }
            .label()
            .is_ok()
        );
    }

    #[test]
    fn labels_of_others_are_not_pins() {
        for text in [
            "AWSPENDING",
            "srp-pin-",
            "srp-pin-0a1b2-1-v",
            "srp-pin-0a1b2c-!-v",
            "srp-pin-0a1b2c-1",
            "srp-pin-zzzzzz-1-v",
        ] {
            assert_eq!(
                Pin::parse(&StageLabel::parse(text).expect("a label")),
                None,
                "{text}"
            );
        }
    }

    #[test]
    fn a_pin_is_dated_to_the_minute() {
        assert_eq!(pin().time().to_string(), "2026-11-23T10:00:00Z");
    }
}
