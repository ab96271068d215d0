//! The state file. Weir writes a change to the file before the change is visible.
//!
//! A change is pending in the zone; a thread of the pool writes it, and then the event loop confirms it. All this happens under a lock on
//! `FILE.lock`, which the thread takes and the event loop releases. So the file and the zone get changes in the same order from all
//! workers, and from both masters during an upgrade.
//!
//! Changes that arrive while other changes are being written wait in this worker, and are written together. No thread waits for the lock:
//! while another process has it, a timer tries again. The timer also keeps a worker that must quit alive until its changes are answered.

mod change;
pub mod file;
pub mod folder;
pub mod load;
mod news;
mod show;

use std::path::Path;

use ngx_rtmp::{
    local,
    log::{self, Level},
    request::{Response, Step, Waiting},
    sessions::Sessions,
    thread,
    timer::Alarm,
    wake,
};
use weir_model::{
    Timestamp,
    api::ApiError,
    event::By,
    state_file::{Change, State},
};

use crate::{
    pools, process,
    runtime::{self, Runtime},
};
pub use change::{Done, Outcome};
use change::{Unsaved, Wanted, Written};
use file::FileError;
use news::announce;
use show::{confirm, show, take_back};

/// Longest time that a change waits for another writer, in milliseconds.
const PATIENCE_MS: u64 = 5000;
/// Interval between attempts, in milliseconds.
const RETRY_MS: usize = 10;
/// Time for the timer that keeps the worker alive, in milliseconds; it is longer than any write.
const KEEP_MS: usize = 60_000;

type Answer = Box<dyn FnOnce(Outcome) -> Response>;

struct Item {
    wanted: Wanted,
    since: Timestamp,
    /// The waiting request, and the function that makes its answer.
    client: Option<(Waiting, Answer)>,
}

/// The changes of this worker, oldest first.
struct Writer {
    items: Vec<Item>,
    /// Whether a thread works on them, or a timer is set.
    busy: bool,
    alarm: Option<Alarm>,
}

local! {
    static WRITER: Writer = Writer { items: Vec::new(), busy: false, alarm: None };
}

/// Returns whether this process is writing the file.
fn is_writing() -> bool {
    WRITER.with(|writer| writer.busy)
}

/// Writes a change that is pending in the zone, confirms it there or takes it back, and answers with the result of `answer`. Without a
/// state file, all this happens immediately.
///
/// The events of the change name the program `by`.
pub fn persist(
    runtime: &Runtime,
    by: By,
    change: Change,
    answer: impl FnOnce(Outcome) -> Response + 'static,
) -> Step {
    if runtime.state_path.is_some() {
        return later(Wanted::Change(Box::new(change), by), Box::new(answer));
    }
    let locked = runtime.zone().lock(process::pid());
    let outcome = confirm(&locked, &change);
    if outcome.is_ok() {
        announce(&locked, &change, by);
    }
    drop(locked);
    wake::ring();
    Step::Answer(answer(outcome.map(|()| Done::default())))
}

/// Writes the keys and targets in memory to the file, if the file is missing or cannot be read. A readable file is already right, and the
/// zone is updated from it.
pub fn save(runtime: &Runtime, answer: impl FnOnce(Outcome) -> Response + 'static) -> Result<Step, ApiError> {
    match runtime.state_path {
        Some(_) => Ok(later(Wanted::Save, Box::new(answer))),
        None => Err(ApiError::conflict(
            "\"weir_zone\" has no \"state=FILE\": keys and targets are only in memory",
        )),
    }
}

/// Reads the file, in order with the changes; creates it if it does not exist.
pub fn read(answer: impl FnOnce(Outcome) -> Response + 'static) -> Step {
    later(Wanted::Read, Box::new(answer))
}

/// Writes revocations that are not in the file yet. No request waits for this.
fn write_revocations(sessions: &mut Sessions<'_>) {
    enqueue(sessions, Item { wanted: Wanted::Revocations, since: process::uptime(), client: None });
}

fn later(wanted: Wanted, answer: Answer) -> Step {
    Step::Suspend(Box::new(move |request, sessions| {
        enqueue(sessions, Item { wanted, since: process::uptime(), client: Some((request, answer)) });
    }))
}

