//! Staging labels, and the labels of one version in little memory.

use std::collections::BTreeSet;

use serde::{Serialize, Serializer};

pub(crate) const CURRENT: &str = "AWSCURRENT";
pub(crate) const PENDING: &str = "AWSPENDING";
pub(crate) const PREVIOUS: &str = "AWSPREVIOUS";

/// The labels that AWS uses itself, in their order.
const OWN: [&str; 3] = [CURRENT, PENDING, PREVIOUS];

/// The labels of one version: those of AWS as flags, all others in a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelSet {
    own: [bool; OWN.len()],
    #[expect(
        clippy::box_collection,
        reason = "hardly any version has other labels, so the room for them counts"
    )]
    other: Option<Box<BTreeSet<String>>>,
}

impl LabelSet {
    pub(crate) fn contains(&self, label: &str) -> bool {
        match own(label) {
            Some(index) => self.own[index],
            None => self
                .other
                .as_ref()
                .is_some_and(|other| other.contains(label)),
        }
    }

    pub(crate) fn insert(&mut self, label: &str) {
        if let Some(index) = own(label) {
            self.own[index] = true;
        } else {
            let other = self.other.get_or_insert_default();
            other.insert(label.to_owned());
        }
    }

    pub(crate) fn remove(&mut self, label: &str) {
        if let Some(index) = own(label) {
            self.own[index] = false;
        } else if let Some(other) = &mut self.other {
            other.remove(label);
            self.other.take_if(|other| other.is_empty());
        }
    }

    /// Returns the labels, those of AWS first.
    fn iter(&self) -> impl Iterator<Item = &str> {
        let flags = OWN.iter().zip(self.own);
        let own = flags.filter_map(|(label, held)| held.then_some(*label));
        own.chain(
            self.other
                .iter()
                .flat_map(|other| other.iter().map(String::as_str)),
        )
    }

    pub(crate) fn len(&self) -> usize {
        self.iter().count()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.own == [false; OWN.len()] && self.other.is_none()
    }

    pub(crate) fn to_set(&self) -> BTreeSet<String> {
        self.iter().map(str::to_owned).collect()
    }
}

fn own(label: &str) -> Option<usize> {
    OWN.iter().position(|own| *own == label)
}

impl<'a> FromIterator<&'a str> for LabelSet {
    fn from_iter<I: IntoIterator<Item = &'a str>>(labels: I) -> Self {
        let mut set = Self::default();
        for label in labels {
            set.insert(label);
        }
        set
    }
}

impl Serialize for LabelSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.other.is_none() {
            return serializer.collect_seq(self.iter());
        }
        serializer.collect_seq(self.to_set())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_written_in_order() {
        let mut labels: LabelSet = ["srp", PREVIOUS, "ADMIN", CURRENT].into_iter().collect();
        labels.remove("absent");
        let text = serde_json::to_string(&labels).unwrap();
        assert_eq!(text, r#"["ADMIN","AWSCURRENT","AWSPREVIOUS","srp"]"#);
        assert_eq!(labels.len(), 4);
    }

    #[test]
    fn labels_that_are_removed_leave_nothing() {
        let mut labels: LabelSet = [CURRENT, "srp"].into_iter().collect();
        assert!(labels.contains("srp") && labels.contains(CURRENT));
        labels.remove("srp");
        labels.remove(CURRENT);
        assert!(labels.is_empty());
        assert_eq!(labels, LabelSet::default());
    }
}
