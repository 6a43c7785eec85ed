//! The certificate of `/metrics`: two PEM files that may be renewed while the process runs.
//!
//! A mounted Secret changes by a swap of symbolic links, and copied files change one after the other. In both cases a
//! pair is served only once the certificate matches the key. Until then the last good pair is served.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

/// How often the files are read. A kubelet takes up to a minute to deliver a new Secret anyway.
const PERIOD: Duration = Duration::from_secs(10);

/// Why a pair cannot be served.
#[derive(Debug, Error)]
pub(super) enum Unusable {
    /// A file cannot be read.
    #[error("{file} cannot be read: {source}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{file} holds no {what} in PEM: {source}")]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What the file should hold.
        what: &'static str,
        /// The cause.
        source: pem::Error,
    },
    /// Both files can be read but not served, usually because they do not match.
    #[error("certificate and key cannot be used together: {0}")]
    Mismatch(#[from] rustls::Error),
}

/// The two files, and the pair that is served.
pub(super) struct Certificate {
    files: Files,
    served: RustlsConfig,
    in_use: CertificatePair,
    rejected: Option<Rejected>,
}

struct Files {
    chain: PathBuf,
    key: PathBuf,
}

/// The content of the files. It has no `Debug`, because a private key must never be printed.
#[derive(PartialEq, Eq)]
struct CertificatePair {
    chain: Vec<u8>,
    key: Vec<u8>,
}

/// The content that was found instead of a good pair, and how often in a row.
struct Rejected {
    /// `None` means that a file could not be read.
    pair: Option<CertificatePair>,
    why: String,
    times: u32,
}

impl Certificate {
    /// Reads both files. At the start a pair that cannot be served is an error; later it is only a warning.
    pub(super) async fn read(chain: PathBuf, key: PathBuf) -> Result<Self, Unusable> {
        let files = Files { chain, key };
        let in_use = files.read().await?;
        let served = RustlsConfig::from_config(files.config(&in_use)?);
        Ok(Self {
            files,
            served,
            in_use,
            rejected: None,
        })
    }

    /// Returns the configuration for connections. Clones follow each renewal.
    pub(super) fn served(&self) -> RustlsConfig {
        self.served.clone()
    }

    /// Reads the files at intervals, forever.
    pub(super) async fn follow(&mut self) -> Infallible {
        loop {
            tokio::time::sleep(PERIOD).await;
            self.reload().await;
        }
    }

    async fn reload(&mut self) {
        let pair = match self.files.read().await {
            Ok(pair) => pair,
            Err(unreadable) => return self.reject(None, &unreadable),
        };
        if pair == self.in_use {
            self.rejected = None;
            return;
        }
        match self.files.config(&pair) {
            Ok(config) => {
                self.served.reload_from_config(config);
                self.in_use = pair;
                self.rejected = None;
                tracing::info!(file = %self.files.chain.display(), "certificate renewed");
            }
            Err(unusable) => self.reject(Some(pair), &unusable),
        }
    }

    /// Logs a bad pair when it is found for the second time, and only then. The first time, it may be half written.
    fn reject(&mut self, pair: Option<CertificatePair>, why: &Unusable) {
        let why = why.to_string();
        let times = match self.rejected.take() {
            Some(last) if last.pair == pair && last.why == why => last.times.saturating_add(1),
            _ => 1,
        };
        if times == 2 {
            tracing::warn!(
                why,
                "new certificate rejected; the last good one is still served"
            );
        }
        self.rejected = Some(Rejected { pair, why, times });
    }
}

impl Files {
    async fn read(&self) -> Result<CertificatePair, Unusable> {
        Ok(CertificatePair {
            chain: read(&self.chain).await?,
            key: read(&self.key).await?,
        })
    }

