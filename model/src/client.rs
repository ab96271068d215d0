//! The address of a client, and the ticket by which Weir recognises its own players.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::arguments;
use crate::network::Network;
use crate::secret::Secret;

/// The argument of `play` by which Weir recognises players that are no viewers: the daemon's own, and pulls of the same nginx.
pub const TICKET_ARGUMENT: &str = "weir_ticket";

/// Returns the ticket that a player presents in `name?args`.
pub fn ticket_of(raw: &[u8]) -> Option<&[u8]> {
    arguments::split_bytes(raw)
        .1?
        .split(|byte| *byte == b'&')
        .find_map(|argument| argument.strip_prefix(TICKET_ARGUMENT.as_bytes())?.strip_prefix(b"="))
}

/// Length of the ticket of a pull, in hex digits.
const PULL_TICKET_LEN: usize = 32;

/// Returns the ticket with which nginx pulls from itself, over a connection from `puller` to `server`. No other connection
/// has both addresses, so a server that sees the ticket cannot use it. `secret` is one that no client knows.
#[must_use]
pub fn ticket_of_pull(secret: &Secret, puller: SocketAddr, server: SocketAddr) -> Secret {
    let text = Secret::new(format!("weir pull from {puller} to {server} {}", secret.expose()));
    Secret::new(&text.digest().to_hex()[..PULL_TICKET_LEN])
}

/// Returns the ticket that an HTTP request presents in the cookie `weir_ticket`, which no log contains.
pub fn ticket_of_cookies<'c>(cookies: impl Iterator<Item = &'c [u8]>) -> Option<&'c [u8]> {
    cookies
        .flat_map(|line| line.split(|byte| *byte == b';'))
        .find_map(|pair| pair.trim_ascii().strip_prefix(TICKET_ARGUMENT.as_bytes())?.strip_prefix(b"="))
}

/// Returns `name?args` without tickets, because nginx-rtmp logs the arguments and passes them to hooks. Returns `None`
/// if there is no ticket.
pub fn without_ticket(raw: &[u8]) -> Option<Vec<u8>> {
    ticket_of(raw)?;
    let (name, args) = arguments::split_bytes(raw);
    let is_ticket = |argument: &&[u8]| {
        let rest = argument.strip_prefix(TICKET_ARGUMENT.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"="))
    };
    let args = args?.split(|byte| *byte == b'&');
    let kept: Vec<&[u8]> = args.filter(|argument| !is_ticket(argument)).collect();
    Some(arguments::join_bytes(name, &kept))
}

/// The address of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientAddr {
    /// Over TCP.
    Ip(IpAddr),
    /// Over a unix socket: a client on this machine, without an address.
    Unix,
}

impl ClientAddr {
    /// Returns whether one of the networks contains the client. A client of a unix socket is in no network.
    pub fn is_in(self, networks: &[Network]) -> bool {
        match self {
            ClientAddr::Ip(addr) => networks.iter().any(|network| network.contains(addr)),
            ClientAddr::Unix => false,
        }
    }

    /// Returns whether the client runs on this machine: it has a loopback address or uses a unix socket.
    pub fn is_local(self) -> bool {
        match self {
            ClientAddr::Ip(addr) => addr.to_canonical().is_loopback(),
            ClientAddr::Unix => true,
        }
    }
}

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientAddr::Ip(addr) => addr.to_canonical().fmt(f),
            ClientAddr::Unix => f.write_str("unix:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> ClientAddr {
        ClientAddr::Ip(text.parse().unwrap())
    }

    #[test]
    fn a_ticket_is_an_argument() {
        for (raw, ticket) in [
            ("show", None),
            ("weir_ticket=a", None),
            ("show?weir_ticket=a", Some("a")),
            ("show?x=1&weir_ticket=&y", Some("")),
            ("show?weir_tickets=a&xweir_ticket=b", None),
            ("show?weir_ticket=a?b&weir_ticket=c", Some("a?b")),
        ] {
            assert_eq!(ticket_of(raw.as_bytes()), ticket.map(str::as_bytes), "{raw}");
        }
    }

    #[test]
    fn a_ticket_is_a_cookie() {
        for (cookies, ticket) in [
            (&[][..], None),
            (&["weir_ticket=a"][..], Some("a")),
            (&["x=1; weir_ticket=a;y"], Some("a")),
            (&["x=1", "weir_ticket="], Some("")),
            (&["weir_tickets=a; xweir_ticket=b; weir_ticket"], None),
        ] {
            let found = ticket_of_cookies(cookies.iter().map(|line| line.as_bytes()));
            assert_eq!(found, ticket.map(str::as_bytes), "{cookies:?}");
        }
    }

    #[test]
    fn tickets_are_taken_out() {
        for (raw, rest) in [
            ("show", None),
            ("show?x=1&weir_tickets=a", None),
            ("show?weir_ticket=a", Some("show")),
            ("show?x=1&weir_ticket=a&y", Some("show?x=1&y")),
            ("show?weir_ticket=a&x=b?c&weir_ticket=", Some("show?x=b?c")),
        ] {
            let rest = rest.map(|rest| rest.as_bytes().to_vec());
            assert_eq!(without_ticket(raw.as_bytes()), rest, "{raw}");
        }
    }

    #[test]
    fn the_ticket_of_a_pull_is_for_one_connection() {
        let [one, two, server] =
            ["127.0.0.1:40000", "127.0.0.1:40001", "127.0.0.1:1935"].map(|addr| addr.parse().unwrap());
        let of = |ticket: &str, from, to| ticket_of_pull(&Secret::new(ticket), from, to).expose().to_owned();
        let ticket = of("a", one, server);
        assert_eq!((ticket.len(), &ticket), (32, &of("a", one, server)));
        for other in [of("b", one, server), of("a", two, server), of("a", server, one), of("a", one, two)] {
            assert_ne!(other, ticket);
        }
    }

    #[test]
    fn local_is_loopback_and_unix() {
        for client in [ClientAddr::Unix, ip("127.0.0.9"), ip("::1"), ip("::ffff:127.0.0.1")] {
            assert!(client.is_local(), "{client}");
        }
        assert!(!ip("192.0.2.1").is_local());
    }

    #[test]
    fn a_unix_client_is_in_no_network() {
        let everywhere = ["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()];
        assert!(ip("192.0.2.1").is_in(&everywhere));
        assert!(!ClientAddr::Unix.is_in(&everywhere));
    }

    #[test]
    fn prints_as_nginx_does() {
        assert_eq!(ip("::ffff:192.0.2.1").to_string(), "192.0.2.1");
        assert_eq!(ClientAddr::Unix.to_string(), "unix:");
    }
}
