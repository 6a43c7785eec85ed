//! What `NO_PROXY` exempts, by the rules of Go's `golang.org/x/net/http/httpproxy`, which kubectl uses.

use std::net::IpAddr;

use http::Uri;
use ipnet::IpNet;

/// Returns whether requests to this server use no proxy: it is on this machine, or an entry of `NO_PROXY` matches it.
///
/// Entries are separated by commas; empty ones are ignored. An entry is `*`, a network such as 10.0.0.0/8, an address,
/// or a domain, which includes its subdomains (`.example.com` and `*.example.com` mean only these). Addresses and
/// domains can have a port.
pub(super) fn is_exempt(server: &Uri, no_proxy: &str) -> bool {
    let host = server.host().unwrap_or_default().to_ascii_lowercase();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<IpAddr>().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    let default = if server.scheme_str() == Some("http") {
        80
    } else {
        443
    };
    let port = server.port_u16().unwrap_or(default);
    let entries = no_proxy
        .split(',')
        .map(|entry| entry.trim().to_ascii_lowercase());
    entries
        .filter(|entry| !entry.is_empty())
        .any(|entry| means(&entry, host, address, port))
}

fn means(entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(network) = entry.parse::<IpNet>() {
        return address.is_some_and(|address| network.contains(&address));
    }
    let (name, wanted) = split_port(entry);
    if wanted.is_some_and(|wanted| wanted != port) {
        return false;
    }
    if let Ok(own) = name.parse::<IpAddr>() {
        return address == Some(own);
    }
    match name.strip_prefix('*').unwrap_or(name) {
        suffix if suffix.starts_with('.') => host.ends_with(suffix),
        domain => {
            let parent = host.strip_suffix(domain);
            parent.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        }
    }
}

/// Splits `host:port`, `[v6]:port`, or only a host.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
            (name, port.parse().ok())
        }
        Some(_) | None => (entry, None),
    };
    (name.trim_start_matches('[').trim_end_matches(']'), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exempt(server: &str, no_proxy: &str) -> bool {
        is_exempt(&server.parse().expect("a URL"), no_proxy)
    }

    #[test]
    fn entries_have_the_meaning_of_kubectl() {
        let server = "https://api.Example.com:6443";
        for entry in [
            "*",
            "example.com",
            ".example.com",
            "*.example.com",
            "api.example.com:6443",
            " , x, API.EXAMPLE.COM ,",
        ] {
            assert!(exempt(server, entry), "{entry}");
        }
        for entry in [
            "",
            "ample.com",
            "api.example.com:443",
            "example.org",
            "10.0.0.0/8",
            "com.",
            "pi.example.com",
        ] {
            assert!(!exempt(server, entry), "{entry}");
        }
        assert!(!exempt("https://example.com", ".example.com"));
    }

    #[test]
    fn addresses_and_networks_are_compared_as_such() {
        assert!(exempt("https://10.1.2.3:6443", "10.0.0.0/8"));
        assert!(exempt("https://10.1.2.3:6443", "10.1.2.3:6443"));
        assert!(exempt("https://[fd00::1]:6443", "fd00::/8"));
        assert!(exempt("https://[fd00::1]:6443", "[fd00::1]:6443"));
        assert!(exempt("https://[fd00::1]:6443", "fd00::1"));
        assert!(!exempt("https://11.1.2.3", "10.0.0.0/8"));
        assert!(!exempt("https://10.1.2.33", "10.1.2.3"));
    }

    #[test]
    fn this_machine_needs_no_proxy() {
        for server in [
            "https://localhost:1",
            "https://127.8.9.1",
            "https://[::1]:1",
        ] {
            assert!(exempt(server, ""), "{server}");
        }
    }
}
