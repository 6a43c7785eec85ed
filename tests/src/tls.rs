//! A certificate that is renewed, and a client that trusts only this certificate.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A folder as a kubelet mounts a Secret: links into a folder that is replaced as a whole.
#[derive(Debug)]
pub struct Mounted {
    folder: PathBuf,
    versions: u32,
}

impl Mounted {
    /// Creates the first certificate, in an existing folder.
    pub fn in_folder(folder: &Path) -> Self {
        for name in ["tls.crt", "tls.key"] {
            symlink(format!("..data/{name}"), folder.join(name)).expect("a link");
        }
        let mut mounted = Self {
            folder: folder.to_owned(),
            versions: 0,
        };
        mounted.renew();
        mounted
    }

    /// Returns the path of the certificate, which is its own authority.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("tls.crt")
    }

    /// Returns the path of its key.
    pub fn key(&self) -> PathBuf {
        self.folder.join("tls.key")
    }

    /// Replaces certificate and key at the same time, and returns the text of the new certificate.
    pub fn renew(&mut self) -> String {
        self.versions += 1;
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let version = self.folder.join(format!("..version-{}", self.versions));
        fs::create_dir(&version).expect("a folder");
        fs::write(version.join("tls.crt"), made.cert.pem()).expect("written");
        fs::write(version.join("tls.key"), made.signing_key.serialize_pem()).expect("written");
        let (new, data) = (self.folder.join("..new"), self.folder.join("..data"));
        symlink(&version, &new).expect("a link");
        fs::rename(new, data).expect("swapped");
        made.cert.pem()
    }
}

/// Gets `/metrics` over TLS from a server with exactly this certificate, and returns status, head and body.
pub fn scrape(port: u16, certificate: &str, token: Option<&str>) -> Result<(u16, String, String)> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost")?)?;
    let socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(Duration::from_secs(15)))?;
    let mut stream = StreamOwned::new(connection, socket);
    let bearer = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    let bearer = bearer.unwrap_or_default();
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{bearer}\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an HTTP answer")?;
    let status = head.split(' ').nth(1).context("a status line")?.parse()?;
    Ok((status, head.to_owned(), body.to_owned()))
}
