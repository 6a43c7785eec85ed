//! What the headers of one call's answers tell: AWS's time and the request id.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_secretsmanager::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_secretsmanager::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use secret_rotation_core::clock::AwsTime;

use crate::bucket::Bucket;
use crate::call::Operation;
use crate::errors::clean;

/// Bytes of an answer that are read at most. The largest honest page is about 3 MB.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// 2020-01-01 and 2100-01-01, in seconds: what lies outside is no clock of AWS.
const SANE: std::ops::Range<i64> = 1_577_836_800..4_102_444_800;

/// Follows one call through its attempts.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    operation: Operation,
    bucket: Arc<Bucket>,
    trace: Arc<Mutex<Trace>>,
}

/// What was seen of a call: the headers are those of its last answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    /// Requests that went out.
    pub(crate) sent: u32,
    /// The `Date` header, if it is there and makes sense.
    pub(crate) date: Option<AwsTime>,
    /// The request id.
    pub(crate) request_id: Option<String>,
}

impl Probe {
    /// A probe for one call; its retries are charged to the bucket.
    pub(crate) fn new(operation: Operation, bucket: &Arc<Bucket>) -> Self {
        Self {
            operation,
            bucket: Arc::clone(bucket),
            trace: Arc::default(),
        }
    }

    pub(crate) const fn operation(&self) -> Operation {
        self.operation
    }

    pub(crate) fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    pub(crate) fn trace(&self) -> Trace {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Trace> {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for Probe {
    fn name(&self) -> &'static str {
        "Probe"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let sent = self.lock().sent + 1;
        *self.lock() = Trace {
            sent,
            ..Trace::default()
        };
        if sent > 1 {
            self.bucket.spend(1);
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
        trace.date = response.headers().get("date").and_then(parse_date);
        trace.request_id = response.headers().get("x-amzn-requestid").map(clean);
        bound(response);
        Ok(())
    }
}

fn bound(response: &mut HttpResponse) {
    let body = std::mem::replace(response.body_mut(), SdkBody::taken());
    *response.body_mut() = SdkBody::from_body_1_x(Limited::new(body, MAX_BODY));
}

/// A `Date` header (RFC 9110 § 5.6.7, a subset of RFC 2822), unless it is absurd.
fn parse_date(text: &str) -> Option<AwsTime> {
    let date = rfc2822::DateTimeParser::new()
        .parse_timestamp(text.trim())
        .ok()?;
    sane(date).then(|| AwsTime::new(date))
}

/// Whether a clock of AWS may show this: from 2020 to 2099.
fn sane(timestamp: Timestamp) -> bool {
    SANE.contains(&timestamp.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_header_is_a_time_of_aws() {
        let date = parse_date("Mon, 24 Nov 2025 16:00:00 GMT").map(|date| date.to_string());
        assert_eq!(date.as_deref(), Some("2025-11-24T16:00:00Z"));
    }

    #[test]
    fn absurd_and_torn_dates_are_none() {
        for text in [
            "",
            "now",
            "1764000000",
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "Fri, 01 Jan 2100 00:00:00 GMT",
            "Mon, 24 Nov 2025",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }
}
