//! Compact forms of the parts of a secret. Each form gives back exactly what was packed, dates to the microsecond.

use jiff::Timestamp;
use uuid::Uuid;

use crate::names::{StageLabel, VersionId};
use crate::secret::{LabelMap, VersionListing};
use crate::time::AwsTime;

/// A date in microseconds since 1970, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Micros(i64);

impl Micros {
    /// Stands for no date.
    pub(crate) const NONE: Self = Self(i64::MIN);

    /// Packs a date.
    pub(crate) fn of(time: Option<AwsTime>) -> Self {
        time.map_or(Self::NONE, |time| Self(time.timestamp().as_microsecond()))
    }

    /// Returns the date.
    pub(crate) fn time(self) -> Option<AwsTime> {
        let timestamp = Timestamp::from_microsecond(self.0).ok()?;
        Some(AwsTime::new(timestamp))
    }
}

/// A version id: 16 bytes for what AWS makes, and the text for what people make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CompactId {
    Uuid([u8; 16]),
    Text(Box<str>),
}

impl CompactId {
    pub(crate) fn of(id: &VersionId) -> Self {
        packed(id.as_str()).map_or_else(|| Self::Text(id.as_str().into()), Self::Uuid)
    }

    pub(crate) fn id(&self) -> Option<VersionId> {
        match self {
            Self::Uuid(bytes) => unpacked(*bytes),
            Self::Text(text) => VersionId::parse(&**text).ok(),
        }
    }
}

/// Returns the bytes of a UUID in its canonical form. AWS compares ids verbatim, so another form of the same UUID is
/// another id, and stays text.
pub(crate) fn packed(id: &str) -> Option<[u8; 16]> {
    let uuid = Uuid::try_parse(id).ok()?;
    let mut buffer = Uuid::encode_buffer();
    (uuid.hyphenated().encode_lower(&mut buffer) == id).then(|| uuid.into_bytes())
}

/// Returns the id of the bytes.
pub(crate) fn unpacked(bytes: [u8; 16]) -> Option<VersionId> {
    VersionId::parse(Uuid::from_bytes(bytes).hyphenated().to_string()).ok()
}

/// A label: nothing for the labels of AWS, and the text for others.
#[derive(Clone, Debug, PartialEq, Eq)]
enum CompactLabel {
    Current,
    Pending,
    Previous,
    Text(Box<str>),
}

impl CompactLabel {
    fn of(label: &StageLabel) -> Self {
        match label.as_str() {
            "AWSCURRENT" => Self::Current,
            "AWSPENDING" => Self::Pending,
            "AWSPREVIOUS" => Self::Previous,
            text => Self::Text(text.into()),
        }
    }

    fn label(&self) -> Option<StageLabel> {
        match self {
            Self::Current => Some(StageLabel::current()),
            Self::Pending => Some(StageLabel::pending()),
            Self::Previous => Some(StageLabel::previous()),
            Self::Text(text) => StageLabel::parse(&**text).ok(),
        }
    }
}

/// All labels of a secret, each with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CompactLabels(Box<[(CompactId, CompactLabel)]>);

impl CompactLabels {
    pub(crate) fn of(labels: &LabelMap) -> Self {
        let pairs = labels.iter().flat_map(|(version, labels)| {
            let id = CompactId::of(version);
            labels
                .iter()
                .map(move |label| (id.clone(), CompactLabel::of(label)))
        });
        Self(pairs.collect())
    }

    pub(crate) fn labels(&self) -> LabelMap {
        let mut labels = LabelMap::new();
        for (id, label) in &self.0 {
            if let (Some(id), Some(label)) = (id.id(), label.label()) {
                labels.entry(id).or_default().insert(label);
            }
        }
        labels
    }
}

/// A list of versions with their dates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CompactVersions(Box<[(CompactId, Micros)]>);

impl CompactVersions {
    pub(crate) fn of(listing: &VersionListing) -> Self {
        let versions = listing.created.iter();
        Self(
            versions
                .map(|(id, created)| (CompactId::of(id), Micros::of(*created)))
                .collect(),
        )
    }

    pub(crate) fn listing(&self) -> VersionListing {
        let versions = self.0.iter();
        VersionListing {
            created: versions
                .filter_map(|(id, created)| Some((id.id()?, created.time())))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> VersionId {
        VersionId::parse(text).expect("an id")
    }

    #[test]
    fn every_version_id_comes_back_verbatim() {
        for text in [
            "550e8400-e29b-41d4-a716-446655440000",
            "550E8400-E29B-41D4-A716-446655440000",
            "550e8400e29b41d4a716446655440000",
            "{550e8400-e29b-41d4-a716-446655440000}",
            "urn:uuid:550e8400-e29b-41d4-a716-446655440000",
            "terraform-20261128",
            "v",
        ] {
            assert_eq!(CompactId::of(&id(text)).id(), Some(id(text)), "{text}");
        }
        let uuid = CompactId::of(&id("550e8400-e29b-41d4-a716-446655440000"));
        assert!(matches!(uuid, CompactId::Uuid(_)));
    }

    #[test]
    fn dates_come_back_to_the_microsecond() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2026-11-28T05:23:12.123456Z",
            "9999-12-30T22:00:00Z",
            "-000001-01-01T00:00:00Z",
        ] {
            let time = AwsTime::new(text.parse().expect("a time"));
            assert_eq!(Micros::of(Some(time)).time(), Some(time), "{text}");
        }
        assert_eq!(Micros::of(None).time(), None);
        let finer = AwsTime::new("2026-11-28T05:23:12.123456789Z".parse().expect("a time"));
        let packed = Micros::of(Some(finer));
        assert_eq!(
            Micros::of(packed.time()),
            packed,
            "packing twice changes nothing"
        );
    }
}
