//! The state file: read when nginx starts, written before a change is visible.
//!
//! A change is made pending in the zone, written by a thread of the pool (temporary file, fsync, rename),
//! and then confirmed in the event loop. All that happens under a lock on `FILE.lock`, which the thread
//! takes and the event loop gives back: so the file and the zone see changes in the same order, whichever
//! worker makes them, and whichever of two masters during an upgrade.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::json;
use weir_model::{
    api::ApiError,
    state_file::{Change, ChangeError, State, StateError},
};
use weir_zone::{Locked, Mutex, ZoneFull};

use crate::{
    api::{Response, Step},
    ffi::{
        log::{self, Level},
        process,
        zone::SharedZone,
    },
    runtime::{self, Runtime},
    settings::MainSettings,
};

/// How long a thread waits for another writer.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Makes the folder of the state file for the workers' user, as nginx does for its temporary files. Returns a
/// warning when that user will not be able to write there.
///
/// # Errors
///
/// The folder cannot be made.
pub fn prepare_folder(path: Option<&Path>, user: Option<(u32, u32)>) -> Result<Option<String>, String> {
    let Some(folder) = path.and_then(Path::parent) else { return Ok(None) };
    let failed = |error: io::Error| format!("the folder {} cannot be made: {error}", folder.display());
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {
            if let Some((uid, gid)) = user {
                std::os::unix::fs::chown(folder, Some(uid), Some(gid)).map_err(failed)?;
            }
            return Ok(None);
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    let (Some((uid, gid)), Ok(facts)) = (user, fs::metadata(folder)) else { return Ok(None) };
    let bits = if facts.uid() == uid {
        facts.mode() >> 6
    } else if facts.gid() == gid {
        facts.mode() >> 3
    } else {
        facts.mode()
    };
    let writable = uid == 0 || bits & 0o3 == 0o3;
    Ok((!writable).then(|| {
        let folder = folder.display();
        format!("the workers (user id {uid}) cannot write to {folder}: no key or target can be added, changed or removed for good")
    }))
}

/// Brings the zone of a new configuration in line with its state file.
///
/// # Errors
///
/// The keys or the targets do not fit into the zone.
pub fn load(zone: &SharedZone, settings: &mut MainSettings, fresh: bool) -> Result<(), String> {
    let path = settings.state_path.as_deref();
    let locked = zone.lock(process::pid());
    let other_file = locked.set_state_file(path.map_or(&[], |path| path.as_os_str().as_encoded_bytes()));
    match settings.state.take() {
        Some(state) if fresh || other_file || state.generation != zone.generation() => {
            locked.sync_keys(&state.keys).map_err(|_| {
                format!("{} keys of the state file do not fit: a larger zone is needed", state.keys.len())
            })?;
            locked.sync_targets(&state.targets).map_err(|_| {
                let (keys, targets) = (state.keys.len(), state.targets.len());
                format!("{targets} targets of the state file do not fit beside {keys} keys: a larger zone is needed")
            })?;
            locked.set_generation(state.generation);
        }
        // Another file that is not there yet begins with what the zone has.
        None if other_file => locked.set_generation(0),
        _ => {}
    }
    Ok(())
}

/// Why the state file was not written.
#[derive(Debug, thiserror::Error)]
enum PersistError {
    #[error("the state file \"{path}\" cannot be {what}: {error}")]
    Io { path: PathBuf, what: &'static str, error: io::Error },
    #[error("the state file \"{path}\" is locked by another process")]
    Locked { path: PathBuf },
    #[error("\"{path}\": {error}")]
    Unreadable { path: PathBuf, error: StateError },
    #[error("the state file does not take the change: {0}")]
    Change(#[from] ChangeError),
}

impl PersistError {
    /// It is about the change, and not about the file: somebody else removed what was to be changed.
    fn is_too_late(&self) -> bool {
        matches!(self, PersistError::Change(ChangeError::UnknownKey(_) | ChangeError::UnknownTarget(_)))
    }
}

/// What a thread wrote.
struct Written {
    /// Generation of the file before.
    before: u64,
    state: State,
    /// Held until the zone shows the same.
    _lock: File,
}

/// What comes of a change.
pub type Outcome = Result<(), ApiError>;

/// Writes a change that is pending in the zone, confirms it there or takes it back, and answers with what
/// `answer` makes of the outcome. Without a state file all that happens at once.
pub fn persist(
    runtime: &Runtime,
    change: Change,
    answer: impl FnOnce(Outcome) -> Response + Send + 'static,
) -> Step {
    let locked = runtime.zone.lock(process::pid());
    let Some(path) = runtime.state_path.clone() else {
        let outcome = confirm(&locked, &change);
        if outcome.is_ok() {
            announce(&locked, &change);
        }
        drop(locked);
        return Step::Answer(answer(outcome));
    };
    // What was revoked and could not be written then is written now.
    let mut changes: Vec<Change> = locked.revoked_keys().into_iter().map(Change::RevokeKey).collect();
    if !changes.contains(&change) {
        changes.push(change.clone());
    }
    drop(locked);
    write_later(path, changes, change, None, answer)
}

/// `base` is what the file would hold if it were there.
fn write_later(
    path: PathBuf,
    changes: Vec<Change>,
    change: Change,
    base: Option<State>,
    answer: impl FnOnce(Outcome) -> Response + Send + 'static,
) -> Step {
    Step::Work(Box::new(move || {
        let written = write(&path, &changes, base);
        Box::new(move || {
            let Some(runtime) = runtime::current() else {
                return Step::Answer(answer(Err(ApiError::not_persisted(
                    "the zone was removed by a reload",
                ))));
            };
            if !written.as_ref().is_err_and(PersistError::is_too_late) {
                runtime.zone.set_state_written(written.is_ok());
            }
            match written {
                Ok(Some(written)) => {
                    let outcome = show(&runtime, &changes, written);
                    if outcome.is_ok() {
                        announce(&runtime.zone.lock(process::pid()), &change);
                    }
                    Step::Answer(answer(outcome))
                }
                Ok(None) => {
                    let locked = runtime.zone.lock(process::pid());
                    let base = State {
                        generation: runtime.zone.generation(),
                        keys: locked.keys(),
                        targets: locked.targets(),
                    };
                    drop(locked);
                    write_later(path, changes, change, Some(base), answer)
                }
                Err(error) if error.is_too_late() => {
                    take_back(&runtime.zone.lock(process::pid()), &change);
                    Step::Answer(answer(Err(ApiError::not_found(error.to_string()))))
                }
                Err(error) => {
                    take_back(&runtime.zone.lock(process::pid()), &change);
                    log::cycle(Level::Critical, format_args!("weir: a change was not made: {error}"));
                    Step::Answer(answer(Err(ApiError::not_persisted(error.to_string()))))
                }
            }
        })
    }))
}

/// The zone shows what was written.
fn show(runtime: &Runtime, changes: &[Change], written: Written) -> Outcome {
    let locked = runtime.zone.lock(process::pid());
    if written.before == runtime.zone.generation() {
        // Where one fails, the next change sees another generation, and brings all in line.
        changes.iter().try_for_each(|change| confirm(&locked, change))?;
    } else {
        // Somebody else changed the file: another master, or an admin who restored a backup.
        for change in changes {
            take_back(&locked, change);
            if let Change::RevokeKey(id) = change {
                locked.forget_revoked(*id);
            }
        }
        locked.sync_keys(&written.state.keys).map_err(full)?;
        locked.sync_targets(&written.state.targets).map_err(full)?;
    }
    locked.set_generation(written.state.generation);
    Ok(())
}

fn confirm<M: Mutex>(zone: &Locked<'_, '_, M>, change: &Change) -> Outcome {
    match change {
        Change::AddKey(key) => key.secrets.iter().for_each(|secret| zone.confirm_secret(&secret.digest)),
        Change::RevokeKey(id) => zone.forget_revoked(*id),
        Change::RotateKey { id, secret, previous_expires_at } => {
            zone.retire_secret(*id, *previous_expires_at);
            zone.confirm_secret(&secret.digest);
        }
        Change::AddTarget(target) => zone.confirm_target(target.id),
        Change::ChangeTarget { id, patch } => {
            if let Some(mut target) = zone.target(*id)
                && patch.apply(&mut target)
            {
                zone.replace_target(&target).map_err(full)?;
            }
        }
        Change::RemoveTarget(id) => {
            zone.remove_target(*id);
        }
    }
    Ok(())
}

fn full(error: ZoneFull) -> ApiError {
    ApiError::zone_full(error.to_string())
}

/// The event `key.changed`.
fn announce<M: Mutex>(zone: &Locked<'_, '_, M>, change: &Change) {
    let (id, change) = match change {
        Change::AddKey(key) => (key.id, "added"),
        Change::RevokeKey(id) => (*id, "revoked"),
        Change::RotateKey { id, .. } => (*id, "rotated"),
        Change::AddTarget(_) | Change::ChangeTarget { .. } | Change::RemoveTarget(_) => return,
    };
    let data = json!({ "id": id, "change": change });
    zone.push_event("key.changed", &data.to_string(), process::now());
}

/// A revocation is not taken back: the key stays dead in the zone.
fn take_back<M: Mutex>(zone: &Locked<'_, '_, M>, change: &Change) {
    match change {
        Change::AddKey(key) => key.secrets.iter().for_each(|secret| zone.forget_secret(&secret.digest)),
        Change::RotateKey { secret, .. } => zone.forget_secret(&secret.digest),
        Change::AddTarget(target) => zone.forget_target(target.id),
        Change::RevokeKey(_) | Change::ChangeTarget { .. } | Change::RemoveTarget(_) => {}
    }
}

/// On a thread of the pool. `None` when there is no file yet and no `base` was given.
fn write(path: &Path, changes: &[Change], base: Option<State>) -> Result<Option<Written>, PersistError> {
    let lock = lock(path)?;
    let failed = |what| move |error| PersistError::Io { path: path.to_owned(), what, error };
    let mut state = match fs::read(path) {
        Ok(bytes) => State::decode(&bytes)
            .map_err(|error| PersistError::Unreadable { path: path.to_owned(), error })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => match base {
            Some(base) => base,
            None => return Ok(None),
        },
        Err(error) => return Err(failed("read")(error)),
    };
    let before = state.generation;
    for change in changes {
        state.apply(change)?;
    }
    let temporary = beside(path, ".tmp");
    let written = write_whole(path, &temporary, state.encode().as_bytes());
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary);
        return Err(failed("written")(error));
    }
    Ok(Some(Written { before, state, _lock: lock }))
}

fn write_whole(path: &Path, temporary: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    // The rename itself lasts only when the folder is on disk too.
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// Waits a while for other writers: workers, and during an upgrade those of the other master.
fn lock(path: &Path) -> Result<File, PersistError> {
    let name = beside(path, ".lock");
    let failed = |error| PersistError::Io { path: name.clone(), what: "locked", error };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&name)
        .map_err(failed)?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) if Instant::now() > deadline => {
                return Err(PersistError::Locked { path: path.to_owned() });
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
