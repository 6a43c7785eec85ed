//! Connections, direct or through a proxy.

use std::fmt;
use std::future::ready;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector as AwsConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use http::Uri;
use hyper_rustls::{
    ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream,
};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower::{BoxError, Service, service_fn};

/// The time limit for a connection, including the proxy.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The default port of SOCKS servers (RFC 1928).
const SOCKS_PORT: u16 = 1080;

/// A connection before TLS to its destination. The part to the proxy may already be encrypted.
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Returns the proxy for a destination.
type Route = Arc<dyn Fn(&Uri) -> Option<Intercept> + Send + Sync>;

/// Opens connections for an HTTP client.
#[derive(Clone)]
pub(crate) struct Connector {
    route: Route,
    first_hop: HttpsConnector<HttpConnector>,
}

impl Connector {
    /// Returns a connector that always uses this proxy, or none. `tls` is for an https proxy.
    pub(crate) fn through(hop: Option<Intercept>, tls: ClientConfig) -> Self {
        Self::routed(Arc::new(move |_: &Uri| hop.clone()), tls)
    }

    fn routed(route: Route, tls: ClientConfig) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let first_hop = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Self { route, first_hop }
    }

    async fn connect(self, destination: Uri) -> io::Result<Stream> {
        let mut first_hop = self.first_hop;
        let hop = (self.route)(&destination);
        let default = if destination.scheme_str() == Some("http") {
            80
        } else {
            443
        };
        // The caller does TLS to the destination: an https scheme would start it here too.
        let destination = address(&destination, default)?;
        let Some(hop) = hop else {
            return first_hop.call(destination).await.map_err(io::Error::other);
        };
        let speaks_socks = hop
            .uri()
            .scheme_str()
            .is_some_and(|scheme| scheme.starts_with("socks"));
        let at = if speaks_socks {
            address(hop.uri(), SOCKS_PORT)?
        } else {
            hop.uri().clone()
        };
        let stream = first_hop.call(at.clone()).await.map_err(io::Error::other)?;
        // The handshakes ask once for a connection. It is open already, so that an unreachable proxy and a proxy that
        // refuses have different errors.
        let mut stream = Some(stream);
        let handed_over = service_fn(move |_: Uri| {
            ready(
                stream
                    .take()
                    .ok_or_else(|| io::Error::other("a connection was requested twice")),
            )
        });
        if speaks_socks {
            let mut socks = SocksV5::new(at, handed_over);
            if let Some((user, password)) = hop.raw_auth() {
                socks = socks.with_auth(user.to_owned(), password.to_owned());
            }
            return socks.call(destination).await.map_err(io::Error::other);
        }
        let mut tunnel = Tunnel::new(at, handed_over);
        if let Some(credentials) = hop.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        tunnel.call(destination).await.map_err(io::Error::other)
    }
}

/// Returns host and port of a URL, to connect to without TLS.
fn address(uri: &Uri, default: u16) -> io::Result<Uri> {
    let host = uri.host().unwrap_or_default();
    let port = uri.port_u16().unwrap_or(default);
    Uri::builder()
        .scheme("http")
        .authority(format!("{host}:{port}"))
        .path_and_query("/")
        .build()
        .map_err(io::Error::other)
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let connecting = self.clone().connect(destination);
        Box::pin(async move {
            let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
            connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        })
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

/// Builds a client for the AWS SDK that supports SOCKS, unlike the SDK's own. The variables select the proxy of each
/// request.
pub(crate) fn socks_client() -> io::Result<SharedHttpClient> {
    let matcher = Matcher::from_env();
    let tls = || {
        let roots = ClientConfig::builder().with_native_roots()?;
        Ok::<_, io::Error>(roots.with_no_client_auth())
    };
    let connector = Connector::routed(Arc::new(move |to: &Uri| matcher.intercept(to)), tls()?);
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls()?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    let client = Client::builder(TokioExecutor::new()).build(https);
    let connector = SharedHttpConnector::new(Aws { client });
    Ok(http_client_fn(move |_, _| connector.clone()))
}

/// The client of [`socks_client`].
#[derive(Clone, Debug)]
struct Aws {
    client: Client<HttpsConnector<Connector>, SdkBody>,
}

impl AwsConnector for Aws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        let answer = self.client.request(request);
        HttpConnectorFuture::new(async move {
            let answer = answer
                .await
                .map_err(|error| ConnectorError::io(BoxError::from(error)))?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::client::proxy::matcher::Matcher;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Serves one connection as a proxy that answers each part of a handshake. Returns what it received.
    async fn proxy(scheme: &str, replies: &[&'static [u8]]) -> (Result<(), String>, Vec<Vec<u8>>) {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let replies = replies.to_vec();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a caller");
            let mut sent = Vec::new();
            for reply in replies {
                let mut buffer = vec![0; 4096];
                let length = stream.read(&mut buffer).await.expect("a part");
                buffer.truncate(length);
                sent.push(buffer);
                stream.write_all(reply).await.expect("a reader");
            }
            sent
        });
        let url = format!("{scheme}127.0.0.1:{port}");
        let matcher = Matcher::builder().all(url).build();
        let route: Route = Arc::new(move |to: &Uri| matcher.intercept(to));
        let roots = rustls::RootCertStore::empty();
        let tls = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut connector = Connector::routed(route, tls);
        let destination = Uri::from_static("https://api.example.com");
        let connected = connector.call(destination).await;
        let outcome = connected.map(drop).map_err(|error| error.to_string());
        (outcome, serving.await.expect("it served"))
    }

    #[tokio::test]
    async fn a_tunnel_request_has_host_port_and_the_credentials_of_the_url() {
        let (outcome, sent) = proxy("http://user:p%40ss@", &[b"HTTP/1.1 200 OK\r\n\r\n"]).await;
        assert_eq!(outcome, Ok(()));
        let asked = String::from_utf8_lossy(&sent[0]).into_owned();
        assert!(
            asked.starts_with("CONNECT api.example.com:443 HTTP/1.1\r\n"),
            "{asked}"
        );
        assert!(asked.contains("Basic dXNlcjpwQHNz\r\n"), "{asked}");
    }

    #[tokio::test]
    async fn a_proxy_that_requires_a_password_is_reported() {
        let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
        let (outcome, _) = proxy("http://", &[refusal]).await;
        assert!(outcome.is_err_and(|error| error.contains("proxy authorization required")));
    }

    #[tokio::test]
    async fn a_socks_proxy_resolves_the_name() {
        let done = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x01";
        let (outcome, sent) = proxy("socks5://", &[b"\x05\x00", done]).await;
        assert_eq!(outcome, Ok(()));
        assert_eq!(sent[1], b"\x05\x01\x00\x03\x0fapi.example.com\x01\xbb");
        let (outcome, sent) = proxy("socks5h://u:p@", &[b"\x05\x02", b"\x01\x00", done]).await;
        assert_eq!(outcome, Ok(()));
        assert_eq!(sent[1], b"\x01\x01u\x01p");
    }
}
