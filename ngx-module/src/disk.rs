//! Free space. Below `weir_min_free`, nginx-rtmp stops writing files for an application, before a full disk stops the worker. It also stops
//! if a file system does not answer.
//!
//! The event loop never queries a file system. Threads do, and the event loop reads their last answer.

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

/// Longest pause of a thread, in milliseconds. After it, the thread checks whether it is still needed.
const REST_MS: u64 = 100;

/// Number of the thread that must query now. A thread that was blocked by a file system sees from it that another thread has replaced it.
static CURRENT: AtomicU64 = AtomicU64::new(0);

/// State of the folders of the applications that write, in their order.
#[derive(Default)]
struct Looks {
    /// Number of the configuration that the applications belong to.
    number: Option<u64>,
    gauges: Vec<Vec<Arc<Gauge>>>,
    /// Whether to start a thread again, because the last start failed.
    again: bool,
}

local! {
    static LOOKS: Looks = Looks { number: None, gauges: Vec::new(), again: false };
}

/// Returns whether Weir watches the files of an application.
#[must_use]
pub fn watch(settings: &AppSettings) -> Watch {
    match settings.min_free {
        _ if !settings.guard() => Watch::No,
        Some(0) => Watch::No,
        min_free => Watch::For { min_free },
    }
}

/// Returns the time of a clock that is never set, for all threads.
fn clock() -> Timestamp {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let since = BEGIN.get_or_init(Instant::now).elapsed().as_millis();
    Timestamp::from_millis(u64::try_from(since).unwrap_or(u64::MAX))
}

/// Runs ten times per second. Makes sure that a thread queries the file systems, and stops or resumes writing as the answers require.
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
    // The thread that asked a silent file system waits only for that one, and another thread queries the others.
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

/// Runs before a session writes a frame, or the end of its files. A disk may fill up between two ticks, and a file on a full disk is closed
/// or cut short.
pub fn before_writing(session: &Session) {
    let place = session.settings().and_then(disk::writing);
    if place.is_some_and(|place| with_gauges(place, |gauges| verdict(gauges, None)).is_some()) {
        decide();
    }
}

/// Returns how an application must stop. While nothing is known, a stopped application stays stopped.
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

/// Runs on a thread. Queries each file system at its interval.
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
    // The folder that decided has the least free space above its limit.
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

/// Returns whether this worker logs for all workers. Each worker checks the disks itself, and one line is enough.
fn is_first(runtime: &Runtime) -> bool {
    let workers = runtime.zone().lock(process::pid()).workers();
    let mut serving = workers.iter().filter(|worker| !worker.draining && process::alive(worker.pid));
    process::draining() || serving.next().is_none_or(|worker| worker.pid == process::pid())
}
