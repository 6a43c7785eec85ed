//! A second look at secrets to which something may have happened since the last sweep.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use secret_rotation_aws::Scope;
use secret_rotation_core::identity::{Arn, SecretName};
use secret_rotation_core::inventory::{Inventory, Observation};
use secret_rotation_core::ownership::Claimant;
use secret_rotation_core::secret::VersionListing;

use super::{Record, may_look};
use crate::accounts::Place;
use crate::context::Context;

/// Looks at these secrets, as far as the last sweep knew them and a policy wants them.
///
/// What cannot be read now stays as it was known: the sweep that follows tells whether that lasts.
pub(super) async fn look(
    context: &Context,
    place: &Place,
    served: &[Claimant],
    last: &Record,
    secrets: &BTreeSet<Arn>,
) -> Option<Arc<Inventory>> {
    let known = last.inventory.as_ref()?;
    let profile = &served.first()?.profile;
    let wanted = |seen: &&Observation| {
        served
            .iter()
            .any(|claimant| may_look(claimant, &seen.secret))
    };
    let names: BTreeSet<SecretName> = secrets
        .iter()
        .filter_map(|arn| known.secrets.get(arn))
        .filter(wanted)
        .map(|seen| seen.secret.name.clone())
        .collect();
    if names.is_empty() {
        return None;
    }
    let account = context.accounts.of(profile, &place.region).await.account;
    let scope = Scope::Names(names);
    let seen = account
        .inventory(&scope, &known.secrets, &|_| true, None)
        .await;
    context.watching.swept(&seen);
    Some(Arc::new(renewed(known, seen.secrets)))
}

/// The inventory with what was seen now. Its time stays that of the sweep: nothing in it is older.
fn renewed(known: &Inventory, seen: BTreeMap<Arn, Observation>) -> Inventory {
    let mut secrets = known.secrets.clone();
    for (arn, fresh) in seen {
        if fresh.unreadable.is_none() {
            let versions = secrets
                .get(&arn)
                .and_then(|before| still_valid(before, &fresh));
            let fresh = Observation {
                versions: fresh.versions.or(versions),
                ..fresh
            };
            secrets.insert(arn, fresh);
        }
    }
    Inventory {
        secrets,
        ..known.clone()
    }
}

/// The versions that were listed before, if they are about the same ones.
fn still_valid(before: &Observation, fresh: &Observation) -> Option<VersionListing> {
    let subject = |seen: &Observation| {
        (
            seen.secret.unfinished().cloned(),
            seen.secret.current().cloned(),
        )
    };
    before
        .versions
        .clone()
        .filter(|_| subject(before) == subject(fresh))
}

#[cfg(test)]
mod tests {
    use secret_rotation_core::clock::AwsTime;
    use secret_rotation_core::identity::{StageLabel, VersionId};
    use secret_rotation_core::outcome::{AwsError, ErrorClass};

    use super::*;
    use crate::testing::{observation, region};

    #[test]
    fn a_second_look_replaces_what_it_saw_and_keeps_the_time_of_the_sweep() {
        let known = inventory([current("a", "one"), current("b", "one")]);
        let seen = [current("b", "two")];
        let expected = inventory([current("a", "one"), current("b", "two")]);
        assert_eq!(renewed(&known, by_arn(seen)), expected);
    }

    #[test]
    fn what_cannot_be_read_stays_as_it_was_known() {
        let known = inventory([current("a", "one")]);
        let denied = AwsError {
            class: ErrorClass::Denied,
            code: None,
            request_id: None,
        };
        let seen = Observation {
            unreadable: Some(denied),
            ..observation("a")
        };
        assert_eq!(renewed(&known, by_arn([seen])), known);
    }

    #[test]
    fn versions_are_kept_while_they_are_about_the_same_current_one() {
        let listing = VersionListing {
            created: [(version("one"), None)].into(),
        };
        let listed = Observation {
            versions: Some(listing.clone()),
            ..current("a", "one")
        };
        let known = inventory([listed.clone()]);
        assert_eq!(renewed(&known, by_arn([current("a", "one")])), known);
        assert_eq!(
            renewed(&known, by_arn([current("a", "two")])),
            inventory([current("a", "two")])
        );
    }

    fn version(id: &str) -> VersionId {
        VersionId::parse(id).expect("an id")
    }

    fn current(name: &str, id: &str) -> Observation {
        let mut seen = observation(name);
        seen.secret.labels = [(version(id), [StageLabel::current()].into())].into();
        seen
    }

    fn by_arn(seen: impl IntoIterator<Item = Observation>) -> BTreeMap<Arn, Observation> {
        seen.into_iter()
            .map(|seen| (seen.secret.arn.clone(), seen))
            .collect()
    }

    fn inventory(seen: impl IntoIterator<Item = Observation>) -> Inventory {
        Inventory {
            time: AwsTime::new("2026-11-23T10:00:00Z".parse().expect("a time")),
            region: region(),
            secrets: by_arn(seen),
            missing: Vec::new(),
            gone: BTreeSet::new(),
            unread: BTreeMap::new(),
            gap: None,
            completed: None,
        }
    }
}
