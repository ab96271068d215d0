//! Addresses from which the owners of accounts have logged in, as hashes with a random key: the file of the sessions holds them.

use std::net::IpAddr;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use weir_model::Digest;

/// Most addresses of all accounts. Beyond this number, the oldest is forgotten.
const MOST: usize = 1000;

/// The known addresses.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Known {
    key: Digest,
    /// Hashes of addresses with the names of their accounts, the newest last.
    places: Vec<Digest>,
}

impl Default for Known {
    fn default() -> Self {
        let mut key = [0; 32];
        // Without random bytes, nobody can log in, so no address becomes known.
        let _ = getrandom::fill(&mut key);
        Self { key: Digest::of(&key), places: Vec::new() }
    }
}

impl Known {
    /// Returns whether the owner of the name has logged in from this address.
    pub(crate) fn has(&self, address: IpAddr, name: &str) -> bool {
        self.places.contains(&self.place(address, name))
    }

    /// Adds an address from which the owner of the name has logged in.
    pub(crate) fn add(&mut self, address: IpAddr, name: &str) {
        let place = self.place(address, name);
        self.places.retain(|known| *known != place);
        self.places.push(place);
        self.places.drain(..self.places.len().saturating_sub(MOST));
    }

    fn place(&self, address: IpAddr, name: &str) -> Digest {
        Digest::of(format!("{}\n{address}\n{name}", BASE64.encode(self.key.bytes())).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_address_is_forgotten() {
        let mut known = Known::default();
        let at = |n: u32| IpAddr::from(n.to_be_bytes());
        for n in 0..=MOST as u32 {
            known.add(at(n), "ana");
            known.add(at(1), "ana");
        }
        assert_eq!(known.places.len(), MOST);
        assert!(!known.has(at(0), "ana") && known.has(at(1), "ana") && known.has(at(MOST as u32), "ana"));
        assert!(!known.has(at(1), "bo") && !Known::default().has(at(1), "ana"));
        let text = serde_json::to_string(&known).unwrap();
        assert!(!text.contains("0.0.0.1") && !text.contains("ana"), "{text}");
        let read: Known = serde_json::from_str(&text).unwrap();
        assert!(read.has(at(1), "ana") && !read.has(at(1), "bo"));
    }
}
