//! The bans of all rooms, which the nodes of a pair share.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use weir_model::Digest;

use super::room::Ban;
use super::store::Store;
use crate::streams::StreamId;

/// Bans by stream and [`Ban::name`].
pub type Bans = BTreeMap<(StreamId, String), Ban>;

/// State that both nodes share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Key with which both nodes hash addresses.
    key: OnceLock<[u8; 32]>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Mark of the file; empty if no file is open.
    mark: String,
    bans: Bans,
}

impl Shared {
    /// Reads the bans when a file is open.
    pub(super) fn begin(&self, own_key: &[u8], store: Option<&Store>) {
        let Some(store) = store else { return };
        let mut known = self.lock();
        known.mark = Digest::of(own_key).to_hex().chars().take(16).collect();
        match store.bans() {
            Ok(bans) => {
                known.bans = bans.into_iter().map(|(id, ban)| ((id, ban.name.clone()), ban)).collect()
            }
            Err(error) => tracing::error!("chat not read: {error}"),
        }
    }

    pub(super) fn key(&self) -> Option<&[u8; 32]> {
        self.key.get()
    }

    /// Stores a ban, or the end of a ban.
    pub(super) fn note(&self, id: &StreamId, name: &str, ban: Option<Ban>) {
        let at = (id.clone(), name.to_owned());
        let mut known = self.lock();
        match ban {
            Some(ban) => drop(known.bans.insert(at, ban)),
            None => drop(known.bans.remove(&at)),
        }
    }

    /// Sets the key for the hashes of addresses.
    pub(super) fn set_key(&self, key: [u8; 32]) {
        // An error means that the key is set already, and the key is always the same.
        let _ = self.key.set(key);
    }

    /// Returns all bans, and the mark of their file, or `None` if there is no file.
    pub(super) fn bans(&self) -> Option<(String, Bans)> {
        let known = self.lock();
        (!known.mark.is_empty()).then(|| (known.mark.clone(), known.bans.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
