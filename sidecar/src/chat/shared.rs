//! Bans of all rooms, as the nodes of a pair have them in common.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use weir_model::Digest;

use super::room::Ban;
use super::store::Store;
use crate::streams::StreamId;

/// Who is banned where: by stream and [`Ban::name`].
pub type Bans = BTreeMap<(StreamId, String), Ban>;

/// What is in common.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// What addresses are hashed with on both nodes.
    key: OnceLock<[u8; 32]>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Of the file; empty while there is none.
    mark: String,
    bans: Bans,
}

impl Shared {
    /// A file is open.
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

    /// Somebody is banned, or not any more.
    pub(super) fn note(&self, id: &StreamId, name: &str, ban: Option<Ban>) {
        let at = (id.clone(), name.to_owned());
        let mut known = self.lock();
        match ban {
            Some(ban) => drop(known.bans.insert(at, ban)),
            None => drop(known.bans.remove(&at)),
        }
    }

    /// Addresses are hashed with this key from now on.
    pub(super) fn set_key(&self, key: [u8; 32]) {
        // It is the same each time.
        let _ = self.key.set(key);
    }

    /// All bans, and the mark of the file that they are in; none where there is none.
    pub(super) fn bans(&self) -> Option<(String, Bans)> {
        let known = self.lock();
        (!known.mark.is_empty()).then(|| (known.mark.clone(), known.bans.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
