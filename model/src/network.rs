//! Networks in CIDR form, and the bucket in which Weir counts the wrong keys of an address.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv6Net};
use serde::{Deserialize, Serialize};

/// An IPv4 or IPv6 network, `192.0.2.0/24`. A single address is a `/32` or a `/128`.
///
/// An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) counts as the IPv4 address, because both are the same client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(
    /// All bits after the prefix are zero.
    IpNet,
);

/// Why a text is not a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The text before the slash is not an address.
    #[error("not a network, expected an address or CIDR such as 192.0.2.0/24 or 2001:db8::/32")]
    NotAnAddress,
    /// The prefix is not a number, or is longer than the address.
    #[error("bad prefix length, expected 0 to {max}")]
    BadPrefix {
        /// 32 or 128.
        max: u8,
    },
    /// Bits after the prefix are set.
    #[error("address bits set after the prefix, expected {masked}")]
    HostBits {
        /// The network with those bits cleared.
        masked: Network,
    },
}

impl Network {
    /// Returns the network of `prefix` bits that starts at `addr`.
    pub fn new(addr: IpAddr, prefix: u8) -> Result<Network, NetworkError> {
        let max = if addr.is_ipv4() { 32 } else { 128 };
        let whole = |addr, prefix| IpNet::new(addr, prefix).map_err(|_| NetworkError::BadPrefix { max });
        let written = whole(addr, prefix)?;
        let written = match addr.to_canonical() {
            v4 @ IpAddr::V4(_) if addr.is_ipv6() && prefix >= 96 => whole(v4, prefix - 96)?,
            _ => written,
        };
        let masked = Network(written.trunc());
        if masked.0 == written { Ok(masked) } else { Err(NetworkError::HostBits { masked }) }
    }

    /// Returns whether the network contains the address.
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.0.contains(&addr.to_canonical())
    }

    /// Returns a form of fixed size for shared memory: family (4 or 6), prefix, address (IPv4 as IPv4-mapped).
    pub fn to_bytes(&self) -> [u8; 18] {
        let mut bytes = [0; 18];
        bytes[0] = if self.0.addr().is_ipv4() { 4 } else { 6 };
        bytes[1] = self.0.prefix_len();
        bytes[2..].copy_from_slice(&octets(self.0.addr()));
        bytes
    }

    /// The reverse of [`Network::to_bytes`]. Returns `None` for bytes that it never writes, such as all zeros.
    pub fn from_bytes(bytes: &[u8; 18]) -> Option<Network> {
        let [family, prefix, addr @ ..] = *bytes;
        let v6 = Ipv6Addr::from(addr);
        let addr = match family {
            4 => IpAddr::V4(v6.to_ipv4_mapped()?),
            6 => IpAddr::V6(v6),
            _ => return None,
        };
        let network = Network::new(addr, prefix).ok()?;
        (network.to_bytes() == *bytes).then_some(network)
    }
}

