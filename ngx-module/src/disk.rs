//! Free space: what nginx-rtmp writes for an application stops below `weir_min_free`, before a full disk
//! stops the worker.

use std::{collections::HashMap, path::PathBuf};

use ngx_rtmp::{
    disk::{self, Facts, Watch},
    local,
    log::{self, Level},
    thread,
};
use weir_model::guard::space::Space;

use crate::{pools, process, runtime::Runtime, session::Session, settings::AppSettings};

local! {
    /// A look at the disks is under way.
    static LOOKING: bool = false;
}

/// Once a second: asks on a thread how much is free, for a disk may take its time.
pub fn look() {
    let folders: Vec<PathBuf> = disk::writers().into_iter().flat_map(|facts| facts.paths).collect();
    if folders.is_empty() || LOOKING.with(|looking| std::mem::replace(looking, true)) {
        return;
    }
    let begun = thread::run_alone(pools::DISK, move || {
        let spaces = spaces_of(folders);
        Box::new(move || {
            LOOKING.with(|looking| *looking = false);
            decide(&spaces);
        })
    });
    if !begun {
        LOOKING.with(|looking| *looking = false);
    }
}

/// A session is about to write a frame, or the end of its files. A disk may be filled within less time than
/// there is between two looks, and who writes to a full one is left with a file that is closed or cut short.
pub fn before_writing(session: &Session) {
    let is_short = |space: disk::Space, min_free| of_system(space).is_short(min_free, false);
    let now_ms = process::uptime().as_millis();
    let short = session.settings().and_then(|settings| disk::short_of_space(settings, now_ms, is_short));
    if let Some(facts) = short {
        decide(&spaces_of(facts.paths));
    }
}

fn spaces_of(folders: Vec<PathBuf>) -> HashMap<PathBuf, Space> {
    let space = |folder: PathBuf| disk::space(&folder).map(|space| (folder, of_system(space)));
    folders.into_iter().filter_map(space).collect()
}

fn of_system(space: disk::Space) -> Space {
    Space { free: space.free, total: space.total }
}

/// Whether the files of an application are watched.
#[must_use]
pub fn watch(settings: &AppSettings) -> Watch {
    match settings.min_free {
        _ if !settings.guard() => Watch::No,
        Some(0) => Watch::No,
        min_free => Watch::For { min_free },
    }
}

fn decide(spaces: &HashMap<PathBuf, Space>) {
    let of = |facts: &Facts| -> Vec<Space> {
        facts.paths.iter().filter_map(|path| spaces.get(path)).copied().collect()
    };
    let changed = disk::stop(|facts, stopped| match of(facts).as_slice() {
        [] => stopped,
        spaces => spaces.iter().any(|space| space.is_short(facts.min_free, stopped)),
    });
    let first = crate::runtime::current().is_some_and(|runtime| is_first(&runtime));
    for (facts, stopped) in changed.iter().filter(|_| first) {
        let app = &facts.app;
        // The folder that decided: the one with the least beyond what must stay free.
        let spaces = of(facts);
        let beyond = |space: &&Space| i128::from(space.free) - i128::from(space.required(facts.min_free));
        let Some(space) = spaces.iter().min_by_key(beyond) else { continue };
        let (free, min) = (space.free >> 10, space.required(facts.min_free) >> 10);
        match stopped {
            true => log::cycle(
                Level::Error,
                format_args!(
                    "weir: HLS, DASH and record of application \"{app}\" stopped: {free} KB are free, \
                     \"weir_min_free\" asks for {min} KB; they resume when there is enough space"
                ),
            ),
            false => log::cycle(
                Level::Notice,
                format_args!(
                    "weir: HLS, DASH and record of application \"{app}\" resumed: {free} KB are free"
                ),
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
