//! Tests on the wire: a fake HTTP client under the SDK.

mod answers;
mod dates;
mod listening;
mod rates;
mod sweeping;
mod writing;

use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
pub(crate) use fixtures::arn;
use secret_rotation_core::advance::Request;
use secret_rotation_core::time::AwsTime;
use serde_json::{Value, json};

use crate::token_source::TokenSource;
use crate::{Account, Applied, Call, CallError, RateLimits};

pub(crate) const DATE: &str = "Mon, 24 Nov 2025 16:00:00 GMT";
pub(crate) const CURRENT: &str = "11111111-1111-1111-1111-111111111111";
pub(crate) const PENDING: &str = "22222222-2222-2222-2222-222222222222";

/// One request as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) operation: String,
    pub(crate) body: Value,
    /// The time of its signature, such as `20251124T160000Z`.
    pub(crate) signed: String,
}

/// Compares requests without the time of their signatures.
impl PartialEq for Sent {
    fn eq(&self, other: &Self) -> bool {
        (&self.operation, &self.body) == (&other.operation, &other.body)
    }
}

impl Sent {
    pub(crate) fn new(operation: &str, body: Value) -> Self {
        Self {
            operation: operation.to_owned(),
            body,
            signed: String::new(),
        }
    }
}

/// The reply of the fake to one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Answer {
        status: u16,
        date: Option<String>,
        body: String,
    },
    Silence,
    NoConnection,
    Panic,
}

impl Reply {
    pub(crate) fn ok(body: &Value) -> Self {
        Self::raw(200, &body.to_string())
    }

    pub(crate) fn error(code: &str, message: &str) -> Self {
        Self::raw(
            400,
            &json!({"__type": code, "Message": message}).to_string(),
        )
    }

    pub(crate) fn raw(status: u16, body: &str) -> Self {
        Self::Answer {
            status,
            date: Some(DATE.to_owned()),
            body: body.to_owned(),
        }
    }

    pub(crate) fn dated(self, text: Option<&str>) -> Self {
        match self {
            Self::Answer { status, body, .. } => Self::Answer {
                status,
                date: text.map(str::to_owned),
                body,
            },
            Self::Silence | Self::NoConnection | Self::Panic => self,
        }
    }

    fn future(self) -> HttpConnectorFuture {
        match self {
            Self::Answer { status, date, body } => {
                let status = status.try_into().expect("a status");
                let mut response = HttpResponse::new(status, SdkBody::from(body));
                let headers = response.headers_mut();
                headers.insert("x-amzn-requestid", "request-1");
                if let Some(date) = date {
                    headers.insert("date", date);
                }
                HttpConnectorFuture::ready(Ok(response))
            }
            Self::Silence => HttpConnectorFuture::new(std::future::pending()),
            Self::Panic => HttpConnectorFuture::new(async { panic!("boom") }),
            Self::NoConnection => {
                HttpConnectorFuture::ready(Err(ConnectorError::io("no route".into())))
            }
        }
    }
}

type Script = dyn Fn(&Sent, usize) -> Reply + Send + Sync;

/// A fake Secrets Manager that follows a script, and an account that uses it.
pub(crate) struct Fake {
    pub(crate) account: Account,
    sent: Arc<Mutex<Vec<Sent>>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

#[derive(Clone)]
struct Wire {
    script: Arc<Script>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

impl Wire {
    fn client(script: Arc<Script>, sent: &Arc<Mutex<Vec<Sent>>>) -> SharedHttpClient {
        let sent = Arc::clone(sent);
        let connector = SharedHttpConnector::new(Self { script, sent });
        http_client_fn(move |_, _| connector.clone())
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").expect("a target");
        let operation = ["secretsmanager.", "AmazonSQS."]
            .iter()
            .find_map(|service| target.strip_prefix(service))
            .expect("a known service")
            .to_owned();
        let body = serde_json::from_slice(request.body().bytes().expect("a whole body"))
            .expect("a JSON body");
        let signed = request.headers().get("x-amz-date").unwrap_or_default();
        let sent = Sent {
            signed: signed.to_owned(),
            ..Sent::new(&operation, body)
        };
        let mut log = self.sent.lock().expect("the log");
        let reply = (self.script)(&sent, log.len());
        log.push(sent);
        reply.future()
    }
}

impl Fake {
    /// Creates a fake with the agreed time [`date`]. The script receives the request and the number of requests before
    /// it.
    pub(crate) fn new(script: impl Fn(&Sent, usize) -> Reply + Send + Sync + 'static) -> Self {
        let fake = Self::without_time(script);
        for _ in 0..2 {
            fake.account.clock().observe(Some(DATE));
        }
        fake
    }

    /// Creates a fake without an agreed time.
    pub(crate) fn without_time(
        script: impl Fn(&Sent, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let limits = RateLimits {
            reads_per_second: 50,
            writes_per_second: 5,
        };
        Self::at(limits, script)
    }

    pub(crate) fn at(
        limits: RateLimits,
        script: impl Fn(&Sent, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let credentials = Credentials::new("AKIDEXAMPLE", "key", None, None, "test");
        let credentials = SharedCredentialsProvider::new(credentials);
        Self::made(limits, Arc::new(script), credentials)
    }

    pub(crate) fn with(script: Arc<Script>, credentials: SharedCredentialsProvider) -> Self {
        let limits = RateLimits {
            reads_per_second: 50,
            writes_per_second: 5,
        };
        Self::made(limits, script, credentials)
    }

    fn made(
        limits: RateLimits,
        script: Arc<Script>,
        credentials: SharedCredentialsProvider,
    ) -> Self {
        let (sent, calls) = (Arc::<Mutex<Vec<Sent>>>::default(), Arc::default());
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(Wire::client(script, &sent))
            .credentials_provider(credentials)
            .build();
        let region = fixtures::region(fixtures::REGION);
        let account = Account::with_config(&config, region, limits, observer(&calls));
        Self {
            account,
            sent,
            calls,
        }
    }

    /// Sends a write about secret `a` as a separate step.
    pub(crate) async fn send(&self, request: &Request) -> Result<Applied, CallError> {
        let payer = TokenSource::Shared(Arc::clone(self.account.writes()));
        self.account.send(&arn("a"), request, &payer).await
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().expect("the log").clone()
    }

    pub(crate) fn count(&self, operation: &str) -> usize {
        let sent = self.sent();
        sent.iter().filter(|it| it.operation == operation).count()
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("the calls").clone()
    }
}

fn observer(calls: &Arc<Mutex<Vec<Call>>>) -> crate::Observer {
    let calls = Arc::clone(calls);
    Arc::new(move |call| calls.lock().expect("the calls").push(*call))
}

pub(crate) fn date() -> AwsTime {
    fixtures::at("2025-11-24T16:00:00Z")
}

/// Returns an entry of a list or a description. `field` is the field with the labels.
pub(crate) fn secret(name: &str, field: &str, labels: &Value) -> Value {
    json!({
        "ARN": arn(name).as_str(),
        "Name": name,
        "RotationEnabled": true,
        "LastChangedDate": 1_763_000_000.123,
        field: labels,
    })
}

/// Returns the labels of a rotation that has not finished.
pub(crate) fn stuck() -> Value {
    json!({CURRENT: ["AWSCURRENT"], PENDING: ["AWSPENDING"]})
}

/// Returns the labels of a secret at rest.
pub(crate) fn rested() -> Value {
    json!({CURRENT: ["AWSCURRENT", "AWSPENDING"]})
}
