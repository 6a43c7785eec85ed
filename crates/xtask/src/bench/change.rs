//! A change of one policy while many secrets are known: how soon its status follows, and what that costs.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::estate::{self, TEAMS};
use super::results::{Results, number, seconds};
use super::usage::wait_until;
use super::world::{PATIENCE, World, path};
use crate::timing::now;

pub(super) const COLUMNS: [&str; 5] = [
    "Policy selects",
    "Secrets",
    "Change to status",
    "CPU",
    "Requests to AWS",
];

/// Measures changes among so many secrets: of a policy that selects all, and of one that selects one team.
pub(super) fn run(secrets: usize) -> Result<Results> {
    let world = World::start(&estate::scenario(secrets))?;
    world.profile(&json!({}))?;
    world.policy("all", &["payments/".to_owned()], &json!({}))?;
    world.policy("team", &[estate::prefix(7)], &json!({}))?;
    let began = now();
    world.start_controller()?;
    world.complete("all", secrets, began)?;
    world.complete("team", secrets / TEAMS, began)?;
    let mut results = Results::new(&COLUMNS);
    for (name, selected) in [("all", secrets), ("team", secrets / TEAMS)] {
        let (process, patience) = (world.process()?, PATIENCE);
        let before = process.settled(patience)?;
        world.aws.take_calls()?;
        let change = json!({"spec": {"detection": {"stuckAfter": "30h"}}});
        let began = now();
        let changed = world.patch(&path("secretrotationpolicies", Some(name)), &change)?;
        let generation = changed["metadata"]["generation"].clone();
        let took = wait_until("the status follows", began, patience, || {
            let policy = world.policy_of(name)?;
            Ok(policy["status"]["observedGeneration"] == generation
                && policy["status"]["summary"]["stuck"].as_u64().unwrap_or(0) == 0)
        })?;
        let cpu: Duration = process.settled(patience)?.saturating_sub(before);
        let requests: u64 = world.aws.take_calls()?.values().sum();
        results.row(vec![
            number(selected),
            number(secrets),
            seconds(took),
            seconds(cpu),
            requests.to_string(),
        ]);
        results.sample(json!({
            "benchmark": "change",
            "secrets": secrets,
            "selected": selected,
            "seconds": took.as_secs_f64(),
            "cpu_seconds": cpu.as_secs_f64(),
            "requests": requests,
        }));
    }
    Ok(results)
}
