//! Waiting for a change of an object.

use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;
use tokio::time::{Instant, sleep};

use crate::CommandError;
use crate::kubernetes::{Cluster, Kind};

/// The interval between two reads.
const INTERVAL: Duration = Duration::from_secs(1);

/// Whether to wait, and how long.
#[derive(Args, Clone, Copy, Debug)]
pub struct WaitArgs {
    /// Wait until it is done.
    #[arg(long)]
    pub wait: bool,

    /// Longest time to wait, such as 90s or 1h30m.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse, requires = "wait")]
    pub timeout: Duration,
}

/// Parses a duration such as `90s` or `1h30m`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text.parse().map_err(|error| format!("{error}"))?;
    Duration::try_from(duration).map_err(|_| "the duration must not be negative".to_owned())
}

/// Polls an object until `done` returns a value; `None` on timeout.
///
/// It keeps waiting while the API server cannot be reached.
///
/// # Errors
///
/// Returns an error if the object does not exist, or if the last request before the timeout failed.
pub(crate) async fn until<K: Kind, T>(
    cluster: &Cluster,
    name: &str,
    timeout: Duration,
    mut done: impl FnMut(&K) -> Option<T>,
) -> Result<Option<T>, CommandError> {
    let began = Instant::now();
    let mut last_error = None;
    while began.elapsed() < timeout {
        match cluster.find::<K>(name).await {
            Ok(Some(object)) => {
                last_error = None;
                if let Some(value) = done(&object) {
                    return Ok(Some(value));
                }
            }
            Ok(None) => return Err(cluster.missing::<K>(name).await),
            Err(failure) => last_error = Some(failure),
        }
        sleep(INTERVAL).await;
    }
    last_error.map_or(Ok(None), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_in_the_usual_format() {
        assert_eq!(parse("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("1h30m"), Ok(Duration::from_mins(90)));
        assert!(parse("-5m").is_err());
        assert!(parse("soon").is_err());
    }
}
