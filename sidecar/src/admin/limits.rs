//! Limits how soon a login may be tried again. Failures count per address, per network and per name.
//!
//! After some failures of a name, each network waits a short time between its own tries for this name. So failed tries from a few other
//! networks cannot lock an administrator out. The tries from all networks together are limited too, so that many networks cannot guess
//! faster. An address from which the owner has logged in waits neither for the name nor for other networks.
//!
//! Wrong codes of a second factor also count per account, over all addresses. Only clients with the right password can try a code.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;
use weir_model::Digest;

use super::known::Known;

/// Number of failures without a wait.
const FREE: u32 = 5;
/// Number of addresses of one network that may fail before the network waits.
const NEIGHBOURS: u32 = 20;
/// Time without another failure after which failures are forgotten.
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Longest wait of an address.
const LONGEST: Duration = Duration::from_secs(300);
/// Longest wait of a name, and of a network.
const SHORT: Duration = Duration::from_secs(15);
/// Longest wait of an account after wrong codes. Three codes are valid simultaneously, so a year of tries finds one with a probability
/// of 3 %.
const LONGEST_OF_CODES: Duration = Duration::from_secs(3600);
/// Time without another wrong code after which wrong codes are forgotten.
const WINDOW_OF_CODES: Duration = Duration::from_secs(24 * 3600);
/// Tries for a name, from all networks together: as many at once, and later as many per [`SPAN_OF_NAME`]. One address without the right
/// password has fewer than 30 tries per hour.
const TRIES_OF_NAME: u32 = 1000;
/// Time after which all [`TRIES_OF_NAME`] are available again.
const SPAN_OF_NAME: Duration = Duration::from_secs(3600);
/// Most addresses, networks and names that are remembered. Beyond this number, the oldest failure is forgotten.
const MOST: usize = 10_000;

/// Subject of a count.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    /// A client: an IPv4 address, or the /64 of an IPv6 address.
    Address(IpAddr),
    /// A /24 of IPv4, or a /48 of IPv6. It counts its addresses with failures.
    Network(IpAddr),
    Name(String),
    /// A client and the name that it tried. It has no wait of its own.
    Pair(IpAddr, String),
    /// A network and the name that it tried.
    Near(IpAddr, String),
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

/// Wrong codes of a second factor.
#[derive(Debug)]
struct WrongCodes {
    /// Stamp of the account. Another password or second factor begins a new count.
    stamp: Digest,
    failures: Failures,
}

/// The recent failures.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    failures: HashMap<Who, Failures>,
    /// Time at which all tries for a name are available again, for tries from addresses that are not known.
    spent: HashMap<String, Instant>,
    /// Wrong codes by account. Strangers cannot fill this map: they would need the passwords of as many accounts.
    codes: HashMap<String, WrongCodes>,
    /// Addresses from which the owners of names have logged in.
    known: Known,
}

impl Limits {
    /// Creates limits with the addresses that an earlier daemon knew.
    pub(crate) fn knowing(known: Known) -> Self {
        Self { known, ..Self::default() }
    }

    /// Returns how long an address must wait before it may try a name, or `None` if it may try now. An empty name is not counted.
    pub(crate) fn wait(&self, address: IpAddr, name: &str, now: Instant) -> Option<Duration> {
        let left = |who: Who, free: u32, longest: Duration| {
            let failures = self.recent(&who, now)?;
            let until = failures.last + pause(failures.count, free, longest)?;
            until.checked_duration_since(now).filter(|left| !left.is_zero())
        };
        let of_address = left(Who::Address(client(address)), FREE, LONGEST);
        if self.is_known(address, name) {
            return of_address;
        }
        let network = network(address);
        let of_network = left(Who::Network(network), NEIGHBOURS, SHORT);
        of_address.max(of_network).max(self.wait_for_name(network, name, now))
    }

