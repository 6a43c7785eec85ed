//! What is known of one region of a profile: its last sweep, and the looks since then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use secret_rotation_core::authorise::under_ceiling;
use secret_rotation_core::aws_error::AwsError;
use secret_rotation_core::inventory::{Inventory, Observation};
use secret_rotation_core::names::{AccountId, Arn, Uid};
use secret_rotation_core::ownership::BoundPolicy;
use secret_rotation_core::secret::{Secret, VersionListing};
use secret_rotation_core::selector::Selector;
use secret_rotation_core::time::AwsTime;
use tokio::time::Instant;

/// How long after a sweep missed a secret the next sweep runs, to confirm that the secret is gone.
const FIRST_CONFIRMATION: Duration = Duration::from_secs(15);

/// The pause before later confirming sweeps: two complete sweeps must be this far apart.
const NEXT_CONFIRMATION: Duration = Duration::from_mins(5);

/// What is known of one region of a profile.
#[derive(Clone, Debug, Default)]
pub(super) struct RegionRecord {
    pub(super) inventory: Option<Arc<Inventory>>,
    /// Why the last sweep was incomplete.
    pub(super) gap: Option<AwsError>,
    /// The number of consecutive incomplete sweeps.
    pub(super) failures: u32,
    pub(super) began: Option<Instant>,
    pub(super) ended: Option<Instant>,
    /// How soon another sweep must confirm that the secrets that this one missed are gone.
    pub(super) confirm_after: Option<Duration>,
    /// The time of AWS at an instant of the local clock, from which the time of AWS now is derived.
    pub(super) time: Option<(AwsTime, Instant)>,
    /// What the last sweep read for each policy.
    pub(super) served: BTreeMap<Uid, Selector>,
    /// What the last complete sweep read for each policy. For these policies it is known which secrets are absent.
    pub(super) complete_for: BTreeMap<Uid, Selector>,
    /// The smallest maximum age of the policies. The last sweep looked up the age of versions for it.
    pub(super) max_age: Option<Duration>,
    /// The check interval of each policy, from which the time of the next sweep was computed.
    pub(super) check_intervals: BTreeMap<Uid, Duration>,
    /// When a sweep or a look last began.
    pub(super) active: Option<Instant>,
    /// When single secrets were looked at since the sweep.
    pub(super) looked: BTreeMap<Arn, Instant>,
    /// The number of consecutive looks at single secrets in which one had no answer.
    pub(super) misses: u32,
    /// The accounts of the secrets that were visible last.
    pub(super) accounts: BTreeSet<AccountId>,
    /// What was read since the sweep for single policies that requested it.
    pub(super) own: BTreeMap<Uid, Arc<RegionRecord>>,
}

impl RegionRecord {
    /// Returns whether the last sweep read exactly this selection for the policy. A sweep of a narrower selection
    /// does not show what it left out.
    pub(super) fn covers(&self, policy: &Uid, selection: &Selector) -> bool {
        self.served.get(policy) == Some(selection)
    }

    /// Returns whether a complete sweep has read this selection for the policy.
    pub(super) fn is_complete_for(&self, policy: &Uid, selection: &Selector) -> bool {
        self.complete_for.get(policy) == Some(selection)
    }

    /// Returns what is known for a policy: what was read for it alone, if that is newer than the last sweep;
    /// otherwise the sweep.
    pub(super) fn for_policy(&self, policy: &Uid, selection: &Selector) -> &Self {
        let own = self.own.get(policy).map(AsRef::as_ref);
        own.filter(|own| own.covers(policy, selection))
            .unwrap_or(self)
    }

    /// Returns the record from which a look for some policies alone starts.
    pub(super) fn base_for(&self, policies: &BTreeMap<Uid, Selector>) -> Self {
        let complete = policies.iter().filter(|(policy, selection)| {
            let known = self.for_policy(policy, selection);
            known.is_complete_for(policy, selection)
        });
        let failures = policies.keys().filter_map(|policy| self.own.get(policy));
        Self {
            inventory: self.inventory.clone(),
            failures: failures.map(|own| own.failures).max().unwrap_or(0),
            complete_for: complete
                .map(|(policy, selection)| (policy.clone(), selection.clone()))
                .collect(),
            ..Self::default()
        }
    }

