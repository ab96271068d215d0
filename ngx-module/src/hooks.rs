//! The life of a session: what it publishes, what it plays, and its end.

pub mod admission;
pub mod connect;
pub mod early;
pub mod enhanced;
pub mod guard;
pub mod guarded;
pub mod guests;
pub mod lingering;
pub mod live;
pub mod media;
pub mod message;
pub mod outgoing;
pub mod play;
pub mod publish;
pub mod publishing;
mod refusal;
mod secrets;
pub mod spread;
pub mod violation;

use ngx_rtmp::log::Level;
use weir_model::{
    StreamName,
    guard::early::Early,
    refusal::{Topic, kind_of_line},
    token::{RevokedTokens, TokenMark},
};

use crate::{
    process,
    push::{self, Push},
    registration, runtime,
    session::{Session, SessionExt as _},
};
use guarded::Guarded;
use lingering::Lingering;
use outgoing::Outgoing;
use play::Playing;
use publishing::Publish;
pub use refusal::log_summary;

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
    pub(crate) early: Early,
    /// What it publishes, where nginx-rtmp does not know the codecs.
    pub enhanced: enhanced::Enhanced,
    /// It was refused: the connection lingers for the answer to arrive, and nothing begins on it.
    pub(crate) closing: Option<Lingering>,
}

impl SessionState {
    /// The stream that it publishes or plays, to follow the application in a line of the log; nothing where its name may be anything.
    #[must_use]
    pub fn stream_for_log(&self) -> String {
        let name = match (&self.publish, &self.playing) {
            (Publish::Live(live), _) => Some(live.name()),
            (_, Some(playing)) => Some(playing.name.as_str()),
            _ => None,
        };
        let name = name.and_then(|name| StreamName::parse(name.as_bytes()).ok());
        name.map(|name| format!(", stream: \"{name}\"")).unwrap_or_default()
    }

    /// It was refused, and lingers.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// It holds nothing of the zone any more.
    pub fn let_go(&mut self) {
        self.publish = Publish::Idle;
        self.playing = None;
        self.pushes.clear();
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
    let Some(runtime) = runtime::current().filter(|_| registration::ensure_started()) else { return true };
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
        push::on_handshake(&mut session.all(), ticket);
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
        let why = session.why_it_ended();
        push::on_failed(&mut session.all(), ticket, why);
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
    let stream = state.stream_for_log();
    session.log(Level::Notice, format_args!("{event}, app: \"{app}\"{stream}"));
    session.close();
}

/// Closes a session of a worker that has been draining for longer than `weir_drain_timeout` allows.
pub fn close_if_drained(session: &mut Session, draining_ms: u64) {
    let timeout = session.drain_timeout();
    if timeout.is_some_and(|timeout| draining_ms >= timeout) {
        let stream = session.known_state().map(|state| state.stream_for_log()).unwrap_or_default();
        session.log(
            Level::Notice,
            format_args!("session closed: weir_drain_timeout, app: \"{}\"{stream}", session.app()),
        );
        session.close();
    }
}
