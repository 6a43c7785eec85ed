//! The HTTP client of the API server.
//!
//! kube has its own, but its proxy rules differ from those of kubectl: it compares `NO_PROXY` with the address of the
//! proxy, and rejects an empty entry in it.

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

/// The time limit for the headers of a response.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Builds a client with the certificates and credentials of the configuration. Sends no request.
///
/// It never retries: the user waits, and sees every error at once.
pub(super) fn client(
    config: &Config,
    proxy: Option<&Proxy>,
    clock: &Arc<ServerClock>,
) -> Result<Client, kube::Error> {
    let connector = Connector::through(proxy.map(Proxy::hop), config.rustls_client_config()?);
    let https = config.rustls_https_connector_with_connector(connector)?;
    let sender = Sender::builder(TokioExecutor::new()).build::<_, Body>(https);
    // Outermost first, in the order of kube.
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
