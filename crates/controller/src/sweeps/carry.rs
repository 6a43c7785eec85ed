//! What stays known when a sweep did not see everything: absent is not gone.

use std::sync::Arc;

use secret_rotation_core::inventory::Inventory;

/// After this many incomplete sweeps in a row, what they see counts for itself.
const PATIENCE: u32 = 3;

/// The inventory to judge by, from the last one and what was seen now.
///
/// What an incomplete sweep did not see is carried over for a while, and with it the older time: ages are then
/// measured too short, never too long.
pub(super) fn over(
    last: Option<&Arc<Inventory>>,
    seen: Option<Inventory>,
    failures: u32,
) -> Option<Arc<Inventory>> {
    let Some(seen) = seen else {
        return last.cloned();
    };
    match last {
        Some(last) if failures > 0 && failures < PATIENCE => Some(Arc::new(merged(last, seen))),
        Some(last) if failures > 0 && seen.secrets.is_empty() => Some(Arc::clone(last)),
        Some(_) | None => Some(Arc::new(seen)),
    }
}

fn merged(last: &Inventory, seen: Inventory) -> Inventory {
    let mut secrets = last.secrets.clone();
    secrets.extend(seen.secrets);
    Inventory {
        time: last.time.min(seen.time),
        secrets,
        ..seen
    }
}

#[cfg(test)]
mod tests {
    use secret_rotation_core::clock::AwsTime;
    use secret_rotation_core::outcome::{AwsError, ErrorClass};

    use super::*;
    use crate::testing::{observation, region};

    #[test]
    fn a_complete_sweep_replaces_what_was_known() {
        let last = Arc::new(inventory("10:00", &["a", "b"], true));
        assert_eq!(
            names(over(Some(&last), Some(inventory("10:05", &["a"], true)), 0)),
            ("10:05".to_owned(), vec!["a".to_owned()])
        );
    }

    #[test]
    fn what_an_incomplete_sweep_missed_stays_known_with_the_older_time() {
        let last = Arc::new(inventory("10:00", &["a", "b"], true));
        let kept = over(Some(&last), Some(inventory("10:05", &["a", "c"], false)), 1);
        assert!(!kept.as_ref().expect("kept").is_complete());
        assert_eq!(
            names(kept),
            (
                "10:00".to_owned(),
                ["a", "b", "c"].map(str::to_owned).to_vec()
            )
        );
    }

    #[test]
    fn a_gap_that_stays_does_not_stop_time() {
        let last = Arc::new(inventory("10:00", &["a", "b"], true));
        let kept = over(Some(&last), Some(inventory("10:15", &["a"], false)), 3);
        assert_eq!(names(kept), ("10:15".to_owned(), vec!["a".to_owned()]));
    }

    #[test]
    fn a_sweep_without_any_answer_changes_nothing() {
        let last = Arc::new(inventory("10:00", &["a"], true));
        assert_eq!(over(Some(&last), None, 7), Some(Arc::clone(&last)));
        assert_eq!(
            over(Some(&last), Some(inventory("10:15", &[], false)), 7),
            Some(last)
        );
        assert_eq!(over(None, None, 1), None);
    }

    fn names(inventory: Option<Arc<Inventory>>) -> (String, Vec<String>) {
        let inventory = inventory.expect("an inventory");
        let names = inventory
            .secrets
            .values()
            .map(|observation| observation.secret.name.to_string())
            .collect();
        (inventory.time.to_string()[11..16].to_owned(), names)
    }

    fn inventory(time: &str, secrets: &[&str], complete: bool) -> Inventory {
        let secrets = secrets
            .iter()
            .map(|name| observation(name))
            .map(|observation| (observation.secret.arn.clone(), observation));
        let gap = AwsError {
            class: ErrorClass::Unreachable,
            code: None,
            request_id: None,
        };
        Inventory {
            time: at(time),
            region: region(),
            secrets: secrets.collect(),
            missing: Vec::new(),
            gap: (!complete).then_some(gap),
        }
    }

    fn at(time: &str) -> AwsTime {
        AwsTime::new(format!("2026-11-23T{time}:00Z").parse().expect("a time"))
    }
}
