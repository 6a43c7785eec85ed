//! A simulated account, the SDK's client for it, and short words for what comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::delete_secret::builders::DeleteSecretFluentBuilder;
use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::operation::rotate_secret::builders::RotateSecretFluentBuilder;
use aws_sdk_secretsmanager::operation::update_secret_version_stage::builders::UpdateSecretVersionStageFluentBuilder;
use aws_sdk_secretsmanager::types::ReplicaRegionType;
use secret_rotation_simulator::{Options, Simulator};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// When the account's clock starts; it stands still but for jumps.
pub(crate) const START: &str = "2026-11-23T10:00:00Z";

/// The version that applications read.
pub(crate) const CURRENT: &str = "cccccccc-0000-4000-8000-000000000001";
/// The version that a rotation left behind.
pub(crate) const PENDING: &str = "aaaaaaaa-0000-4000-8000-000000000002";
/// The version before the current one.
pub(crate) const PREVIOUS: &str = "bbbbbbbb-0000-4000-8000-000000000003";
/// A version id that nothing has yet.
pub(crate) const TOKEN: &str = "dddddddd-0000-4000-8000-000000000004";

/// Labels by version.
pub(crate) type Labels = BTreeMap<String, BTreeSet<String>>;

/// A simulated account with a client.
pub(crate) struct Account {
    pub(crate) simulator: Simulator,
    pub(crate) client: Client,
}

/// What an operation was refused with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

/// An answer as it came over the wire.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
}

impl Account {
    /// An account that holds what the scenario says. Its client sends each request once.
    pub(crate) fn with(scenario: &str) -> Self {
        Self::starting(Some(START), scenario)
    }

    /// The same at the time of the machine.
    pub(crate) fn of_today(scenario: &str) -> Self {
        Self::starting(None, scenario)
    }

    fn starting(time: Option<&str>, scenario: &str) -> Self {
        let options = Options {
            clock_rate: 0.0,
            start_time: time.map(|time| time.parse().unwrap()),
            ..Options::default()
        };
        let simulator = Simulator::start(options).unwrap();
        simulator.add(scenario).unwrap();
        let client = Client::from_conf(settings(&simulator, "eu-west-1").build());
        Self { simulator, client }
    }

    /// A client for another region.
    pub(crate) fn in_region(&self, region: &'static str) -> Client {
        Client::from_conf(settings(&self.simulator, region).build())
    }

    /// A client that sends a request up to three times, as the SDK does by default.
    pub(crate) fn patient(&self) -> Client {
        let retry =
            RetryConfig::standard().with_initial_backoff(std::time::Duration::from_millis(1));
        Client::from_conf(
            settings(&self.simulator, "eu-west-1")
                .retry_config(retry)
                .build(),
        )
    }

    /// A request that takes AWSPENDING off a version of `app`.
    pub(crate) fn clear(&self, version: &str) -> UpdateSecretVersionStageFluentBuilder {
        let update = self.client.update_secret_version_stage().secret_id("app");
        let update = update.version_stage("AWSPENDING");
        update.remove_from_version_id(version)
    }

    /// A request that rotates `app`.
    pub(crate) fn rotate(&self) -> RotateSecretFluentBuilder {
        self.client.rotate_secret().secret_id("app")
    }

    /// A request that deletes `app`.
    pub(crate) fn delete(&self) -> DeleteSecretFluentBuilder {
        self.client.delete_secret().secret_id("app")
    }

    /// Replicates `app` to `us-east-1`.
    pub(crate) async fn replicate(&self) {
        let replica = ReplicaRegionType::builder().region("us-east-1").build();
        let replicate = self.client.replicate_secret_to_regions().secret_id("app");
        let replicate = replicate.add_replica_regions(replica);
        replicate.send().await.unwrap();
    }

    /// How often the SDK sends `DescribeSecret` until it gives up.
    pub(crate) async fn attempts(&self) -> usize {
        let describe = self.patient().describe_secret().secret_id("app");
        assert!(describe.send().await.is_err());
        self.simulator.calls()["DescribeSecret"]
    }

    pub(crate) async fn describe(&self, secret: &str) -> DescribeSecretOutput {
        let described = self.client.describe_secret().secret_id(secret);
        described.send().await.unwrap()
    }

