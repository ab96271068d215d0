//! The edges that a page may use: the addresses of `/edge`, and the servers that the page may play from.
//!
//! The content security policy of a page names each of these servers. If a page is sent to another server, it reloads and gets a
//! new policy.

use std::net::SocketAddr;

use axum::http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};

use super::asker::asker;
use super::common::Web;
use crate::cluster::origin::viewer_hash;

/// Other servers of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Elsewhere {
    /// Addresses of `/edge`, in configured order.
    ask: Vec<String>,
    /// Name of this server, if it is an edge.
    own: Option<String>,
    /// Addresses of edges.
    edges: Vec<String>,
}

impl Elsewhere {
    /// Returns the other servers for a page whose root is at `root`; `None` without a cluster.
    pub(super) fn of(web: &Web, root: &str, peer: SocketAddr, headers: &HeaderMap) -> Option<Self> {
        let config = web.context.config();
        if let (Some(membership), Some(edge)) = (&web.membership, &config.edge) {
            let ask = edge.origins.iter().map(|origin| format!("{}/edge", origin.as_str())).collect();
            return Some(Self { ask, own: Some(edge.name.clone()), edges: membership.neighbours() });
        }
        let origin = web.origin.as_ref()?;
        let asker = asker(peer, headers, &config.web.trusted_proxies, &config.web.base);
        let agent = headers.get(header::USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
        let edges = origin.near(viewer_hash(asker.client, agent), Some(asker.client), &[]);
        Some(Self { ask: vec![format!("{root}/edge")], own: None, edges })
    }

    /// Returns the data for the page's scripts.
    pub(super) fn data(&self) -> Value {
        json!({ "ask": self.ask, "own": self.own, "at": self.edges })
    }

    /// Returns the servers as sources of `connect-src` and `media-src`, each preceded by a space.
    pub(super) fn sources(&self) -> (String, String) {
        let mut known: Vec<&str> = Vec::new();
        for origin in self.edges.iter().chain(&self.ask).filter_map(|address| origin(address)) {
            if !known.contains(&origin) {
                known.push(origin);
            }
        }
        let mut connect = String::new();
        for origin in &known {
            // A WebSocket has its own scheme, which a source with `https:` does not cover.
            let socket = origin.replacen("http", "ws", 1);
            connect += &format!(" {origin} {socket}");
        }
        let media = known.iter().map(|origin| format!(" {origin}")).collect();
        (connect, media)
    }
}

/// Returns the origin of an address, such as `https://edge1.example.org:8443`; `None` if it is not valid in a policy.
fn origin(address: &str) -> Option<&str> {
    let (scheme, rest) = address.split_once("://")?;
    let host = rest.split('/').next()?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let is_good = matches!(scheme, "http" | "https") && !host.is_empty() && host.bytes().all(fits);
    is_good.then(|| &address[..scheme.len() + 3 + host.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_is_in_the_policy_and_nothing_else() {
        let elsewhere = Elsewhere {
            ask: vec!["https://origin.example.org/tv/edge".into(), "../../edge".into()],
            own: None,
            edges: vec![
                "https://e1.example.org:8443".into(),
                "http://e2/tv".into(),
                "https://e1.example.org:8443/x".into(),
                "https://evil;script-src *".into(),
            ],
        };
        let (connect, media) = elsewhere.sources();
        assert_eq!(
            connect,
            " https://e1.example.org:8443 wss://e1.example.org:8443 http://e2 ws://e2 https://origin.example.org wss://origin.example.org"
        );
        assert_eq!(media, " https://e1.example.org:8443 http://e2 https://origin.example.org");
        assert_eq!(Elsewhere::default().sources(), (String::new(), String::new()));
    }
}
