//! Temporarily banned keys: a table of fixed size. The API refuses more than [`MAX_BANS`] bans. The table has twice as many rows, because
//! both nodes of a pair may ban as many keys while they are apart. In a full table, a new ban replaces the one that ends first.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use weir_model::{KeyId, Timestamp};
use zerocopy::FromBytes;

/// How many keys may be banned for one more to be banned.
pub const MAX_BANS: usize = 128;

const ROWS: usize = 2 * MAX_BANS;

#[derive(Default, FromBytes)]
#[repr(C)]
struct BanRow {
    key: AtomicU64,
    until: AtomicU64,
}

#[derive(FromBytes)]
#[repr(C)]
pub(crate) struct BanTable([BanRow; ROWS]);

impl Default for BanTable {
    fn default() -> Self {
        Self(std::array::from_fn(|_| BanRow::default()))
    }
}

impl BanTable {
    pub(crate) fn ban(&self, id: KeyId, until: Timestamp) {
        let known = self.0.iter().find(|row| row.key.load(Relaxed) == id.0);
        if let Some(row) = known.or_else(|| self.0.iter().min_by_key(|row| row.until.load(Relaxed))) {
            row.key.store(id.0, Relaxed);
            row.until.store(until.as_millis(), Relaxed);
        }
    }

    /// Returns the bans that have not ended.
    pub(crate) fn list(&self, now: Timestamp) -> Vec<(KeyId, Timestamp)> {
        let row =
            |row: &BanRow| (KeyId(row.key.load(Relaxed)), Timestamp::from_millis(row.until.load(Relaxed)));
        let mut bans: Vec<_> = self.0.iter().map(row).filter(|(_, until)| *until > now).collect();
        bans.sort_unstable();
        bans
    }

    pub(crate) fn until(&self, id: KeyId) -> Option<Timestamp> {
        let mut rows = self.0.iter();
        let row = rows.find(|row| row.key.load(Relaxed) == id.0 && row.until.load(Relaxed) != 0)?;
        Some(Timestamp::from_millis(row.until.load(Relaxed)))
    }
}
