//! The state file is taken over: when a configuration takes effect, and when somebody else has replaced the file.
//!
//! While nginx reads a configuration, nothing of the zone changes: nginx may refuse that configuration later, for a
//! port that is in use. `check` looks whether the file would fit; `commit` runs when nginx has decided. Both run in
//! the master, so neither waits for long.
//!
//! Afterwards the workers look at the file five times a second: another master writes it during an upgrade, a worker
//! that was killed may have written a change and not shown it, and an admin may put a backup into its place.

use std::{
    fs::File,
    path::Path,
    rc::Rc,
    time::{Duration, Instant},
};

use ngx_rtmp::{
    local,
    log::{self, Level},
    thread,
};
use weir_model::{KeyId, Timestamp};
use weir_zone::{Locked, Misfit, Mutex, Zone};

use super::{
    file::{self, Content, FileError, Owner},
    folder::{self, FolderError},
};
use crate::{
    hooks, pools, process,
    runtime::{self, Runtime},
    settings::MainSettings,
    zone::SharedZone,
};

/// How long the master waits for a writer, and for the lock of the zone.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a master waits for a writer when it begins with an empty zone.
const PATIENCE_AT_START: Duration = Duration::from_secs(5);
/// How often one of the workers looks at the file, in milliseconds.
const LOOK_MS: u64 = 200;
/// After which time a revocation that is not written is tried again, in milliseconds.
const UNSAVED_MS: u64 = 5000;

/// Why a configuration with a state file is refused.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its content has no room.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// The zone is locked for longer than anybody has it.
    #[error("the zone is locked: reload again")]
    Busy,
}

/// Whether a configuration can take effect, as far as the state file goes. Changes nothing. Returns warnings.
pub fn check(
    zone: &SharedZone,
    settings: &MainSettings,
    user: Option<Owner>,
) -> Result<Vec<String>, LoadError> {
    let warnings = folder::check(settings.state_path.as_deref(), user)?;
    if let Some((state, content)) = &settings.state {
        let locked = lock_zone(zone).ok_or(LoadError::Busy)?;
        if !locked.shows(content) {
            locked.check_fit(&state.keys, &state.targets)?;
        }
    }
    Ok(warnings)
}

