//! A worker's tasks ten times per second, and at its end.

use ngx_rtmp::{event_stream, local, sessions::Sessions, timer::TICKS_A_SECOND};
use weir_model::Timestamp;

use crate::{
    disk,
    hooks::{self, publishing::Publish},
    orders, process, push, registration,
    runtime::{self, Runtime},
    session::{Session, SessionExt as _},
    state,
};

/// Buckets of eight rows that a worker checks with each tick.
const SWEPT: usize = 1024;

struct Seen {
    ticks: u32,
    /// The generation of the revoked tokens that the sessions were compared with.
    revocations: u64,
    draining_since: Option<Timestamp>,
}

local! {
    static SEEN: Seen = Seen { ticks: 0, revocations: 0, draining_since: None };
}

/// Frees the worker's row and its streams immediately when the worker exits.
pub fn stop() {
    if let Some(runtime) = runtime::current()
        && let Some(worker) = runtime.worker()
    {
        runtime.zone().lock(process::pid()).unregister(worker, process::now());
    }
}

/// Runs when a worker has given an order, revoked something or changed targets.
pub fn wake(sessions: &mut Sessions<'_>) {
    if let Some(runtime) = runtime::current() {
        follow(&runtime, sessions);
    }
}

/// Follows changes in the zone. Without a change, it only compares a few numbers.
fn follow(runtime: &Runtime, sessions: &mut Sessions<'_>) {
    orders::follow(runtime, sessions);
    follow_revocations(runtime, sessions);
    push::follow(runtime, sessions);
}

/// Runs ten times per second: 50 to 150 ms after the last call.
pub fn tick(sessions: &mut Sessions<'_>) {
    let Some(runtime) = runtime::current() else { return };
    if let Some(worker) = runtime.worker() {
        runtime.zone().heartbeat(worker, process::now(), process::draining());
    }
    // A wake-up call of another worker may be lost.
    follow(&runtime, sessions);
    hooks::guests::tick(sessions);
    push::tick(sessions);
    event_stream::pump(sessions);
    state::load::watch(&runtime, sessions);
    disk::tick();
    runtime.zone().sweep_viewers(process::pid(), process::uptime(), SWEPT);
    let draining_ms = draining_ms();
    if let Some(draining_ms) = draining_ms {
        sessions.each(|session: &mut Session| hooks::close_if_drained(session, draining_ms));
    }
    let slow = SEEN.with(|seen| {
        seen.ticks = (seen.ticks + 1) % TICKS_A_SECOND;
        seen.ticks == 0
    });
    if slow {
        registration::ensure_started();
        sessions.each(|session: &mut Session| {
            account(session);
            hooks::media::limit_bitrate(session);
            push::account(session);
            hooks::guests::check_deadline(session);
            hooks::outgoing::check_deadline(session);
        });
        push::close_strays(sessions);
        if draining_ms.is_some() {
            hooks::spread::close_unplayed(sessions);
        }
        if runtime.auto_push {
            sessions.each(hooks::spread::spread);
        }
        tidy(&runtime);
    }
}

/// Returns how long ago nginx told this worker to quit, in milliseconds.
fn draining_ms() -> Option<u64> {
    let now = process::now();
    let since = SEEN.with(|seen| match process::draining() {
        true => Some(*seen.draining_since.get_or_insert(now)),
        false => None,
    });
    since.map(|since| now.millis_since(since))
}

/// Closes the sessions whose token a worker revoked.
fn follow_revocations(runtime: &Runtime, sessions: &mut Sessions<'_>) {
    let generation = runtime.zone().revocations_generation();
    if SEEN.with(|seen| std::mem::replace(&mut seen.revocations, generation)) != generation {
        let revoked = runtime.revoked_tokens();
        if !revoked.is_empty() {
            sessions.each(|session: &mut Session| hooks::close_if_revoked(session, &revoked));
        }
    }
}

/// Accounts for the bytes that a session sent and received in the last second.
fn account(session: &mut Session) {
    let (video, audio) = session.media_facts();
    let bytes_out = session.bytes_out();
    let (dropped, avsync_ms) = session.live_facts();
    let file_ms = session.file_position();
    let Some(state) = session.known_state() else { return };
    let (video, audio) = (state.enhanced.video.or(video), state.enhanced.audio.or(audio));
    if let Publish::Live(live) = &mut state.publish {
        live.account(video, audio, avsync_ms);
    }
    if let Some(playing) = &mut state.playing {
        playing.account(bytes_out, dropped, avsync_ms, file_ms);
    }
}

fn tidy(runtime: &Runtime) {
    let now = process::now();
    runtime.zone().forget_ended_secrets(process::pid(), now);
    let zone = runtime.zone().lock(process::pid());
    zone.reclaim(now, process::census());
    zone.forget_ended_revocations(now);
    let summaries = zone.refused_since(now);
    let guarded = zone.guard_refused_since(now);
    zone.tidy_audiences(process::uptime());
    drop(zone);
    guarded.iter().for_each(hooks::violation::log_summary);
    summaries.iter().for_each(hooks::log_summary);
}
