//! Which addresses targets may reach: the rules of `weir_push_allow` and `weir_push_deny`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::network::{Network, NetworkError};

/// Of which addresses a rule speaks: a network, or `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Every address of both families.
    All,
    /// Those of a network.
    Of(Network),
}

/// Why a text is no [`Addresses`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressesError {
    /// Neither `all` nor a network's form.
    #[error("expected \"all\", an address or CIDR such as 192.0.2.0/24 or 2001:db8::/32")]
    NotAddresses,
    /// A network that is not right.
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
    /// `weir_push_allow`, otherwise `weir_push_deny`.
    pub allow: bool,
    /// Of which addresses it speaks.
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

/// Whether a target may be at this address: the first rule that holds it says so, and where none does, yes.
pub fn allows(rules: &[Rule], addr: IpAddr) -> bool {
    let first = |addr| rules.iter().find(|rule| rule.holds(addr)).is_none_or(|rule| rule.allow);
    first(addr) && reached_by(addr).is_none_or(first)
}

/// The address that a connect to the unspecified one reaches.
pub(super) fn reached_by(addr: IpAddr) -> Option<IpAddr> {
    match addr.to_canonical() {
        IpAddr::V4(addr) if addr.is_unspecified() => Some(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(addr) if addr.is_unspecified() => Some(Ipv6Addr::LOCALHOST.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
