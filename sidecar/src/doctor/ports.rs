//! Checks that nginx accepts connections on the ports of nginx.conf.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use weir_model::lint::Directive;
use weir_rtmp::url::DEFAULT_PORT;

use super::finding::Finding;

const PART: &str = "ports";
const LIMIT: Duration = Duration::from_secs(2);

/// Connects once to each TCP port of the `server` blocks.
pub(super) async fn examine(tree: &[Directive]) -> Vec<Finding> {
    let mut closed = Vec::new();
    let listens = listens(tree);
    for place in &listens {
        if !matches!(timeout(LIMIT, TcpStream::connect(place.as_str())).await, Ok(Ok(_))) {
            closed.push(place.as_str());
        }
    }
    match (listens.is_empty(), closed.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => vec![Finding::ok(PART, format!("nginx answers at {}", listens.join(", ")))],
        (false, false) => vec![Finding::problem(
            PART,
            format!("nothing answers at {}", closed.join(", ")),
            "start nginx, or reload it (systemctl reload nginx) after a change of nginx.conf",
        )],
    }
}

/// Returns each `listen` as an `ADDRESS:PORT` to connect to, without duplicates; unix sockets are left out.
fn listens(tree: &[Directive]) -> Vec<String> {
    let mut found = Vec::new();
    for (block, default_port) in [("rtmp", DEFAULT_PORT), ("http", 80)] {
        let blocks = tree.iter().filter(|directive| directive.name() == block);
        for listen in blocks.flat_map(|block| block.all("server")).flat_map(|server| server.all("listen")) {
            let is_udp = listen.words.iter().any(|word| word == "quic");
            let Some(place) = listen.argument(0).filter(|_| !is_udp) else { continue };
            let Some(place) = reachable(place, default_port) else { continue };
            if !found.contains(&place) {
                found.push(place);
            }
        }
    }
    found
}

/// Returns the address to connect to: `8080` and `*:8080` become `127.0.0.1:8080`; a name without a port gets the default port.
fn reachable(listen: &str, default_port: u16) -> Option<String> {
    if listen.starts_with("unix:") || listen.contains('$') {
        return None;
    }
    let port_of = |port: &str| port.parse::<u16>().ok();
    if let Some(port) = port_of(listen) {
        return Some(format!("127.0.0.1:{port}"));
    }
    let (host, port) = match listen.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port_of(port)?),
        _ => (listen, default_port),
    };
    let host = match host {
        "*" | "0.0.0.0" => "127.0.0.1",
        "[::]" => "[::1]",
        host => host,
    };
    Some(format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_to_connect_to() {
        for (listen, place) in [
            ("8080", Some("127.0.0.1:8080")),
            ("*:80", Some("127.0.0.1:80")),
            ("0.0.0.0:1935", Some("127.0.0.1:1935")),
            ("[::]:80", Some("[::1]:80")),
            ("[::1]", Some("[::1]:80")),
            ("192.0.2.1", Some("192.0.2.1:80")),
            ("localhost:8443", Some("localhost:8443")),
            ("unix:/run/x.sock", None),
            ("127.0.0.1:99999", None),
        ] {
            assert_eq!(reachable(listen, 80).as_deref(), place, "{listen}");
        }
    }
}
