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
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ngx_rtmp::{
    local,
    log::{self, Level},
    sessions::Sessions,
    thread,
    timer::Alarm,
};
use weir_model::{KeyId, Timestamp, state_file::State};
use weir_zone::{Adoption, Locked, Misfit, Mutex, Shown, Zone};

use super::{
    file::{self, FileError, Owner},
    folder::{self, FolderError},
};
use crate::{
    orders, pools, process,
    runtime::{self, Runtime},
    settings::MainSettings,
    zone::View,
};

/// How long the master waits for a writer, and for the lock of the zone.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a master waits for a writer when it begins with an empty zone.
const PATIENCE_AT_START: Duration = Duration::from_secs(5);
/// How long a worker takes over a file until it looks after its streams, and for how long then.
const AT_ONCE: Duration = Duration::from_millis(2);
const PAUSE_MS: usize = 1;
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
    zone: &View<'_>,
    settings: &MainSettings,
    user: Option<Owner>,
) -> Result<Vec<String>, LoadError> {
    let warnings = folder::check(settings.state_path.as_deref(), user)?;
    if let Some((state, content)) = &settings.state {
        let locked = lock_zone(zone).ok_or(LoadError::Busy)?;
        let is_shown = locked.shows(content);
        drop(locked);
        if is_shown {
            return Ok(warnings);
        }
        let shown = Shown { content: *content, generation: state.generation, stamp: 0 };
        let adoption = Adoption::new(&state.keys, state.targets.clone(), shown);
        let mut adoption = adoption.revoking(state.revocations.clone()).holding(state.held);
        loop {
            // The workers need it as well.
            let locked = lock_zone(zone).ok_or(LoadError::Busy)?;
            if let Some(fits) = locked.fits(&mut adoption) {
                fits?;
                break;
            }
        }
    }
    Ok(warnings)
}

