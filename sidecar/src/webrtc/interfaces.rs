//! The addresses of this machine.

use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Addresses for documentation. No packet is sent to them.
const ANYWHERE: [(&str, &str); 2] = [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")];

/// Returns this machine's source address for each IP family, or the loopback address if there is none.
pub(super) fn addresses() -> Vec<IpAddr> {
    let found: Vec<IpAddr> = ANYWHERE.iter().filter_map(|(any, other)| towards(any, other)).collect();
    if found.is_empty() { vec![IpAddr::from([127, 0, 0, 1])] } else { found }
}

fn towards(any: &str, other: &str) -> Option<IpAddr> {
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(other.parse::<SocketAddr>().ok()?).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|address| !address.is_unspecified())
}
