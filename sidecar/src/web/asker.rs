//! The client of a request behind trusted proxies, and the URL under which the client sees this server.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header};
use weir_model::Network;

/// The client of a request, as trusted proxies report it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asker {
    /// Address of the client.
    pub client: IpAddr,
    /// Scheme, host and path under which the client sees this server, without a `/` at the end; `None` without a usable host.
    pub url: Option<String>,
}

const PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Reads the headers; proxy headers count only if the peer is trusted. `base` is the path that this server's configuration sets.
pub(super) fn asker(peer: SocketAddr, headers: &HeaderMap, trusted: &[Network], base: &str) -> Asker {
    let is_trusted = |addr: IpAddr| trusted.iter().any(|network| network.contains(addr));
    let behind_proxy = is_trusted(peer.ip());
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok();
    let client = match behind_proxy {
        true => client(peer.ip(), headers, is_trusted),
        false => peer.ip(),
    };
    let proto = text(&PROTO).filter(|proto| behind_proxy && matches!(*proto, "http" | "https"));
    let prefix = text(&PREFIX).filter(|prefix| behind_proxy && is_path(prefix));
    let host = text(&header::HOST).filter(|host| is_host(host));
    let path = prefix.unwrap_or(base).trim_end_matches('/');
    let url = host.map(|host| format!("{}://{host}{path}", proto.unwrap_or("http")));
    Asker { client: client.to_canonical(), url }
}

/// Returns the last address of `X-Forwarded-For` that is no trusted proxy. Clients can forge the addresses before it.
fn client(peer: IpAddr, headers: &HeaderMap, is_trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    let values: Vec<&str> = headers.get_all(FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let mut client = peer;
    for text in values.iter().flat_map(|value| value.split(',')).rev() {
        let Ok(addr) = text.trim().parse::<IpAddr>() else { return client };
        client = addr;
        if !is_trusted(addr) {
            break;
        }
    }
    client
}

fn is_path(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    text.is_empty() || (text.starts_with('/') && !text.contains("//") && text.bytes().all(fits))
}

/// Returns whether a host can be put into a URL.
pub(super) fn is_host(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(peer: &str, lines: &[(&'static str, &str)]) -> Asker {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let trusted = ["127.0.0.1".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        asker(format!("{peer}:1").parse().unwrap(), &headers, &trusted, "/tv/")
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let lines = [
            ("host", "live.example.org"),
            ("x-forwarded-for", "192.0.2.66, 198.51.100.7, 10.0.0.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-prefix", "/shows/"),
        ];
        let seen = ask("127.0.0.1", &lines);
        assert_eq!(seen.client, "198.51.100.7".parse::<IpAddr>().unwrap());
        assert_eq!(seen.url.as_deref(), Some("https://live.example.org/shows"));
        let seen = ask("203.0.113.9", &lines);
        assert_eq!(seen.client, "203.0.113.9".parse::<IpAddr>().unwrap());
        assert_eq!(seen.url.as_deref(), Some("http://live.example.org/tv"));
    }

    #[test]
    fn what_makes_no_sense_is_left_out() {
        let seen = ask("127.0.0.1", &[("x-forwarded-for", "nobody"), ("x-forwarded-prefix", "/a\"><b>")]);
        assert_eq!((seen.client, seen.url), ("127.0.0.1".parse().unwrap(), None));
        let seen = ask("127.0.0.1", &[("host", "h"), ("x-forwarded-proto", "javascript")]);
        assert_eq!(seen.url.as_deref(), Some("http://h/tv"));
        // All addresses are proxies, so the first one counts.
        let seen = ask("127.0.0.1", &[("x-forwarded-for", "10.0.0.1, 10.0.0.2")]);
        assert_eq!(seen.client, "10.0.0.1".parse::<IpAddr>().unwrap());
    }
}
