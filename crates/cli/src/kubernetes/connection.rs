//! The HTTP client to the API server.
//!
//! kube makes one of its own, but decides about proxies in its own way: it compares `NO_PROXY` with the address of the
//! proxy, and takes one empty entry in it for an error.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::legacy::Client as Sender;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use kube::{Client, Config};
use tower::timeout::TimeoutLayer;
use tower::{BoxError, ServiceBuilder};

use super::clock::{ClockLayer, ServerClock};
use crate::proxy::{Connector, Proxy};

/// How long the headers of an answer may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Makes a client with the certificates and credentials of the configuration; asks nothing yet.
///
/// A person waits, so nothing is sent twice: what fails is told at once.
pub(super) fn client(
    config: &Config,
    proxy: Option<&Proxy>,
    clock: &Arc<ServerClock>,
) -> Result<Client, kube::Error> {
    let connector = Connector::through(proxy, config.rustls_client_config()?);
    let https = config.rustls_https_connector_with_connector(connector)?;
    let sender = Sender::builder(TokioExecutor::new()).build::<_, Body>(https);
    // Outermost first, as kube itself stacks them.
    let service = ServiceBuilder::new()
        .layer(ClockLayer::new(clock))
        .layer(TimeoutLayer::new(CALL_TIMEOUT))
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(sender);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}
