//! The changes of the chat on their way to the file: while the file is closed, they wait in memory.

use std::collections::VecDeque;

use super::shared::Common;
use super::store::{Change, Store, WAITING};

/// The file, or the changes that wait until it can be opened.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    store: Option<Store>,
    waiting: VecDeque<Change>,
}

impl Keeping {
    /// Returns the file, if it is open.
    pub(super) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// Stores a change, now or when the file is open. If too many changes wait, a message is not stored.
    pub(super) fn put(&mut self, change: Change) {
        match &self.store {
            Some(store) => store.put(change),
            None if matches!(change, Change::Said(..)) && self.waiting.len() >= WAITING => {}
            None => self.waiting.push_back(change),
        }
    }

    /// Applies the waiting changes of moderators to the state that was read from the file.
    pub(super) fn apply_to(&self, common: &mut Common) {
        for change in &self.waiting {
            common.apply(change);
        }
    }

    /// Stores the waiting changes, now that the file is open.
    pub(super) fn open(&mut self, store: Store) {
        self.waiting.drain(..).for_each(|change| store.put(change));
        self.store = Some(store);
    }
}
