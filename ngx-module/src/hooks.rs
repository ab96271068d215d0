//! The life of a session: its publish, its play, and its end.

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

/// The module's state of a session.
#[derive(Default)]
pub struct SessionState {
    /// State of its publish.
    pub publish: Publish,
    /// The stream that it plays.
    pub playing: Option<Playing>,
    /// The tokens that it plays with.
    pub play_tokens: Vec<TokenMark>,
    /// Whether its player is a job of the daemon or a pull of this nginx, and so not a viewer.
    pub own_player: bool,
    /// The name of its last `play`, if a log line may show it.
    pub asked: Option<String>,
    /// Its pushes to targets.
    pub pushes: Vec<Push>,
    /// The guard's state, if the guard is on for this session.
    pub guard: Option<Guarded>,
    /// State of a connection that nginx opened.
    pub outgoing: Option<Outgoing>,
    /// Headers that arrived before its stream was live.
    pub(crate) early: Early,
    /// The codecs of its stream that nginx-rtmp does not know.
    pub enhanced: enhanced::Enhanced,
    /// Set after a refusal. The connection stays open until the answer has arrived, and the session can start nothing on it.
    pub(crate) closing: Option<Lingering>,
}

impl SessionState {
    /// Returns the stream that the session publishes or plays, to follow the application in a log line; empty if the name is not a valid
    /// stream name.
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

    /// Returns whether the session was refused, and lingers.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Drops the session's references to the zone.
    pub fn let_go(&mut self) {
        self.publish = Publish::Idle;
        self.playing = None;
        self.pushes.clear();
    }
}

/// Decides whether nginx-rtmp may log an error of a client's connection, because a client can cause any number of them. The errors of a
/// publisher with an accepted key or token are always logged.
pub fn may_log(session: &mut Session, line: &[u8]) -> bool {
    if session.is_from_worker() || runtime::current().is_none() {
        return true;
    }
    let publish = session.known_state().map(|state| &state.publish);
    let is_known = publish.is_some_and(|publish| matches!(publish, Publish::Live(live) if live.authorised));
    is_known || refusal::may_tell(session, Topic::Server(kind_of_line(line)))
}

/// Handles a connection that was accepted or is being opened. Returns whether it may continue.
pub fn on_connect(session: &mut Session) -> bool {
    let Some(runtime) = runtime::current().filter(|_| registration::ensure_started()) else { return true };
    if session.is_from_worker() {
        // Other users of the machine can find out the socket's name, so the peer must be a worker.
        let workers = runtime.zone().lock(process::pid()).workers();
        return session.peer_pid().is_some_and(|pid| workers.iter().any(|worker| worker.pid == pid));
    }
    if session.is_accepted() {
        runtime.zone().count_accepted();
        session.send_at_once(true);
    }
    outgoing::on_connect(session) && guard::on_connect(session)
}

/// Handles the end of the handshake. Returns whether the connection may continue.
pub fn on_handshake(session: &mut Session) -> bool {
    if let Some(ticket) = session.ticket() {
        push::on_handshake(&mut session.all(), ticket);
    }
    guard::on_handshake(session);
    true
}

/// Runs before nginx-rtmp closes a stream, also when the connection ends.
pub fn before_close(session: &mut Session) {
    push::end(session);
}

/// Runs when the connection is gone.
pub fn on_disconnect(session: &mut Session) {
    if let Some(ticket) = session.ticket() {
        let why = session.why_it_ended();
        push::on_failed(&mut session.all(), ticket, why);
    }
    guests::release(session);
}

/// Runs after a stream was closed, also when the connection ends. Releases the session's rows in the zone.
pub fn on_close(session: &mut Session) {
    // The connection continues if the client itself closed the stream.
    let unpublished = !session.is_ending();
    let Some(state) = session.known_state() else { return };
    // The next publish must not get the headers of a publish that never went live.
    state.early = Early::default();
    let (publish, playing) = (std::mem::take(&mut state.publish), state.playing.take());
    guard::on_close(session);
    publish::release(publish, unpublished);
    if let Some(playing) = playing {
        play::release(&playing);
    }
}

/// Runs when a session's timer fires: closes a refused session, or continues a waiting publish.
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

/// Closes a session that publishes or plays with a revoked token.
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

/// Closes a session of a worker that has drained for longer than `weir_drain_timeout` allows.
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
