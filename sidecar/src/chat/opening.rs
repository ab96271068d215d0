//! Opens the file of the chat. If it cannot be opened, for example because another program locks it or the disk is full, the chat runs
//! without it and tries again. If the file can at least be read, its bans are in force meanwhile.

use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::Chat;
use super::keeping::Keeping;
use super::shared::{Common, mark_of_key, read};
use super::store::{Change, Store};
use crate::config::chat::Chat as Settings;
use crate::database;

/// The state in a file.
struct Found {
    key: Vec<u8>,
    mark: Option<String>,
    common: Common,
}

/// Opens the file for writing, and reads its state.
fn open(settings: &Settings, fresh: [u8; 32]) -> Result<(Store, Found), database::Error> {
    let (store, key) = Store::open(&settings.file, settings.keep, fresh)?;
    let common = read(&store.reader()).map_err(|why| failed(&settings.file, why))?;
    let mark = store.mark();
    Ok((store, Found { key, mark, common }))
}

/// Reads the state of a file that cannot be opened for writing.
fn look(file: &Path) -> Result<Found, database::Error> {
    let reader = Store::look(file)?;
    let failed = |why| failed(file, why);
    let (key, mark) = (reader.key().map_err(failed)?, reader.mark().map_err(failed)?);
    let common = read(&reader).map_err(failed)?;
    Ok(Found { key, mark, common })
}

fn failed(file: &Path, why: rusqlite::Error) -> database::Error {
    database::Error::Sqlite { path: file.into(), why }
}

impl Chat {
    pub(super) fn keeping(&self) -> MutexGuard<'_, Keeping> {
        self.keeping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a change, if the file is open; otherwise when it is.
    pub(super) fn keep(&self, change: Change) {
        self.keeping().put(change);
    }

    /// Tries in another thread to open a file that could not be opened.
    pub(super) fn open_later(self: &Arc<Self>) {
        if self.is_on() && self.keeping().store().is_none() {
            let chat = self.clone();
            tokio::task::spawn_blocking(move || chat.open());
        }
    }

    /// Opens the file, if it is closed. Blocks while the disk is read.
    pub(super) fn open(&self) {
        let settings = self.settings();
        // One attempt at a time.
        let Ok(mut trouble) = self.trouble.try_lock() else { return };
        if !settings.enabled || self.keeping().store().is_some() {
            return;
        }
        let fresh = self.fresh_key();
        let error = match open(&settings, fresh) {
            Ok((store, found)) => {
                self.adopt(found, Some(store));
                if trouble.take().is_some() {
                    tracing::info!("chat messages are stored again, file: {:?}", settings.file);
                }
                return;
            }
            Err(error) => error.to_string(),
        };
        if !self.shared.was_read()
            && let Ok(found) = look(&settings.file)
        {
            self.adopt(found, None);
        }
        {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            if keys.own.is_empty() {
                keys.own = fresh.to_vec();
            }
        }
        let bans = match self.shared.was_read() {
            true => "bans, time-outs and slow modes are in force",
            false => "its bans, time-outs and slow modes are not in force",
        };
        let why = format!("{error}; {bans}, and weir serve tries again");
        if trouble.as_ref() != Some(&why) {
            tracing::error!("chat messages are not stored: [chat] file: {why}");
            *trouble = Some(why);
        }
    }

    /// Returns the key for a file that has none: the one in use, or a random one.
    fn fresh_key(&self) -> [u8; 32] {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(known) = keys.own.as_slice().try_into() {
            return known;
        }
        let mut fresh = [0; 32];
        if let Err(error) = getrandom::fill(&mut fresh) {
            tracing::error!("chat: no random bytes: {error}");
        }
        fresh
    }

    /// Uses the state of the file, with the changes that moderators have made since the start.
    fn adopt(&self, found: Found, store: Option<Store>) {
        let Found { key, mark, mut common } = found;
        let mut rooms = self.lock();
        let mut keeping = self.keeping();
        keeping.apply_to(&mut common);
        let mut is_other = self.shared.begin(mark.unwrap_or_else(|| mark_of_key(&key)), common);
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let own = std::mem::replace(&mut keys.own, key);
        if !own.is_empty() && own != keys.own {
            keys.earlier = Some(own);
            is_other = true;
        }
        // The people in the rooms come back at once, with the hashes of this key, and the bans of the file apply to them.
        if is_other {
            rooms.clear();
        }
        if let Some(store) = store {
            keeping.open(store);
        }
    }
}
