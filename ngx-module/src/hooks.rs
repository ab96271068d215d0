//! The life of a session: what it publishes, what it plays, and its end.

pub mod admission;
pub mod connect;
pub mod early;
pub mod enhanced;
pub mod guard;
pub mod guests;
pub mod live;
pub mod message;
pub mod outgoing;
pub mod play;
pub mod publish;
mod refusal;
mod secrets;
pub mod spread;

use std::{collections::HashSet, rc::Rc};

use ngx_rtmp::{local, log::Level};
use weir_model::{
    KeyId,
    guard::early::Early,
    refusal::{Topic, kind_of_line},
    token::{RevokedTokens, TokenMark},
};

use crate::{
    process,
    push::{self, Push},
    runtime::{self, Runtime},
    session::Session,
    session::SessionExt as _,
    worker,
};
use guard::Guarded;
use outgoing::Outgoing;
use play::Playing;
use publish::Publish;
pub use refusal::log_summary;

/// How long a refused client may read why, in milliseconds.
const LINGER_MS: usize = 200;
/// How long the target of a push may read that the stream ends, in milliseconds.
const GOODBYE_MS: usize = 300;
/// How many refused clients a worker lets read at the same time.
const MOST_LINGERING: usize = 64;

/// What is kept of a session.
#[derive(Default)]
pub struct SessionState {
    /// How far its publish has come.
    pub publish: Publish,
    /// What it plays.
    pub playing: Option<Playing>,
    /// The tokens with which it plays.
    pub play_tokens: Vec<TokenMark>,
    /// What it plays is for a job of the daemon.
    pub own_player: bool,
    /// The name that its last `play` asked for, where a log line may show it.
    pub asked: Option<String>,
    /// Where its stream is pushed to.
    pub pushes: Vec<Push>,
    /// What the guard knows of it, where it stands before it.
    pub guard: Option<Guarded>,
    /// For a connection that nginx made.
    pub outgoing: Option<Outgoing>,
    /// Headers that came before its stream is live.
    early: Early,
    /// What it publishes, where nginx-rtmp does not know the codecs.
    pub enhanced: enhanced::Enhanced,
    /// It was refused: the connection lingers for the answer to arrive, and nothing begins on it.
    closing: Option<Lingering>,
}

impl SessionState {
    /// It was refused, and lingers.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing.is_some()
    }
}

/// A connection that lingers; those of refused clients are counted in this worker.
struct Lingering {
    counted: bool,
}

local! {
    static LINGERING: usize = 0;
}

impl Lingering {
    /// `None` when there are many already.
    fn begin() -> Option<Lingering> {
        let room = LINGERING.with(|count| {
            let room = *count < MOST_LINGERING;
            *count += usize::from(room);
            room
        });
        room.then(|| Lingering { counted: true })
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        LINGERING.with(|count| *count = count.saturating_sub(usize::from(self.counted)));
    }
}

/// nginx-rtmp is about to log an error of a client's connection. Returns whether it may: a client causes as many as it
/// likes. Those of a publisher whose key or token was accepted are for the admin.
pub fn may_log(session: &mut Session, line: &[u8]) -> bool {
    if session.is_from_worker() || runtime::current().is_none() {
        return true;
    }
    let publish = session.known_state().map(|state| &state.publish);
    let is_known = publish.is_some_and(|publish| matches!(publish, Publish::Live(live) if live.authorised));
    is_known || refusal::may_tell(session, Topic::Server(kind_of_line(line)))
}

/// A connection was accepted, or is being made. Returns whether it may go on.
pub fn on_connect(session: &mut Session) -> bool {
    let Some(runtime) = runtime::current().filter(|_| worker::ensure_started()) else { return true };
    if session.is_from_worker() {
        // The socket has a name that others on the machine can find out.
        let workers = runtime.zone().lock(process::pid()).workers();
        return session.peer_pid().is_some_and(|pid| workers.iter().any(|worker| worker.pid == pid));
    }
    if session.is_accepted() {
        runtime.zone().count_accepted();
        session.send_at_once(true);
    }
    outgoing::on_connect(session);
    guard::on_connect(session)
}

