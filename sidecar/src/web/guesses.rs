//! Counts the clients that try keys which nginx does not know. nginx sees only the daemon's address, so the daemon counts.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Maximum number of refusals per client within [`WINDOW`].
const MOST_GUESSES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Maximum number of clients in the table.
const MOST_CLIENTS: usize = 10_000;

/// Refusals by nginx per client.
#[derive(Debug, Default)]
pub(super) struct Guesses(Mutex<HashMap<IpAddr, (Instant, u32)>>);

impl Guesses {
    /// Returns whether a client has to wait.
    pub(super) fn are_too_many(&self, client: IpAddr) -> bool {
        let guesses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guesses.get(&client).is_some_and(|(since, count)| since.elapsed() < WINDOW && *count >= MOST_GUESSES)
    }

    /// Counts a refusal of a client by nginx.
    pub(super) fn note(&self, client: IpAddr) {
        let mut guesses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guesses.retain(|_, (since, _)| since.elapsed() < WINDOW);
        if guesses.len() < MOST_CLIENTS {
            guesses.entry(client).or_insert((Instant::now(), 0)).1 += 1;
        }
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
}
