//! The proxy to the API server or to AWS, if there is one.
//!
//! kubectl and the AWS tools read the same variables by different rules, and users expect each command to behave like
//! the tool they know. For the API server these are the rules of kubectl (Go's `net/http`); for AWS they are those of
//! the SDK, which follow curl.

mod connector;
mod exempt;

use std::env;
use std::fmt;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use crate::CommandError;

pub(crate) use connector::{Connector, socks_client};

/// A proxy and where it is configured. Its text has no credentials.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    hop: Intercept,
    origin: Origin,
}

/// Where a proxy is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// `proxy-url` of the cluster in the kubeconfig.
    Kubeconfig,
    /// A variable of the environment.
    Variable(&'static str),
}

/// The variables that name a proxy for a scheme. The first one that is set wins.
const FOR_HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const FOR_HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const FOR_ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];
const FOR_NONE: [&str; 2] = ["NO_PROXY", "no_proxy"];

impl Proxy {
    /// Returns the proxy to an API server by the rules of kubectl: `proxy-url` always applies; the variables apply
    /// unless `NO_PROXY` or a loopback address exempts the server.
    pub(crate) fn to_cluster(
        server: &Uri,
        proxy_url: Option<&str>,
    ) -> Result<Option<Self>, CommandError> {
        Self::as_kubectl(server, proxy_url, |name| env::var(name).ok())
    }