/// The handshake is over. Returns whether the connection may go on.
pub fn on_handshake(session: &mut Session) -> bool {
    if let Some(ticket) = session.ticket() {
        push::on_handshake(ticket);
    }
    guard::on_handshake(session);
    true
}

/// A stream is about to be closed, or the connection is going.
pub fn before_close(session: &mut Session) {
    push::end(session);
}

/// The connection is gone.
pub fn on_disconnect(session: &mut Session) {
    if let Some(ticket) = session.ticket() {
        push::on_failed(ticket, session.why_it_ended());
    }
    guests::release(session);
}

/// A stream was closed, or the connection is going: what the session holds is released.
pub fn on_close(session: &mut Session) {
    // The connection goes on: the client itself closed the stream.
    let unpublished = !session.is_ending();
    let Some(state) = session.known_state() else { return };
    // Headers of a publish that never went live are not those of the next one.
    state.early = Early::default();
    let (publish, playing) = (std::mem::take(&mut state.publish), state.playing.take());
    guard::on_close(session);
    publish::release(publish, unpublished);
    if let Some(playing) = playing {
        play::release(&playing);
    }
}

/// A session's timer fired: a refused one has lingered, a waiting one looks again.
pub fn on_timer(session: &mut Session) {
    let Some(state) = session.state() else { return };
    if state.is_closing() {
        return session.close();
    }
    match std::mem::take(&mut state.publish) {
        Publish::Waiting(waiting) => publish::wait(session, *waiting),
        other => state.publish = other,
    }
}

/// Closes a session whose row bears the order.
pub fn close_if_ordered(session: &mut Session) {
    let Some(state) = session.known_state() else { return };
    let publisher = state.publish.is_ordered_to_close();
    if publisher || state.playing.as_ref().is_some_and(Playing::is_ordered_to_close) {
        // The order does not say whether the API, a revoked key or the next publisher gave it.
        let event = if publisher {
            "publisher disconnected by an administrator or a takeover"
        } else {
            "player disconnected by an administrator"
        };
        session.log(Level::Notice, format_args!("{event}, app: \"{}\"", session.app()));
        session.close();
    }
}

/// Closes a session that publishes or plays with a token that is revoked.
pub fn close_if_revoked(session: &mut Session, revoked: &RevokedTokens) {
    let app = session.app().to_owned();
    let Some(state) = session.known_state() else { return };
    let holds = |mark: &TokenMark| revoked.holds_mark(mark, &app);
    let event = if state.publish.token().is_some_and(holds) {
        "publisher disconnected: its token was revoked"
    } else if state.play_tokens.iter().any(holds) {
        "player disconnected: its token was revoked"
    } else {
        return;
    };
    session.log(Level::Notice, format_args!("{event}, app: \"{app}\""));
    session.close();
}

/// Closes a session of a worker that has been draining for longer than `weir_drain_timeout` allows.
pub fn close_if_drained(session: &mut Session, draining_ms: u64) {
    let timeout = session.drain_timeout();
    if timeout.is_some_and(|timeout| draining_ms >= timeout) {
        session.log(
            Level::Notice,
            format_args!("session closed: weir_drain_timeout, app: \"{}\"", session.app()),
        );
        session.close();
    }
}

/// Orders the publishers of these keys to be closed, in whichever worker. Returns how many there are.
pub fn drop_publishers(runtime: &Rc<Runtime>, keys: &HashSet<KeyId>) -> usize {
    let ordered = runtime.zone().lock(process::pid()).order_close_keys(keys);
    worker::follow_orders(runtime);
    ordered
}

/// Closes the connection when the other end had time to read what it was told. What the session holds is
/// released then, as with every close. Where many linger already, it is closed at once: connections are for
/// those who may publish.
fn close_soon(session: &mut Session) {
    let lingering = Lingering::begin();
    match session.state() {
        Some(state) if lingering.is_some() => {
            state.closing = lingering;
            session.arm_timer(LINGER_MS);
        }
        _ => session.close(),
    }
}

/// Lets the target of a push read the last words, and closes the connection.
pub fn linger(session: &mut Session) {
    if let Some(state) = session.state() {
        state.closing = Some(Lingering { counted: false });
    }
    session.arm_timer(GOODBYE_MS);
}
