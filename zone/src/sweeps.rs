//! Operations that examine all blocks, in steps: each step takes the lock separately, so that waiting processes get it
//! between two steps.

use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;

use weir_model::{KeyId, StreamKey, Timestamp};

use crate::arena::{Mutex, Zone};
use crate::keys::AT_ONCE;
use crate::keys::list::{KeyPlace, KeyWalk};

/// The least frequency of the search for ended secrets, in milliseconds: the worker that searched last may have died.
const SEARCH_MS: u64 = 60_000;

impl<M: Mutex> Zone<'_, M> {
    /// Returns every valid key with its secrets, the oldest first, as [`KeyWalk`] finds them.
    #[must_use]
    pub fn keys(&self, pid: u32) -> Vec<StreamKey> {
        let places = self.key_places(pid, None, usize::MAX);
        places.chunks(AT_ONCE / 4).flat_map(|part| self.lock(pid).keys_at(part)).collect()
    }

    /// Returns the places of the first `most` valid keys after `after`, or from the beginning.
    #[must_use]
    pub fn key_places(&self, pid: u32, after: Option<KeyPlace>, most: usize) -> Vec<KeyPlace> {
        let mut walk = KeyWalk::new(after, most);
        while !self.lock(pid).walk_keys(&mut walk) {}
        walk.places()
    }

    /// Removes previous secrets whose overlap has ended. Until the first of them ends, a call compares only one number.
    pub fn forget_ended_secrets(&self, pid: u32, now: Timestamp) {
        let (now_ms, end) = (now.as_millis(), &self.root.secrets_end);
        let due = end.load(Relaxed);
        let again = now_ms.saturating_add(SEARCH_MS);
        // Only one worker searches.
        if due > now_ms || end.compare_exchange(due, again, Relaxed, Relaxed).is_err() {
            return;
        }
        let first = self.in_steps().map(|(from, to)| self.lock(pid).forget_ended(now, from, to)).min();
        let first = first.unwrap_or(u64::MAX);
        // Never set a later time than `again`: a secret may have been retired in blocks that were already searched.
        end.fetch_min(first, Relaxed);
    }

    /// Orders all workers to close the publishers of these keys. Returns their number. The keys are revoked already, so
    /// that no other publisher can use them.
    pub fn order_close_keys(&self, pid: u32, ids: &HashSet<KeyId>) -> usize {
        self.in_steps().map(|(from, to)| self.lock(pid).order_close_some(ids, from, to)).sum()
    }

    /// Divides the blocks that were ever used into ranges.
    fn in_steps(&self) -> impl Iterator<Item = (usize, usize)> {
        let end = self.root.touched.load(Relaxed) as usize;
        (0..end).step_by(AT_ONCE).map(|from| (from, from + AT_ONCE))
    }
}
