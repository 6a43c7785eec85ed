//! The client of the API server. It does not retry, limits the time until the headers of an answer, counts requests,
//! and provides the time of the server.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use http::{Method, Request, Response, header};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tower::timeout::TimeoutLayer;
use tower::{BoxError, Layer, Service};

use crate::clock::ServerClock;
use crate::error::ServerBusy;
use crate::kubernetes::CALL_TIMEOUT;
use crate::metrics::Metrics;

/// Maximum time to establish a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Maximum time without data on a connection. After that the connection is dead: watches end earlier, see `watches`.
/// It also limits the body of a list, which [`CALL_TIMEOUT`] does not, and the life of idle connections.
const SILENCE: Duration = Duration::from_secs(20);

/// Connects with the kubeconfig, or otherwise as a pod of the cluster.
pub(crate) async fn connect(
    metrics: Arc<Metrics>,
    server_clock: Arc<ServerClock>,
) -> anyhow::Result<Client> {
    let mut config = Config::infer().await.context(
        "no cluster is configured: run in a pod that mounts its service account, or set KUBECONFIG",
    )?;
    // The retries of kube can take minutes inside one call. Every loop here has its own retries.
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(SILENCE);
    // Otherwise a connection that was idle in the pool for long would have too little time left to answer.
    config.reset_reader_on_write = true;
    let builder = ClientBuilder::try_from(config)?;
    let observed = ObserveLayer {
        metrics,
        server_clock,
    };
    Ok(builder
        .with_layer(&TimeoutLayer::new(CALL_TIMEOUT))
        .with_layer(&observed)
        .build())
}

/// Counts requests, and reads the `Date` header of each answer.
#[derive(Clone, Debug)]
pub(crate) struct ObserveLayer {
    /// The metrics that count the requests.
    pub metrics: Arc<Metrics>,
    /// The clock that learns the dates.
    pub server_clock: Arc<ServerClock>,
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service that [`ObserveLayer`] adds.
#[derive(Clone, Debug)]
pub(crate) struct Observe<S> {
    inner: S,
    layer: ObserveLayer,
}

impl<S, B> Service<Request<Body>> for Observe<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (verb, resource) = call_of(
            request.method(),
            request.uri().path(),
            request.uri().query(),
        );
        let ObserveLayer {
            metrics,
            server_clock,
        } = self.layer.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await.map_err(Into::into);
            if let Some(date) = answer
                .as_ref()
                .ok()
                .and_then(|answer| answer.headers().get(header::DATE))
            {
                server_clock.observe(date.to_str().unwrap_or_default());
            }
            let class = answer
                .as_ref()
                .map_or("none", |answer| code_class(answer.status().as_u16()));
            metrics.kubernetes_called(verb, resource, class);
            let answer = answer?;
            match ServerBusy::from_response(answer.status(), answer.headers()) {
                Some(busy) => Err(busy.into()),
                None => Ok(answer),
            }
        })
    }
}

const fn code_class(code: u16) -> &'static str {
    match code {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

/// Returns the verb and the resource of a request, from closed sets.
fn call_of(method: &Method, path: &str, query: Option<&str>) -> (&'static str, &'static str) {
    const RESOURCES: [&str; 8] = [
        "secretrotationpolicies",
        "secretrotationoperations",
        "awsaccessprofiles",
        "leases",
        "events",
        "tokenreviews",
        "subjectaccessreviews",
        "namespaces",
    ];
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    // `namespaces` comes last, because it is also a part of the path of every namespaced object.
    let resource = RESOURCES
        .into_iter()
        .find(|resource| parts.contains(resource));
    let named = resource
        .and_then(|resource| parts.iter().position(|part| *part == resource))
        .is_some_and(|at| parts.len() > at + 1);
    let watch = query.is_some_and(|query| {
        query
            .split('&')
            .any(|pair| pair == "watch=true" || pair == "watch=1")
    });
    let verb = match *method {
        Method::GET if watch => "watch",
        Method::GET if named => "get",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    };
    (verb, resource.unwrap_or("other"))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::Lease;
    use kube::Api;

    use super::*;
    use crate::kubernetes::with_call_timeout;
    use crate::options::SecretLabel;

    #[test]
    fn requests_are_counted_by_verb_and_resource_never_by_name() {
        let operations =
            "/apis/secretrotation.dev/v1alpha1/namespaces/team/secretrotationoperations";
        for (method, path, query, expected) in [
            (
                Method::GET,
                operations,
                Some("labelSelector=a"),
                ("list", "secretrotationoperations"),
            ),
            (
                Method::GET,
                operations,
                Some("a=b&watch=true"),
                ("watch", "secretrotationoperations"),
            ),
            (
                Method::POST,
                operations,
                None,
                ("create", "secretrotationoperations"),
            ),
            (
                Method::PATCH,
                &format!("{operations}/x/status"),
                Some(""),
                ("patch", "secretrotationoperations"),
            ),
            (
                Method::GET,
                "/api/v1/namespaces/kube-system",
                None,
                ("get", "namespaces"),
            ),
            (
                Method::GET,
                "/api/v1/namespaces",
                None,
                ("list", "namespaces"),
            ),
            (
                Method::PUT,
                "/apis/coordination.k8s.io/v1/namespaces/a/leases/b",
                None,
                ("update", "leases"),
            ),
            (Method::GET, "/version", None, ("list", "other")),
        ] {
            assert_eq!(call_of(&method, path, query), expected, "{method} {path}");
        }
    }

    #[tokio::test]
    async fn a_request_pauses_only_if_the_answer_asks_for_it() {
        for (code, after, rest) in [
            (429, Some("7"), Some(7)),
            (503, Some(" 1 "), Some(1)),
            (429, Some("86400"), Some(300)),
            (429, None, None),
            (503, Some("soon"), None),
            (500, Some("7"), None),
        ] {
            let answer = move |_: Request<Body>| {
                let mut response = Response::builder().status(code);
                if let Some(after) = after {
                    response = response.header(header::RETRY_AFTER, after);
                }
                let body = Body::from(b"Too many requests, please try again later.".to_vec());
                std::future::ready(response.body(body))
            };
            let layer = ObserveLayer {
                metrics: Metrics::new(1, SecretLabel::Name).expect("metrics register"),
                server_clock: Arc::default(),
            };
            let client = ClientBuilder::new(tower::service_fn(answer), "default");
            let client = client.with_layer(&layer).build();
            let leases: Api<Lease> = Api::default_namespaced(client);
            let error = with_call_timeout(leases.get("any"))
                .await
                .expect_err("it is refused");
            assert_eq!(
                error.retry_after().map(|rest| rest.as_secs()),
                rest,
                "{code} {after:?}: {error}"
            );
        }
    }
}
