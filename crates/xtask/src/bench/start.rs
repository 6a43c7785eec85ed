//! From the start of the process to the first complete status, with the default rate limit.

use anyhow::Result;
use serde_json::json;

use super::estate;
use super::results::{Results, number, seconds};
use super::world::{World, path};
use crate::timing::now;

/// The number of starts. The median is shown.
const STARTS: usize = 3;

pub(super) const COLUMNS: [&str; 3] = ["Secrets", "Start to complete status, median", "All starts"];

/// Measures starts with so many healthy secrets.
pub(super) fn run(secrets: usize) -> Result<Results> {
    let world = World::start(&estate::healthy(secrets))?;
    // The defaults of a profile: 20 requests per second after a burst of 100.
    world.profile(&json!({"rateLimit": {}}))?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        world.policy("all", &["payments/".to_owned()], &json!({}))?;
        let began = now();
        world.start_controller()?;
        times.push(world.complete("all", secrets, began)?);
        world.stop_controller();
        world.delete(&path("secretrotationpolicies", Some("all")))?;
    }
    times.sort();
    let mut results = Results::new(&COLUMNS);
    let all: Vec<_> = times.iter().map(|time| seconds(*time)).collect();
    results.row(vec![
        number(secrets),
        seconds(times[STARTS / 2]),
        all.join(", "),
    ]);
    results.sample(json!({
        "benchmark": "start",
        "secrets": secrets,
        "seconds": times.iter().map(std::time::Duration::as_secs_f64).collect::<Vec<_>>(),
    }));
    Ok(results)
}
