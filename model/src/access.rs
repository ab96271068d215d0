//! Evaluates nginx-rtmp's `allow` and `deny` before anything else runs.
//!
//! nginx-rtmp itself evaluates them only after `on_publish`, `exec` and `record` have begun.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::client::ClientAddr;

/// The action that a rule allows or denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A client publishes.
    Publish,
    /// A client plays.
    Play,
}

/// One `allow` or `deny` line, for one family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The addresses that the rule applies to.
    pub addresses: Addresses,
    /// Whether the rule denies.
    pub deny: bool,
    /// Whether the rule applies to publishers.
    pub publish: bool,
    /// Whether the rule applies to players.
    pub play: bool,
}

/// An address and the bits of it that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// IPv4, including an IPv4 address in IPv6-mapped form.
    V4 {
        /// The address.
        addr: Ipv4Addr,
        /// The bits that are compared.
        mask: Ipv4Addr,
    },
    /// IPv6.
    V6 {
        /// The address.
        addr: Ipv6Addr,
        /// The bits that are compared.
        mask: Ipv6Addr,
    },
}

impl Addresses {
    fn holds(&self, client: IpAddr) -> bool {
        match (self, client.to_canonical()) {
            (Addresses::V4 { addr, mask }, IpAddr::V4(client)) => client & *mask == *addr,
            (Addresses::V6 { addr, mask }, IpAddr::V6(client)) => client & *mask == *addr,
            _ => false,
        }
    }
}

/// Returns whether the rules deny the action to the client. The first matching rule decides; a client that matches no
/// rule is allowed (`ngx_rtmp_access`). No rule matches a client of a unix socket.
pub fn is_denied(rules: &[Rule], client: ClientAddr, act: Act) -> bool {
    let ClientAddr::Ip(client) = client else { return false };
    let fits = |rule: &&Rule| {
        let concerns = match act {
            Act::Publish => rule.publish,
            Act::Play => rule.play,
        };
        concerns && rule.addresses.holds(client)
    };
    rules.iter().find(fits).is_some_and(|rule| rule.deny)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(deny: bool, addr: [u8; 4], mask: [u8; 4]) -> Rule {
        let addresses = Addresses::V4 { addr: addr.into(), mask: mask.into() };
        Rule { addresses, deny, publish: true, play: false }
    }

    fn client(text: &str) -> ClientAddr {
        ClientAddr::Ip(text.parse().unwrap())
    }

    const ALL: [u8; 4] = [0; 4];

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = [v4(false, [192, 0, 2, 0], [255, 255, 255, 0]), v4(true, ALL, ALL)];
        for (addr, denied) in [
            ("192.0.2.7", false),
            ("::ffff:192.0.2.7", false),
            ("192.0.3.7", true),
            ("::ffff:127.0.0.1", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_denied(&rules, client(addr), Act::Publish), denied, "{addr}");
            assert!(!is_denied(&rules, client(addr), Act::Play), "{addr}");
        }
        assert!(!is_denied(&rules, ClientAddr::Unix, Act::Publish));
        assert!(!is_denied(&[], client("192.0.2.7"), Act::Publish));
    }

    #[test]
    fn ipv6_has_rules_of_its_own() {
        let addresses =
            Addresses::V6 { addr: "2001:db8::".parse().unwrap(), mask: "ffff:ffff::".parse().unwrap() };
        let rules = [Rule { addresses, deny: true, publish: false, play: true }];
        assert!(is_denied(&rules, client("2001:db8::1"), Act::Play));
        assert!(!is_denied(&rules, client("2001:db9::1"), Act::Play));
        assert!(!is_denied(&rules, client("2001:db8::1"), Act::Publish));
        assert!(!is_denied(&rules, client("192.0.2.1"), Act::Play));
    }
}
