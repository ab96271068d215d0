//! Free space: what nginx-rtmp writes for an application stops below `weir_min_free`, before a full disk
//! stops the worker.

use std::{collections::HashMap, path::PathBuf};

use crate::{
    ffi::{
        disk::{self, Facts},
        log::{self, Level},
        process::{self, Local},
        session::Session,
        thread,
    },
    runtime::Runtime,
};

/// A look at the disks is under way.
static LOOKING: Local<bool> = Local::new(false);

/// Once a second: asks on a thread how much is free, for a disk may take its time.
pub fn look() {
    let folders: Vec<PathBuf> = disk::writers().into_iter().flat_map(|facts| facts.paths).collect();
    if folders.is_empty() || LOOKING.with(|looking| std::mem::replace(looking, true)) {
        return;
    }
    let begun = thread::run_alone(move || {
        let free = free_of(folders);
        Box::new(move || {
            LOOKING.with(|looking| *looking = false);
            decide(&free);
        })
    });
    if !begun {
        LOOKING.with(|looking| *looking = false);
    }
}

/// A session is about to write a frame, or the end of its files. A disk may be filled within less time than
/// there is between two looks, and who writes to a full one is left with a file that is closed or cut short.
pub fn before_writing(session: &Session) {
    let short = session.settings().and_then(|settings| disk::short_of_space(settings, process::uptime()));
    if let Some(facts) = short {
        decide(&free_of(facts.paths));
    }
}

fn free_of(folders: Vec<PathBuf>) -> HashMap<PathBuf, u64> {
    folders.into_iter().filter_map(|folder| disk::free_bytes(&folder).map(|free| (folder, free))).collect()
}

fn decide(free: &HashMap<PathBuf, u64>) {
    let least = |facts: &Facts| facts.paths.iter().filter_map(|path| free.get(path)).min().copied();
    let changed = disk::stop(|facts, stopped| match least(facts) {
        // A margin, so that what is written next does not stop it again.
        Some(free) if stopped => free < facts.min_free + facts.min_free / 16,
        Some(free) => free < facts.min_free,
        None => stopped,
    });
    let first = crate::runtime::current().is_some_and(|runtime| is_first(&runtime));
    for (facts, stopped) in changed.iter().filter(|_| first) {
        let (app, min) = (&facts.app, facts.min_free >> 10);
        let free = least(facts).unwrap_or(0) >> 10;
        match stopped {
            true => log::cycle(
                Level::Error,
                format_args!(
                    "weir: HLS, DASH and record of application \"{app}\" stopped: {free} KB are free, \
                     \"weir_min_free\" asks for {min} KB; they go on when there is room"
                ),
            ),
            false => log::cycle(
                Level::Notice,
                format_args!("weir: HLS, DASH and record of application \"{app}\" go on: {free} KB are free"),
            ),
        }
    }
}

/// Whether this worker speaks for all: each looks for itself, and one line is enough.
fn is_first(runtime: &Runtime) -> bool {
    let workers = runtime.zone.lock(process::pid()).workers();
    let mut serving = workers.iter().filter(|worker| !worker.draining && process::alive(worker.pid));
    process::draining() || serving.next().is_none_or(|worker| worker.pid == process::pid())
}
