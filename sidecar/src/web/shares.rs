//! Limits the number of connections, of pair messages, or of people in the chat of the origin at the same time, in total and per client,
//! so that one client cannot use up the limit.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use weir_model::network::attempt_bucket;

/// Reason why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("max_connections = {0} are open")]
    All(usize),
    #[error("max_connections_per_address = {most} are open, client: {client}")]
    Client { most: usize, client: IpAddr },
}

/// The limits.
pub(super) struct Shares {
    most: usize,
    per_client: usize,
    /// Returns whether an address is a proxy, which forwards the connections of many clients.
    is_proxy: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    room: Arc<Semaphore>,
    open: Arc<Mutex<Open>>,
}

/// Connections per client.
type Open = HashMap<[u8; 16], usize>;

/// A share of the limits, held until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    _permit: OwnedSemaphorePermit,
    counted: Option<(Arc<Mutex<Open>>, [u8; 16])>,
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shares {
    pub(super) fn new(
        most: usize,
        per_client: usize,
        is_proxy: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    ) -> Self {
        let room = Arc::new(Semaphore::new(most));
        Self { most, per_client, is_proxy: Box::new(is_proxy), room, open: Arc::default() }
    }

    /// Takes a share for a client: an IPv4 address, or the /64 of an IPv6 address. This machine and trusted proxies have no limit
    /// per client.
    pub(super) fn take(&self, client: IpAddr) -> Result<Share, Full> {
        let client = client.to_canonical();
        let permit = self.room.clone().try_acquire_owned().map_err(|_| Full::All(self.most))?;
        if client.is_loopback() || (self.is_proxy)(client) {
            return Ok(Share { _permit: permit, counted: None });
        }
        let bucket = attempt_bucket(client);
        let mut open = lock(&self.open);
        let count = open.entry(bucket).or_default();
        if *count >= self.per_client {
            return Err(Full::Client { most: self.per_client, client });
        }
        *count += 1;
        Ok(Share { _permit: permit, counted: Some((self.open.clone(), bucket)) })
    }
}

impl std::fmt::Debug for Shares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shares({} of {} left)", self.room.available_permits(), self.most)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some((open, bucket)) = &self.counted else { return };
        let mut open = lock(open);
        if let Some(count) = open.get_mut(bucket) {
            *count -= 1;
            if *count == 0 {
                open.remove(bucket);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_does_not_take_the_places_of_all() {
        let shares = Shares::new(8, 2, |at| at == IpAddr::from([198, 51, 100, 7]));
        let take = |client: &str| shares.take(client.parse().unwrap());
        let first = take("192.0.2.1").unwrap();
        let _others =
            [take("192.0.2.1").unwrap(), take("2001:db8::1").unwrap(), take("2001:db8::2").unwrap()];
        assert!(matches!(take("::ffff:192.0.2.1"), Err(Full::Client { most: 2, .. })));
        assert!(matches!(take("2001:db8::3"), Err(Full::Client { .. })));
        drop(first);
        let _again = take("192.0.2.1").unwrap();
        let proxies: Vec<Share> =
            ["127.0.0.1", "198.51.100.7", "198.51.100.7", "198.51.100.7"].map(|at| take(at).unwrap()).into();
        assert_eq!(take("127.0.0.1").unwrap_err(), Full::All(8));
        drop(proxies);
        assert!(take("127.0.0.1").is_ok());
        drop((_others, _again));
        assert!(lock(&shares.open).is_empty());
    }
}
