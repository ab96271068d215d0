//! The guard: what would crash, bloat or stall nginx-rtmp is refused before it sees it, and who neither
//! publishes nor plays is sent away.

use serde_json::json;
use weir_model::{
    ClientAddr, Timestamp,
    guard::{
        self, Gate, Violation,
        deadline::{self, Phase},
    },
    network,
    throttle::LogLine,
};
use weir_zone::GuardSummary;

use super::refusal;
use crate::{
    ffi::{
        log::{self, Level},
        process,
        session::{self, Session},
    },
    runtime,
    settings::AppSettings,
};

/// What the guard knows of a session.
pub struct Guarded {
    gate: Gate,
    phase: Phase,
    /// Since when it is in that phase, or when media last came, by the clock that is never set.
    since: Timestamp,
    /// The address for which it is counted as one that neither publishes nor plays.
    counted: Option<[u8; 16]>,
    /// A client made the connection; what this server or another worker connects to has no deadline.
    client: bool,
    /// A `publish` went through, and its stream was not closed.
    pub(super) publishes: bool,
    /// The name of that, where names are nginx-rtmp's business.
    name: Option<String>,
    /// nginx-rtmp's live module was seen to publish it.
    live: bool,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// nginx-rtmp gets it.
    Open,
    /// It is ignored.
    Drop,
    /// The connection is closed.
    Close,
}

/// A connection begins. Returns whether it may go on.
pub(super) fn on_connect(session: &mut Session) -> bool {
    if !stands_before(session) {
        return true;
    }
    let client = session.is_accepted() && !session.is_from_worker();
    let gate = if client { Gate::accepted() } else { Gate::outgoing() };
    let (phase, since) = (Phase::Arriving, process::uptime());
    let guarded =
        Guarded { gate, phase, since, counted: None, client, publishes: false, name: None, live: false };
    if let Some(state) = session.state() {
        state.guard = Some(guarded);
    }
    if !client {
        return true;
    }
    session.watch_incoming();
    // Behind a proxy the address comes with the first bytes.
    session.is_behind_proxy() || count(session)
}

/// The handshake is over. Returns whether the connection may go on.
pub(super) fn on_handshake(session: &mut Session) -> bool {
    !session.is_accepted() || !session.is_behind_proxy() || count(session)
}

/// Counts the connection for its address, until it publishes, plays or ends.
fn count(session: &mut Session) -> bool {
    let (ClientAddr::Ip(addr), Some(runtime)) = (session.client(), runtime::current()) else { return true };
    let (Some(worker), Some(settings)) = (runtime.worker(), session.guard_settings()) else { return true };
    if session.client().is_local() || session.known_state().is_none_or(|state| state.guard.is_none()) {
        return true;
    }
    let bucket = network::attempt_bucket(addr);
    let limit = settings.limit_unauthenticated();
    let opened = runtime.zone.lock(process::pid()).connection_opened(worker, bucket, limit, process::now());
    match session.known_state().and_then(|state| state.guard.as_mut()) {
        Some(guarded) if opened => guarded.counted = Some(bucket),
        _ if opened => {}
        _ => refuse(session, Violation::TooManyConnections),
    }
    opened
}

/// A message came, of which nothing was looked at yet.
pub fn on_message<'m>(
    session: &mut Session,
    kind: u8,
    body: impl Iterator<Item = &'m [u8]> + Clone,
) -> Passage {
    let connected = session.is_connected();
    let Some(state) = session.known_state() else { return Passage::Open };
    if state.is_closing() {
        return Passage::Drop;
    }
    let Some(guarded) = &mut state.guard else { return Passage::Open };
    match guarded.gate.message(connected, kind, body) {
        Ok(()) => Passage::Open,
        Err(violation) => {
            refuse(session, violation);
            Passage::Close
        }
    }
}

/// Audio or video came. Returns whether anybody may see it: HLS and DASH would write it all the same before
/// nginx-rtmp says `Publish.Start` and after the stream was closed, into files that are another's by then.
/// `content`: it holds sound or a frame, and so the publisher is not idle.
pub(super) fn on_media(session: &mut Session, content: bool) -> bool {
    let Some(guarded) = session.known_state().and_then(|state| state.guard.as_mut()) else { return true };
    if !guarded.client {
        return true;
    }
    if !guarded.publishes {
        return false;
    }
    if content {
        guarded.phase = Phase::Publishing;
        guarded.since = process::uptime();
    }
    if guarded.live {
        return true;
    }
    let live = !session.has_live_streams() || session.live_name().is_some();
    if let Some(guarded) = session.known_state().and_then(|state| state.guard.as_mut()) {
        guarded.live = live;
    }
    live
}

/// A client says `publish` where names are nginx-rtmp's business. Returns what is wrong with that: two that
/// write one name's files would stop the worker.
pub(super) fn on_free_publish(session: &mut Session, raw: &[u8]) -> Option<Violation> {
    let guarded = session.known_state().and_then(|state| state.guard.as_ref())?;
    if guarded.publishes {
        return Some(Violation::SecondPublish);
    }
    let name = String::from_utf8_lossy(raw.split(|byte| *byte == b'?').next().unwrap_or_default());
    let app = session.app().to_owned();
    if is_live(&app, &name) {
        return Some(Violation::Duplicate);
    }
    let guarded = session.known_state().and_then(|state| state.guard.as_mut())?;
    guarded.name = Some(name.into_owned());
    None
}

