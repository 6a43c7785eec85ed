//! Tests over real sockets: what a scraper gets, and what other clients cannot do.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::shutdown::{self, Trigger};
use crate::testing::{Signed, signed};

const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn metrics_are_served_by_both_versions_of_tls() {
    let stage = Stage::over_tls().await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let answer = stage.scrape(version).await.expect("an answer");
        assert!(answer.ends_with("series 1\n"), "{answer}");
    }
}

#[tokio::test]
async fn garbage_and_plain_http_end_the_connection_and_nothing_else() {
    let stage = Stage::over_tls().await;
    for garbage in [
        REQUEST,
        b"\x16\x03\x01\xff\xff".as_slice(),
        &vec![0; 70_000],
        b"\r\n",
    ] {
        let mut stream = stage.connect().await;
        // The server may close the connection during the write.
        let _ = stream.write_all(garbage).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    assert!(stage.scrape(&rustls::version::TLS13).await.is_ok());
}

#[tokio::test]
async fn a_connection_beyond_the_limit_is_closed_and_later_ones_are_accepted_again() {
    let stage = Stage::over_tls().await;
    let mut held = Vec::new();
    for _ in 0..METRICS_CONNECTIONS {
        held.push(stage.connect().await);
    }
    // Connections are counted in the order in which they arrived.
    let mut extra = stage.connect().await;
    let mut byte = [0];
    let closed = tokio::time::timeout(Duration::from_secs(5), extra.read(&mut byte)).await;
    assert_eq!(closed.expect("closed at once").unwrap_or_default(), 0);
    drop(held);
    stage.until_served().await;
}

#[tokio::test]
async fn plain_http_answers_and_ends_with_the_process() {
    let (trigger, shutdown) = shutdown::channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(serve(listener, router(), 4, shutdown));
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(REQUEST).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.ends_with("series 1\n"), "{answer}");
    let _idle = TcpStream::connect(address).await.expect("connected");
    trigger.begin();
    let ended = tokio::time::timeout(Duration::from_secs(5), server).await;
    ended
        .expect("in time")
        .expect("no panic")
        .expect("no error");
}

#[tokio::test]
async fn a_client_that_keeps_the_server_waiting_is_disconnected() {
    let tls = Stage::over_tls().await;
    let (_trigger, shutdown) = shutdown::channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let plain = listener.local_addr().expect("an address");
    tokio::spawn(serve(listener, router(), 4, shutdown));
    let whole = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (address, sent) in [
        (plain, b"".as_slice()),
        (plain, b"GET /metr"),
        (plain, whole),
        (tls.address, b""),
        (tls.address, b"\x16\x03\x01"),
    ] {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(sent).await.expect("sent");
        if sent == whole {
            let mut answer = vec![0; 1024];
            let length = stream.read(&mut answer).await.expect("an answer");
            assert!(answer[..length].ends_with(b"series 1\n"));
        }
        // Data in flight arrives before the paused clock starts to jump from timer to timer.
        tokio::time::sleep(Duration::from_millis(100)).await;
        tokio::time::pause();
        let began = crate::clock::now();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        let waited = crate::clock::now() - began;
        tokio::time::resume();
        let range = PATIENCE / 2..=PATIENCE;
        assert!(range.contains(&waited), "{sent:?} is waited for {waited:?}");
        assert!(
            rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"),
            "{rest:?}"
        );
    }
}

/// A server over TLS on a free port.
struct Stage {
    address: SocketAddr,
    pair: Signed,
    _trigger: Trigger,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn over_tls() -> Self {
        let (trigger, shutdown) = shutdown::channel();
        let folder = tempfile::tempdir().expect("a folder");
        let pair = signed();
        let (chain, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        std::fs::write(&chain, &pair.chain).expect("written");
        std::fs::write(&key, &pair.key).expect("written");
        let certificate = Certificate::read(chain, key).await;
        let certificate = certificate.unwrap_or_else(|error| panic!("{error}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(serve_tls(listener, router(), certificate, shutdown));
        Self {
            address,
            pair,
            _trigger: trigger,
            _folder: folder,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connected")
    }

    async fn scrape(
        &self,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> std::io::Result<String> {
        let (address, chain) = (self.address, self.pair.chain.clone());
        tokio::task::spawn_blocking(move || scrape_blocking(address, &chain, version))
            .await
            .expect("no panic")
    }

    async fn until_served(&self) {
        for _ in 0..100 {
            if self.scrape(&rustls::version::TLS13).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("there is no room again");
    }
}

fn router() -> Router {
    Router::new().route("/metrics", get(|| async { "series 1\n" }))
}

fn scrape_blocking(
    address: SocketAddr,
    chain: &str,
    version: &'static rustls::SupportedProtocolVersion,
) -> std::io::Result<String> {
    use std::io::{Read as _, Write as _};
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(chain.as_bytes()).expect("PEM");
    roots.add(certificate).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a connection");
    let mut stream = StreamOwned::new(connection, std::net::TcpStream::connect(address)?);
    stream.write_all(REQUEST)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
