//! The file with the sessions and the known addresses, mode 0600. One thread writes it as a whole. If it cannot be read, one log line is
//! written and users must log in again. If it cannot be written, the thread tries again, and ended sessions do not stay in the old file.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_model::{Digest, Timestamp};

use crate::admin::known::Known;
use crate::admin::name::Name;
use crate::files::{self, PRIVATE, SHARED, durable};

/// Time until the next try to write a change.
const RETRY: Duration = Duration::from_secs(5);

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

/// Content of the file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) sessions: Vec<Session>,
    pub(super) known: Known,
}

/// State of the file after a change that could not be written.
#[derive(Debug)]
enum Outcome {
    /// The old file stays: all of its sessions are valid.
    Old,
    /// The file is empty or removed.
    None,
    /// The old file stays, although some of its sessions have ended.
    Ended(io::Error),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Old => f.write_str("after a restart, newer sessions have ended"),
            Self::None => f.write_str("after a restart, everybody has to log in again"),
            Self::Ended(why) => write!(
                f,
                "the file cannot be removed ({why}): after a restart, sessions that have ended are valid again until the file is removed"
            ),
        }
    }
}

/// Error of a change that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{why}, file: {file:?}; {outcome}")]
struct Unsaved {
    why: io::Error,
    file: PathBuf,
    outcome: Outcome,
}

/// Reads the sessions of the file. Returns an empty list without a file.
pub(super) fn read(file: &Path) -> Kept {
    load(file).unwrap_or_else(|why| {
        tracing::warn!("everybody has to log in to the dashboard again: {}: {why}", file.display());
        Kept::default()
    })
}

fn load(file: &Path) -> io::Result<Kept> {
    match fs::read(file) {
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(Kept::default()),
        bytes => Ok(serde_json::from_slice(&bytes?)?),
    }
}

/// Starts the thread. If several changes wait, only the last one is written. A change that cannot be written is tried again.
pub(super) fn writer(file: PathBuf) -> Option<Sender<Kept>> {
    let (sender, changes) = channel::<Kept>();
    let of_thread = file.clone();
    let write = move || run(&of_thread, &changes, RETRY);
    let started = std::thread::Builder::new().name("weir-sessions".into()).spawn(write);
    let refused = |why: &io::Error| {
        let outcome = drop_ended(&file, &[]);
        tracing::error!("sessions of the dashboard not saved: {why}, file: {file:?}; {outcome}");
    };
    started.inspect_err(refused).ok()?;
    Some(sender)
}

/// Writes the changes until the other end is gone.
fn run(file: &Path, changes: &Receiver<Kept>, retry: Duration) {
    let mut unsaved: Option<Kept> = None;
    let mut said = None;
    loop {
        let change = match unsaved {
            Some(_) => changes.recv_timeout(retry),
            None => changes.recv().map_err(RecvTimeoutError::from),
        };
        let older = unsaved.take();
        let (newest, is_last) = match change {
            Ok(change) => (Some(changes.try_iter().last().unwrap_or(change)), false),
            Err(RecvTimeoutError::Timeout) => (older, false),
            Err(RecvTimeoutError::Disconnected) => (older, true),
        };
        let saved = newest.as_ref().map_or(Ok(()), |newest| save(file, newest));
        match saved.map_err(|why| why.to_string()) {
            Ok(()) if said.take().is_some() => {
                tracing::info!("sessions of the dashboard saved again, file: {file:?}");
            }
            Ok(()) => {}
            Err(why) => {
                if said.as_ref() != Some(&why) {
                    tracing::error!("sessions of the dashboard not saved, Weir tries again: {why}");
                }
                (said, unsaved) = (Some(why), newest);
            }
        }
        if is_last {
            return;
        }
    }
}

/// Replaces the file, or at least drops the sessions of the old file that have ended.
fn save(file: &Path, kept: &Kept) -> Result<(), Unsaved> {
    let unsaved = |why| Unsaved { why, file: file.to_owned(), outcome: drop_ended(file, &kept.sessions) };
    replace(file, kept).map_err(unsaved)
}

/// Removes the old file if it has a session that is not among `sessions`.
fn drop_ended(file: &Path, sessions: &[Session]) -> Outcome {
    let is_ended = |old: &Session| sessions.iter().all(|session| session.id != old.id);
    match load(file) {
        Ok(old) if old.sessions.is_empty() => return Outcome::None,
        Ok(old) if !old.sessions.iter().any(is_ended) => return Outcome::Old,
        _ => {}
    }
    // A file can be emptied even if its folder cannot be written to.
    let empty = |_| File::options().write(true).truncate(true).open(file).map(drop);
    match fs::remove_file(file).or_else(empty) {
        Ok(()) => Outcome::None,
        Err(why) => Outcome::Ended(why),
    }
}

fn replace(file: &Path, kept: &Kept) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        SHARED.make_folder(folder)?;
    }
    let bytes = serde_json::to_vec(kept)?;
    let unfinished = file.with_extension("sessions.new");
    files::warn_if_uncertain(durable::replace(file, &unfinished, PRIVATE.file, &bytes)?, "sessions", file);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn session(id: &str) -> Session {
        let (name, at) = ("ana".parse().unwrap(), Timestamp::default());
        let [id, stamp] = [id, "stamp"].map(|text| Digest::of(text.as_bytes()));
        Session { id, name, stamp, began: at, used: at }
    }

    #[test]
    fn a_logout_that_cannot_be_saved_is_not_undone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("admins.sessions");
        let [ana, bo, new] = ["ana", "bo", "new"].map(session);
        let kept = |sessions: &[&Session]| {
            let sessions = sessions.iter().copied().cloned().collect();
            Kept { sessions, known: Known::default() }
        };
        save(&file, &kept(&[&ana, &bo])).unwrap();
        // A folder at the place of the temporary file keeps the file from being replaced.
        let obstacle = folder.path().join("admins.sessions.new");
        fs::create_dir(&obstacle).unwrap();
        let said = save(&file, &kept(&[&ana, &bo, &new])).unwrap_err().to_string();
        assert!(said.ends_with("after a restart, newer sessions have ended"), "{said}");
        assert_eq!(read(&file).sessions.len(), 2);
        let (sender, changes) = channel();
        let of_thread = file.clone();
        let thread = std::thread::spawn(move || run(&of_thread, &changes, Duration::from_millis(1)));
        let until = |what: &str, holds: &dyn Fn() -> bool| {
            let deadline = Instant::now() + Duration::from_secs(10);
            while !holds() {
                assert!(Instant::now() < deadline, "{what}");
                std::thread::yield_now();
            }
        };
        sender.send(kept(&[&ana])).unwrap();
        until("the ended session is gone", &|| !file.exists());
        // Without another change, the thread tries again.
        fs::remove_dir(&obstacle).unwrap();
        until("the session is saved", &|| file.exists());
        let saved = read(&file).sessions;
        assert_eq!(saved.iter().map(|session| session.id).collect::<Vec<_>>(), [ana.id]);
        drop(sender);
        thread.join().unwrap();
    }
}
