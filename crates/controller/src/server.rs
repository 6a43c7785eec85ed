//! Serves `/metrics` on one address, and `/livez` and `/readyz` on another.

mod authorization;
mod certificate;
mod limit;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use axum_server::tls_rustls::RustlsAcceptor;
use axum_server::{Handle, Server};
use kube::Client;
use tokio::net::TcpListener;

pub(crate) use self::authorization::CHALLENGE;
use self::authorization::ScrapeGate;
use self::certificate::Certificate;
use self::limit::Limit;
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;

/// Maximum number of open connections to `/metrics`. Scrapers are few, and other clients can wait.
const METRICS_CONNECTIONS: usize = 64;

/// Maximum number of open connections to the health address: many more than probes need, and far fewer than the
/// process may open.
const HEALTH_CONNECTIONS: usize = 1024;

/// Maximum time of a TLS handshake, or of the head of a request. An idle connection is closed after this time too.
const PATIENCE: Duration = Duration::from_secs(10);

/// Maximum time to complete the answers in flight when the process ends.
const GRACE: Duration = Duration::from_millis(500);

/// Returns why the process is not alive or not ready, or `None` if it is.
pub(crate) type Check = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// How `/metrics` is protected.
#[derive(Debug, Default)]
pub(crate) struct Guards {
    /// The certificate chain and the private key. `None` means plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Whether the API server must authorize each scraper.
    pub auth: bool,
}

/// Serves metrics until the shutdown begins.
///
/// # Errors
///
/// Returns an error if the address cannot be bound, or if the certificate cannot be used at the start.
pub(crate) async fn metrics(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    guards: Guards,
    client: Client,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let mut router = Router::new().route("/metrics", get(scrape).with_state(metrics));
    if guards.auth {
        if guards.tls.is_none() {
            tracing::warn!(
                "bearer tokens for /metrics are sent unencrypted: set --metrics-tls-cert"
            );
        }
        router = router
            .layer(middleware::from_fn(authorization::guard))
            .layer(Extension(Arc::new(ScrapeGate::new(client))));
    }
    let served = async {
        let listener = TcpListener::bind(address).await?;
        match guards.tls {
            None => serve(listener, router, METRICS_CONNECTIONS, shutdown).await,
            Some((chain, key)) => {
                let certificate = Certificate::read(chain, key).await?;
                serve_tls(listener, router, certificate, shutdown).await
            }
        }
    };
    served
        .await
        .with_context(|| format!("serving metrics on {address}"))
}

/// Serves health until the shutdown begins.
///
/// # Errors
///
/// Returns an error if the address cannot be bound.
pub(crate) async fn health(
    address: SocketAddr,
    alive: Check,
    ready: Check,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/livez", get(checked).with_state(alive))
        .route("/readyz", get(checked).with_state(ready));
    let served = async {
        let listener = TcpListener::bind(address).await?;
        serve(listener, router, HEALTH_CONNECTIONS, shutdown).await
    };
    served
        .await
        .with_context(|| format!("serving health on {address}"))
}

/// Serves plain HTTP.
async fn serve(
    listener: TcpListener,
    router: Router,
    connections: usize,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let handle = Handle::new();
    let serving = server(listener, &handle)?
        .acceptor(Limit::new(connections))
        .serve(router.into_make_service());
    Ok(serve_until(shutdown, handle, serving).await?)
}

/// Serves over TLS with the current certificate of the files.
async fn serve_tls(
    listener: TcpListener,
    router: Router,
    mut certificate: Certificate,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let handle = Handle::new();
    let acceptor = RustlsAcceptor::new(certificate.served())
        .handshake_timeout(PATIENCE)
        .acceptor(Limit::new(METRICS_CONNECTIONS));
    let serving = server(listener, &handle)?
        .acceptor(acceptor)
        .serve(router.into_make_service());
    tokio::select! {
        ended = serve_until(shutdown, handle, serving) => Ok(ended?),
        never = certificate.follow() => match never {},
    }
}

/// Builds a server that closes connections of slow clients.
fn server(
    listener: TcpListener,
    handle: &Handle<SocketAddr>,
) -> std::io::Result<Server<SocketAddr>> {
    tracing::info!(address = %listener.local_addr()?, "server listening");
    let mut server = Server::from_listener(listener).http1_only();
    server.http_builder().http1().header_read_timeout(PATIENCE);
    Ok(server
        .handle(handle.clone())
        .first_request_timeout(PATIENCE)
        .accept_error_handler(|peer, error| {
            tracing::debug!(?peer, %error, "connection refused");
        }))
}

/// Serves until the shutdown begins, and then until the answers in flight are complete.
async fn serve_until(
    shutdown: Shutdown,
    handle: Handle<SocketAddr>,
    serving: impl Future<Output = std::io::Result<()>>,
) -> std::io::Result<()> {
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended,
        () = shutdown.begun() => handle.graceful_shutdown(Some(GRACE)),
    }
    serving.await
}

async fn scrape(State(metrics): State<Arc<Metrics>>) -> Response {
    match metrics.text() {
        Ok(text) => (
            [(
                header::CONTENT_TYPE,
                "text/plain; version=0.0.4; charset=utf-8",
            )],
            text,
        )
            .into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn checked(State(check): State<Check>) -> Response {
    match check() {
        None => "ok\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}