/// A configuration takes effect: the zone belongs to its state file, and shows what stands in it. `fresh` says that
/// nobody has used the zone yet; only then an error ends nginx. What cannot be done now is done by the workers.
pub fn commit(
    zone: &View<'_>,
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

fn take_over(zone: &View<'_>, path: &Path, user: Option<Owner>, fresh: bool) -> Result<(), LoadError> {
    // In a single process the writer may be this very process, which waits for itself.
    let patience = if fresh { PATIENCE_AT_START } else { PATIENCE };
    let patience = if super::is_writing() { Duration::ZERO } else { patience };
    let lock = lock_file(path, user, patience)?;
    if lock.is_none() && !fresh {
        // The workers look in a moment.
        return Ok(());
    }
    let Some(content) = file::read(path, weir_zone::max_state_file(zone.size()))? else { return Ok(()) };
    let shown = content.shown;
    let State { keys, targets, revocations, held, .. } = content.state;
    let mut adoption = Adoption::new(&keys, targets, shown).revoking(revocations).holding(held);
    loop {
        // The workers need it as well.
        let Some(locked) = lock_zone(zone) else { return Ok(()) };
        if locked.shows(&shown.content) {
            locked.set_stamp(shown.stamp);
            return Ok(());
        }
        if let Some(outcome) = locked.adopt_some(&mut adoption) {
            locked.order_close_keys(&outcome?.into_iter().collect());
            return Ok(());
        }
    }
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
pub fn watch(runtime: &Runtime, sessions: &mut Sessions<'_>) {
    let Some(path) = &runtime.state_path else { return };
    // A worker that drains may belong to a configuration with another file.
    if !runtime.zone().is_state_file(path.as_os_str().as_encoded_bytes()) {
        return;
    }
    watch_revocations(runtime, sessions);
    if WATCH.with(|watch| watch.looking) || !runtime.zone().may_look(process::uptime(), LOOK_MS) {
        return;
    }
    WATCH.with(|watch| watch.looking = true);
    let (path, known) = (path.clone(), runtime.zone().stamp());
    let limit = weir_zone::max_state_file(runtime.zone().size());
    let begun = thread::run_alone(pools::STATE, move || {
        let found = look(&path, limit, known);
        Box::new(move |sessions: &mut Sessions<'_>| match found {
            Some(found) => follow(sessions, found),
            None => end_following(None),
        })
    });
    if !begun {
        WATCH.with(|watch| watch.looking = false);
    }
}

/// What was revoked and could not be written is written as soon as it can be.
fn watch_revocations(runtime: &Runtime, sessions: &mut Sessions<'_>) {
    let unsaved = runtime.zone().has_unsaved_revocations() && !super::is_writing();
    let now = process::uptime();
    let due = WATCH.with(|watch| {
        let since = watch.unsaved_since.filter(|_| unsaved);
        let due = since.is_some_and(|since| now.millis_since(since) >= UNSAVED_MS);
        watch.unsaved_since = unsaved.then(|| since.filter(|_| !due).unwrap_or(now));
        due
    });
    if due {
        super::write_revocations(sessions);
    }
}

/// A file that the zone does not show, with its lock.
struct Found {
    content: Result<Box<Adoption>, FileError>,
    stamp: u64,
    path: PathBuf,
    _lock: File,
}

/// On a thread. `None` when there is nothing new, or somebody writes it at this moment.
fn look(path: &Path, limit: u64, known: u64) -> Option<Found> {
    let stamp = file::stamp(path);
    if stamp == known || stamp == 0 {
        return None;
    }
    let lock = file::try_lock(path, None).ok().flatten()?;
    let content = file::read(path, limit).transpose()?.map(|content| {
        let State { keys, targets, revocations, held, .. } = content.state;
        Box::new(Adoption::new(&keys, targets, content.shown).revoking(revocations).holding(held))
    });
    Some(Found { content, stamp, path: path.to_owned(), _lock: lock })
}

/// The file that is being taken over, and the timer for its next step.
struct Following {
    found: Option<Found>,
    alarm: Option<Alarm>,
}

local! {
    static FOLLOWING: Following = Following { found: None, alarm: None };
}

/// Back in the event loop: a worker with many keys goes on with its streams between two steps.
fn follow(sessions: &mut Sessions<'_>, found: Found) {
    let Some(runtime) = runtime::current() else { return end_following(None) };
    let locked = runtime.zone().lock(process::pid());
    // A reload may have put another one into force.
    if !runtime.zone().is_state_file(found.path.as_os_str().as_encoded_bytes()) {
        drop(locked);
        return end_following(Some(found));
    }
    let Found { content, stamp, path, _lock } = found;
    let mut adoption = match content {
        Ok(adoption) => adoption,
        Err(error) => {
            // This file is not looked at again.
            locked.set_stamp(stamp);
            drop(locked);
            not_taken_over(&error.into());
            return end_following(None);
        }
    };
    if locked.shows(&adoption.shown().content) {
        locked.set_stamp(adoption.shown().stamp);
        drop(locked);
        return end_following(Some(Found { content: Ok(adoption), stamp, path, _lock }));
    }
    drop(locked);
    let outcome = adopt_some(&runtime, &path, &mut adoption, stamp);
    let (keys, targets) = adoption.count();
    let found = Found { content: Ok(adoption), stamp, path, _lock };
    match outcome {
        None => FOLLOWING.with(|following| {
            following.found = Some(found);
            following.alarm.get_or_insert_with(|| Alarm::new(go_on)).arm(PAUSE_MS);
        }),
        Some(Ok(gone)) => {
            let what = format_args!("weir: the state file was replaced: {keys} keys, {targets} targets");
            log::cycle(Level::Notice, what);
            end_following(Some(found));
            orders::drop_publishers(&runtime, sessions, &gone.into_iter().collect());
        }
        Some(Err(error)) => {
            not_taken_over(&error.into());
            end_following(Some(found));
        }
    }
}

/// Some steps of an adoption, each with the lock for itself: other workers have their turn between two.
fn adopt_some(
    runtime: &Runtime,
    path: &Path,
    adoption: &mut Adoption,
    stamp: u64,
) -> Option<Result<Vec<KeyId>, Misfit>> {
    let begin = Instant::now();
    loop {
        let locked = runtime.zone().lock(process::pid());
        // A reload has put another file into force: the next step finds out.
        if !runtime.zone().is_state_file(path.as_os_str().as_encoded_bytes()) {
            return None;
        }
        let outcome = locked.adopt_some(adoption);
        if let Some(Err(_)) = outcome {
            locked.set_stamp(stamp);
        }
        if outcome.is_some() || begin.elapsed() >= AT_ONCE {
            return outcome;
        }
    }
}

/// The timer went off.
fn go_on(sessions: &mut Sessions<'_>) {
    if let Some(found) = FOLLOWING.with(|following| following.found.take()) {
        follow(sessions, found);
    }
}

/// The file may be looked at again. What is left of it goes in a thread: many keys take a while even then.
fn end_following(found: Option<Found>) {
    WATCH.with(|watch| watch.looking = false);
    if let Some(Found { content, _lock, .. }) = found {
        drop(_lock);
        pools::discard(content);
    }
}

fn not_taken_over(error: &LoadError) {
    log::cycle(Level::Critical, format_args!("weir: the state file is not taken over: {error}"));
}
