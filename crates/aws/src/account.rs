//! One region of one AWS account: its clients, its rate limits and its clock.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError, RwLock};

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use futures::FutureExt as _;
use secret_rotation_core::aws_error::{AwsError, ErrorClass};
use secret_rotation_core::names::Region;
use secret_rotation_core::profile::RateLimit;
use secret_rotation_core::time::{AwsTime, DateCheck};
use tokio::time::Instant;

use crate::clients::Clients;
use crate::clock::Clock;
use crate::credentials;
use crate::errors::{self, CallError};
use crate::interceptor::{CallInterceptor, ResponseTrace};
use crate::observer::{Call, Observer, Operation};
use crate::step_queue::StepQueue;
use crate::token_bucket::TokenBucket;
use crate::token_source::TokenSource;

const READ_BURST: u32 = 100;
const WRITE_BURST: u32 = 10;

/// A separate, low rate for the look-up of version ages, so that it never delays other reads.
const VERSION_AGES_PER_SECOND: u32 = 5;

/// The maximum number of times that a read is sent until the date of its answer is trusted. After a change of AWS's
/// clock the third answer is trusted.
const MAX_ASKS: usize = 3;

/// Limits on requests to AWS, with bursts of 100 reads and 10 writes. Retries of reads count too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Reads per second.
    pub reads_per_second: u32,
    /// Writes per second.
    pub writes_per_second: u32,
}

impl From<RateLimit> for RateLimits {
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
    config: SdkConfig,
    /// Replaced after a panic, which may have left them in an inconsistent state.
    clients: RwLock<Clients>,
    reads: Arc<TokenBucket>,
    writes: Arc<TokenBucket>,
    step_queue: StepQueue,
    ages: TokenBucket,
    observer: Observer,
    clock: Clock,
}

/// An answer that was parsed and has a trusted date.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    pub(crate) value: T,
    pub(crate) at: AwsTime,
    pub(crate) request_id: Option<String>,
}

impl Account {
    /// Creates an account with the ambient credentials: environment, profile, web identity, container, instance.
    ///
    /// Sends no request. The SDK follows the endpoint variables of the environment, so check them first with
    /// [`Endpoint::discover`](crate::Endpoint::discover).
    pub async fn connect(region: Region, limits: RateLimits, observer: Observer) -> Self {
        let config = credentials::ambient(&region, Arc::new(|_| ())).await;
        Self::with_config(&config, region, limits, observer)
    }

