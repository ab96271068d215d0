//! Keys that are refused for a while: a table of fixed size in which the ban that ends first gives way.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use weir_model::{KeyId, Timestamp};

use crate::{Locked, Mutex};

#[repr(C)]
#[derive(Default)]
pub(crate) struct BanRow {
    key: AtomicU64,
    until: AtomicU64,
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Refuses a key until a moment.
    pub fn ban_key(&self, id: KeyId, until: Timestamp) {
        let rows = &self.zone.root.bans;
        let known = rows.iter().find(|row| row.key.load(Relaxed) == id.0);
        if let Some(row) = known.or_else(|| rows.iter().min_by_key(|row| row.until.load(Relaxed))) {
            row.key.store(id.0, Relaxed);
            row.until.store(until.as_millis(), Relaxed);
        }
    }

    /// Until when a key is refused, if it was banned.
    #[must_use]
    pub fn banned_until(&self, id: KeyId) -> Option<Timestamp> {
        let mut rows = self.zone.root.bans.iter();
        let row = rows.find(|row| row.key.load(Relaxed) == id.0 && row.until.load(Relaxed) != 0)?;
        Some(Timestamp::from_millis(row.until.load(Relaxed)))
    }
}
