//! The load of an edge as the origin can check it: the viewers that the origin has sent there.
//!
//! An edge may report that it sends nothing. It counts as sending what its new viewers need, and this amount fades as viewers leave.
//! Strangers ask too, so a viewer counts once, and the viewers per address are limited.

use std::collections::HashMap;
use std::net::IpAddr;

use super::record::EdgeId;

/// Time in seconds after which a viewer counts for 37 %.
const FADES_S: f64 = 60.0;
/// Rate in bit/s below which an edge's amount counts as zero.
const NOTHING: f64 = 1000.0;
/// Most counted viewers per address: a school may have one address.
const MOST_OF_ADDRESS: f64 = 50.0;
/// Most viewers and addresses that are remembered: 10 MB. Beyond that, no viewer counts until some have faded.
const MOST: usize = 200_000;

/// Bit/s of the viewers that were sent to each edge. Times are seconds of any clock.
#[derive(Debug, Default)]
pub(crate) struct Assigned {
    edges: HashMap<EdgeId, Fading>,
    /// Time at which a viewer counted.
    viewers: HashMap<u64, f64>,
    addresses: HashMap<IpAddr, Fading>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Fading {
    amount: f64,
    at: f64,
}

impl Fading {
    fn left(self, now: f64) -> f64 {
        self.amount * (-(now - self.at).max(0.0) / FADES_S).exp()
    }

    fn add(&mut self, more: f64, now: f64) {
        *self = Self { amount: self.left(now) + more, at: now };
    }
}

impl Assigned {
    /// Counts a viewer of `bitrate` bit/s that is sent to an edge.
    pub(crate) fn add(&mut self, id: &EdgeId, viewer: u64, address: IpAddr, bitrate: u64, now: f64) {
        let is_known = self.viewers.get(&viewer).is_some_and(|at| now - at < FADES_S);
        if is_known || self.viewers.len() >= MOST {
            return;
        }
        // A proxy on this machine that is not trusted to name its clients represents many viewers.
        if !address.to_canonical().is_loopback() {
            let of_address = self.addresses.entry(client(address)).or_default();
            if of_address.left(now) >= MOST_OF_ADDRESS {
                return;
            }
            of_address.add(1.0, now);
        }
        self.viewers.insert(viewer, now);
        match self.edges.get_mut(id) {
            Some(edge) => edge.add(bitrate as f64, now),
            None => drop(self.edges.insert(id.clone(), Fading { amount: bitrate as f64, at: now })),
        }
    }

    /// Returns the rate that recently sent viewers of an edge need, in bit/s.
    pub(crate) fn of(&self, id: &EdgeId, now: f64) -> u64 {
        self.edges.get(id).map_or(0, |edge| edge.left(now) as u64)
    }

    /// Forgets edges that got no viewers for a long time, and viewers who may count again.
    pub(crate) fn tidy(&mut self, now: f64) {
        self.edges.retain(|_, edge| edge.left(now) > NOTHING);
        self.viewers.retain(|_, at| now - *at < FADES_S);
        self.addresses.retain(|_, address| address.left(now) > 0.1);
    }
}

/// Returns the client of an address: an IPv4 address, or the /48 of an IPv6 address, because one line often has a whole /56 or /48.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            IpAddr::from([a, b, c, 0, 0, 0, 0, 0])
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_fades() {
        let (mut assigned, id): (Assigned, EdgeId) = (Assigned::default(), "a".parse().unwrap());
        for n in 0..100 {
            assigned.add(&id, n, IpAddr::from([192, 0, 2, n as u8]), 4_000_000, 10.0);
        }
        assert!((399_000_000..=400_000_000).contains(&assigned.of(&id, 10.0)));
        let later = assigned.of(&id, 70.0);
        assert!((146_000_000..148_000_000).contains(&later), "{later}");
        assigned.tidy(3000.0);
        assert!(assigned.edges.is_empty() && assigned.viewers.is_empty() && assigned.addresses.is_empty());
    }

    #[test]
    fn a_stranger_counts_little_however_often_he_asks() {
        let (mut assigned, id): (Assigned, EdgeId) = (Assigned::default(), "a".parse().unwrap());
        let at = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, n, 0, 0, 0, n]);
        for _ in 0..1000 {
            assigned.add(&id, 7, at(1), 1_000_000, 0.0);
        }
        assert_eq!(assigned.of(&id, 0.0), 1_000_000);
        // Each request has another browser name, and another address of the same network.
        for n in 0..1000 {
            assigned.add(&id, 100 + u64::from(n), at(n), 1_000_000, 0.0);
        }
        assert_eq!(assigned.of(&id, 0.0), 50_000_000);
    }
}
