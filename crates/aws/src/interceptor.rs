//! Reads AWS's time and the request id from the headers of the answers of one call, and limits the size of their
//! bodies.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_secretsmanager::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_secretsmanager::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;
use secret_rotation_core::time::{AwsTime, DateCheck};

use crate::clock::Clock;
use crate::errors::clean;
use crate::observer::Operation;
use crate::token_source::TokenSource;

/// The maximum number of bytes that are read of an answer. The largest valid page has about 3 MB.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// An SDK interceptor that follows one call through its attempts.
#[derive(Clone, Debug)]
pub(crate) struct CallInterceptor {
    operation: Operation,
    tokens: TokenSource,
    clock: Clock,
    trace: Arc<Mutex<ResponseTrace>>,
}

/// The observations of one call. The headers are those of its last answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResponseTrace {
    /// The number of requests that were sent.
    pub(crate) sent: u32,
    /// The result of the check of the `Date` header. `None` if there was no answer.
    pub(crate) date_check: Option<DateCheck>,
    /// The `Date` header, if it is trusted.
    pub(crate) date: Option<AwsTime>,
    /// The request id.
    pub(crate) request_id: Option<String>,
}

impl CallInterceptor {
    /// Creates an interceptor for one call. The retries of the call take their tokens from `tokens`, and `clock` checks
    /// the dates.
    pub(crate) fn new(operation: Operation, tokens: &TokenSource, clock: &Clock) -> Self {
        Self {
            operation,
            tokens: tokens.clone(),
            clock: clock.clone(),
            trace: Arc::default(),
        }
    }

    pub(crate) const fn operation(&self) -> Operation {
        self.operation
    }

    pub(crate) const fn tokens(&self) -> &TokenSource {
        &self.tokens
    }

    pub(crate) fn trace(&self) -> ResponseTrace {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, ResponseTrace> {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for CallInterceptor {
    fn name(&self) -> &'static str {
        "CallInterceptor"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let sent = self.lock().sent + 1;
        *self.lock() = ResponseTrace {
            sent,
            ..ResponseTrace::default()
        };
        if sent > 1 {
            self.tokens.charge_retry();
        }
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        let mut trace = self.lock();
        let (check, date) = self.clock.observe(response.headers().get("date"));
        trace.date_check = Some(check);
        trace.date = date;
        trace.request_id = response.headers().get("x-amzn-requestid").map(clean);
        bound(response);
        Ok(())
    }
}

fn bound(response: &mut HttpResponse) {
    let body = std::mem::replace(response.body_mut(), SdkBody::taken());
    *response.body_mut() = SdkBody::from_body_1_x(Limited::new(body, MAX_BODY));
}
