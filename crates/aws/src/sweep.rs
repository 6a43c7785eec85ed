//! One sweep over everything in scope.

use std::collections::{BTreeMap, BTreeSet};

use secret_rotation_core::identity::{Arn, SecretName};
use secret_rotation_core::inventory::{Inventory, Observation};

use crate::account::Account;

/// What a sweep reads, from the cheapest to the dearest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// These secrets, by `DescribeSecret` each.
    Names(BTreeSet<SecretName>),
    /// Secrets whose names begin so, by filtered lists.
    Prefixes(BTreeSet<String>),
    /// Every secret of the region.
    Everything,
}

impl Account {
    /// Sweeps.
    pub async fn inventory(&self, scope: &Scope, last: &BTreeMap<Arn, Observation>) -> Inventory {
        let _ = (scope, last);
        Inventory {
            time: self
                .now()
                .unwrap_or(secret_rotation_core::clock::AwsTime::new(
                    jiff::Timestamp::UNIX_EPOCH,
                )),
            region: self.region().clone(),
            secrets: BTreeMap::new(),
            missing: Vec::new(),
            gap: Some(crate::errors::malformed(None)),
        }
    }
}
