//! Detects requests that a web page of another site sent from the browser of a trusted user.
//!
//! A server that trusts the clients of this machine also trusts their browsers, and so every page in them. A page
//! cannot choose two headers: `Host` contains the name under which the browser found the server, and `Origin` the site
//! of the page. If somebody made another name resolve to this server (DNS rebinding), `Host` shows that name. An IP
//! address in `Host` cannot belong to another site.

use std::net::IpAddr;

/// Why Weir refuses a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// `Host` is not a name of this machine or this server.
    #[error("\"{0}\" is no name of this server: use an IP address or localhost")]
    Host(String),
    /// A page of another site sent the request.
    #[error("a page of another site sent the request: \"Origin: {0}\"")]
    Origin(String),
}

/// Decides on a request by its `Host` (or `:authority`), if it has one, and its `Origin` headers. `is_own_name` knows
/// the names of the server.
///
/// # Errors
///
/// The request is not for this server, or comes from a page of another site.
pub fn check<'r>(
    host: Option<&str>,
    origins: impl IntoIterator<Item = &'r str>,
    is_own_name: impl Fn(&str) -> bool,
) -> Result<(), Foreign> {
    let host = host.map(host_of);
    if let Some(host) = host
        && !is_address(host)
        && !is_localhost(host)
        && !is_own_name(host)
    {
        return Err(Foreign::Host(host.to_owned()));
    }
    let is_own_site = |origin: &str| {
        let Some((_, authority)) = origin.split_once("://") else { return false };
        let site = host_of(authority);
        let same = host.is_some_and(|host| site.eq_ignore_ascii_case(host));
        same || is_loopback(site) || is_localhost(site) || is_own_name(site)
    };
    match origins.into_iter().find(|origin| !is_own_site(origin)) {
        Some(origin) => Err(Foreign::Origin(origin.to_owned())),
        None => Ok(()),
    }
}

/// Returns the host of `host`, `host:port` or `[address]:port`.
#[must_use]
pub fn host(authority: &str) -> &str {
    host_of(authority)
}

/// Returns whether a name of a `server` block, written as in `server_name`, matches this host. The caller must compare
/// regular expressions itself.
#[must_use]
pub fn is_name(server_name: &str, host: &str) -> bool {
    let name = server_name.to_ascii_lowercase();
    let host = host_of(host).to_ascii_lowercase();
    if host.is_empty() {
        return false;
    }
    if let Some(suffix) = name.strip_prefix('*') {
        return suffix.len() > 1 && host.len() > suffix.len() && host.ends_with(suffix);
    }
    if let Some(bare) = name.strip_prefix('.') {
        return !bare.is_empty() && (host == bare || host.ends_with(&name));
    }
    match name.strip_suffix('*') {
        Some(prefix) => prefix.len() > 1 && host.len() > prefix.len() && host.starts_with(prefix),
        None => host == name,
    }
}

/// Returns the host of `host`, `host:port` or `[address]:port`, without a trailing dot.
fn host_of(authority: &str) -> &str {
    if let Some((address, _)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    let host = match authority.rsplit_once(':') {
        // More than one colon means an IPv6 address without brackets.
        Some((host, _)) if !host.contains(':') => host,
        _ => authority,
    };
    host.strip_suffix('.').unwrap_or(host)
}

fn address(host: &str) -> Option<IpAddr> {
    // A zone, as in fe80::1%eth0, is not part of the address.
    host.split('%').next()?.parse().ok()
}

fn is_address(host: &str) -> bool {
    address(host).is_some()
}

fn is_loopback(host: &str) -> bool {
    address(host).is_some_and(|address| address.to_canonical().is_loopback())
}

/// Returns whether the host is `localhost` or a name below it, which always means this machine (RFC 6761, 6.3), or a
/// name that distributions give the same addresses in `/etc/hosts`.
fn is_localhost(host: &str) -> bool {
    const NAMES: [&str; 5] =
        ["localhost", "localhost.localdomain", "localhost6.localdomain6", "ip6-localhost", "ip6-loopback"];
    let host = host.to_ascii_lowercase();
    NAMES.contains(&host.as_str()) || host.strip_suffix(".localhost").is_some_and(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(host: Option<&str>, origins: &[&str]) -> Result<(), Foreign> {
        check(host, origins.iter().copied(), |name| is_name("live.example.org", name))
    }

    #[test]
    fn addresses_localhost_and_own_names_are_served() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8080",
            "192.0.2.7:80",
            "[::1]",
            "[::1]:8080",
            "::1",
            "[fe80::1%eth0]:80",
            "localhost",
            "LocalHost.:8080",
            "weir.localhost:8091",
            "ip6-localhost",
            "localhost.localdomain",
            "live.example.org",
            "LIVE.example.org:8443",
            "live.example.org.",
        ] {
            assert_eq!(decide(Some(host), &[]), Ok(()), "{host}");
        }
        assert_eq!(decide(None, &[]), Ok(()));
    }

    #[test]
    fn other_names_are_refused() {
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "evillocalhost",
            ".localhost",
            "127.0.0.1.evil.example",
            "live.example.org.evil.example",
            "x.live.example.org",
            "2130706433",
            "127.1",
            "0x7f.0.0.1",
            "",
            ":8080",
            "[::1",
            "[evil.example]",
            "_",
        ] {
            assert!(matches!(decide(Some(host), &[]), Err(Foreign::Host(_))), "{host}");
        }
    }

    #[test]
    fn a_page_may_ask_the_server_that_it_came_from() {
        for (host, origin) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("127.0.0.1:8080", "http://localhost:3000"),
            ("[::1]:8080", "http://[::1]:8080"),
            ("192.0.2.7", "https://192.0.2.7"),
            ("127.0.0.1", "https://live.example.org"),
        ] {
            assert_eq!(decide(Some(host), &[origin]), Ok(()), "{host} {origin}");
        }
        for (host, origin) in [
            (Some("127.0.0.1:8080"), "http://evil.example"),
            (Some("127.0.0.1:8080"), "http://192.0.2.7"),
            (Some("127.0.0.1:8080"), "null"),
            (Some("127.0.0.1:8080"), ""),
            (Some("127.0.0.1:8080"), "http://127.0.0.1.evil.example"),
            (None, "http://evil.example"),
        ] {
            assert!(matches!(decide(host, &[origin]), Err(Foreign::Origin(_))), "{host:?} {origin}");
        }
        let both = ["http://127.0.0.1", "http://evil.example"];
        assert!(decide(Some("127.0.0.1"), &both).is_err(), "each is looked at");
    }

    #[test]
    fn names_are_those_of_server_name() {
        for (name, host, is) in [
            ("example.org", "Example.ORG", true),
            ("example.org", "www.example.org", false),
            ("*.example.org", "www.example.org", true),
            ("*.example.org", "a.b.example.org:80", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", "badexample.org", false),
            (".example.org", "example.org", true),
            (".example.org", "www.example.org", true),
            (".example.org", "badexample.org", false),
            ("www.example.*", "www.example.co.uk", true),
            ("www.example.*", "www.example", false),
            ("", "", false),
            ("", "evil.example", false),
            ("_", "evil.example", false),
            ("*", "evil.example", false),
            (".", "evil.example", false),
        ] {
            assert_eq!(is_name(name, host), is, "{name} {host}");
        }
    }
}
