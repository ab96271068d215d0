//! `server` blocks of nginx-rtmp, identified by the addresses that they listen on.
//!
//! nginx-rtmp has no `server_name`. The address of a `listen` line is the one name of a block that all workers, old and
//! new, and the admin share, independent of the position in the file. Start with [`Server`].

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Maximum length of the text of a block's addresses, in bytes: the zone stores the length in one byte.
pub const MAX_SERVER_LEN: usize = 255;

/// Maximum length of an address, in bytes; the path of a unix socket has at most 107 (unix(7)).
const MAX_ADDR_LEN: usize = 112;

/// Separates addresses in the zone. No address contains it.
const SEPARATOR: char = '\0';

/// An address of a `listen` line, in the form of nginx's log: `0.0.0.0:1935`, `[::]:1935`, `unix:/run/rtmp.sock`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerAddr(String);

/// The text is not an address of a `listen` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an address to listen on, expected for example 1935, 127.0.0.1:1935, [::]:1935 or unix:/run/rtmp.sock"
)]
pub struct ServerAddrError;

impl ServerAddr {
    /// Returns the address of a TCP socket.
    pub fn of_socket(addr: SocketAddr) -> ServerAddr {
        ServerAddr(addr.to_string())
    }

    /// Returns the address of a unix socket.
    pub fn of_unix(path: &[u8]) -> ServerAddr {
        let path = String::from_utf8_lossy(path);
        let path = path.split(SEPARATOR).next().unwrap_or_default();
        let mut text = format!("unix:{path}");
        while text.len() > MAX_ADDR_LEN {
            text.pop();
        }
        ServerAddr(text)
    }

    /// Returns the address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the socket address, or `None` for a unix socket.
    pub fn socket(&self) -> Option<SocketAddr> {
        self.0.parse().ok()
    }
}

impl fmt::Display for ServerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ServerAddr {
    type Err = ServerAddrError;

    /// Reads the forms of a `listen` line: a port alone and `*:PORT` mean any IPv4 address.
    fn from_str(text: &str) -> Result<ServerAddr, ServerAddrError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let good =
                path.starts_with('/') && text.len() <= MAX_ADDR_LEN && !path.chars().any(char::is_control);
            return good.then(|| ServerAddr(text.to_owned())).ok_or(ServerAddrError);
        }
        let port = text.strip_prefix("*:").unwrap_or(text);
        let addr = match port.bytes().all(|byte| byte.is_ascii_digit()) {
            true => format!("0.0.0.0:{port}").parse::<SocketAddr>(),
            false => text.parse(),
        };
        addr.ok().filter(|addr| addr.port() > 0).map(ServerAddr::of_socket).ok_or(ServerAddrError)
    }
}

impl TryFrom<String> for ServerAddr {
    type Error = ServerAddrError;

    fn try_from(text: String) -> Result<ServerAddr, ServerAddrError> {
        text.parse()
    }
}

impl From<ServerAddr> for String {
    fn from(addr: ServerAddr) -> String {
        addr.0
    }
}

/// A `server` block: the addresses that it listens on, in the order of the configuration.
///
/// A block keeps its identity when its lines are reordered, when it gains or loses addresses, and when it moves within
/// the file: two blocks are the same if they share an address. Within one configuration no two blocks share an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Server(Vec<ServerAddr>);

impl Server {
    /// Returns a block with these addresses.
    pub fn new(addresses: impl IntoIterator<Item = ServerAddr>) -> Server {
        Server(addresses.into_iter().collect())
    }

    /// Returns a block without addresses.
    pub const fn nowhere() -> Server {
        Server(Vec::new())
    }