/// A configuration takes effect: the zone belongs to its state file, and shows what stands in it. `fresh` says that
/// nobody has used the zone yet; only then an error ends nginx. What cannot be done now is done by the workers.
pub fn commit(
    zone: &SharedZone,
    path: Option<&Path>,
    user: Option<Owner>,
    fresh: bool,
    warn: impl Fn(&str),
) -> Result<(), LoadError> {
    if process::is_test() {
        return Ok(());
    }
    let bytes = path.map_or(&[][..], |path| path.as_os_str().as_encoded_bytes());
    let Some(locked) = lock_zone(zone) else { return Err(LoadError::Busy) };
    locked.set_state_file(bytes);
    drop(locked);
    let Some(path) = path else { return Ok(()) };
    let taken =
        folder::make(path, user).map_err(LoadError::from).and_then(|()| take_over(zone, path, user, fresh));
    match taken {
        Err(error) if fresh => Err(error),
        Err(error) => {
            warn(&format!("weir: the state file is not taken over: {error}"));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

fn take_over(zone: &SharedZone, path: &Path, user: Option<Owner>, fresh: bool) -> Result<(), LoadError> {
    // In a single process the writer may be this very process, which waits for itself.
    let patience = if fresh { PATIENCE_AT_START } else { PATIENCE };
    let patience = if super::is_writing() { Duration::ZERO } else { patience };
    let lock = lock_file(path, user, patience)?;
    if lock.is_none() && !fresh {
        // The workers look in a moment.
        return Ok(());
    }
    let Some(content) = file::read(path)? else { return Ok(()) };
    let Some(locked) = lock_zone(zone) else { return Ok(()) };
    if locked.shows(&content.shown.content) {
        locked.set_stamp(content.shown.stamp);
        return Ok(());
    }
    let gone = locked.adopt(&content.state.keys, &content.state.targets, &content.shown)?;
    gone.iter().for_each(|id| {
        locked.order_close_key(*id);
    });
    Ok(())
}

fn lock_file(path: &Path, user: Option<Owner>, patience: Duration) -> Result<Option<File>, FileError> {
    let begin = Instant::now();
    loop {
        match file::try_lock(path, user)? {
            None if begin.elapsed() < patience => std::thread::sleep(Duration::from_millis(5)),
            taken => return Ok(taken),
        }
    }
}

/// The lock of the zone, for the master: a worker that died with it is not noticed before the master is done.
fn lock_zone<'l, 'z, M: Mutex>(zone: &'l Zone<'z, M>) -> Option<Locked<'l, 'z, M>> {
    let begin = Instant::now();
    loop {
        match zone.try_lock(process::pid()) {
            None if begin.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(1)),
            locked => return locked,
        }
    }
}

struct Watch {
    looking: bool,
    unsaved_since: Option<Timestamp>,
}

local! {
    static WATCH: Watch = Watch { looking: false, unsaved_since: None };
}

/// Ten times a second, in every worker: one of them looks whether the file was replaced.
pub fn watch(runtime: &Rc<Runtime>) {
    let Some(path) = &runtime.state_path else { return };
    // A worker that drains may belong to a configuration with another file.
    if !runtime.zone.is_state_file(path.as_os_str().as_encoded_bytes()) {
        return;
    }
    watch_revocations(runtime);
    if WATCH.with(|watch| watch.looking) || !runtime.zone.may_look(process::uptime(), LOOK_MS) {
        return;
    }
    WATCH.with(|watch| watch.looking = true);
    let (path, known) = (path.clone(), runtime.zone.stamp());
    let begun = thread::run_alone(pools::STATE, move || {
        let found = look(&path, known);
        Box::new(move || {
            WATCH.with(|watch| watch.looking = false);
            if let (Some(found), Some(runtime)) = (found, runtime::current()) {
                follow(&runtime, &path, found);
            }
        })
    });
    if !begun {
        WATCH.with(|watch| watch.looking = false);
    }
}

/// What was revoked and could not be written is written as soon as it can be.
fn watch_revocations(runtime: &Rc<Runtime>) {
    let unsaved = runtime.zone.has_unsaved_revocations() && !super::is_writing();
    let now = process::uptime();
    let due = WATCH.with(|watch| {
        let since = watch.unsaved_since.filter(|_| unsaved);
        let due = since.is_some_and(|since| now.millis_since(since) >= UNSAVED_MS);
        watch.unsaved_since = unsaved.then(|| since.filter(|_| !due).unwrap_or(now));
        due
    });
    if due {
        super::write_revocations();
    }
}

/// A file that the zone does not show, with its lock.
struct Found {
    content: Result<Content, FileError>,
    stamp: u64,
    _lock: File,
}

/// On a thread. `None` when there is nothing new, or somebody writes it at this moment.
fn look(path: &Path, known: u64) -> Option<Found> {
    let stamp = file::stamp(path);
    if stamp == known || stamp == 0 {
        return None;
    }
    let lock = file::try_lock(path, None).ok().flatten()?;
    let content = file::read(path).transpose()?;
    Some(Found { content, stamp, _lock: lock })
}

/// Back in the event loop.
fn follow(runtime: &Rc<Runtime>, path: &Path, found: Found) {
    let locked = runtime.zone.lock(process::pid());
    if !runtime.zone.is_state_file(path.as_os_str().as_encoded_bytes()) {
        return;
    }
    let taken = found.content.map_err(LoadError::from).and_then(|content| {
        if locked.shows(&content.shown.content) {
            locked.set_stamp(content.shown.stamp);
            return Ok((Vec::new(), None));
        }
        let gone = locked.adopt(&content.state.keys, &content.state.targets, &content.shown)?;
        Ok((gone, Some((content.state.keys.len(), content.state.targets.len()))))
    });
    if taken.is_err() {
        // This file is not looked at again.
        locked.set_stamp(found.stamp);
    }
    drop(locked);
    match taken {
        Ok((gone, changed)) => {
            if let Some((keys, targets)) = changed {
                let what = format_args!("weir: the state file was replaced: {keys} keys, {targets} targets");
                log::cycle(Level::Notice, what);
            }
            drop_publishers(runtime, &gone);
        }
        Err(error) => {
            log::cycle(Level::Critical, format_args!("weir: the state file is not taken over: {error}"));
        }
    }
}

/// Drops those who publish with keys that are gone.
pub(super) fn drop_publishers(runtime: &Rc<Runtime>, gone: &[KeyId]) {
    for id in gone {
        hooks::drop_publishers(runtime, *id);
    }
}
