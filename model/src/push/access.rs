//! Decides which addresses targets may have: the rules of `weir_push_allow` and `weir_push_deny`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::network::{Network, NetworkError};

/// The addresses that a rule matches: a network, or `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Every address of both families.
    All,
    /// The addresses of a network.
    Of(Network),
}

/// Why a text is not [`Addresses`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressesError {
    /// The text is neither `all` nor in the form of a network.
    #[error("expected \"all\", an address or CIDR such as 192.0.2.0/24 or 2001:db8::/32")]
    NotAddresses,
    /// The text is an invalid network.
    #[error(transparent)]
    Network(NetworkError),
}

impl FromStr for Addresses {
    type Err = AddressesError;

    fn from_str(text: &str) -> Result<Addresses, AddressesError> {
        match text.parse() {
            _ if text == "all" => Ok(Addresses::All),
            Ok(network) => Ok(Addresses::Of(network)),
            Err(NetworkError::NotAnAddress) => Err(AddressesError::NotAddresses),
            Err(error) => Err(AddressesError::Network(error)),
        }
    }
}

/// One line of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whether the line is `weir_push_allow`, rather than `weir_push_deny`.
    pub allow: bool,
    /// The addresses that the rule matches.
    pub addresses: Addresses,
}

impl Rule {
    fn holds(&self, addr: IpAddr) -> bool {
        match self.addresses {
            Addresses::All => true,
            Addresses::Of(network) => network.contains(addr),
        }
    }
}

/// Returns whether a target may have this address. The first matching rule decides; without a match the address is
/// allowed.
pub fn allows(rules: &[Rule], addr: IpAddr) -> bool {
    let first = |addr| rules.iter().find(|rule| rule.holds(addr)).is_none_or(|rule| rule.allow);
    first(addr) && reached_by(addr).is_none_or(first)
}

/// Returns the address that a connect to the unspecified address reaches.
pub(super) fn reached_by(addr: IpAddr) -> Option<IpAddr> {
    match addr.to_canonical() {
        IpAddr::V4(addr) if addr.is_unspecified() => Some(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(addr) if addr.is_unspecified() => Some(Ipv6Addr::LOCALHOST.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