    fn as_kubectl(
        server: &Uri,
        proxy_url: Option<&str>,
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Option<Self>, CommandError> {
        if let Some(url) = proxy_url.filter(|url| !url.is_empty()) {
            return Self::parse(url, Origin::Kubeconfig).map(Some);
        }
        let names = if server.scheme_str() == Some("http") {
            FOR_HTTP
        } else {
            FOR_HTTPS
        };
        let none = first_set(FOR_NONE, &variable).map_or_else(String::new, |(_, text)| text);
        match first_set(names, &variable) {
            Some((name, url)) if !exempt::is_exempt(server, &none) => {
                Self::parse(&url, Origin::Variable(name)).map(Some)
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Returns the proxy to an AWS endpoint by the rules of the SDK.
    ///
    /// The SDK ignores a value that it cannot parse and connects directly, against the user's intention. Here that is
    /// an error.
    pub(crate) fn to_aws(endpoint: &Uri) -> Result<Option<Self>, CommandError> {
        let scheme = if endpoint.scheme_str() == Some("http") {
            FOR_HTTP
        } else {
            FOR_HTTPS
        };
        let variable = |name: &'static str| env::var(name).ok();
        let found = first_set(scheme, variable).or_else(|| first_set(FOR_ALL, variable));
        let Some((name, url)) = found else {
            return Ok(None);
        };
        let proxy = Self::parse(&url, Origin::Variable(name))?;
        let is_meant = Matcher::from_env().intercept(endpoint).is_some();
        Ok(is_meant.then_some(proxy))
    }

    /// Returns whether a request to AWS may use a SOCKS proxy, which the SDK's own client does not support.
    pub(crate) fn may_be_socks() -> Result<bool, CommandError> {
        let variable = |name: &'static str| env::var(name).ok();
        let named = [FOR_HTTPS, FOR_HTTP, FOR_ALL];
        let named = named.map(|names| first_set(names, variable));
        let mut proxies = named
            .into_iter()
            .flatten()
            .map(|(name, url)| Self::parse(&url, Origin::Variable(name)));
        proxies.try_fold(false, |before, proxy| Ok(before || proxy?.is_socks()))
    }

    fn parse(url: &str, origin: Origin) -> Result<Self, CommandError> {
        // Any address works: whether the proxy applies was decided before.
        let anywhere = Uri::from_static("https://anywhere.invalid");
        let hop = Matcher::builder().all(url).build().intercept(&anywhere);
        let hop = hop.filter(|hop| !matches!(hop.uri().scheme_str(), Some("socks4" | "socks4a")));
        hop.map(|hop| Self { hop, origin }).ok_or_else(|| {
            CommandError::usage(format!("{origin} is not a valid proxy")).with_hint(
                "use http://, https:// or socks5:// with host and port; percent-encode special characters of a password",
            )
        })
    }

    /// Returns how a connection reaches it, with its credentials.
    pub(crate) fn hop(&self) -> Intercept {
        self.hop.clone()
    }

    /// Returns whether it is a SOCKS proxy.
    fn is_socks(&self) -> bool {
        matches!(self.hop.uri().scheme_str(), Some("socks5" | "socks5h"))
    }
}

fn first_set(
    names: [&'static str; 2],
    variable: impl Fn(&'static str) -> Option<String>,
) -> Option<(&'static str, String)> {
    names
        .into_iter()
        .find_map(|name| Some((name, variable(name).filter(|text| !text.is_empty())?)))
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uri = self.hop.uri();
        let scheme = uri.scheme_str().unwrap_or("http");
        let host = uri.authority().map_or("", http::uri::Authority::as_str);
        write!(f, "proxy {scheme}://{host} of {}", self.origin)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kubeconfig => f.write_str("proxy-url in the kubeconfig"),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(server: &str, proxy_url: Option<&str>, variables: &[(&str, &str)]) -> String {
        let server = server.parse().expect("a URL");
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name);
        let found = Proxy::as_kubectl(&server, proxy_url, |name| {
            find(name).map(|(_, text)| (*text).to_owned())
        });
        match found {
            Ok(Some(proxy)) => proxy.to_string(),
            Ok(None) => "none".to_owned(),
            Err(failure) => failure.to_string(),
        }
    }

    const SERVER: &str = "https://api.example.com:6443";

    #[test]
    fn the_api_server_is_reached_by_the_rules_of_kubectl() {
        let upper = ("HTTPS_PROXY", "http://u:p%40ss@proxy:3128");
        for (expected, proxy_url, variables) in [
            ("none", None, &[][..]),
            ("none", None, &[("HTTP_PROXY", "http://proxy:1")]),
            ("none", None, &[("ALL_PROXY", "http://proxy:1")]),
            ("none", None, &[("HTTPS_PROXY", "")]),
            (
                "proxy http://proxy:3128 of HTTPS_PROXY",
                None,
                &[upper, ("https_proxy", "x:1")],
            ),
            (
                "proxy http://proxy:1 of https_proxy",
                None,
                &[("https_proxy", "proxy:1")],
            ),
            (
                "proxy socks5://proxy:1080 of HTTPS_PROXY",
                None,
                &[("HTTPS_PROXY", "socks5://proxy:1080")],
            ),
            ("none", None, &[upper, ("NO_PROXY", "a.b,example.com,")]),
            ("none", None, &[upper, ("no_proxy", "*")]),
            // The kubeconfig names the proxy for this cluster: nothing overrides it.
            (
                "proxy https://bastion of proxy-url in the kubeconfig",
                Some("https://bastion"),
                &[upper, ("NO_PROXY", "*")],
            ),
        ] {
            assert_eq!(to(SERVER, proxy_url, variables), expected, "{variables:?}");
        }
        let http = [("HTTP_PROXY", "proxy:1"), upper];
        assert_eq!(
            to("http://api:80", None, &http),
            "proxy http://proxy:1 of HTTP_PROXY"
        );
        for here in [
            "https://localhost:6443",
            "https://127.0.0.1:6443",
            "https://[::1]:1",
        ] {
            assert_eq!(to(here, None, &[upper]), "none", "{here}");
        }
    }

    #[test]
    fn an_invalid_proxy_is_reported_without_its_password() {
        for url in [
            "ftp://u:CANARY@proxy",
            "socks4://u:CANARY@proxy:1",
            "http://u:CANARY @proxy",
        ] {
            let said = to(SERVER, None, &[("HTTPS_PROXY", url)]);
            assert!(
                said.starts_with("error: HTTPS_PROXY is not a valid proxy\nhint: use http://"),
                "{said}"
            );
            assert!(!said.contains("CANARY"), "{said}");
            let said = to("https://127.0.0.1:1", Some(url), &[]);
            assert!(
                said.starts_with("error: proxy-url in the kubeconfig is not a valid proxy"),
                "{said}"
            );
        }
    }
}
