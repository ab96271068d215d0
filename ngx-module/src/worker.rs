//! A worker's life: its row in the zone, and what it does ten times a second.

use std::rc::Rc;

use ngx_rtmp::{
    event_stream, interworker, local,
    log::{self, Level},
    timer::{self, TICKS_A_SECOND},
};
use weir_model::{Timestamp, server::ServerBlock};
use weir_zone::{Door, MAX_DOORS};

use crate::{
    disk,
    hooks::{self, publish::Publish},
    process, push,
    runtime::{self, Runtime},
    session::SessionExt as _,
    session::{self, Session},
    state,
    weir::Weir,
};

/// Buckets of eight rows that a worker looks at with each tick.
const SWEPT: usize = 1024;

struct Seen {
    ticks: u32,
    orders: u64,
    /// The generation of the revoked tokens that the sessions were compared with.
    revocations: u64,
    draining_since: Option<Timestamp>,
    /// The zone had no row for this worker, and the log says so.
    is_rowless: bool,
}

local! {
    static SEEN: Seen = Seen { ticks: 0, orders: 0, revocations: 0, draining_since: None, is_rowless: false };
}

/// Makes sure that this process has its row and its tick. Returns whether Weir is on. A single process that
/// reloads does not start workers anew, so this is asked with every connection.
pub fn ensure_started() -> bool {
    let Some(runtime) = runtime::current() else { return false };
    if runtime.worker().is_none() && process::serves() {
        register(&runtime);
        timer::start_tick::<Weir>();
    }
    true
}

fn register(runtime: &Runtime) {
    let registered =
        runtime.zone().lock(process::pid()).register(process::pid(), process::now(), process::alive);
    match registered {
        Ok(worker) => {
            runtime.set_worker(worker);
            if runtime.auto_push && process::is_worker() {
                runtime.zone().set_doors(worker, &doors(&runtime.servers));
            }
        }
        // It is tried again with each connection and each second.
        Err(error) => {
            if !SEEN.with(|seen| std::mem::replace(&mut seen.is_rowless, true)) {
                log::cycle(Level::Critical, format_args!("weir: no row for this worker: {error}"));
            }
        }
    }
}

/// Opens the worker's sockets for other workers, one per `server` block. The first address of each block comes first, so that
/// each is told as long as there is room.
fn doors(servers: &[ServerBlock]) -> Vec<Door> {
    let (mut first, mut others) = (Vec::new(), Vec::new());
    for (name, block) in interworker::open(MAX_DOORS).into_iter().zip(servers) {
        first.push(Door::new(name, block.server.first()));
        others.extend(block.server.addresses().iter().skip(1).map(|addr| Door::new(name, Some(addr))));
    }
    first.extend(others);
    first.truncate(MAX_DOORS);
    first
}

/// The worker exits: its row and its streams are free at once.
pub fn stop() {
    if let Some(runtime) = runtime::current()
        && let Some(worker) = runtime.worker()
    {
        runtime.zone().lock(process::pid()).unregister(worker, process::now());
    }
}

/// Ten times a second: 100 ms after the one before, give or take 50.
pub fn tick() {
    let Some(runtime) = runtime::current() else { return };
    if let Some(worker) = runtime.worker() {
        runtime.zone().heartbeat(worker, process::now(), process::draining());
    }
    follow_orders(&runtime);
    follow_revocations(&runtime);
    hooks::guests::tick();
    push::tick(&runtime);
    event_stream::pump();
    state::load::watch(&runtime);
    disk::tick();
    runtime.zone().sweep_viewers(process::pid(), process::uptime(), SWEPT);
    let draining_ms = draining_ms();
    if let Some(draining_ms) = draining_ms {
        session::each(|session| hooks::close_if_drained(session, draining_ms));
    }
    let slow = SEEN.with(|seen| {
        seen.ticks = (seen.ticks + 1) % TICKS_A_SECOND;
        seen.ticks == 0
    });
    if slow {
        ensure_started();
        session::each(account);
        session::each(hooks::live::limit_bitrate);
        session::each(push::account);
        session::each(hooks::guests::check_deadline);
        session::each(hooks::outgoing::check_deadline);
        push::close_strays();
        if draining_ms.is_some() {
            hooks::spread::close_unplayed();
        }
        if runtime.auto_push {
            session::each(hooks::spread::spread);
        }
        tidy(&runtime);
    }
}

/// For how long this worker has been told to quit, in milliseconds.
fn draining_ms() -> Option<u64> {
    let now = process::now();
    let since = SEEN.with(|seen| match process::draining() {
        true => Some(*seen.draining_since.get_or_insert(now)),
        false => None,
    });
    since.map(|since| now.millis_since(since))
}

/// Closes the publishers that some worker ordered to be closed.
pub fn follow_orders(runtime: &Rc<Runtime>) {
    let orders = runtime.zone().orders();
    if SEEN.with(|seen| std::mem::replace(&mut seen.orders, orders)) != orders {
        session::each(hooks::close_if_ordered);
    }
}

/// Closes the sessions whose token some worker revoked.
fn follow_revocations(runtime: &Runtime) {
    let generation = runtime.zone().revocations_generation();
    if SEEN.with(|seen| std::mem::replace(&mut seen.revocations, generation)) != generation {
        let revoked = runtime.revoked_tokens();
        if !revoked.is_empty() {
            session::each(|session| hooks::close_if_revoked(session, &revoked));
        }
    }
}

/// What a session sent and received in the last second.
fn account(session: &mut Session) {
    let (video, audio) = session.media_facts();
    let bytes_out = session.bytes_out();
    let (dropped, avsync_ms) = session.live_facts();
    let Some(state) = session.known_state() else { return };
    let (video, audio) = (state.enhanced.video.or(video), state.enhanced.audio.or(audio));
    if let Publish::Live(live) = &mut state.publish {
        live.account(video, audio, avsync_ms);
    }
    if let Some(playing) = &mut state.playing {
        playing.account(bytes_out, dropped, avsync_ms);
    }
}

fn tidy(runtime: &Rc<Runtime>) {
    let now = process::now();
    let zone = runtime.zone().lock(process::pid());
    zone.reclaim(now, process::census());
    zone.forget_ended_secrets(now);
    zone.forget_ended_revocations(now);
    let summaries = zone.refused_since(now);
    let guarded = zone.guard_refused_since(now);
    zone.tidy_audiences(process::uptime());
    drop(zone);
    guarded.iter().for_each(hooks::guard::log_summary);
    summaries.iter().for_each(hooks::log_summary);
}
