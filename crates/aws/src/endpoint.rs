//! The custom AWS endpoint from the environment, and the check whether it may be used.
//!
//! This module uses the same variables and the same precedence as the SDK, and does not change them.

use std::net::IpAddr;

use thiserror::Error;

const SPECIFIC: &str = "AWS_ENDPOINT_URL_SECRETS_MANAGER";
const OF_QUEUES: &str = "AWS_ENDPOINT_URL_SQS";
const GENERAL: &str = "AWS_ENDPOINT_URL";
const IGNORE: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";

/// A custom endpoint that may be used. Its text contains neither credentials nor a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    variable: &'static str,
    address: String,
    loopback: bool,
}

/// The reason why a custom endpoint may not be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// The text is not `http(s)://host[:port][/path]`. The error does not contain it, because it may contain
    /// credentials.
    #[error("{variable} is not an http or https URL without user, query and fragment")]
    Unreadable {
        /// The variable that sets the endpoint.
        variable: &'static str,
    },
    /// Signed requests would leave the machine for a host that no one has allowed.
    #[error(
        "{variable} points at {address}, which is not loopback; allow custom endpoints to use it"
    )]
    NotAllowed {
        /// The variable that sets the endpoint.
        variable: &'static str,
        /// Scheme, host and port.
        address: String,
    },
}

impl EndpointError {
    /// Returns a stable word for metrics and logs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "EndpointUnreadable",
            Self::NotAllowed { .. } => "EndpointNotAllowed",
        }
    }
}

impl Endpoint {
    /// Finds and checks the custom endpoints of Secrets Manager and SQS, and returns the first one. `Ok(None)` means
    /// the default endpoints of AWS. Call it before [`Account::connect`](crate::Account::connect), with `|name|
    /// std::env::var(name).ok()`.
    ///
    /// The variable of the service takes precedence over the general one. `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true`
    /// turns both off (AWS SDKs and Tools reference, "Service-specific endpoints").
    ///
    /// # Errors
    ///
    /// Returns an error if a custom endpoint is not a plain URL, or if it is not loopback and `allowed` is false.
    pub fn discover(
        variables: impl Fn(&str) -> Option<String>,
        allowed: bool,
    ) -> Result<Option<Self>, EndpointError> {
        let ignored = variables(IGNORE).is_some_and(|text| text.eq_ignore_ascii_case("true"));
        if ignored {
            return Ok(None);
        }
        let checked = |service| {
            let found = [service, GENERAL]
                .into_iter()
                .find_map(|name| Some((name, variables(name).filter(|url| !url.is_empty())?)));
            found
                .map(|(variable, url)| Self::check(variable, &url, allowed))
                .transpose()
        };
        let (secrets, queues) = (checked(SPECIFIC)?, checked(OF_QUEUES)?);
        Ok(secrets.or(queues))
    }

    /// Returns the variable that sets the endpoint.
    pub const fn variable(&self) -> &'static str {
        self.variable
    }

    /// Returns scheme, host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns whether requests stay on this machine.
    pub const fn is_loopback(&self) -> bool {
        self.loopback
    }

    fn check(variable: &'static str, url: &str, allowed: bool) -> Result<Self, EndpointError> {
        let Some((address, host)) = split(url) else {
            return Err(EndpointError::Unreadable { variable });
        };
        let loopback = is_loopback(&host);
        if !loopback && !allowed {
            return Err(EndpointError::NotAllowed { variable, address });
        }
        Ok(Self {
            variable,
            address,
            loopback,
        })
    }
}

/// Returns scheme, host and port as one text, and the host alone.
fn split(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let plain = rest
        .chars()
        .all(|c| c.is_ascii_graphic() && !"@?#\\".contains(c));
    let authority = rest.split('/').next().filter(|text| !text.is_empty())?;
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => authority.split(':').next()?,
    };
    let valid = plain && matches!(scheme.as_str(), "http" | "https") && !host.is_empty();
    valid.then(|| (format!("{scheme}://{authority}"), host.to_ascii_lowercase()))
}

fn is_loopback(host: &str) -> bool {
    let literal = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    literal || host == "localhost"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discover(
        variables: &[(&str, &str)],
        allowed: bool,
    ) -> Result<Option<Endpoint>, EndpointError> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name);
        Endpoint::discover(|name| find(name).map(|(_, url)| (*url).to_owned()), allowed)
    }

    #[test]
    fn without_variables_the_default_endpoint_is_used() {
        assert_eq!(discover(&[], false), Ok(None));
        assert_eq!(
            discover(&[(GENERAL, "http://a"), (IGNORE, "TRUE")], false),
            Ok(None)
        );
    }

    #[test]
    fn a_loopback_endpoint_is_always_allowed() {
        for url in [
            "http://127.0.0.1:4566",
            "http://localhost",
            "HTTPS://[::1]:1/x",
        ] {
            let own = [(SPECIFIC, url), (OF_QUEUES, url), (GENERAL, "http://evil")];
            let endpoint = discover(&own, false);
            assert!(
                endpoint.is_ok_and(|endpoint| endpoint.is_some_and(|it| it.is_loopback())),
                "{url}"
            );
        }
    }

    #[test]
    fn other_hosts_are_refused_unless_allowed() {
        for host in ["moto:5000", "localhost.evil", "127.0.0.1.evil", "10.0.0.1"] {
            let address = format!("http://{host}");
            let variables = [(GENERAL, address.as_str())];
            let refused = EndpointError::NotAllowed {
                variable: GENERAL,
                address: address.clone(),
            };
            assert_eq!(discover(&variables, false), Err(refused));
            assert!(discover(&variables, true).is_ok_and(|it| it.is_some()));
        }
    }

    #[test]
    fn the_endpoint_of_queues_is_checked_too() {
        let evil = "http://evil.example";
        let variables = [(SPECIFIC, "http://127.0.0.1:1"), (OF_QUEUES, evil)];
        let refused = EndpointError::NotAllowed {
            variable: OF_QUEUES,
            address: evil.to_owned(),
        };
        assert_eq!(discover(&variables, false), Err(refused));
        let found = discover(&[(OF_QUEUES, "http://127.0.0.1:1")], false).expect("loopback");
        assert_eq!(found.map(|endpoint| endpoint.variable()), Some(OF_QUEUES));
    }

    #[test]
    fn malformed_urls_and_urls_with_credentials_are_refused() {
        for url in [
            "localhost:80",
            "ftp://localhost",
            "http://",
            "http://u:p@localhost",
            "http://a b",
        ] {
            let refused = EndpointError::Unreadable { variable: GENERAL };
            assert_eq!(discover(&[(GENERAL, url)], true), Err(refused), "{url}");
        }
    }
}
