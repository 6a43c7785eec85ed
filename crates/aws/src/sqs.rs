//! The SQS queue that receives `EventBridge` events about secrets.
//!
//! An event is a hint to look now instead of later. It can be late, duplicated, lost or forged, so only the ARN of its
//! secret is used.

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

/// The maximum time that SQS waits for a message, in seconds.
const WAIT: i32 = 20;

/// The maximum number of messages in one answer of SQS.
const MESSAGES: i32 = 10;

/// The timeout of a request. It must be longer than [`WAIT`].
const TIMEOUT: Duration = Duration::from_secs(25);

/// The maximum number of requests per second, even if messages arrive faster.
const RATE: u32 = 10;

/// One queue. Cheap to clone.
#[derive(Clone)]
pub struct EventQueue {
    arn: QueueArn,
    config: SdkConfig,
    /// Replaced after a panic, which may have left it in an inconsistent state.
    client: Arc<RwLock<Client>>,
    /// The clock for signatures. Received messages do not depend on it.
    clock: Clock,
    payer: TokenSource,
    observer: Observer,
}

/// Messages that were received and are still in the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The secrets that the messages are about, without duplicates.
    pub secrets: BTreeSet<names::Arn>,
    /// The receipt handle of each message, including messages that name no secret.
    receipts: Vec<String>,
}

impl EventQueue {
    /// Creates a queue with the HTTP client, the credentials and the endpoint of `config`. Sends no request.
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

    /// Returns the ARN of the queue.
    pub const fn arn(&self) -> &QueueArn {
        &self.arn
    }

    /// Waits up to 20 s for messages and returns at most ten. They stay in the queue until [`Self::forget`], and SQS
    /// delivers them again without it.
    ///
    /// # Errors
    ///
    /// Returns an [`AwsError`] if the call fails. The call is not retried.
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

    /// Deletes a batch from the queue.
    ///
    /// # Errors
    ///
    /// Returns an [`AwsError`] if the call fails. The call is not retried.
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

    /// Returns the URL that identifies the queue. The SDK chooses the endpoint of requests independently of it.
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

/// Builds the client. It does not retry, because the listener calls again anyway.
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

    /// Returns whether no message was received.
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