    /// Returns how long a network must wait before it may try a name. The pause grows with the failures of all networks, and begins with
    /// the last failure of this one.
    fn wait_for_name(&self, network: IpAddr, name: &str, now: Instant) -> Option<Duration> {
        let own = self.recent(&Who::Near(network, name.to_owned()), now).map(|own| own.last);
        let of_name = self.recent(&Who::Name(name.to_owned()), now).map_or(0, |failures| failures.count);
        let paused = own.and_then(|last| Some(last + pause(of_name, FREE, SHORT)?));
        let available = self.spent.get(name).and_then(|spent| spent.checked_sub(SPAN_OF_NAME));
        let until = paused.max(available)?;
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// Returns whether the owner of the name has logged in from this address.
    pub(crate) fn is_known(&self, address: IpAddr, name: &str) -> bool {
        self.known.has(client(address), name)
    }

    fn recent(&self, who: &Who, now: Instant) -> Option<&Failures> {
        self.failures.get(who).filter(|failures| now.duration_since(failures.last) < WINDOW)
    }

    /// Notes that a try begins. The try counts as failed until [`succeeded`](Self::succeeded), so that simultaneous tries count too.
    pub(crate) fn begin(&mut self, address: IpAddr, name: &str, now: Instant) {
        if self.failures.len() >= MOST {
            self.failures.retain(|_, failures| now.duration_since(failures.last) < WINDOW);
        }
        let is_named = !name.is_empty();
        if is_named && !self.is_known(address, name) {
            self.spend(name, now);
        }
        let of_name = is_named.then(|| Who::Name(name.to_owned()));
        let near = is_named.then(|| Who::Near(network(address), name.to_owned()));
        let of_address = Who::Address(client(address));
        let of_network = self.recent(&of_address, now).is_none().then(|| Who::Network(network(address)));
        let of_pair = Who::Pair(client(address), name.to_owned());
        for who in [of_address, of_pair].into_iter().chain(of_network).chain(of_name).chain(near) {
            if self.failures.len() >= MOST && !self.failures.contains_key(&who) {
                let oldest = self.failures.iter().min_by_key(|(_, failures)| failures.last);
                if let Some(oldest) = oldest.map(|(who, _)| who.clone()) {
                    self.failures.remove(&oldest);
                }
            }
            let failures = self.failures.entry(who).or_insert(Failures { count: 0, last: now });
            if now.duration_since(failures.last) >= WINDOW {
                failures.count = 0;
            }
            failures.count = failures.count.saturating_add(1);
            failures.last = now;
        }
    }

    /// Notes a try for a name from an address that is not known.
    fn spend(&mut self, name: &str, now: Instant) {
        if self.spent.len() >= MOST && !self.spent.contains_key(name) {
            self.spent.retain(|_, spent| *spent > now);
            // A name with many tries stays, so that tries for other names cannot make Weir forget it.
            let least = self.spent.iter().min_by_key(|(_, spent)| **spent).map(|(name, _)| name.clone());
            if let Some(least) = least.filter(|_| self.spent.len() >= MOST) {
                self.spent.remove(&least);
            }
        }
        let spent = self.spent.entry(name.to_owned()).or_insert(now);
        *spent = now.max(*spent) + SPAN_OF_NAME / TRIES_OF_NAME;
    }

    /// Notes that a client with the right password tries a code. Returns the number of wrong codes of the account including this one, or
    /// how long the client must wait. The try counts as failed until [`succeeded`](Self::succeeded). An address from which the owner has
    /// logged in does not wait for the account.
    pub(crate) fn begin_code(
        &mut self,
        address: IpAddr,
        name: &str,
        stamp: Digest,
        now: Instant,
    ) -> Result<u32, Duration> {
        let is_known = self.is_known(address, name);
        let none = Failures { count: 0, last: now };
        let of = self.codes.entry(name.to_owned()).or_insert(WrongCodes { stamp, failures: none });
        if of.stamp != stamp || now.duration_since(of.failures.last) >= WINDOW_OF_CODES {
            *of = WrongCodes { stamp, failures: none };
        }
        let until = pause(of.failures.count, FREE, LONGEST_OF_CODES).map(|pause| of.failures.last + pause);
        let left = until.and_then(|until| until.checked_duration_since(now)).filter(|left| !left.is_zero());
        if let Some(left) = left.filter(|_| !is_known) {
            return Err(left);
        }
        of.failures = Failures { count: of.failures.count.saturating_add(1), last: now };
        Ok(of.failures.count)
    }

    /// Returns the addresses from which the owners of names have logged in.
    pub(crate) fn known(&self) -> &Known {
        &self.known
    }

    /// Notes that a login was right. Failures of other names stay: the owner of one account may guess the password of another.
    pub(crate) fn succeeded(&mut self, address: IpAddr, name: &str) {
        let network = network(address);
        let neighbours = Who::Network(network);
        let address = client(address);
        let own = self.failures.remove(&Who::Pair(address, name.to_owned())).map_or(0, |own| own.count);
        if self.forget(&Who::Address(address), own) {
            self.forget(&neighbours, 1);
        }
        self.failures.remove(&Who::Name(name.to_owned()));
        self.failures.remove(&Who::Near(network, name.to_owned()));
        self.codes.remove(name);
        if !name.is_empty() {
            self.known.add(address, name);
        }
    }

    /// Takes some failures back. Returns whether none is left.
    fn forget(&mut self, who: &Who, count: u32) -> bool {
        let Some(failures) = self.failures.get_mut(who) else { return false };
        failures.count = failures.count.saturating_sub(count);
        let is_clean = failures.count == 0;
        if is_clean {
            self.failures.remove(who);
        }
        is_clean
    }
}

/// Returns the wait after `count` failures: one second after `free` failures, doubled with each further one, at most `longest`.
fn pause(count: u32, free: u32, longest: Duration) -> Option<Duration> {
    let beyond = count.checked_sub(free)?;
    Some(Duration::from_secs(1 << beyond.min(16)).min(longest))
}

fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address => address,
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            IpAddr::from([a, b, c, 0, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    #[test]
    fn an_address_waits_longer_and_longer() {
        let (mut limits, mut now) = (Limits::default(), Instant::now());
        for n in 0..FREE {
            assert_eq!(limits.wait(at(1), &format!("n{n}"), now), None);
            limits.begin(at(1), &format!("n{n}"), now);
        }
        for seconds in [1, 2, 4, 8] {
            assert_eq!(limits.wait(at(1), "other", now), Some(Duration::from_secs(seconds)));
            now += Duration::from_secs(seconds);
            assert_eq!(limits.wait(at(1), "other", now), None);
            limits.begin(at(1), &format!("o{seconds}"), now);
        }
        for _ in 0..20 {
            limits.begin(at(1), "other", now);
        }
        assert_eq!(limits.wait(at(1), "new", now), Some(LONGEST));
        assert_eq!(limits.wait(at(2), "new", now), None);
        assert_eq!(limits.wait(at(1), "new", now + WINDOW), None);
    }

    #[test]
    fn a_name_waits_a_little_and_its_owner_does_not() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        limits.succeeded(at(9), "ana");
        for n in 1..100 {
            limits.begin(at(n), "ana", now);
        }
        assert_eq!(limits.wait(at(200), "ana", now), Some(SHORT));
        // The network has too many failures by now. Another network has none, so it has one try.
        assert_eq!(limits.wait(at(200), "bo", now), Some(SHORT));
        let elsewhere = IpAddr::from([203, 0, 113, 7]);
        assert_eq!((limits.wait(elsewhere, "ana", now), limits.wait(elsewhere, "bo", now)), (None, None));
        limits.begin(elsewhere, "ana", now);
        assert_eq!(
            (limits.wait(elsewhere, "ana", now), limits.wait(elsewhere, "bo", now)),
            (Some(SHORT), None)
        );
        assert_eq!(limits.wait(at(9), "ana", now), None);
        // The tries of a known address still count.
        for _ in 0..30 {
            limits.begin(at(9), "ana", now);
        }
        assert_eq!(limits.wait(at(9), "ana", now), Some(LONGEST));
        limits.succeeded(at(9), "ana");
        assert_eq!(limits.wait(at(9), "ana", now), None);
    }

    #[test]
    fn failures_of_other_networks_do_not_keep_an_owner_out() {
        let (mut limits, mut now) = (Limits::default(), Instant::now());
        let owner = IpAddr::from([203, 0, 113, 7]);
        let far = |n: u32| IpAddr::from((0x0a00_0000 + n * 256).to_be_bytes());
        limits.begin(owner, "ana", now);
        for n in 0..SHORT.as_secs() as u32 {
            assert_eq!(limits.wait(far(n), "ana", now), None);
            limits.begin(far(n), "ana", now);
            now += Duration::from_secs(1);
        }
        assert_eq!(limits.wait(owner, "ana", now), None);
        limits.begin(owner, "ana", now);
        assert_eq!(limits.wait(owner, "ana", now), Some(SHORT));
    }

    #[test]
    fn many_networks_together_have_few_tries_and_a_known_address_does_not_wait() {
        let (mut limits, mut now) = (Limits::default(), Instant::now());
        let far = |n: u32| IpAddr::from((0x0a00_0000 + n * 256).to_be_bytes());
        limits.succeeded(at(9), "ana");
        let mut tries = 0;
        for n in 0..36_000 {
            if limits.wait(far(n), "ana", now).is_none() {
                limits.begin(far(n), "ana", now);
                tries += 1;
            }
            now += Duration::from_millis(100);
        }
        assert!((TRIES_OF_NAME..=2 * TRIES_OF_NAME + 1).contains(&tries), "{tries}");
        limits.begin(far(39_999), "ana", now);
        assert!(limits.wait(far(40_000), "ana", now).is_some());
        // Tries for other names do not make Weir forget this one.
        for n in 0..MOST + 10 {
            limits.spend(&format!("n{n}"), now);
        }
        assert!(limits.spent.len() <= MOST && limits.wait(far(40_000), "ana", now).is_some());
        assert_eq!((limits.wait(far(40_000), "bo", now), limits.wait(at(9), "ana", now)), (None, None));
        limits.begin(at(9), "ana", now);
        assert_eq!(limits.wait(at(9), "ana", now), None);
        assert_eq!(limits.wait(far(40_000), "ana", now + SPAN_OF_NAME), None);
    }

    #[test]
    fn a_right_login_of_another_name_takes_no_failures_back() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        for _ in 0..=FREE {
            for name in ["ana", "vi"] {
                limits.begin(at(1), name, now);
            }
            limits.succeeded(at(1), "vi");
        }
        assert_eq!(limits.wait(at(1), "ana", now), Some(Duration::from_secs(2)));
        assert_eq!(limits.wait(at(1), "vi", now), Some(Duration::from_secs(2)));
        assert!(limits.wait(at(2), "ana", now).is_some(), "the network has failures");
        limits.succeeded(at(1), "ana");
        assert_eq!(limits.wait(at(1), "ana", now), None);
        assert!(limits.failures.is_empty());
    }