    /// Returns whether the block has no addresses.
    pub fn is_nowhere(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the name of the block: its first address. Empty for a block without addresses.
    pub fn name(&self) -> &str {
        self.0.first().map_or("", ServerAddr::as_str)
    }

    /// Returns the first address.
    pub fn first(&self) -> Option<&ServerAddr> {
        self.0.first()
    }

    /// Returns the addresses.
    pub fn addresses(&self) -> &[ServerAddr] {
        &self.0
    }

    /// Returns whether the block listens on this address.
    pub fn listens_on(&self, addr: &ServerAddr) -> bool {
        self.0.contains(addr)
    }

    /// Returns whether an object that is limited to `limit` applies to this block.
    pub fn is_within(&self, limit: Option<&ServerAddr>) -> bool {
        limit.is_none_or(|addr| self.listens_on(addr))
    }

    /// Returns whether both are the same block, perhaps of two configurations.
    pub fn is_same(&self, other: &Server) -> bool {
        (self.0.is_empty() && other.0.is_empty()) || self.0.iter().any(|addr| other.listens_on(addr))
    }

    /// Returns the form for the zone, in at most [`MAX_SERVER_LEN`] bytes: the addresses that fit, in their order.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for addr in &self.0 {
            let more = addr.as_str().len() + usize::from(!text.is_empty());
            if text.len() + more > MAX_SERVER_LEN {
                break;
            }
            if !text.is_empty() {
                text.push(SEPARATOR);
            }
            text.push_str(addr.as_str());
        }
        text
    }

    /// The reverse of [`Server::to_text`].
    pub fn from_text(text: &str) -> Server {
        Server(
            text.split(SEPARATOR)
                .filter(|addr| !addr.is_empty())
                .map(|addr| ServerAddr(addr.to_owned()))
                .collect(),
        )
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Serialises as its name.
impl Serialize for Server {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Reads the name. The block then has only this address.
impl<'de> Deserialize<'de> for Server {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Server, D::Error> {
        String::deserialize(deserializer).map(|name| Server::from_text(&name))
    }
}

/// A `server` block of the configuration, with its applications.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerBlock {
    /// The block.
    pub server: Server,
    /// Its applications, in the order of the configuration.
    pub applications: Vec<BlockApplication>,
}

/// An application of a `server` block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockApplication {
    /// The argument of `application`.
    pub name: String,
    /// Whether it serves live streams (`live on`).
    pub live: bool,
    /// Whether it plays files (`play`).
    pub files: bool,
}

impl ServerBlock {
    /// Returns whether the block has an application with this name.
    pub fn has_application(&self, name: &str) -> bool {
        self.applications.iter().any(|app| app.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn server(addresses: &[&str]) -> Server {
        Server::new(addresses.iter().map(|addr| addr.parse().unwrap()))
    }

    #[test]
    fn an_address_has_one_form() {
        for (text, form) in [
            ("1935", "0.0.0.0:1935"),
            ("*:1935", "0.0.0.0:1935"),
            ("0.0.0.0:1935", "0.0.0.0:1935"),
            ("[::]:1935", "[::]:1935"),
            ("[0:0:0:0:0:0:0:1]:1936", "[::1]:1936"),
            ("unix:/run/rtmp.sock", "unix:/run/rtmp.sock"),
        ] {
            assert_eq!(text.parse::<ServerAddr>().unwrap().as_str(), form);
        }
        for text in [
            "",
            "0",
            "*:0",
            "70000",
            "localhost:1935",
            "127.0.0.1",
            "::1",
            "unix:",
            "unix:run",
            "+1",
            "unix:/a\nb",
        ] {
            assert_eq!(text.parse::<ServerAddr>(), Err(ServerAddrError), "{text}");
        }
        assert_eq!(ServerAddr::of_unix(b"/run/rtmp.sock\0\0").as_str(), "unix:/run/rtmp.sock");
    }

    #[test]
    fn a_block_is_known_by_any_of_its_addresses() {
        let both = server(&["1935", "[::]:1935"]);
        assert_eq!(both.name(), "0.0.0.0:1935");
        assert!(both.is_same(&server(&["[::]:1935", "1935"])));
        assert!(both.is_same(&server(&["[::]:1935"])) && server(&["[::]:1935"]).is_same(&both));
        assert!(!both.is_same(&server(&["1936"])));
        assert!(!both.is_same(&Server::default()) && Server::default().is_same(&Server::default()));
        assert!(both.is_within(None) && both.is_within(Some(&"[::]:1935".parse().unwrap())));
        assert!(!both.is_within(Some(&"127.0.0.1:1935".parse().unwrap())));
    }

    #[test]
    fn what_does_not_fit_the_zone_is_left_out_at_the_end() {
        let many = Server::new((1..=40).map(|port| format!("192.0.2.1:{}", 1000 + port).parse().unwrap()));
        let kept = Server::from_text(&many.to_text());
        assert!(many.to_text().len() <= MAX_SERVER_LEN && kept.addresses().len() > 10);
        assert_eq!(kept.addresses(), &many.addresses()[..kept.addresses().len()]);
        assert!(kept.is_same(&many));
    }

    proptest! {
        #[test]
        fn the_zone_gives_it_back(ports in prop::collection::vec(1..=u16::MAX, 0..9)) {
            let server = Server::new(ports.iter().map(|port| port.to_string().parse().unwrap()));
            prop_assert_eq!(Server::from_text(&server.to_text()), server);
        }

        #[test]
        fn any_path_becomes_one_address(path in prop::collection::vec(any::<u8>(), 0..130)) {
            let addr = ServerAddr::of_unix(&path);
            prop_assert!(addr.as_str().len() <= MAX_ADDR_LEN && !addr.as_str().contains('\0'));
        }
    }
}
