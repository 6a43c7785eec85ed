//! Checks once, with the permissions of the controller and without changes, that everything the controller needs is
//! available.

mod aws;
mod check;
mod cluster;
mod endpoints;
mod permissions;

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use kube::Client;

use self::check::{Check, CheckStatus};
use crate::clock::ServerClock;
use crate::kubernetes::client;
use crate::metrics::Metrics;
use crate::options::{Options, SecretLabel, SelftestOptions};

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = &self.subject;
        match &self.finding {
            CheckStatus::Fine => write!(f, "ok       {subject}"),
            CheckStatus::Failed(what) => write!(f, "FAILED   {subject}: {what}"),
            CheckStatus::Skipped(why) => write!(f, "skipped  {subject}: {why}"),
        }
    }
}

/// Runs all checks and prints one line for each. Returns whether none failed.
///
/// # Errors
///
/// Returns an error if standard output cannot be written to.
pub async fn run(options: &Options, wanted: &SelftestOptions) -> anyhow::Result<bool> {
    let metrics = Metrics::new(0, SecretLabel::None)?;
    let mut report = Report::default();
    match client::connect(Arc::clone(&metrics), Arc::new(ServerClock::default())).await {
        Ok(client) => check_cluster(&client, options, metrics, &mut report).await?,
        Err(error) => report.print(&[Check::failed(
            cluster::API_SERVER,
            format!("no usable kubeconfig or ServiceAccount was found: {error}"),
        )])?,
    }
    report.print(&[endpoints::metrics(wanted).await])?;
    report.print(&[endpoints::health(wanted).await])?;
    Ok(!report.failed)
}

/// Runs the checks that need an API server. If it does not answer, one line reports that instead of thirty.
async fn check_cluster(
    client: &Client,
    options: &Options,
    metrics: Arc<Metrics>,
    report: &mut Report,
) -> std::io::Result<()> {
    let answers = cluster::answers(client).await;
    report.print(std::slice::from_ref(&answers))?;
    if !answers.has_failed() {
        report.print(&cluster::kinds(client).await)?;
        report.print(&permissions::check_all(client, options).await)?;
        report.print(&[cluster::admission(client).await])?;
    }
    let profiles = (!answers.has_failed()).then_some(client);
    report.print(&aws::check_all(profiles, options, metrics).await)
}

/// Prints lines on standard output as soon as they are known.
#[derive(Default)]
struct Report {
    failed: bool,
}

impl Report {
    fn print(&mut self, checks: &[Check]) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        for check in checks {
            self.failed |= check.has_failed();
            writeln!(out, "{check}")?;
        }
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_with_the_finding() {
        let lines = [
            Check::passed("a"),
            Check::failed("b", "do this"),
            Check::skipped("c", "not asked for"),
        ]
        .map(|check| check.to_string());
        assert_eq!(
            lines,
            [
                "ok       a",
                "FAILED   b: do this",
                "skipped  c: not asked for"
            ]
        );
    }
}
