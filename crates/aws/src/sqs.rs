//! The queue in which `EventBridge` puts events about secrets.
//!
//! An event is a hint to look now instead of later. It may be late, doubled, lost or forged, so nothing in it counts but
//! the secret that it names.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{Builder, StalledStreamProtectionConfig};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use futures::FutureExt as _;
use secret_rotation_core::aws_error::AwsError;
use secret_rotation_core::names::{self, QueueArn};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::interceptor::CallInterceptor;
use crate::observer::{Call, Observer, Operation};
use crate::token_bucket::TokenBucket;
use crate::token_source::TokenSource;
use crate::{errors, rotation_event};

/// The longest that SQS waits for a message.
const WAIT: i32 = 20;

/// The most messages that SQS hands out at once.
const MESSAGES: i32 = 10;

/// Longer than SQS waits.
const TIMEOUT: Duration = Duration::from_secs(25);

/// Requests per second, also where messages come faster than they can be read.
const RATE: u32 = 10;

/// One queue. Cheap to clone.
#[derive(Clone)]
pub struct EventQueue {
    arn: QueueArn,
    config: SdkConfig,
    /// Is replaced after a panic, which may have left it in an inconsistent state.
    client: Arc<RwLock<Client>>,
    /// Requests are signed with it; what is received does not depend on it.
    clock: Clock,
    payer: TokenSource,
    observer: Observer,
}

/// Messages that were received and are still in the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The secrets that they are about, each once.
    pub secrets: BTreeSet<names::Arn>,
    /// What SQS wants back for each message, also for those that name no secret.
    receipts: Vec<String>,
}

impl EventQueue {
    /// Uses the HTTP client, the credentials and the endpoint of this configuration, and asks nothing yet.
    pub fn with_config(config: &SdkConfig, arn: QueueArn, observer: Observer) -> Self {
        let clock = Clock::new();
        let client = client(config, &arn, &clock);
        Self {
            arn,
            config: config.clone(),
            client: Arc::new(RwLock::new(client)),
            clock,
            payer: TokenSource::Shared(Arc::new(TokenBucket::new(RATE, RATE))),
            observer,
        }
    }

    /// The queue's ARN.
    pub const fn arn(&self) -> &QueueArn {
        &self.arn
    }

    /// Waits up to 20 s for messages and hands out at most ten. They stay in the queue until [`Self::forget`], and are
    /// handed out again if that is not called.
    pub async fn receive(&self) -> Result<Batch, AwsError> {
        let probe = CallInterceptor::new(Operation::ReceiveMessage, &self.payer, &self.clock);
        let sending = self
            .client()
            .receive_message()
            .queue_url(self.url())
            .wait_time_seconds(WAIT)
            .max_number_of_messages(MESSAGES)
            .customize()
            .interceptor(probe.clone())
            .send();
        let answer = self.call(&probe, sending).await?;
        Ok(Batch::of(answer.messages()))
    }

    /// Takes a batch out of the queue.
    pub async fn forget(&self, batch: &Batch) -> Result<(), AwsError> {
        let entries: Option<Vec<_>> = batch.entries();
        let Some(entries) = entries.filter(|entries| !entries.is_empty()) else {
            return Ok(());
        };
        let probe = CallInterceptor::new(Operation::DeleteMessageBatch, &self.payer, &self.clock);
        let sending = self
            .client()
            .delete_message_batch()
            .queue_url(self.url())
            .set_entries(Some(entries))
            .customize()
            .interceptor(probe.clone())
            .send();
        self.call(&probe, sending).await.map(drop)
    }

    /// The address by which SQS knows the queue; where requests go, the SDK says.
    fn url(&self) -> String {
        let domain = if self.arn.partition() == "aws-cn" {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        format!(
            "https://sqs.{}.{domain}/{}/{}",
            self.arn.region(),
            self.arn.account(),
            self.arn.name()
        )
    }

    fn client(&self) -> Client {
        let client = self.client.read();
        client.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn call<T, E>(
        &self,
        probe: &CallInterceptor,
        sending: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, AwsError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        probe.tokens().acquire().await;
        let begun = Instant::now();
        let result = match AssertUnwindSafe(sending).catch_unwind().await {
            Ok(result) => result.map_err(|error| {
                let (class, code) = errors::classify(&error, probe.operation());
                let request_id = probe.trace().request_id;
                AwsError {
                    class,
                    code,
                    request_id,
                }
            }),
            Err(_panic) => {
                let fresh = client(&self.config, &self.arn, &self.clock);
                *self.client.write().unwrap_or_else(PoisonError::into_inner) = fresh;
                Err(errors::panicked())
            }
        };
        (self.observer)(&Call {
            operation: probe.operation(),
            class: result.as_ref().err().map(|error| error.class),
            duration: begun.elapsed(),
            retries: 0,
        });
        result
    }
}

/// Whoever listens comes back by himself, so a failed call is not sent again here.
fn client(config: &SdkConfig, arn: &QueueArn, clock: &Clock) -> Client {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(TIMEOUT)
        .operation_timeout(TIMEOUT)
        .build();
    let settings = Builder::from(config)
        .region(aws_config::Region::new(arn.region().as_str().to_owned()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .disable_clock_skew_correction(true)
        .time_source(clock.clone())
        .build();
    Client::from_conf(settings)
}

impl fmt::Debug for EventQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventQueue")
            .field("arn", &self.arn)
            .finish_non_exhaustive()
    }
}

impl Batch {
    fn of(messages: &[Message]) -> Self {
        Self {
            secrets: messages
                .iter()
                .filter_map(|message| rotation_event::secret(message.body()?))
                .collect(),
            receipts: messages
                .iter()
                .filter_map(|message| message.receipt_handle().map(str::to_owned))
                .collect(),
        }
    }

    /// Whether nothing was received.
    pub const fn is_empty(&self) -> bool {
        self.receipts.is_empty()
    }

    fn entries(&self) -> Option<Vec<DeleteMessageBatchRequestEntry>> {
        let entry = |(index, receipt): (usize, &String)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(receipt)
                .build()
                .ok()
        };
        self.receipts.iter().enumerate().map(entry).collect()
    }
}
