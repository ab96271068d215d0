//! The addresses that the load balancer takes from rented servers. Such a server reports its address itself, and nginx sends requests of
//! strangers to that address, so it must not lead back into this machine or its networks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use crate::http::public::is_public;

/// Trust in the address of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trust {
    /// `weir.toml` lists it, or it has the secret of the cluster: the address is taken as it is.
    Cluster,
    /// It has a credential, and reports from a private network.
    Private,
    /// It has a credential, and reports from the Internet.
    Public,
}

/// Reason why an address is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// No other machine has it.
    #[error(
        "{0} is loopback, link-local or multicast, or the address of no machine: set address of [edge] there"
    )]
    Special(IpAddr),
    /// It leads back to this machine.
    #[error("{0} is an address of this load balancer: set address of [edge] there")]
    Own(IpAddr),
    /// The server is not in this network, as far as is known.
    #[error(
        "{0} is of a private network, but the edge reports from outside of it: set origin of [edge] there to an address of this machine in \
         that network"
    )]
    Private(IpAddr),
    /// Its name has no address that is known.
    #[error("its address is not known yet")]
    Unknown,
}

impl Trust {
    /// Returns the trust in an edge. `from` is the address from which an edge with a credential reports.
    pub(super) fn of(from: Option<IpAddr>) -> Self {
        match from {
            None => Self::Cluster,
            Some(from) if is_public(from) => Self::Public,
            Some(_) => Self::Private,
        }
    }

    /// Returns the address for nginx out of those of a rented server: always the same one, whatever the order of the name server.
    pub(super) fn choose(
        self,
        addresses: &[IpAddr],
        is_own: impl Fn(IpAddr) -> bool,
    ) -> Result<IpAddr, Unfit> {
        let judge = |address: &IpAddr| self.judge(address.to_canonical(), &is_own);
        let (good, bad): (Vec<_>, Vec<_>) = addresses.iter().map(judge).partition(Result::is_ok);
        let good: Vec<IpAddr> = good.into_iter().flatten().collect();
        // getaddrinfo(3) puts a family that this machine does not reach at the end.
        let of_family = |first: &IpAddr| {
            let family = first.is_ipv4();
            good.iter().filter(|address| address.is_ipv4() == family).min().copied()
        };
        let why = || bad.into_iter().find_map(Result::err).unwrap_or(Unfit::Unknown);
        good.first().and_then(of_family).ok_or_else(why)
    }

    fn judge(self, address: IpAddr, is_own: &impl Fn(IpAddr) -> bool) -> Result<IpAddr, Unfit> {
        if is_special(address) {
            return Err(Unfit::Special(address));
        }
        if is_own(address) {
            return Err(Unfit::Own(address));
        }
        if self == Self::Public && !is_public(address) {
            return Err(Unfit::Private(address));
        }
        Ok(address)
    }
}

fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let first = address.octets()[0];
            let is_of_no_machine = first == 0 || first >= 240;
            is_of_no_machine || address.is_loopback() || address.is_link_local() || address.is_multicast()
        }
        // `::/96` has the unspecified and the loopback address, and old forms of IPv4 addresses.
        IpAddr::V6(address) => {
            address.segments()[..6] == [0; 6] || address.is_unicast_link_local() || address.is_multicast()
        }
    }
}

/// Returns whether an interface of this machine has the address: the kernel then also takes it as the source. No packet is sent.
pub(super) fn is_own(address: IpAddr) -> bool {
    let any = if address.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { [0_u16; 8].into() };
    let source = || {
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect(SocketAddr::new(address, 9)).ok()?;
        socket.local_addr().ok()
    };
    source().is_some_and(|source| source.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_rented_server_is_on_another_machine_and_in_its_own_networks() {
        let near = Trust::of(Some(ip("10.0.0.7")));
        let far = Trust::of(Some(ip("93.184.215.14")));
        let own = |address: IpAddr| address == ip("93.184.215.99");
        for (address, in_private, from_outside) in [
            ("93.184.215.14", true, true),
            ("2606:2800:21f:cb07::1", true, true),
            ("93.184.215.99", false, false),
            ("10.1.2.3", true, false),
            ("100.100.100.200", true, false),
            ("fd00::1", true, false),
            ("127.0.0.1", false, false),
            ("127.8.8.8", false, false),
            ("0.0.0.0", false, false),
            ("0.1.2.3", false, false),
            ("169.254.169.254", false, false),
            ("224.0.0.1", false, false),
            ("240.0.0.1", false, false),
            ("255.255.255.255", false, false),
            ("::1", false, false),
            ("::", false, false),
            ("::ffff:127.0.0.1", false, false),
            ("::ffff:10.0.0.1", true, false),
            ("::7f00:1", false, false),
            ("fe80::1", false, false),
            ("ff02::1", false, false),
        ] {
            let takes = |trust: Trust| trust.choose(&[ip(address)], own).is_ok();
            assert_eq!((takes(near), takes(far)), (in_private, from_outside), "{address}");
        }
        assert_eq!(Trust::of(None), Trust::Cluster);
        assert!(is_own(ip("127.0.0.1")) && !is_own(ip("192.0.2.1")));
    }

    #[test]
    fn a_name_has_one_address_for_nginx() {
        let near = Trust::Private;
        let choose = |texts: &[&str]| {
            let addresses: Vec<IpAddr> = texts.iter().map(|text| ip(text)).collect();
            near.choose(&addresses, |_| false).map(|address| address.to_string())
        };
        assert_eq!(choose(&["10.0.0.2", "10.0.0.1", "2001:db8::1"]).unwrap(), "10.0.0.1");
        assert_eq!(choose(&["2001:db8::2", "10.0.0.1", "2001:db8::1"]).unwrap(), "2001:db8::1");
        assert_eq!(choose(&["127.0.0.1", "10.0.0.1"]).unwrap(), "10.0.0.1");
        assert_eq!(choose(&["127.0.0.1"]), Err(Unfit::Special(ip("127.0.0.1"))));
        assert_eq!(choose(&[]), Err(Unfit::Unknown));
    }
}
