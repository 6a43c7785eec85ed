//! The replica and the certificate of this crate's tests.

use std::convert::Infallible;
use std::sync::Arc;

use kube::Client;
use kube::client::Body;

use crate::aws_connections::Connections;
use crate::clock::ServerClock;
use crate::context::{Context, Queues};
use crate::evaluations::Evaluations;
use crate::events::EventRecorder;
use crate::kubernetes::admission;
use crate::kubernetes::reads::Reader;
use crate::lease::{Elector, LeaseNote};
use crate::metrics::Metrics;
use crate::operation::locks::SecretLocks;
use crate::operation::look_failures::LookFailures;
use crate::options::SecretLabel;
use crate::policy::written_status::WrittenStatuses;
use crate::published_statuses::PublishedStatuses;
use crate::read_health::ReadHealth;
use crate::shutdown;
use crate::stability::SharedStability;
use crate::store::Store;
use crate::sweep::SweepStore;

/// A self-signed certificate for `localhost` and its key, as PEM.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) chain: String,
    pub(crate) key: String,
}

/// Returns a new [`Signed`].
pub(crate) fn signed() -> Signed {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let made = made.expect("a certificate");
    Signed {
        chain: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
    }
}

/// Returns the shared state of a replica that has seen no events yet. Its API server fails every request.
pub(crate) fn context() -> Context {
    let client = Client::new(tower::service_fn(fails), "default");
    let server_clock = Arc::new(ServerClock::default());
    let identity = "replica".to_owned();
    let note = Arc::<LeaseNote>::default();
    let (_, leadership) = Elector::new(
        client.clone(),
        "default",
        identity.clone(),
        Arc::clone(&server_clock),
        Arc::clone(&note),
    );
    let metrics = Metrics::new(10, SecretLabel::Name).expect("metrics");
    Context {
        recorder: EventRecorder::new(client.clone(), identity.clone()),
        identity,
        reader: Reader::new(client.clone(), Vec::new()),
        connections: Connections::new(Arc::clone(&metrics), Arc::<ReadHealth>::default()),
        cluster: fixtures::cluster(),
        store: Store::new(0),
        sweeps: SweepStore::of(metrics.reports().known_secrets().clone()),
        stability: SharedStability::default(),
        evaluations: Evaluations::default(),
        published_statuses: PublishedStatuses::default(),
        written_statuses: WrittenStatuses::default(),
        locks: SecretLocks::default(),
        admission: admission::AdmissionView::new(note),
        look_failures: LookFailures::default(),
        queues: Queues::default(),
        leadership,
        shutdown: shutdown::channel().1,
        server_clock,
        metrics,
        client,
    }
}

async fn fails(_: http::Request<Body>) -> Result<http::Response<Body>, Infallible> {
    let answer = http::Response::builder().status(500).body(Body::empty());
    Ok(answer.expect("an answer"))
}
