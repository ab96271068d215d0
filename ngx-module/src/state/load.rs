//! Takes over the state file when a configuration takes effect, and when another process has replaced the file.
//!
//! While nginx reads a configuration, the zone does not change, because nginx may still refuse that configuration, for example if a port is
//! in use. `check` tests whether the file would fit; `commit` runs after nginx has decided. Both run in the master, so neither waits for
//! long.
//!
//! Afterwards the workers check the file five times per second: another master writes it during an upgrade, a worker that was killed may
//! have written a change and not shown it, and an admin may restore a backup.

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
use weir_durable::Owner;
use weir_model::{KeyId, Timestamp, state_file::State};
use weir_zone::{Adoption, Locked, Misfit, Mutex, Shown, Zone};

use super::{
    file::{self, FileError},
    folder::{self, FolderError},
};
use crate::{
    orders, pools, process,
    runtime::{self, Runtime},
    settings::MainSettings,
    zone::View,
};

/// Longest time that the master waits for a writer, and for the lock of the zone.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longest time that a master waits for a writer when it starts with an empty zone.
const PATIENCE_AT_START: Duration = Duration::from_secs(5);
/// How long a worker works on a file without a pause, and the length of the pause, in which it handles its streams.
const AT_ONCE: Duration = Duration::from_millis(2);
const PAUSE_MS: usize = 1;
/// Interval of the checks of the file, by one of the workers, in milliseconds.
const LOOK_MS: u64 = 200;
/// Time until a revocation that could not be written is retried, in milliseconds.
const UNSAVED_MS: u64 = 5000;

/// Why a configuration with a state file is refused.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its content does not fit into the zone.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// The zone's lock is held for longer than any process needs it.
    #[error("the zone is locked: reload again")]
    Busy,
}

/// Checks whether the state file lets a configuration take effect. Changes nothing. Returns warnings.
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
            // The lock is released between two steps, because the workers need it too.
            let locked = lock_zone(zone).ok_or(LoadError::Busy)?;
            if let Some(fits) = locked.fits(&mut adoption) {
                fits?;
                break;
            }
        }
    }
    Ok(warnings)
}

/// Takes over the state file of a configuration that takes effect: the zone belongs to this file and shows its content. `fresh` says that
/// nothing has used the zone yet; only then does an error end nginx. The workers do later what cannot be done now.
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
    // In a single process, this process may be the writer, and would wait for itself.
    let patience = if fresh { PATIENCE_AT_START } else { PATIENCE };
    let patience = if super::is_writing() { Duration::ZERO } else { patience };
    let lock = lock_file(path, user, patience)?;
    if lock.is_none() && !fresh {
        // The workers will check the file soon.
        return Ok(());
    }
    let Some(content) = file::read(path, weir_zone::max_state_file(zone.size()))? else { return Ok(()) };
    let shown = content.shown;
    let State { keys, targets, revocations, held, .. } = content.state;
    let mut adoption = Adoption::new(&keys, targets, shown).revoking(revocations).holding(held);
    loop {
        // The lock is released between two steps, because the workers need it too.
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

/// Returns the lock of the zone, for the master. The master notices the death of a worker that has the lock only after this call, so it
/// waits for a limited time.
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

/// Runs ten times per second in every worker. One of the workers checks whether the file was replaced.
pub fn watch(runtime: &Runtime, sessions: &mut Sessions<'_>) {
    let Some(path) = &runtime.state_path else { return };
    // A draining worker may belong to a configuration with another file.
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

/// Writes revocations that could not be written earlier, as soon as possible.
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

/// A file whose content the zone does not show, with its lock.
struct Found {
    content: Result<Box<Adoption>, FileError>,
    stamp: u64,
    path: PathBuf,
    _lock: File,
}

/// Runs on a thread. Returns `None` if there is nothing new, or another process is writing the file now.
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

/// Continues in the event loop. Between two steps of many keys, the worker handles its streams.
fn follow(sessions: &mut Sessions<'_>, found: Found) {
    let Some(runtime) = runtime::current() else { return end_following(None) };
    let locked = runtime.zone().lock(process::pid());
    // A reload may have put another file in force.
    if !runtime.zone().is_state_file(found.path.as_os_str().as_encoded_bytes()) {
        drop(locked);
        return end_following(Some(found));
    }
    let Found { content, stamp, path, _lock } = found;
    let mut adoption = match content {
        Ok(adoption) => adoption,
        Err(error) => {
            // The stamp keeps the workers from reading this file again.
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

/// Runs some steps of an adoption, each with a lock of its own, so that other workers can use the zone between two steps.
fn adopt_some(
    runtime: &Runtime,
    path: &Path,
    adoption: &mut Adoption,
    stamp: u64,
) -> Option<Result<Vec<KeyId>, Misfit>> {
    let begin = Instant::now();
    loop {
        let locked = runtime.zone().lock(process::pid());
        // A reload has put another file in force; the next step detects that.
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

/// Runs when the timer fires.
fn go_on(sessions: &mut Sessions<'_>) {
    if let Some(found) = FOLLOWING.with(|following| following.found.take()) {
        follow(sessions, found);
    }
}

/// Ends the take-over, so that the file may be checked again. A thread drops the content, because dropping many keys takes a while.
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
