//! The file with the sessions, mode 0600. One thread writes it as a whole. If it cannot be read, one log line is written and users must
//! log in again.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};

use serde::{Deserialize, Serialize};
use weir_model::{Digest, Timestamp};

use crate::admin::name::Name;
use crate::files::{self, PRIVATE, SHARED, durable};

/// A logged-in session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Session {
    /// Hash of the cookie's value.
    pub(super) id: Digest,
    pub(super) name: Name,
    /// Stamp of the account, which differs after a change of password or second factor.
    pub(super) stamp: Digest,
    pub(super) began: Timestamp,
    pub(super) used: Timestamp,
}

/// Reads the sessions of the file. Returns an empty list without a file.
pub(super) fn read(file: &Path) -> Vec<Session> {
    let why = match std::fs::read(file) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(sessions) => return sessions,
            Err(why) => why.to_string(),
        },
        Err(why) if why.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(why) => why.to_string(),
    };
    tracing::warn!("everybody has to log in to the dashboard again: {}: {why}", file.display());
    Vec::new()
}

/// Starts the thread. If several changes wait, only the last one is written.
pub(super) fn writer(file: PathBuf) -> Option<Sender<Vec<Session>>> {
    let (sender, changes) = channel::<Vec<Session>>();
    let write = move || {
        while let Ok(mut sessions) = changes.recv() {
            while let Ok(newer) = changes.try_recv() {
                sessions = newer;
            }
            if let Err(why) = replace(&file, &sessions) {
                tracing::error!("sessions of the dashboard end with this daemon: {}: {why}", file.display());
            }
        }
    };
    let started = std::thread::Builder::new().name("weir-sessions".into()).spawn(write);
    started
        .inspect_err(|why| tracing::error!("sessions of the dashboard end with this daemon: {why}"))
        .ok()?;
    Some(sender)
}

fn replace(file: &Path, sessions: &[Session]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        SHARED.make_folder(folder)?;
    }
    let bytes = serde_json::to_vec(sessions)?;
    let unfinished = file.with_extension("sessions.new");
    files::warn_if_uncertain(durable::replace(file, &unfinished, PRIVATE.file, &bytes)?, "sessions", file);
    Ok(())
}
