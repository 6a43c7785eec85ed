//! Checks what a running controller serves: its metrics, and whether it is ready.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri, header};
use kube::client::Body;
use kube::{Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::check::Check;
use crate::options::SelftestOptions;
use crate::server::CHALLENGE;

/// Maximum time for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A series that every controller has.
const SERIES: &str = "secretrotation_build_info{";

/// Checks that metrics are served, or that the server asks for a token. The check sends no token.
pub(super) async fn metrics(wanted: &SelftestOptions) -> Check {
    let Some(url) = &wanted.metrics_url else {
        return Check::skipped("metrics", "no --metrics-url");
    };
    let subject = format!("metrics at {url}");
    match fetch(url, "/metrics", wanted.metrics_ca.as_deref()).await {
        Ok(answer) => check_answer(subject, &answer),
        Err(error) => Check::failed(
            subject,
            format!(
                "{error:#}; check the Service, the network policies, and --metrics-ca if the URL uses TLS"
            ),
        ),
    }
}

fn check_answer(subject: String, answer: &Response<Vec<u8>>) -> Check {
    let challenge = answer.headers().get(header::WWW_AUTHENTICATE);
    let is_ours = challenge.is_some_and(|text| text.as_bytes() == CHALLENGE.as_bytes());
    match answer.status() {
        StatusCode::OK if holds_series(answer.body()) => Check::passed(subject),
        StatusCode::OK => Check::failed(subject, "another program answers at this URL"),
        StatusCode::UNAUTHORIZED if is_ours => {
            Check::passed(format!("{subject}, which asks for a token"))
        }
        other => Check::failed(subject, format!("answered {other}")),
    }
}

fn holds_series(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n');
    lines.any(|line| line.starts_with(SERIES.as_bytes()))
}

/// Checks that the controller is ready.
pub(super) async fn health(wanted: &SelftestOptions) -> Check {
    let Some(url) = &wanted.health_url else {
        return Check::skipped("health", "no --health-url");
    };
    let subject = format!("health at {url}");
    match fetch(url, "/readyz", None).await {
        Ok(answer) if answer.status() == StatusCode::OK => Check::passed(subject),
        Ok(answer) => {
            let why = String::from_utf8_lossy(answer.body()).trim().to_owned();
            let status = answer.status();
            Check::failed(
                subject,
                format!("answered {status}: {why}; see the log of the controller"),
            )
        }
        Err(error) => Check::failed(
            subject,
            format!("{error:#}; check the pods, the Service, and the network policies"),
        ),
    }
}

/// Gets a URL. A URL without a path gets the path `usual`. The client of kube is used because it is an HTTP client
/// with a configurable certificate authority. The request has nothing to do with Kubernetes.
async fn fetch(
    url: &Uri,
    usual: &str,
    authority: Option<&Path>,
) -> anyhow::Result<Response<Vec<u8>>> {
    let client = client(url, authority)?;
    let path = url.path_and_query().map(PathAndQuery::as_str);
    let path = path.filter(|path| *path != "/").unwrap_or(usual);
    let request = Request::get(path).body(Body::empty())?;
    let answer = tokio::time::timeout(PATIENCE, async {
        let (head, body) = client.send(request).await?.into_parts();
        let body = body.collect_bytes().await?.to_vec();
        anyhow::Ok(Response::from_parts(head, body))
    });
    answer.await.context("no answer in time")?
}

fn client(url: &Uri, authority: Option<&Path>) -> anyhow::Result<Client> {
    let (Some(scheme), Some(host)) = (url.scheme_str(), url.authority()) else {
        bail!("the URL has no scheme or no host");
    };
    let mut config = Config::new(format!("{scheme}://{host}").parse()?);
    config.default_retry = false;
    config.connect_timeout = Some(PATIENCE);
    if let Some(file) = authority {
        let certificates = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| format!("{} cannot be read as PEM", file.display()))?;
        config.root_cert = Some(certificates.iter().map(|one| one.to_vec()).collect());
    }
    Ok(Client::try_from(config)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_line(status: u16, challenge: &str, body: &str) -> String {
        let answer = Response::builder()
            .status(status)
            .header(header::WWW_AUTHENTICATE, challenge)
            .body(body.as_bytes().to_vec())
            .expect("an answer");
        check_answer("metrics".to_owned(), &answer).to_string()
    }

    #[test]
    fn only_this_controller_passes() {
        let series = "# HELP x\nsecretrotation_build_info{version=\"1\"} 1\n";
        assert_eq!(check_line(200, "", series), "ok       metrics");
        assert_eq!(
            check_line(200, "", "up 1\n"),
            "FAILED   metrics: another program answers at this URL"
        );
        assert_eq!(
            check_line(401, CHALLENGE, ""),
            "ok       metrics, which asks for a token"
        );
        assert_eq!(
            check_line(401, "Basic", ""),
            "FAILED   metrics: answered 401 Unauthorized"
        );
    }

    #[tokio::test]
    async fn a_check_without_its_url_is_skipped() {
        let wanted = SelftestOptions::default();
        assert_eq!(
            [metrics(&wanted).await, health(&wanted).await].map(|check| check.to_string()),
            [
                "skipped  metrics: no --metrics-url",
                "skipped  health: no --health-url"
            ]
        );
    }
}