    /// Returns how soon another sweep must confirm that missed secrets are gone. The first confirmation follows
    /// immediately. Later ones are as far apart as lists of AWS may lag.
    pub(super) fn confirmation_delay(inventory: &Inventory) -> Option<Duration> {
        let rows = inventory.secrets.values();
        let missed = rows.filter_map(|row| row.unseen?.missed);
        let latest = missed.max()?;
        Some(if latest >= inventory.time {
            FIRST_CONFIRMATION
        } else {
            NEXT_CONFIRMATION
        })
    }

    /// Merges what a look for some policies alone saw. The result is kept for these policies, and its rows are merged
    /// for all.
    pub(super) fn merge_read(&mut self, look: Self, policies: &[BoundPolicy]) {
        let Some(seen) = look.inventory.clone() else {
            return;
        };
        let wanted = |secret: &Secret| policies.iter().any(|one| may_look(one, secret));
        self.merge_seen(&seen, look.began);
        if let Some(known) = &self.inventory {
            // A secret that the look knows to be gone is removed. A secret that it could not see is in the result,
            // with a mark.
            let is_there = |arn: &Arn, row: &Observation| {
                seen.secrets.contains_key(arn) || !wanted(&row.secret)
            };
            let mut all = Inventory::clone(known);
            all.secrets.retain(|arn, row| is_there(arn, row));
            for (arn, row) in &seen.secrets {
                if row.unseen.is_some() || !all.secrets.contains_key(arn) {
                    all.secrets.insert(arn.clone(), row.clone());
                    all.looked_again.insert(arn.clone(), seen.time);
                }
            }
            self.inventory = Some(Arc::new(all));
        }
        self.time = look.time.or(self.time);
        let look = Arc::new(look);
        for policy in look.served.keys() {
            self.own.insert(policy.clone(), Arc::clone(&look));
        }
    }

    /// Merges what was seen of some secrets wherever they are known. The time of the sweep stays the same, because
    /// nothing in it becomes older.
    pub(super) fn merge_seen(&mut self, seen: &Inventory, began: Option<Instant>) {
        if let Some(known) = &self.inventory {
            self.inventory = Some(Arc::new(with_seen(known, seen)));
        }
        for own in self.own.values_mut() {
            if let Some(known) = own.inventory.clone() {
                Arc::make_mut(own).inventory = Some(Arc::new(with_seen(&known, seen)));
            }
        }
        if let Some(began) = began {
            let readable = seen.secrets.iter().filter(|(_, row)| was_seen_now(row));
            self.looked
                .extend(readable.map(|(arn, _)| (arn.clone(), began)));
        }
    }

    /// Returns whether a sweep or look that began at `outdated` or later saw the secret.
    pub(super) fn was_seen_since(&self, arn: &Arn, outdated: Instant) -> bool {
        let row = |inventory: &Inventory| inventory.secrets.get(arn).is_some_and(is_visible);
        let is_there = self.inventory.as_deref().is_some_and(row);
        let swept = self.began.is_some_and(|began| began >= outdated);
        let looked = self.looked.get(arn).is_some_and(|at| *at >= outdated);
        is_there && (swept || looked)
    }
}

fn is_visible(row: &Observation) -> bool {
    row.unseen.is_none()
}

/// Returns whether the look saw the secret now.
fn was_seen_now(row: &Observation) -> bool {
    row.unseen.is_none() && row.unreadable.is_none()
}