fn octets(addr: IpAddr) -> [u8; 16] {
    match addr {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Returns the bucket that counts the attempts of an address: for IPv4 the address (IPv4-mapped), for IPv6 its /64.
pub fn attempt_bucket(addr: IpAddr) -> [u8; 16] {
    match addr.to_canonical() {
        v4 @ IpAddr::V4(_) => octets(v4),
        IpAddr::V6(v6) => Ipv6Net::new_assert(v6, 64).trunc().addr().octets(),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let (addr, prefix) = match text.split_once('/') {
            Some((addr, prefix)) => (addr, Some(prefix)),
            None => (text, None),
        };
        let addr: IpAddr = addr.parse().map_err(|_| NetworkError::NotAnAddress)?;
        let max = if addr.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => max,
            // `parse` alone would accept "+24".
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| NetworkError::BadPrefix { max })?
            }
            Some(_) => return Err(NetworkError::BadPrefix { max }),
        };
        Network::new(addr, prefix)
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Network, NetworkError> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn reads_both_families_and_bare_addresses() {
        for (text, shown) in [
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ] {
            assert_eq!(network(text).to_string(), shown);
        }
    }

    #[test]
    fn messages_say_what_would_be_right() {
        for (text, message) in [
            ("192.0.2.7/24", "address bits set after the prefix, expected 192.0.2.0/24"),
            ("192.0.2.0/33", "bad prefix length, expected 0 to 32"),
            ("192.0.2.0/+4", "bad prefix length, expected 0 to 32"),
            ("192.0.2.0/", "bad prefix length, expected 0 to 32"),
            ("::/129", "bad prefix length, expected 0 to 128"),
            ("here/8", "not a network, expected an address or CIDR such as 192.0.2.0/24 or 2001:db8::/32"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn holds_its_addresses() {
        let v4 = network("192.0.2.0/24");
        assert!(v4.contains(ip("192.0.2.255")));
        assert!(v4.contains(ip("::ffff:192.0.2.1")));
        assert!(!v4.contains(ip("192.0.3.0")));
        assert!(!v4.contains(ip("::c000:201")));
        assert!(network("0.0.0.0/0").contains(ip("203.0.113.9")));
        assert!(!network("0.0.0.0/0").contains(ip("2001:db8::1")));
        assert!(!network("::/0").contains(ip("::ffff:203.0.113.9")));
        assert!(network("2001:db8::/33").contains(ip("2001:db8:7fff::1")));
        assert!(!network("2001:db8::/33").contains(ip("2001:db8:8000::1")));
    }

    #[test]
    fn attempts_are_counted_by_address_or_by_64() {
        assert_eq!(attempt_bucket(ip("192.0.2.1")), attempt_bucket(ip("::ffff:192.0.2.1")));
        assert_ne!(attempt_bucket(ip("192.0.2.1")), attempt_bucket(ip("192.0.2.2")));
        assert_eq!(attempt_bucket(ip("2001:db8::1")), attempt_bucket(ip("2001:db8::ffff:0:0:2")));
        assert_ne!(attempt_bucket(ip("2001:db8::1")), attempt_bucket(ip("2001:db8:0:1::1")));
    }

    #[test]
    fn bytes_never_written_are_no_network() {
        assert_eq!(Network::from_bytes(&[0; 18]), None);
        let mut bytes = network("192.0.2.0/24").to_bytes();
        bytes[17] = 1;
        assert_eq!(Network::from_bytes(&bytes), None);
    }

    fn any_network() -> impl Strategy<Value = Network> {
        (any::<IpAddr>(), any::<u8>()).prop_map(|(addr, bits)| {
            let addr = addr.to_canonical();
            let prefix = bits % if addr.is_ipv4() { 33 } else { 129 };
            match Network::new(addr, prefix) {
                Ok(network) | Err(NetworkError::HostBits { masked: network }) => network,
                Err(error) => panic!("{addr}/{prefix}: {error}"),
            }
        })
    }

    proptest! {
        #[test]
        fn text_and_bytes_are_read_back(network in any_network()) {
            prop_assert_eq!(network.to_string().parse(), Ok(network));
            prop_assert_eq!(Network::from_bytes(&network.to_bytes()), Some(network));
        }

        #[test]
        fn membership_is_equality_of_leading_bits(network in any_network(), addr: IpAddr) {
            let addr = addr.to_canonical();
            let bits = |a: IpAddr| u128::from_be_bytes(octets(a));
            let lead = u32::from(network.0.prefix_len()) + if network.0.addr().is_ipv4() { 96 } else { 0 };
            let same = lead == 0 || (bits(addr) ^ bits(network.0.addr())) >> (128 - lead) == 0;
            prop_assert_eq!(network.contains(addr), same && addr.is_ipv4() == network.0.addr().is_ipv4());
            prop_assert!(network.contains(network.0.addr()));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9a-f:./+]{0,30}") {
            if let Ok(network) = text.parse::<Network>() {
                prop_assert_eq!(network.to_string().parse(), Ok(network));
            }
        }
    }
}
