//! `/metrics` on one address, `/livez` and `/readyz` on another.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::metrics::Metrics;
use crate::shutdown::Shutdown;

/// Says why the process is not ready; `None` = it is.
pub(crate) type Readiness = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// Binds and serves metrics until the shutdown begins.
pub(crate) async fn metrics(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/metrics", get(scrape))
        .with_state(metrics);
    serve(address, router, shutdown)
        .await
        .with_context(|| format!("serving metrics on {address}"))
}

/// Binds and serves health until the shutdown begins.
pub(crate) async fn health(
    address: SocketAddr,
    ready: Readiness,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(ready);
    serve(address, router, shutdown)
        .await
        .with_context(|| format!("serving health on {address}"))
}

async fn serve(address: SocketAddr, router: Router, shutdown: Shutdown) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { shutdown.begun().await })
        .await?;
    Ok(())
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

async fn readyz(State(ready): State<Readiness>) -> Response {
    match ready() {
        None => "ok\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}
