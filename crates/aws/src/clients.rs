//! The SDK clients with their timeouts and retries. The SDK itself sets no operation timeout.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::config::{Builder, StalledStreamProtectionConfig};
use secret_rotation_core::names::Region;

use crate::clock::Clock;

/// One client for each policy of timeouts and retries.
#[derive(Clone)]
pub(crate) struct Clients {
    /// Three attempts: a sweep takes long anyway, and no one waits for one page.
    pub(crate) sweep: Client,
    /// One short attempt: a late look is useless.
    pub(crate) look: Client,
    /// One attempt: a retry would send a stale decision again.
    pub(crate) write: Client,
}

impl Clients {
    /// Builds the three clients for one region. They sign requests with the time of `clock`.
    pub(crate) fn new(config: &SdkConfig, region: &Region, clock: &Clock) -> Self {
        let client = |attempts, attempt, operation| {
            let settings = Builder::from(config)
                .region(aws_config::Region::new(region.as_str().to_owned()))
                .retry_config(RetryConfig::standard().with_max_attempts(attempts))
                .timeout_config(timeouts(attempt, operation))
                .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
                .disable_clock_skew_correction(true)
                .time_source(clock.clone())
                .build();
            Client::from_conf(settings)
        };
        Self {
            sweep: client(3, 5, 30),
            look: client(1, 3, 3),
            write: client(1, 10, 10),
        }
    }
}

fn timeouts(attempt: u64, operation: u64) -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_secs(attempt))
        .operation_timeout(Duration::from_secs(operation))
        .build()
}
