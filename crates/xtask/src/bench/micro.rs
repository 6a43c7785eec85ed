//! The micro-benchmarks of the crates, which criterion runs.

use anyhow::{Result, ensure};
use serde_json::json;
use testenv::project;

use super::results::Results;

/// The benchmarks by the names of their files.
const BENCHES: [&str; 3] = ["parse", "decisions", "pages"];

pub(super) const COLUMNS: [&str; 3] = ["Step", "Time", "Spread"];

/// Runs all micro-benchmarks.
pub(super) fn run() -> Result<Results> {
    let mut cargo = project::cargo();
    cargo.args(["bench", "--quiet", "--locked", "--workspace"]);
    for bench in BENCHES {
        cargo.args(["--bench", bench]);
    }
    cargo.args(["--", "--output-format", "bencher"]);
    let output = project::output(&mut cargo)?;
    let mut results = Results::new(&COLUMNS);
    for (name, time, spread) in output.lines().filter_map(measured) {
        results.row(vec![
            name.to_owned(),
            duration(time),
            format!("± {}", duration(spread)),
        ]);
        results.sample(json!({
            "benchmark": "micro",
            "step": name,
            "nanoseconds": time,
            "spread_nanoseconds": spread,
        }));
    }
    ensure!(!results.rows.is_empty(), "criterion has reported nothing");
    Ok(results)
}

/// Reads a line such as `test NAME ... bench:     123,456 ns/iter (+/- 789)`.
fn measured(line: &str) -> Option<(&str, u64, u64)> {
    let (name, rest) = line.strip_prefix("test ")?.split_once(" ... bench:")?;
    let (time, spread) = rest.split_once("ns/iter (+/-")?;
    let number = |text: &str| text.replace(',', "").trim().parse().ok();
    Some((name, number(time)?, number(spread.trim_end_matches(')'))?))
}

fn duration(nanoseconds: u64) -> String {
    match nanoseconds {
        0..10_000 => format!("{nanoseconds} ns"),
        10_000..10_000_000 => format!("{} µs", nanoseconds / 1_000),
        _ => format!("{} ms", nanoseconds / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_criterion_are_read() {
        let line = "test page of 100 among 2000 ... bench:     123,456 ns/iter (+/- 789)";
        assert_eq!(
            measured(line),
            Some(("page of 100 among 2000", 123_456, 789))
        );
        assert_eq!(measured("Gnuplot not found"), None);
    }

    #[test]
    fn times_have_a_unit_that_fits() {
        let times = [123, 123_456, 123_456_789].map(duration);
        assert_eq!(times, ["123 ns", "123 µs", "123 ms"]);
    }
}