    #[test]
    fn codes_are_counted_for_the_account_from_all_addresses() {
        let (mut limits, mut now) = (Limits::default(), Instant::now());
        let [old, new] = ["old", "new"].map(|text| Digest::of(text.as_bytes()));
        let far = |n: u32| IpAddr::from((0xc000_0200_u32.wrapping_add(n * 65_536)).to_be_bytes());
        limits.succeeded(at(9), "ana");
        let mut tries = 0;
        for n in 0..24 * 3600 / 10 {
            tries += u32::from(limits.begin_code(far(n), "ana", old, now).is_ok());
            now += Duration::from_secs(10);
        }
        assert!((20..60).contains(&tries), "{tries}");
        assert!(limits.begin_code(far(1), "ana", old, now).is_err());
        // The owner does not wait, nor another account, nor the account with a new password.
        assert!(limits.begin_code(at(9), "ana", old, now).is_ok());
        assert_eq!(limits.begin_code(far(1), "bo", old, now), Ok(1));
        assert_eq!(limits.begin_code(far(1), "ana", new, now), Ok(1));
        // A client without the password does not count.
        limits.begin(far(2), "bo", now);
        assert_eq!(limits.begin_code(far(2), "bo", old, now), Ok(2));
        limits.succeeded(at(9), "bo");
        assert_eq!(limits.begin_code(far(1), "bo", old, now), Ok(1));
    }