fn enqueue(sessions: &mut Sessions<'_>, item: Item) {
    let idle = WRITER.with(|writer| {
        writer.items.push(item);
        !std::mem::replace(&mut writer.busy, true)
    });
    if idle {
        attempt(sessions, None);
    }
}

/// Runs when the timer fires. Tries again, unless a thread is at work.
fn on_alarm(sessions: &mut Sessions<'_>) {
    if is_writing() {
        attempt(sessions, None);
    }
}

/// Writes all waiting changes. `base` is the content to use if the file cannot be read.
fn attempt(sessions: &mut Sessions<'_>, base: Option<State>) {
    let Some((runtime, path)) =
        runtime::current().and_then(|it| it.state_path.clone().map(|path| (it, path)))
    else {
        return refuse(sessions, usize::MAX, &ApiError::not_persisted("a reload removed the state file"));
    };
    let wanted: Vec<Wanted> = WRITER.with(|writer| {
        writer.alarm.get_or_insert_with(|| Alarm::new(on_alarm)).arm(KEEP_MS);
        writer.items.iter().map(|item| item.wanted.clone()).collect()
    });
    // Revocations that could not be written earlier are written now.
    let revoked = match runtime.zone().has_unsaved_revocations() {
        true => {
            let locked = runtime.zone().lock(process::pid());
            Unsaved { keys: locked.revoked_keys(), tokens: locked.unsaved_revocations() }
        }
        false => Unsaved::default(),
    };
    let limit = weir_zone::max_state_file(runtime.zone().size());
    let posted = thread::run_alone(pools::STATE, move || {
        let attempt = write(&path, limit, &wanted, &revoked, base);
        Box::new(move |sessions: &mut Sessions<'_>| conclude(sessions, &path, wanted, &revoked, attempt))
    });
    if !posted {
        refuse(sessions, usize::MAX, &ApiError::not_persisted("the thread pool takes no more"));
    }
}

/// Result of a thread's attempt.
enum Attempt {
    /// Another process has the lock.
    Locked,
    /// There is no readable file, so the zone's content must go into it.
    NeedsBase,
    Written(Box<Written>),
    Failed(FileError),
}

/// Runs on a thread of the pool.
fn write(path: &Path, limit: u64, wanted: &[Wanted], revoked: &Unsaved, base: Option<State>) -> Attempt {
    match write_locked(path, limit, wanted, revoked, base) {
        Ok(attempt) => attempt,
        Err(error) => Attempt::Failed(error),
    }
}

fn write_locked(
    path: &Path,
    limit: u64,
    wanted: &[Wanted],
    revoked: &Unsaved,
    base: Option<State>,
) -> Result<Attempt, FileError> {
    let Some(lock) = file::try_lock(path, None)? else { return Ok(Attempt::Locked) };
    let saves = wanted.iter().any(|wanted| matches!(wanted, Wanted::Save));
    let mut unreadable = false;
    let found = match file::read(path, limit) {
        Err(FileError::Unreadable { .. }) if saves => {
            unreadable = true;
            None
        }
        found => found?,
    };
    let before = found.as_ref().map(|found| found.shown);
    let Some(mut state) = found.map(|found| found.state).or(base) else { return Ok(Attempt::NeedsBase) };
    let generation = state.generation;
    for id in &revoked.keys {
        // A key that is not in the file is no error.
        let _ = state.apply(&Change::RevokeKey(*id));
    }
    for revocation in &revoked.tokens {
        // If the file already has the largest number of revocations, it belongs to another server, and these revocations stay in the zone.
        let _ = state.apply(&Change::RevokeTokens(revocation.clone()));
    }
    let outcomes = wanted.iter().map(|wanted| match wanted {
        Wanted::Change(change, _) => state.apply(change),
        Wanted::Save | Wanted::Revocations | Wanted::Read => Ok(()),
    });
    let outcomes = outcomes.collect();
    let unchanged = before.filter(|_| state.generation == generation);
    let mut set_aside = None;
    let (shown, doubt) = match unchanged {
        Some(shown) => (shown, None),
        None => {
            set_aside = if unreadable { Some(file::set_aside(path)?) } else { None };
            let saved = file::write(path, &state).inspect_err(|_| {
                if let Some(aside) = &set_aside {
                    let _ = std::fs::rename(aside, path);
                }
            })?;
            (saved.shown, saved.doubt)
        }
    };
    let before = before.map(|before| before.content);
    let written = Written { before, outcomes, state, shown, doubt, set_aside, _lock: lock };
    Ok(Attempt::Written(Box::new(written)))
}

/// Continues in the event loop after the thread's attempt.
fn conclude(
    sessions: &mut Sessions<'_>,
    path: &Path,
    wanted: Vec<Wanted>,
    revoked: &Unsaved,
    attempt: Attempt,
) {
    let count = wanted.len();
    let Some(runtime) = runtime::current() else {
        return refuse(sessions, usize::MAX, &ApiError::not_persisted("the zone was removed by a reload"));
    };
    match attempt {
        Attempt::Locked => return wait_for_lock(sessions, &runtime, path),
        Attempt::NeedsBase => {
            let keys = runtime.zone().keys(process::pid());
            let locked = runtime.zone().lock(process::pid());
            let (targets, revocations) = (locked.targets(), locked.revocations());
            drop(locked);
            let generation = runtime.zone().generation();
            let held = runtime.zone().is_held();
            let base = State { generation, keys, targets, revocations, held, mark: None };
            return self::attempt(sessions, Some(base));
        }
        Attempt::Failed(error) => {
            runtime.zone().set_state_written(false);
            log::cycle(Level::Critical, format_args!("weir: a change was not made: {error}"));
            refuse(sessions, count, &ApiError::not_persisted(error.to_string()));
        }
        Attempt::Written(written) => {
            runtime.zone().set_state_written(true);
            if let Some(doubt) = &written.doubt {
                let what = "weir: a change was made, and may be lost if the machine loses power";
                log::cycle(Level::Warning, format_args!("{what}: {doubt}"));
            }
            let outcomes = show(&runtime, sessions, path, &wanted, revoked, *written);
            answer(sessions, outcomes);
        }
    }
    go_on(sessions);
}

/// Continues with changes that arrived meanwhile.
fn go_on(sessions: &mut Sessions<'_>) {
    let more = WRITER.with(|writer| {
        writer.busy = !writer.items.is_empty();
        if let Some(alarm) = writer.alarm.as_mut().filter(|_| !writer.busy) {
            alarm.disarm();
        }
        writer.busy
    });
    if more {
        attempt(sessions, None);
    }
}

/// Handles a lock that another process has. Refuses the requests that have waited long enough; the others wait longer.
fn wait_for_lock(sessions: &mut Sessions<'_>, runtime: &Runtime, path: &Path) {
    let now = process::uptime();
    let over = WRITER.with(|writer| {
        let is_over = |item: &&Item| now.millis_since(item.since) >= PATIENCE_MS;
        writer.items.iter().take_while(is_over).count()
    });
    if over > 0 {
        let error = FileError::Locked(path.to_owned());
        runtime.zone().set_state_written(false);
        log::cycle(Level::Critical, format_args!("weir: a change was not made: {error}"));
        refuse(sessions, over, &ApiError::not_persisted(error.to_string()));
    }
    WRITER.with(|writer| {
        writer.busy = !writer.items.is_empty();
        let busy = writer.busy;
        if let Some(alarm) = &mut writer.alarm {
            if busy { alarm.arm(RETRY_MS) } else { alarm.disarm() }
        }
    });
}

/// Refuses the first `count` waiting changes, and takes back their pending parts.
fn refuse(sessions: &mut Sessions<'_>, count: usize, error: &ApiError) {
    let outcomes = WRITER.with(|writer| {
        let count = count.min(writer.items.len());
        writer.items[..count].iter().map(|item| item.wanted.clone()).collect::<Vec<_>>()
    });
    if let Some(runtime) = runtime::current() {
        let locked = runtime.zone().lock(process::pid());
        outcomes.iter().for_each(|wanted| take_back(&locked, wanted));
    }
    answer(sessions, outcomes.iter().map(|_| Err(error.clone())).collect());
    if count == usize::MAX {
        go_on(sessions);
    }
}

/// Answers the first waiting requests, one outcome each.
fn answer(sessions: &mut Sessions<'_>, outcomes: Vec<Outcome>) {
    let items: Vec<Item> = WRITER.with(|writer| writer.items.drain(..outcomes.len()).collect());
    for (item, outcome) in items.into_iter().zip(outcomes) {
        if let Some((request, answer)) = item.client {
            request.answer(sessions, answer(outcome));
        }
    }
}