    /// The labels that `DescribeSecret` shows.
    pub(crate) async fn labels(&self, secret: &str) -> Labels {
        let described = self.describe(secret).await;
        let stages = described.version_ids_to_stages.unwrap_or_default();
        stages
            .into_iter()
            .map(|(version, labels)| (version, labels.into_iter().collect()))
            .collect()
    }

    /// The version ids that `ListSecretVersionIds` shows.
    pub(crate) async fn listed_versions(&self, secret: &str, deprecated: bool) -> BTreeSet<String> {
        let versions = self
            .client
            .list_secret_version_ids()
            .secret_id(secret)
            .include_deprecated(deprecated);
        let listed = versions.send().await.unwrap();
        listed
            .versions()
            .iter()
            .filter_map(|version| version.version_id().map(str::to_owned))
            .collect()
    }

    /// Sends a body that no SDK would send.
    pub(crate) async fn post(&self, operation: &str, body: &Value) -> Answer {
        let address = self.simulator.url().replace("http://", "");
        let body = body.to_string();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: secretsmanager.{operation}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261123/eu-west-1/secretsmanager/aws4_request, \
             SignedHeaders=host, Signature=00\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        Answer::parse(&answer)
    }

    /// The entry of a secret in the body of `DescribeSecret`, with absent keys absent.
    pub(crate) async fn described_body(&self, secret: &str) -> Value {
        self.post("DescribeSecret", &json!({ "SecretId": secret }))
            .await
            .body
    }
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
        Self {
            status: status.parse().unwrap(),
            headers: headers.collect(),
            body: serde_json::from_str(body).unwrap(),
        }
    }
}

fn settings(simulator: &Simulator, region: &'static str) -> Builder {
    Builder::new()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .endpoint_url(simulator.url())
        .region(Region::new(region))
        .credentials_provider(Credentials::new(
            "AKIDEXAMPLE",
            "secret",
            None,
            None,
            "test",
        ))
        .retry_config(RetryConfig::disabled())
}

/// What the operation was refused with; a test fails here if it was not.
pub(crate) fn refusal<T: Debug, E: ProvideErrorMetadata + Debug>(
    answer: Result<T, SdkError<E>>,
) -> Refusal {
    let error = answer.unwrap_err();
    Refusal {
        status: error.raw_response().unwrap().status().as_u16(),
        code: error.code().unwrap_or_default().to_owned(),
        message: error.message().unwrap_or_default().to_owned(),
    }
}

/// A refusal in the client's own fault: AWS answers all of them with status 400.
pub(crate) fn refused(code: &str, message: &str) -> Refusal {
    Refusal {
        status: 400,
        code: code.to_owned(),
        message: message.to_owned(),
    }
}

/// Labels as a test writes them: `[(CURRENT, "AWSCURRENT AWSPENDING")]`.
pub(crate) fn labels<const N: usize>(written: [(&str, &str); N]) -> Labels {
    written
        .into_iter()
        .map(|(version, labels)| {
            let labels = labels.split_whitespace().map(str::to_owned);
            (version.to_owned(), labels.collect())
        })
        .collect()
}

/// A secret named `app` at rest, with the function `ok` that rotates properly.
pub(crate) fn idle() -> String {
    app("", "ok")
}

/// The same with a pending version that has no value.
pub(crate) fn stuck_empty(function: &str) -> String {
    app(
        &format!("  - {{id: {PENDING}, labels: [AWSPENDING], empty: true}}\n"),
        function,
    )
}

/// The same with a pending version that has a value.
pub(crate) fn stuck_valued(function: &str) -> String {
    app(
        &format!("  - {{id: {PENDING}, labels: [AWSPENDING], created: -26h}}\n"),
        function,
    )
}

/// A secret named `app` with further versions, each on a line of its own.
pub(crate) fn app(versions: &str, function: &str) -> String {
    format!(
        "secrets:
- name: app
  lastChanged: -26h
  versions:
  - {{id: {CURRENT}, labels: [AWSCURRENT], created: -12d}}
  - {{id: {PREVIOUS}, labels: [AWSPREVIOUS], created: -42d}}
{versions}  rotation: {{function: {function}, everyDays: 30, lastRotated: -12d, next: +18d}}
"
    )
}
