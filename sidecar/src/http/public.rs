//! Which addresses a webhook may reach: by default none that belongs to this host or to a private network, whatever a name
//! resolves to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Whether everybody may be at this address (RFC 6890, and what goes through a translator to such an address).
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !(special
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, .., y, z] = address.segments();
    let embedded = || {
        let [y1, y2] = y.to_be_bytes();
        let [z1, z2] = z.to_be_bytes();
        Ipv4Addr::new(y1, y2, z1, z2)
    };
    match (a, b) {
        // IPv4 in another form: mapped or compatible, and NAT64.
        (0, 0) => address.to_ipv4_mapped().is_some_and(is_public_v4),
        (0x64, 0xff9b) => is_public_v4(embedded()),
        // 6to4 and Teredo lead anywhere; documentation leads nowhere.
        (0x2002, _) | (0x2001, 0..0x200) | (0x2001, 0xdb8) => false,
        // Global unicast is 2000::/3.
        _ => a & 0xe000 == 0x2000,
    }
}

/// False when the host is an address that is not public, or this very host. A name is judged when it is resolved.
pub(crate) fn host_may_be_public(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => is_public(address),
        Err(_) => !host.is_empty() && host != "localhost" && !host.ends_with(".localhost"),
    }
}

/// Resolves names, and leaves out what is not public. The connection is made to what it has let through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(format!("{} has no public address; see allow_private", name.as_str()).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for (address, expected) in [
            ("93.184.215.14", true),
            ("2606:2800:21f:cb07::1", true),
            ("64:ff9b::5db8:d70e", true),
            ("::ffff:93.184.215.14", true),
            ("127.0.0.1", false),
            ("0.0.0.0", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("192.168.0.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("192.0.2.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::1", false),
            ("::", false),
            ("::7f00:1", false),
            ("::ffff:127.0.0.1", false),
            ("64:ff9b::7f00:1", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("ff02::1", false),
            ("2002:7f00:1::", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn hosts_that_are_private_by_their_looks() {
        for (url, expected) in [
            ("https://example.org/", true),
            ("https://localhost/", false),
            ("https://a.localhost./", false),
            ("https://[::1]/", false),
            // The URL parser knows other ways to write an address.
            ("https://0x7f000001/", false),
            ("https://2130706433/", false),
        ] {
            assert_eq!(host_may_be_public(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