    /// Builds the configuration for a pair. rustls compares the public keys of both.
    fn config(&self, pair: &CertificatePair) -> Result<Arc<ServerConfig>, Unusable> {
        let malformed = |file: &Path, what| {
            let file = file.to_owned();
            move |source| Unusable::Malformed { file, what, source }
        };
        let chain = CertificateDer::pem_slice_iter(&pair.chain)
            .collect::<Result<Vec<_>, _>>()
            .and_then(|chain| {
                let some = (!chain.is_empty()).then_some(chain);
                some.ok_or(pem::Error::NoItemsFound)
            })
            .map_err(malformed(&self.chain, "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&pair.key)
            .map_err(malformed(&self.key, "private key"))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

async fn read(file: &Path) -> Result<Vec<u8>, Unusable> {
    tokio::fs::read(file)
        .await
        .map_err(|source| Unusable::Unreadable {
            file: file.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;
    use crate::testing::{Signed, signed};

    #[tokio::test]
    async fn a_renewed_pair_is_served() {
        let stage = Stage::with(&signed());
        let mut certificate = stage.certificate().await;
        let old = served(&certificate);
        certificate.reload().await;
        assert!(Arc::ptr_eq(&old, &served(&certificate)), "nothing changed");
        stage.swap(&signed());
        certificate.reload().await;
        assert!(!Arc::ptr_eq(&old, &served(&certificate)));
    }

    #[tokio::test]
    async fn a_half_written_pair_is_never_served() {
        let (old, new) = (signed(), signed());
        let stage = Stage::with(&old);
        let mut certificate = stage.certificate().await;
        let before = served(&certificate);
        let half = Signed {
            key: old.key.clone(),
            ..new.clone()
        };
        stage.swap(&half);
        certificate.reload().await;
        assert!(Arc::ptr_eq(&before, &served(&certificate)));
        let rejected = certificate.rejected.as_ref().expect("it was rejected");
        assert!(rejected.why.contains("cannot be used together"));
        stage.swap(&new);
        certificate.reload().await;
        assert!(!Arc::ptr_eq(&before, &served(&certificate)));
        assert!(certificate.rejected.is_none());
    }

    #[tokio::test]
    async fn each_bad_pair_is_logged_once() {
        let good = signed();
        let stage = Stage::with(&good);
        let mut certificate = stage.certificate().await;
        let mut attempts = Vec::new();
        for chain in ["", "", "", "garbage", "garbage"] {
            stage.swap(&Signed {
                chain: chain.to_owned(),
                ..good.clone()
            });
            certificate.reload().await;
            attempts.push(certificate.rejected.as_ref().map(|last| last.times));
        }
        assert_eq!(attempts, [1, 2, 3, 1, 2].map(Some));
        fs::remove_file(stage.folder.path().join("..data")).expect("it is a link");
        certificate.reload().await;
        let why = &certificate.rejected.as_ref().expect("it was rejected").why;
        assert!(why.contains("cannot be read"), "{why}");
    }

    #[tokio::test]
    async fn at_the_start_a_bad_pair_is_an_error_that_names_the_file() {
        let good = signed();
        for (bad, word) in [
            (
                Signed {
                    chain: String::new(),
                    ..good.clone()
                },
                "tls.crt holds no certificate in PEM",
            ),
            (
                Signed {
                    key: "x".to_owned(),
                    ..good.clone()
                },
                "tls.key holds no private key in PEM",
            ),
            (
                Signed {
                    key: signed().key,
                    ..good.clone()
                },
                "cannot be used together",
            ),
        ] {
            let error = Stage::with(&bad).read().await.err().expect("it is bad");
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    fn served(certificate: &Certificate) -> Arc<ServerConfig> {
        certificate.served().get_inner()
    }

    /// A folder as a kubelet mounts a Secret: links to files in a folder that is swapped as a whole.
    struct Stage {
        folder: TempDir,
    }

    impl Stage {
        fn with(pair: &Signed) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            for name in ["tls.crt", "tls.key"] {
                symlink(format!("..data/{name}"), folder.path().join(name)).expect("a link");
            }
            let stage = Self { folder };
            stage.swap(pair);
            stage
        }

        fn swap(&self, pair: &Signed) {
            let root = self.folder.path();
            let version = tempfile::tempdir_in(root).expect("a folder").keep();
            fs::write(version.join("tls.crt"), &pair.chain).expect("written");
            fs::write(version.join("tls.key"), &pair.key).expect("written");
            symlink(&version, root.join("..new")).expect("a link");
            fs::rename(root.join("..new"), root.join("..data")).expect("swapped");
        }

        async fn read(&self) -> Result<Certificate, Unusable> {
            let file = |name| self.folder.path().join(name);
            Certificate::read(file("tls.crt"), file("tls.key")).await
        }

        async fn certificate(&self) -> Certificate {
            self.read().await.unwrap_or_else(|error| panic!("{error}"))
        }
    }
}
