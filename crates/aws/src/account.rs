//! One region of one AWS account: its clients, its rate limits and its clock.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use secret_rotation_core::clock::AwsTime;
use secret_rotation_core::identity::Region;
use secret_rotation_core::outcome::AwsError;
use secret_rotation_core::profile::RateLimit;
use tokio::time::Instant;

use crate::apply::Rejected;
use crate::bucket::Bucket;
use crate::call::{Call, Observer, Operation};
use crate::clients::Clients;
use crate::credentials;
use crate::date::{Probe, Trace};
use crate::errors;

const READ_BURST: u32 = 100;
const WRITE_BURST: u32 = 10;

/// Ages of versions are looked up at leisure, beside everything else.
const AGES_PER_SECOND: u32 = 5;

/// Requests per second to AWS, with bursts of 100 reads and 10 writes. Retries of reads count too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Reads.
    pub reads_per_second: u32,
    /// Writes.
    pub writes_per_second: u32,
}

impl From<RateLimit> for Limits {
    fn from(limit: RateLimit) -> Self {
        Self {
            reads_per_second: limit.reads_per_second,
            writes_per_second: limit.writes_per_second,
        }
    }
}

/// Secrets Manager in one region, with the credentials of one identity. Cheap to clone: clones share everything.
#[derive(Clone)]
pub struct Account {
    shared: Arc<Shared>,
}

struct Shared {
    region: Region,
    clients: Clients,
    reads: Arc<Bucket>,
    writes: Arc<Bucket>,
    ages: Bucket,
    observer: Observer,
    clock: Mutex<Option<(AwsTime, Instant)>>,
}

/// An answer that was understood.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    pub(crate) value: T,
    pub(crate) at: AwsTime,
    pub(crate) request_id: Option<String>,
}

impl Account {
    /// Connects with the ambient credentials: environment, profile, web identity, container, instance.
    ///
    /// Asks nothing yet. The SDK follows the endpoint variables of the environment, so judge them first with
    /// [`Endpoint::discover`](crate::Endpoint::discover).
    pub async fn connect(region: Region, limits: Limits, observer: Observer) -> Self {
        let config = credentials::ambient(&region, Arc::new(|_| ())).await;
        Self::with_config(&config, region, limits, observer)
    }

    /// Uses the HTTP client, the credentials and the endpoint of this configuration, and the region given.
    pub fn with_config(
        config: &SdkConfig,
        region: Region,
        limits: Limits,
        observer: Observer,
    ) -> Self {
        let clients = Clients::new(config, &region);
        let shared = Shared {
            region,
            clients,
            reads: Arc::new(Bucket::new(limits.reads_per_second, READ_BURST)),
            writes: Arc::new(Bucket::new(limits.writes_per_second, WRITE_BURST)),
            ages: Bucket::new(AGES_PER_SECOND, AGES_PER_SECOND),
            observer,
            clock: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The region.
    pub fn region(&self) -> &Region {
        &self.shared.region
    }

    /// AWS's time now: the `Date` of the last answer, moved on by the local monotonic clock. `None` = no answer yet.
    pub fn now(&self) -> Option<AwsTime> {
        let clock = self.clock();
        clock.map(|(date, seen)| date.plus(seen.elapsed()))
    }

    pub(crate) fn sweeper(&self) -> &Client {
        &self.shared.clients.sweep
    }

    pub(crate) fn looker(&self) -> &Client {
        &self.shared.clients.look
    }

    pub(crate) fn ages(&self) -> &Bucket {
        &self.shared.ages
    }

    pub(crate) fn writer(&self) -> &Client {
        &self.shared.clients.write
    }

    /// A probe for a call that changes nothing.
    pub(crate) fn reading(&self, operation: Operation) -> Probe {
        Probe::new(operation, &self.shared.reads)
    }

    /// A probe for a call that changes something.
    pub(crate) fn writing(&self, operation: Operation) -> Probe {
        Probe::new(operation, &self.shared.writes)
    }

    /// Waits for the rate limit, sends, sorts the outcome and tells the observer.
    pub(crate) async fn call<T, E>(
        &self,
        probe: &Probe,
        sending: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<Answer<T>, Rejected>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        probe.bucket().take().await;
        let begun = Instant::now();
        let result = sending.await;
        let trace = probe.trace();
        self.set_clock(trace.date);
        let sent = trace.sent;
        let judged = judge(result, trace, probe.operation());
        (self.shared.observer)(&Call {
            operation: probe.operation(),
            class: judged.as_ref().err().map(|rejected| rejected.error.class),
            duration: begun.elapsed(),
            retries: sent.saturating_sub(1),
        });
        judged
    }

    fn clock(&self) -> Option<(AwsTime, Instant)> {
        *self
            .shared
            .clock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn set_clock(&self, date: Option<AwsTime>) {
        if let Some(date) = date {
            let mut clock = self
                .shared
                .clock
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *clock = Some((date, Instant::now()));
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("region", &self.shared.region)
            .finish_non_exhaustive()
    }
}

fn judge<T, E>(
    result: Result<T, SdkError<E, HttpResponse>>,
    trace: Trace,
    operation: Operation,
) -> Result<Answer<T>, Rejected>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Trace {
        date, request_id, ..
    } = trace;
    match (result, date) {
        (Ok(value), Some(at)) => Ok(Answer {
            value,
            at,
            request_id,
        }),
        (Ok(_), None) => Err(Rejected {
            error: errors::malformed(request_id),
            at: None,
        }),
        (Err(error), at) => {
            let (class, code) = errors::classify(&error, operation);
            let error = AwsError {
                class,
                code,
                request_id,
            };
            Err(Rejected { error, at })
        }
    }
}
