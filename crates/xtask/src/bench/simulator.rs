//! The simulator itself, so that no other figure is limited by it unnoticed.

use anyhow::Result;
use serde_json::{Value, json};

use super::estate;
use super::results::{Results, number, seconds};
use super::world::Aws;
use crate::timing::now;

/// The number of pages that are read.
const PAGES: u32 = 200;

pub(super) const COLUMNS: [&str; 6] = [
    "Secrets",
    "Start",
    "Memory a secret",
    "JSON a secret",
    "Pages a second over HTTP",
    "CPU a page",
];

/// Measures a simulator with so many secrets.
pub(super) fn run(secrets: usize) -> Result<Results> {
    let (folder, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let empty = {
        let (_server, aws) = Aws::start("{}", other.path())?;
        aws.process.memory()?.resident
    };
    let began = now();
    let (_server, aws) = Aws::start(&estate::scenario(secrets), folder.path())?;
    let started = began.elapsed();
    let count = u64::try_from(secrets)?;
    let each = aws.process.memory()?.resident.saturating_sub(empty) / count;
    let (cpu, began) = (aws.process.cpu()?, now());
    let bytes = read_pages(&aws)?;
    let (took, cpu) = (began.elapsed(), aws.process.cpu()?.saturating_sub(cpu));
    let per_secret = bytes / (u64::from(PAGES) * 100).min(count * u64::from(PAGES));
    let mut results = Results::new(&COLUMNS);
    results.row(vec![
        number(secrets),
        seconds(started),
        format!("{} B", number(usize::try_from(each)?)),
        format!("{} B", number(usize::try_from(per_secret)?)),
        format!("{:.0}", f64::from(PAGES) / took.as_secs_f64()),
        format!("{:.0} µs", cpu.as_secs_f64() * 1e6 / f64::from(PAGES)),
    ]);
    results.sample(json!({
        "benchmark": "simulator",
        "secrets": secrets,
        "start_seconds": started.as_secs_f64(),
        "bytes_per_secret": each,
        "json_bytes_per_secret": per_secret,
        "pages": PAGES,
        "seconds": took.as_secs_f64(),
        "cpu_seconds": cpu.as_secs_f64(),
    }));
    Ok(results)
}

/// Reads pages one after the other, from the first one again after the last, and returns their bytes.
fn read_pages(aws: &Aws) -> Result<u64> {
    let (mut parameters, mut bytes) = (json!({}), 0);
    for _ in 0..PAGES {
        let page = aws.ask("ListSecrets", &parameters)?;
        bytes += u64::try_from(page.len())?;
        parameters = next(&page);
    }
    Ok(bytes)
}

/// Returns the parameters of the next page. It finds the token without parsing the page, which would take longer than the
/// request.
fn next(page: &str) -> Value {
    let start = page.strip_prefix(r#"{"NextToken":""#);
    match start.and_then(|rest| rest.split_once('"')) {
        Some((token, _)) => json!({"NextToken": token}),
        None => json!({}),
    }
}