    #[test]
    fn a_full_table_still_counts_new_clients() {
        let (mut limits, mut now) = (Limits::default(), Instant::now());
        for n in 0..=MOST as u32 {
            limits.begin(IpAddr::from((0x0a00_0000 + n * 256).to_be_bytes()), "", now);
            now += Duration::from_millis(1);
        }
        assert_eq!(limits.failures.len(), MOST);
        for _ in 0..=FREE {
            limits.begin(at(1), "ana", now);
        }
        assert_eq!(limits.wait(at(1), "ben", now), Some(Duration::from_secs(2)));
        assert_eq!(limits.wait(at(2), "ana", now), Some(Duration::from_secs(2)));
        assert_eq!(limits.failures.len(), MOST);
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        for n in 0..20 {
            let address = IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, n]);
            limits.begin(address, &format!("n{n}"), now);
        }
        assert!(limits.wait("2001:db8:0:1:ffff::1".parse().unwrap(), "x", now).is_some());
        assert!(limits.wait("2001:db8:0:2::1".parse().unwrap(), "x", now).is_none());
        for n in 2..40 {
            limits.begin(IpAddr::from([0x2001, 0xdb8, 0, n, 0, 0, 0, 1]), "", now);
        }
        assert_eq!(limits.wait("2001:db8:0:ffff::1".parse().unwrap(), "x", now), Some(SHORT));
        assert!(limits.wait("2001:db8:1::1".parse().unwrap(), "x", now).is_none());
    }
}