/// Returns the inventory, with new rows for those of its secrets that were seen now.
fn with_seen(known: &Inventory, seen: &Inventory) -> Inventory {
    let mut all = known.clone();
    for (arn, fresh) in seen.secrets.iter().filter(|(_, row)| was_seen_now(row)) {
        let Some(before) = all.secrets.get(arn) else {
            continue;
        };
        let versions = listed_before(before, fresh);
        let fresh = Observation {
            versions: fresh.versions.clone().or(versions),
            ..fresh.clone()
        };
        all.secrets.insert(arn.clone(), fresh);
        all.looked_again
            .insert(arn.clone(), seen.seen_at(arn, &all.secrets[arn]));
    }
    all
}

/// Returns the versions that were listed before, if the current and the pending version are still the same.
fn listed_before(before: &Observation, fresh: &Observation) -> Option<VersionListing> {
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

/// Returns whether a policy selects the secret within its bounds.
pub(super) fn may_look(bound_policy: &BoundPolicy, secret: &Secret) -> bool {
    let BoundPolicy {
        tenant,
        profile,
        policy,
    } = bound_policy;
    policy.selector.selects(secret)
        && under_ceiling(&tenant.namespace, profile, &secret.name).is_ok()
}

#[cfg(test)]
mod tests {
    use fixtures::{
        arn, aws_error, bare_secret, labelled, minutes, now, observation, policy, selecting,
        version,
    };
    use secret_rotation_core::aws_error::ErrorClass;
    use secret_rotation_core::inventory::Unseen;
    use secret_rotation_core::selector::Matcher;

    use super::*;
    use crate::clock;

    #[test]
    fn a_second_look_replaces_only_the_rows_that_it_saw_and_their_time() {
        let known = inventory(0, [current("a", "one"), current("b", "one")]);
        let renewed = with_seen(&known, &inventory(3, [current("b", "two")]));
        let b = arn("b");
        assert_eq!(renewed.secrets[&b], current("b", "two"));
        assert_eq!(renewed.seen_at(&b, &renewed.secrets[&b]), at(3));
        let a = arn("a");
        assert_eq!(renewed.seen_at(&a, &renewed.secrets[&a]), at(0));
        assert_eq!(renewed.time, at(0));
    }

    #[test]
    fn a_secret_that_cannot_be_read_stays_as_it_was_known() {
        let known = inventory(0, [current("a", "one")]);
        let seen = Observation {
            unreadable: Some(aws_error(ErrorClass::Denied)),
            ..bare("a")
        };
        assert_eq!(with_seen(&known, &inventory(3, [seen])), known);
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
        let known = inventory(0, [listed.clone()]);
        let row = |seen| with_seen(&known, &inventory(3, [seen])).secrets[&arn("a")].clone();
        assert_eq!(row(current("a", "one")), listed);
        assert_eq!(row(current("a", "two")), current("a", "two"));
    }

    #[test]
    fn a_read_for_one_policy_belongs_to_it_and_its_rows_are_shared() {
        let mut record = swept([current("prod/a", "one"), current("other/b", "one")]);
        let team = bound_policy();
        let look = read(
            &team,
            3,
            [current("prod/a", "two"), current("prod/c", "one")],
        );
        record.merge_read(look, std::slice::from_ref(&team));
        let (uid, selection) = (&team.policy.uid, &team.policy.selector);
        let own = record
            .for_policy(uid, selection)
            .inventory
            .as_ref()
            .expect("it was read");
        assert_eq!((own.time, own.secrets.len()), (at(3), 2));
        let all = record.inventory.as_ref().expect("all were swept");
        let names: Vec<_> = all
            .secrets
            .values()
            .map(|row| row.secret.name.as_str())
            .collect();
        assert_eq!(names, ["other/b", "prod/a", "prod/c"]);
        assert_eq!(all.secrets[&arn("prod/a")], current("prod/a", "two"));
        assert_eq!((all.time, all.looked_again[&arn("prod/a")]), (at(0), at(3)));
        assert!(
            record
                .for_policy(&fixtures::uid("other"), selection)
                .own
                .contains_key(uid),
            "the sweep"
        );
    }

    #[test]
    fn a_policy_whose_selection_has_changed_since_is_not_served() {
        let mut record = swept([]);
        let mut team = bound_policy();
        record.merge_read(read(&team, 3, []), std::slice::from_ref(&team));
        let uid = team.policy.uid.clone();
        assert!(
            record
                .for_policy(&uid, &team.policy.selector)
                .covers(&uid, &team.policy.selector)
        );
        team.policy.selector.include = vec![Matcher::default()];
        assert!(
            !record
                .for_policy(&uid, &team.policy.selector)
                .covers(&uid, &team.policy.selector)
        );
    }

    #[test]
    fn secrets_that_a_read_knows_to_be_gone_are_removed_and_unseen_ones_are_marked() {
        let mut record = swept([
            current("prod/a", "one"),
            current("prod/b", "one"),
            current("other/c", "one"),
        ]);
        let team = bound_policy();
        let unseen = Observation {
            unseen: Some(Unseen {
                since: at(0),
                missed: Some(at(3)),
            }),
            ..current("prod/b", "one")
        };
        record.merge_read(
            read(&team, 3, [unseen.clone()]),
            std::slice::from_ref(&team),
        );
        let all = record.inventory.as_ref().expect("all were swept");
        assert_eq!(all.secrets.len(), 2, "a is gone, and c was not asked for");
        assert_eq!(all.secrets[&arn("prod/b")], unseen);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_at_a_secret_is_as_good_as_a_sweep_and_a_failed_one_is_not() {
        let mut record = swept([current("a", "one"), current("b", "one")]);
        let began = clock::now();
        record.began = Some(began);
        let later = began + Duration::from_secs(5);
        let saw = |record: &RegionRecord, name: &str| record.was_seen_since(&arn(name), later);
        assert!(record.was_seen_since(&arn("a"), began) && !saw(&record, "a"));
        let torn = Observation {
            unreadable: Some(aws_error(ErrorClass::Unreachable)),
            ..bare("b")
        };
        record.merge_seen(&inventory(3, [current("a", "one"), torn]), Some(later));
        assert!(saw(&record, "a") && !saw(&record, "b"));
    }

    #[test]
    fn a_look_at_a_secret_reaches_every_view_of_it() {
        let mut record = swept([current("prod/a", "one")]);
        let team = bound_policy();
        record.merge_read(
            read(&team, 3, [current("prod/a", "one")]),
            std::slice::from_ref(&team),
        );
        record.merge_seen(&inventory(4, [current("prod/a", "two")]), None);
        let own = record.for_policy(&team.policy.uid, &team.policy.selector);
        for view in [&record, own] {
            let inventory = view.inventory.as_ref().expect("it was seen");
            assert_eq!(inventory.secrets[&arn("prod/a")], current("prod/a", "two"));
        }
    }

    fn swept<const N: usize>(rows: [Observation; N]) -> RegionRecord {
        RegionRecord {
            inventory: Some(Arc::new(inventory(0, rows))),
            ..RegionRecord::default()
        }
    }

    fn read<const N: usize>(
        policy: &BoundPolicy,
        minute: u64,
        rows: [Observation; N],
    ) -> RegionRecord {
        let selection = (policy.policy.uid.clone(), policy.policy.selector.clone());
        RegionRecord {
            inventory: Some(Arc::new(inventory(minute, rows))),
            served: [selection].into(),
            ..RegionRecord::default()
        }
    }

    fn inventory<const N: usize>(minute: u64, seen: [Observation; N]) -> Inventory {
        Inventory {
            time: at(minute),
            completed: None,
            ..fixtures::inventory(seen.into())
        }
    }

    fn at(minute: u64) -> AwsTime {
        now().plus(minutes(minute))
    }

    fn bare(name: &str) -> Observation {
        observation(bare_secret(name), None)
    }

    fn current(name: &str, id: &str) -> Observation {
        observation(labelled(bare_secret(name), "AWSCURRENT", id), None)
    }

    /// Returns a policy that selects the secrets below `prod/`.
    fn bound_policy() -> BoundPolicy {
        fixtures::bound_policy(selecting(policy("payments"), "prod/"))
    }
}
