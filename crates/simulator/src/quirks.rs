//! Switches for the behavior that AWS does not document. The controller must be safe with every setting.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// One setting of all switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent switch, not a state of a machine"
)]
pub struct Quirks {
    /// A pending version without a value appears in `ListSecretVersionIds`. (PCS guide: it can be omitted.)
    pub empty_pending_listed: bool,
    /// A pending version with a value is omitted from `ListSecretVersionIds` too.
    pub valued_pending_omitted: bool,
    /// The answer to attaching a custom label to a version without a value.
    pub label_on_empty: LabelOnEmpty,
    /// `UpdateSecretVersionStage` that moves AWSCURRENT onto the pending version also drops AWSPENDING there.
    pub promote_drops_pending: bool,
    /// Attaching a label to the version that has it already fails, instead of doing nothing.
    pub already_attached_fails: bool,
    /// A refused `RotateSecret` makes AWS run the pending version again.
    pub retry_on_rotate: bool,
    /// The number of times that AWS retries a failed rotation on the same UTC day.
    pub own_retries: u32,
    /// Seconds between these retries.
    pub own_retry_interval: u32,
    /// `RotateSecret` with the token of the pending version succeeds without effect.
    pub same_token_succeeds: bool,
    /// Seconds after a finished rotation until AWS removes AWSPENDING.
    pub finish_delay: u32,
    /// AWS starts a rotation at `NextRotationDate`.
    pub schedules_run: bool,
    /// A label that moves sets `LastChangedDate`.
    pub label_moves_date: bool,
    /// Seconds for which the replicas of a secret are `InProgress` after a change.
    pub replication_delay: u32,
    /// Replicas are `Failed`.
    pub replication_fails: bool,
}

/// The answer to attaching a custom label to a version without a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelOnEmpty {
    /// Success.
    #[default]
    Accepted,
    /// `InvalidParameterException`.
    InvalidParameter,
    /// `ResourceNotFoundException`.
    NotFound,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            empty_pending_listed: false,
            valued_pending_omitted: false,
            label_on_empty: LabelOnEmpty::Accepted,
            promote_drops_pending: false,
            already_attached_fails: false,
            retry_on_rotate: true,
            own_retries: 3,
            own_retry_interval: 600,
            same_token_succeeds: true,
            finish_delay: 2,
            schedules_run: true,
            label_moves_date: true,
            replication_delay: 0,
            replication_fails: false,
        }
    }
}

impl Quirks {
    /// Derives every switch from a seed. The same seed always gives the same quirks.
    pub fn from_seed(seed: u64) -> Self {
        let mut draw = Draw(seed);
        Self {
            empty_pending_listed: draw.coin(),
            valued_pending_omitted: draw.coin(),
            label_on_empty: [
                LabelOnEmpty::Accepted,
                LabelOnEmpty::InvalidParameter,
                LabelOnEmpty::NotFound,
            ][draw.below(3)],
            promote_drops_pending: draw.coin(),
            already_attached_fails: draw.coin(),
            retry_on_rotate: draw.coin(),
            own_retries: [0, 3, 8][draw.below(3)],
            own_retry_interval: [120, 600, 1800][draw.below(3)],
            same_token_succeeds: draw.coin(),
            finish_delay: [0, 2, 30][draw.below(3)],
            schedules_run: draw.coin(),
            label_moves_date: draw.coin(),
            replication_delay: [0, 5, 60][draw.below(3)],
            replication_fails: draw.coin(),
        }
    }
}

/// The switches to set, by name. Other switches keep their values. `seed` sets all of them first.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct QuirksChange(Map<String, Value>);

impl TryFrom<Map<String, Value>> for QuirksChange {
    type Error = String;

    fn try_from(switches: Map<String, Value>) -> Result<Self, String> {
        if let Some(seed) = switches.get("seed").filter(|seed| !seed.is_u64()) {
            return Err(format!(
                "the seed {seed} of a world is not a non-negative integer"
            ));
        }
        let change = Self(switches);
        change
            .on(&Quirks::default())
            .map_err(|error| error.to_string())?;
        Ok(change)
    }
}

impl QuirksChange {
    /// Returns the quirks with these switches set.
    pub(crate) fn apply(&self, quirks: &Quirks) -> Quirks {
        self.on(quirks)
            .expect("a change is validated when it is parsed")
    }

    fn on(&self, quirks: &Quirks) -> serde_json::Result<Quirks> {
        let mut switches = self.0.clone();
        let seed = switches.remove("seed").and_then(|seed| seed.as_u64());
        let drawn = seed.map(Quirks::from_seed);
        let mut all = json!(drawn.as_ref().unwrap_or(quirks));
        if let Some(all) = all.as_object_mut() {
            all.extend(switches);
        }
        serde_json::from_value(all)
    }
}

/// `SplitMix64`: a small generator that gives the same numbers on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64)
            .expect("smaller than the bound, which is a usize")
    }

    /// Returns a number from 0 to 1, excluding 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let fraction = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        fraction
    }

    fn coin(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }
}
