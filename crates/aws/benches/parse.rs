//! A sweep over one canned page: what the SDK, the conversion into core's types and the engine cost, without a network.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::{Arc, Mutex};

use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use criterion::{Criterion, criterion_group, criterion_main};
use secret_rotation_aws::{Account, RateLimits, Scope, SdkConfig, SweepPlan};
use secret_rotation_core::engine::{Engine, SharedEngine, Sights};
use secret_rotation_core::operation_index::OperationIndex;
use secret_rotation_core::stability::StabilityTracker;

/// The number of secrets of the sweep: one page.
const SECRETS: usize = 100;

/// A Secrets Manager with one page.
#[derive(Clone, Debug)]
struct OnePage(Arc<str>);

impl HttpConnector for OnePage {
    fn call(&self, _request: HttpRequest) -> HttpConnectorFuture {
        let status = 200.try_into().expect("a status");
        let mut response = HttpResponse::new(status, SdkBody::from(&*self.0));
        let headers = response.headers_mut();
        headers.insert("x-amzn-requestid", "request-1");
        headers.insert("date", "Mon, 24 Nov 2025 16:00:00 GMT");
        HttpConnectorFuture::ready(Ok(response))
    }
}

/// Returns a page of healthy secrets as AWS writes it.
fn page() -> String {
    let mut entries = String::new();
    for number in 0..SECRETS {
        let comma = if number == 0 { "" } else { "," };
        write!(
            entries,
            r#"{comma}{{"ARN":"arn:aws:secretsmanager:eu-west-1:111122223333:secret:payments/team-007/secret-{number:015}-AbCdEf","CreatedDate":1731500000.123,"LastChangedDate":1763000000.123,"LastRotatedDate":1763000000.123,"Name":"payments/team-007/secret-{number:015}","NextRotationDate":1766000000.0,"RotationEnabled":true,"RotationLambdaARN":"arn:aws:lambda:eu-west-1:111122223333:function:rotate-007","RotationRules":{{"AutomaticallyAfterDays":30}},"SecretVersionsToStages":{{"11111111-1111-1111-1111-{number:012}":["AWSCURRENT"],"22222222-2222-2222-2222-{number:012}":["AWSPREVIOUS"]}},"Tags":[{{"Key":"environment","Value":"production"}},{{"Key":"service","Value":"service-0007"}},{{"Key":"team","Value":"team-007"}}]}}"#
        )
        .expect("a text takes everything");
    }
    format!(r#"{{"SecretList":[{entries}]}}"#)
}

/// An engine without policies that nothing else uses.
struct Lone(Mutex<(Engine, StabilityTracker, OperationIndex)>);

impl Lone {
    fn new() -> Self {
        let engine = Engine::of_everything(fixtures::region(fixtures::REGION));
        Self(Mutex::new((
            engine,
            StabilityTracker::default(),
            OperationIndex::default(),
        )))
    }
}

impl SharedEngine for Lone {
    fn with<T>(&self, change: impl FnOnce(&mut Sights<'_>) -> T) -> T {
        let mut parts = self.0.lock().expect("no sweep has panicked");
        let (engine, stability, operations) = &mut *parts;
        change(&mut Sights {
            engine,
            stability,
            operations,
        })
    }
}

fn account() -> Account {
    let connector = SharedHttpConnector::new(OnePage(page().into()));
    let credentials = Credentials::new("AKIDEXAMPLE", "key", None, None, "bench");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let limits = RateLimits {
        reads_per_second: 1_000_000,
        writes_per_second: 1,
    };
    let region = fixtures::region(fixtures::REGION);
    Account::with_config(&config, region, limits, Arc::new(|_| {}))
}

fn parse(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (account, lone) = (account(), Lone::new());
    let plan = SweepPlan {
        scope: Scope::Everything,
        policies: BTreeSet::new(),
        is_whole: true,
        max_ages: 0,
    };
    let sweep = || runtime.block_on(account.sweep(&plan, &lone));
    assert_eq!(sweep().shown, SECRETS);
    criterion.bench_function("page of 100 secrets through the SDK", |bencher| {
        bencher.iter(|| black_box(sweep()));
    });
}

criterion_group!(benches, parse);
criterion_main!(benches);