fn is_live(app: &str, name: &str) -> bool {
    let here = session::find(|other| {
        let guarded = other.known_state().and_then(|state| state.guard.as_ref());
        let same = guarded.is_some_and(|guarded| guarded.publishes && guarded.name.as_deref() == Some(name));
        same && other.app() == app
    });
    here.is_some()
        || runtime::current().is_some_and(|runtime| {
            runtime.zone.lock(process::pid()).stream(app, name, process::alive).is_some()
        })
}

/// Whether the guard stands before a session.
pub(super) fn stands_before(session: &Session) -> bool {
    session.guard_settings().is_some_and(AppSettings::guard)
}

/// Bytes came, before anybody looked at them. Returns whether the connection may go on.
pub fn on_bytes(session: &mut Session, bytes: usize) -> bool {
    let connected = session.is_connected();
    let Some(guarded) = session.known_state().and_then(|state| state.guard.as_mut()) else { return true };
    allow(guarded.gate.received(connected, bytes), session)
}

/// A message came, of a type that nginx-rtmp does not know. Returns whether the connection may go on.
pub fn on_unknown_kind(session: &mut Session, kind: u8) -> bool {
    on_message(session, kind, std::iter::empty()) != Passage::Close
}

/// A message of which `read` bytes were read now has `length`. Returns whether the connection may go on.
pub fn on_running(session: &mut Session, read: u32, length: u32) -> bool {
    allow(guard::running_message(read, length), session)
}

fn allow(outcome: Result<(), Violation>, session: &Session) -> bool {
    if let Err(violation) = outcome {
        refuse(session, violation);
    }
    outcome.is_ok()
}

/// A client says `publish` or `play`, with this name. Returns what is wrong with that.
pub(super) fn on_name(session: &mut Session, raw: &[u8]) -> Option<Violation> {
    let guarded = session.known_state().and_then(|state| state.guard.as_ref());
    guarded.and_then(|_| guard::name(raw).err())
}

/// A client says `publish` or `play`, with no name that could be read. Returns what is wrong with that:
/// nginx-rtmp would cut it, or take the empty one.
pub(super) fn on_unreadable_name(session: &mut Session) -> Option<Violation> {
    session.known_state().and_then(|state| state.guard.as_ref()).map(|_| Violation::Name)
}

/// nginx-rtmp is about to publish what a client sends, or to play something to it.
pub(super) fn settle(session: &mut Session, phase: Phase) {
    let Some(guarded) = session.known_state().and_then(|state| state.guard.as_mut()) else { return };
    guarded.phase = phase;
    guarded.since = process::uptime();
    guarded.publishes |= phase == Phase::Published;
    release(guarded);
}

/// A stream was closed.
pub(super) fn on_close(guarded: &mut Guarded) {
    if std::mem::take(&mut guarded.publishes) {
        guarded.phase = Phase::Arriving;
        guarded.since = process::uptime();
        guarded.live = false;
        guarded.name = None;
    }
}

/// The connection is not counted for its address any more.
pub(super) fn release(guarded: &mut Guarded) {
    if let (Some(bucket), Some(runtime)) = (guarded.counted.take(), runtime::current())
        && let Some(worker) = runtime.worker()
    {
        runtime.zone.lock(process::pid()).connection_settled(worker, bucket);
    }
}

/// Once a second: closes a session that was silent for too long.
pub fn check_deadline(session: &mut Session) {
    let now = process::uptime();
    let guarded = session.known_state().and_then(|state| state.guard.as_ref());
    // While `on_publish` is asked, nobody can send.
    let asking = guarded.is_some_and(|guarded| guarded.phase == Phase::Published)
        && session.has_live_streams()
        && session.live_name().is_none();
    let Some(settings) = session.guard_settings() else { return };
    let Some(state) = session.known_state().filter(|state| !state.is_closing()) else { return };
    let Some(guarded) = state.guard.as_mut().filter(|guarded| guarded.client) else { return };
    if asking {
        guarded.since = now;
    }
    if let Some(violation) = deadline::overdue(guarded.phase, guarded.since, now, &settings.limits()) {
        refuse(session, violation);
        session.close();
    }
}

/// Counts a refusal, and once a minute for each address and reason tells of it.
pub(super) fn refuse(session: &Session, violation: Violation) {
    let Some(runtime) = runtime::current() else { return };
    runtime.zone.count_guard(violation.index());
    let now = process::now();
    let bucket = match session.client() {
        ClientAddr::Ip(addr) => network::attempt_bucket(addr),
        ClientAddr::Unix => [0; 16],
    };
    let line = runtime.zone.lock(process::pid()).guard_refusal(bucket, violation.index(), now);
    let more = match line {
        LogLine::Silent => return,
        LogLine::Each => String::new(),
        LogLine::Summary { unlogged } => format!(", {unlogged} more since the last line"),
    };
    let data = json!({ "app": session.app(), "reason": violation.label(), "addr": session.addr() });
    runtime.zone.lock(process::pid()).push_event("guard.refused", &data.to_string(), now);
    let app = match session.app() {
        "" => String::new(),
        app => format!(", app: \"{app}\""),
    };
    session.log(Level::Error, format_args!("connection closed by the guard: {violation}{more}{app}"));
}

/// One line for what an address was refused since its last line.
pub fn log_summary(summary: &GuardSummary) {
    if let Some(violation) = Violation::ALL.get(summary.reason) {
        let (more, client) = (summary.unlogged, refusal::client_of(summary.bucket));
        log::cycle(
            Level::Error,
            format_args!("connection closed by the guard: {violation}, {more} more times, client: {client}"),
        );
    }
}
