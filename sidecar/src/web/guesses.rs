//! Counts the clients that try keys which nginx does not know. nginx sees only the daemon's address, so the daemon counts.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use weir_model::network::attempt_bucket;

/// Maximum number of refusals per client within [`WINDOW`].
const MOST_GUESSES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Maximum number of clients in the table. A new client replaces the one whose first refusal is the oldest.
const MOST_CLIENTS: usize = 10_000;

/// Refusals by nginx per client: an IPv4 address, or the /64 of an IPv6 address.
#[derive(Debug, Default)]
pub(super) struct Guesses(Mutex<HashMap<[u8; 16], (Instant, u32)>>);

impl Guesses {
    /// Returns whether a client has to wait.
    pub(super) fn are_too_many(&self, client: IpAddr) -> bool {
        let guesses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = guesses.get(&attempt_bucket(client));
        known.is_some_and(|(since, count)| since.elapsed() < WINDOW && *count >= MOST_GUESSES)
    }

    /// Counts a refusal of a client by nginx.
    pub(super) fn note(&self, client: IpAddr) {
        let client = attempt_bucket(client);
        let mut guesses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if guesses.get(&client).is_some_and(|(since, _)| since.elapsed() >= WINDOW) {
            guesses.remove(&client);
        }
        if guesses.len() >= MOST_CLIENTS && !guesses.contains_key(&client) {
            guesses.retain(|_, (since, _)| since.elapsed() < WINDOW);
            let oldest = guesses.iter().min_by_key(|(_, (since, _))| *since).map(|(client, _)| *client);
            if let Some(oldest) = oldest.filter(|_| guesses.len() >= MOST_CLIENTS) {
                guesses.remove(&oldest);
            }
        }
        guesses.entry(client).or_insert((Instant::now(), 0)).1 += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_are_counted_for_each_client() {
        let guesses = Guesses::default();
        let client = IpAddr::from([192, 0, 2, 1]);
        for _ in 0..MOST_GUESSES {
            assert!(!guesses.are_too_many(client));
            guesses.note(client);
        }
        assert!(guesses.are_too_many(client) && !guesses.are_too_many(IpAddr::from([192, 0, 2, 2])));
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let guesses = Guesses::default();
        let host = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host]);
        (0..10).for_each(|number| guesses.note(host(number)));
        assert!(guesses.are_too_many(host(99)));
        assert!(!guesses.are_too_many(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, 1])));
    }

    #[test]
    fn a_new_client_counts_although_the_table_is_full() {
        let guesses = Guesses::default();
        let client = |number: u32| IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        let most = MOST_CLIENTS as u32;
        (0..most).for_each(|number| guesses.note(client(number)));
        (0..10).for_each(|_| guesses.note(client(most)));
        assert!(guesses.are_too_many(client(most)));
        assert_eq!(guesses.0.lock().unwrap().len(), MOST_CLIENTS);
    }
}
