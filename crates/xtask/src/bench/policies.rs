//! A thousand policies over the same secrets: each secret in one of them, and each secret in ten.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::estate::{self, TEAMS};
use super::results::{Results, mebibytes, number, seconds};
use super::usage::{Memory, wait_until};
use super::world::{PATIENCE, World};
use crate::timing::now;

/// The number of unchanged sweeps.
const SWEEPS: u32 = 3;

pub(super) const COLUMNS: [&str; 7] = [
    "Policies a secret",
    "Policies",
    "Secrets",
    "CPU to judge all once, beyond the sweep",
    "CPU after an unchanged sweep, beyond it",
    "Resident afterwards",
    "Peak",
];

/// What the controller used with some policies.
struct Used {
    start: Duration,
    sweep: Duration,
    memory: Memory,
}

/// Measures so many secrets: with one policy that selects all, then with a thousand more.
pub(super) fn run(secrets: usize) -> Result<Results> {
    let alone = used(secrets, 0)?;
    let mut results = Results::new(&COLUMNS);
    for teams in [1, 10] {
        let all = used(secrets, teams)?;
        let (first, unchanged) = (
            all.start.saturating_sub(alone.start),
            all.sweep.saturating_sub(alone.sweep),
        );
        results.row(vec![
            teams.to_string(),
            number(TEAMS + 1),
            number(secrets),
            seconds(first),
            seconds(unchanged),
            mebibytes(all.memory.resident),
            mebibytes(all.memory.peak),
        ]);
        results.sample(json!({
            "benchmark": "policies",
            "secrets": secrets,
            "policies": TEAMS + 1,
            "policies_per_secret": teams,
            "first_cpu_seconds": first.as_secs_f64(),
            "unchanged_cpu_seconds": unchanged.as_secs_f64(),
            "resident_bytes": all.memory.resident,
            "peak_bytes": all.memory.peak,
            "alone_first_cpu_seconds": alone.start.as_secs_f64(),
            "alone_unchanged_cpu_seconds": alone.sweep.as_secs_f64(),
        }));
    }
    Ok(results)
}

/// Starts a controller with a policy that selects all secrets, and a thousand that select `teams` teams each; none if that
/// is 0.
fn used(secrets: usize, teams: usize) -> Result<Used> {
    let world = World::start(&estate::scenario(secrets))?;
    world.profile(&json!({}))?;
    world.policy("all", &["payments/".to_owned()], &json!({}))?;
    let policies = if teams == 0 { 0 } else { TEAMS };
    for policy in 0..policies {
        let prefixes: Vec<_> = (policy..policy + teams).map(estate::prefix).collect();
        world.policy(&format!("team-{policy:03}"), &prefixes, &json!({}))?;
    }
    let began = now();
    world.start_controller()?;
    world.complete("all", secrets, began)?;
    for policy in 0..policies {
        let selected = teams * (secrets / TEAMS);
        world.complete(&format!("team-{policy:03}"), selected, began)?;
    }
    let process = world.process()?;
    let start = process.settled(PATIENCE)?;
    for _ in 0..SWEEPS {
        world.check("all")?;
    }
    let swept = world.metric("secretrotation_sweep_duration_seconds_count")?;
    wait_until("the sweeps are over", began, PATIENCE, || {
        Ok(swept >= f64::from(SWEEPS))
    })?;
    let sweep = process.settled(PATIENCE)?.saturating_sub(start) / SWEEPS;
    Ok(Used {
        start,
        sweep,
        memory: process.memory()?,
    })
}
