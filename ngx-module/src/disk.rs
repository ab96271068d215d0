//! Free space: what nginx-rtmp writes for an application stops below `weir_min_free`, before a full disk
//! stops the worker, and where a file system does not answer.
//!
//! The event loop never asks a file system: threads do, and it reads their last answer.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use ngx_rtmp::{
    disk::{self, Facts, Stop, Watch},
    local,
    log::{self, Level},
    thread,
};
use weir_model::{
    Timestamp,
    guard::space::{Gauge, Space, Why},
};

use crate::{process, runtime::Runtime, session::Session, settings::AppSettings};

/// The longest rest of a thread, in milliseconds: it looks whether it is still wanted.
const REST_MS: u64 = 100;

/// Number of the thread that is to look now. One that waits for a file system finds, when it comes back, that another
/// looks in its place.
static CURRENT: AtomicU64 = AtomicU64::new(0);

/// What is known of the folders of the applications that write, in their order.
#[derive(Default)]
struct Looks {
    /// Which configuration's applications these are.
    number: Option<u64>,
    gauges: Vec<Vec<Arc<Gauge>>>,
    /// A thread could not be started.
    again: bool,
}

local! {
    static LOOKS: Looks = Looks { number: None, gauges: Vec::new(), again: false };
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

/// A clock that is never set, for all threads.
fn clock() -> Timestamp {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let since = BEGIN.get_or_init(Instant::now).elapsed().as_millis();
    Timestamp::from_millis(u64::try_from(since).unwrap_or(u64::MAX))
}

/// Ten times a second: sees to it that a thread looks, and stops or goes on with what it says.
pub fn tick() {
    let number = disk::number();
    let (fresh, again) = LOOKS.with(|looks| {
        (looks.number.replace(number) != Some(number), std::mem::replace(&mut looks.again, false))
    });
    if fresh {
        let gauges = disk::writers().into_iter().map(gauges_of).collect();
        LOOKS.with(|looks| looks.gauges = gauges);
    }
    let now = clock();
    // The thread that asked a silent file system waits for it alone, and another one looks at the others.
    let left = |gauge: &Arc<Gauge>| gauge.is_silent(now) && gauge.leave_alone();
    let lost = LOOKS.with(|looks| looks.gauges.iter().flatten().filter(|gauge| left(gauge)).count());
    if fresh || again || lost > 0 {
        start_thread();
    }
    disk::leave_dash(|facts| {
        with_gauges(facts.place, |gauges| {
            let dash = gauges.iter().find(|gauge| facts.dash.as_deref() == Some(gauge.folder()));
            dash.and_then(|gauge| gauge.space()).is_none_or(|space| space.free < disk::DASH_FINISHES)
        })
    });
    decide();
}

fn gauges_of(facts: Facts) -> Vec<Arc<Gauge>> {
    facts.paths.iter().map(|folder| Arc::new(Gauge::new(folder, facts.min_free))).collect()
}

fn with_gauges<R>(place: usize, work: impl FnOnce(&[Arc<Gauge>]) -> R) -> R {
    LOOKS.with(|looks| work(looks.gauges.get(place).map_or(&[], Vec::as_slice)))
}

/// A session is about to write a frame, or the end of its files. A disk may be filled within less time than
/// there is between two ticks, and who writes to a full one is left with a file that is closed or cut short.
pub fn before_writing(session: &Session) {
    let place = session.settings().and_then(disk::writing);
    if place.is_some_and(|place| with_gauges(place, |gauges| verdict(gauges, None)).is_some()) {
        decide();
    }
}

/// How an application stops, or stays stopped while nothing is known.
fn verdict(gauges: &[Arc<Gauge>], stopped: Option<Stop>) -> Option<Stop> {
    let now = clock();
    let verdicts = || gauges.iter().filter_map(|gauge| gauge.verdict(now));
    let unknown = || stopped.filter(|_| gauges.iter().any(|gauge| gauge.space().is_none()));
    let why = verdicts().find(|why| *why == Why::Silent).or_else(|| verdicts().next());
    let stop = |why| match why {
        Why::Full => Stop::Full,
        Why::Silent => Stop::Silent,
    };
    why.map(stop).or_else(unknown)
}

fn start_thread() {
    let gauges: Vec<_> = LOOKS.with(|looks| looks.gauges.iter().flatten().cloned().collect());
    let number = CURRENT.fetch_add(1, Relaxed) + 1;
    if !gauges.is_empty() && !thread::spawn("weir-disk", move || look(&gauges, number)) {
        LOOKS.with(|looks| looks.again = true);
    }
}

/// On a thread: asks each file system when it is time to.
fn look(gauges: &[Arc<Gauge>], number: u64) {
    let mut due = vec![clock(); gauges.len()];
    while CURRENT.load(Relaxed) == number {
        let mut rest_ms = REST_MS;
        for (gauge, due) in gauges.iter().zip(&mut due) {
            if gauge.is_left_alone() {
                continue;
            }
            if *due <= clock() {
                gauge.ask(clock());
                let space = disk::space(gauge.folder());
                let next_ms = gauge.answer(space.map(|it| Space { free: it.free, total: it.total }));
                if CURRENT.load(Relaxed) != number {
                    return;
                }
                *due = clock().plus_millis(next_ms);
            }
            rest_ms = rest_ms.min(due.millis_since(clock()).max(1));
        }
        std::thread::sleep(Duration::from_millis(rest_ms));
    }
}

fn decide() {
    let changed = disk::stop(|facts, stopped| with_gauges(facts.place, |gauges| verdict(gauges, stopped)));
    let first = crate::runtime::current().is_some_and(|runtime| is_first(&runtime));
    for (facts, stop) in changed {
        with_gauges(facts.place, |gauges| {
            gauges.iter().for_each(|gauge| gauge.set_stopped(stop.is_some()));
            if first {
                tell(&facts.app, gauges, stop);
            }
        });
    }
}

fn tell(app: &str, gauges: &[Arc<Gauge>], stop: Option<Stop>) {
    let what = format!("weir: HLS, DASH and record of application \"{app}\"");
    if stop == Some(Stop::Silent) {
        let now = clock();
        let silent = gauges.iter().find(|gauge| gauge.is_silent(now));
        let folder = silent.map(|gauge| gauge.folder().display().to_string()).unwrap_or_default();
        let why = format_args!("the file system of {folder} does not answer; they resume when it does");
        return log::cycle(Level::Error, format_args!("{what} stopped: {why}"));
    }
    // The folder that decided: the one with the least beyond what must stay free.
    let known = gauges.iter().filter_map(|gauge| Some((gauge.space()?.free, gauge.required())));
    let least = known.min_by_key(|(free, required)| i128::from(*free) - i128::from(*required));
    let Some((free, min)) = least.map(|(free, required)| (free >> 10, required >> 10)) else { return };
    match stop {
        Some(_) => log::cycle(
            Level::Error,
            format_args!(
                "{what} stopped: {free} KB are free, \"weir_min_free\" asks for {min} KB; they resume when there is enough space"
            ),
        ),
        None => log::cycle(Level::Notice, format_args!("{what} resumed: {free} KB are free")),
    }
}

/// Whether this worker speaks for all: each looks for itself, and one line is enough.
fn is_first(runtime: &Runtime) -> bool {
    let workers = runtime.zone().lock(process::pid()).workers();
    let mut serving = workers.iter().filter(|worker| !worker.draining && process::alive(worker.pid));
    process::draining() || serving.next().is_none_or(|worker| worker.pid == process::pid())
}