    /// Creates an account with the HTTP client, the credentials and the endpoint of `config`, in `region`.
    pub fn with_config(
        config: &SdkConfig,
        region: Region,
        limits: RateLimits,
        observer: Observer,
    ) -> Self {
        let clock = Clock::new();
        let clients = Clients::new(config, &region, &clock);
        let reads = Arc::new(TokenBucket::new(limits.reads_per_second, READ_BURST));
        let writes = Arc::new(TokenBucket::new(limits.writes_per_second, WRITE_BURST));
        let shared = Shared {
            region,
            config: config.clone(),
            clients: RwLock::new(clients),
            step_queue: StepQueue::new(Arc::clone(&reads), Arc::clone(&writes)),
            reads,
            writes,
            ages: TokenBucket::new(VERSION_AGES_PER_SECOND, VERSION_AGES_PER_SECOND),
            observer,
            clock,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Returns the region.
    pub fn region(&self) -> &Region {
        &self.shared.region
    }

    /// Returns whether both values are clones of one account.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Returns AWS's time now: the time on which the answers agree, advanced by the local monotonic clock. `None` if no
    /// time is agreed yet.
    pub fn now(&self) -> Option<AwsTime> {
        self.shared.clock.now()
    }

    #[cfg(test)]
    pub(crate) fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    pub(crate) fn sweep_client(&self) -> Client {
        self.clients(|clients| &clients.sweep)
    }

    pub(crate) fn look_client(&self) -> Client {
        self.clients(|clients| &clients.look)
    }

    pub(crate) fn ages(&self) -> &TokenBucket {
        &self.shared.ages
    }

    pub(crate) fn write_client(&self) -> Client {
        self.clients(|clients| &clients.write)
    }

    pub(crate) fn reads(&self) -> &Arc<TokenBucket> {
        &self.shared.reads
    }

    pub(crate) fn writes(&self) -> &Arc<TokenBucket> {
        &self.shared.writes
    }

    pub(crate) fn step_queue(&self) -> &StepQueue {
        &self.shared.step_queue
    }

    /// Returns the source of tokens for a read that belongs to no step of an operation.
    pub(crate) fn shared_reads(&self) -> TokenSource {
        TokenSource::Shared(Arc::clone(&self.shared.reads))
    }

    /// Returns an interceptor for one call that takes its tokens from `tokens`.
    pub(crate) fn interceptor(
        &self,
        operation: Operation,
        tokens: &TokenSource,
    ) -> CallInterceptor {
        CallInterceptor::new(operation, tokens, &self.shared.clock)
    }

    /// Sends a read, and repeats it at once while the date of its answer is not trusted, at most [`MAX_ASKS`] times in
    /// total.
    ///
    /// One absurd date costs one more request; a change of AWS's clock costs two. A read without an answer, or whose
    /// answer is a throttling error, is not repeated here.
    pub(crate) async fn ask<T, E, F>(
        &self,
        (operation, tokens): (Operation, &TokenSource),
        send: impl Fn(CallInterceptor) -> F,
    ) -> Result<Answer<T>, CallError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        for _ in 1..MAX_ASKS {
            let interceptor = self.interceptor(operation, tokens);
            let answer = self.call(&interceptor, send(interceptor.clone())).await;
            if !is_worth_repeating(interceptor.trace().date_check, &answer) {
                return answer;
            }
        }
        let interceptor = self.interceptor(operation, tokens);
        self.call(&interceptor, send(interceptor.clone())).await
    }

    /// Takes a token, sends the call, classifies the result and reports it to the observer. Waits for the token unless
    /// it is reserved.
    pub(crate) async fn call<T, E>(
        &self,
        interceptor: &CallInterceptor,
        sending: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<Answer<T>, CallError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        // Order matters: the duration does not include the wait for the token.
        interceptor.tokens().acquire().await;
        let begun = Instant::now();
        let sending = AssertUnwindSafe(sending).catch_unwind().await;
        let trace = interceptor.trace();
        let sent = trace.sent;
        let answer = match sending {
            Ok(result) => classify_answer(result, trace, interceptor.operation()),
            Err(_panic) => {
                self.replace_clients();
                Err(CallError {
                    error: errors::panicked(),
                    at: None,
                })
            }
        };
        (self.shared.observer)(&Call {
            operation: interceptor.operation(),
            class: answer.as_ref().err().map(|failed| failed.error.class),
            duration: begun.elapsed(),
            retries: sent.saturating_sub(1),
        });
        answer
    }

    fn clients(&self, of: impl Fn(&Clients) -> &Client) -> Client {
        let clients = &self.shared.clients;
        of(&clients.read().unwrap_or_else(PoisonError::into_inner)).clone()
    }

    fn replace_clients(&self) {
        let Shared {
            config,
            region,
            clock,
            clients,
            ..
        } = &*self.shared;
        *clients.write().unwrap_or_else(PoisonError::into_inner) =
            Clients::new(config, region, clock);
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("region", &self.shared.region)
            .finish_non_exhaustive()
    }
}

/// Returns whether an answer is worth another request: its date is not trusted, or it refuses a signature that the
/// newly agreed time makes correct.
fn is_worth_repeating<T>(date_check: Option<DateCheck>, answer: &Result<T, CallError>) -> bool {
    let class = answer.as_ref().err().map(|failed| failed.error.class);
    match date_check {
        None | Some(DateCheck::Agrees) => false,
        Some(DateCheck::Adopted) => class == Some(ErrorClass::Credentials),
        Some(DateCheck::Doubted | DateCheck::Implausible) => {
            !matches!(class, Some(ErrorClass::Throttled | ErrorClass::Unreachable))
        }
    }
}

fn classify_answer<T, E>(
    result: Result<T, SdkError<E, HttpResponse>>,
    trace: ResponseTrace,
    operation: Operation,
) -> Result<Answer<T>, CallError>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let ResponseTrace {
        date_check,
        date,
        request_id,
        ..
    } = trace;
    match (result, date) {
        (Ok(value), Some(at)) => Ok(Answer {
            value,
            at,
            request_id,
        }),
        (Ok(_), None) => Err(CallError {
            error: errors::undated(date_check, request_id),
            at: None,
        }),
        (Err(error), at) => {
            let (class, code) = errors::classify(&error, operation);
            let error = AwsError {
                class,
                code,
                request_id,
            };
            Err(CallError { error, at })
        }
    }
}
