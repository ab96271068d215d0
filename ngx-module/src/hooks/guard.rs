//! The guard. It refuses messages that would crash, bloat or stall nginx-rtmp before nginx-rtmp reads them, and closes connections that
//! neither publish nor play.

use ngx_rtmp::{incoming::Passage, sessions::Sessions};
use weir_model::{
    arguments,
    guard::{self, Gate, Violation},
};

use super::{
    guarded::{Guarded, Standing},
    guests, outgoing,
    violation::{allow, refuse},
};
use crate::{process, runtime, session::Session, settings::AppSettings};

/// Handles a new connection. Returns whether it may continue.
pub(super) fn on_connect(session: &mut Session) -> bool {
    // The other end of a connection that nginx opened is untrusted, even if `weir_guard` is off for clients.
    if session.is_accepted() && !stands_before(session) {
        return true;
    }
    let client = session.is_accepted() && !session.is_from_worker();
    let gate = if client { Gate::accepted() } else { Gate::outgoing() };
    let standing = Standing::new(process::uptime());
    let guarded = Guarded { gate, standing, client, begun: false, publishes: false, name: None, live: false };
    // Without memory for its state, nothing would watch the connection.
    let Some(state) = session.state() else { return false };
    state.guard = Some(guarded);
    if client || !session.is_accepted() {
        session.watch_incoming();
    }
    if !client {
        return true;
    }
    // Behind a proxy, the address comes with the first bytes.
    session.is_behind_proxy() || guests::arrive(session)
}

/// Handles the end of the handshake.
pub(super) fn on_handshake(session: &mut Session) {
    guests::step(session);
}

/// Judges a message before any other handler has read it.
pub fn on_message<'m>(
    session: &mut Session,
    kind: u8,
    body: impl Iterator<Item = &'m [u8]> + Clone,
) -> Passage {
    let connected = session.is_connected();
    let admitted = outgoing::admits(session, kind, body.clone());
    let Some(state) = session.known_state() else { return Passage::Open };
    if state.is_closing() {
        return Passage::Drop;
    }
    let Some(guarded) = &mut state.guard else { return Passage::Open };
    if !admitted {
        return Passage::Drop;
    }
    let verdict = guarded.gate.message(connected, kind, body);
    let verdict =
        if guard::is_media(kind) { verdict } else { verdict.and_then(|()| guests::on_message(session)) };
    match verdict {
        Ok(()) => {
            if guard::is_command(kind) {
                guests::step(session);
            }
            Passage::Open
        }
        Err(violation) => {
            refuse(session, violation);
            Passage::Close
        }
    }
}

/// Judges audio or video. Returns whether nginx-rtmp's handlers may see it. HLS and DASH would write it even before nginx-rtmp sends
/// `Publish.Start` and after the stream was closed, when the files may belong to another publisher. `content`: the message has audio or a
/// frame, so the publisher is not idle.
pub(super) fn on_media(session: &mut Session, content: bool) -> bool {
    let Some(guarded) = session.known_state().and_then(|state| state.guard.as_mut()) else { return true };
    if !guarded.client {
        return true;
    }
    if !guarded.publishes {
        return false;
    }
    let live = guarded.live;
    if content {
        guests::on_media(session);
    }
    if live {
        return true;
    }
    let live = !session.has_live_streams() || session.is_live();
    if let Some(guarded) = session.known_state().and_then(|state| state.guard.as_mut()) {
        guarded.live = live;
    }
    live
}

/// Returns whether a client's stream is not live yet, or the client has none.
pub(super) fn is_early(session: &mut Session) -> bool {
    let guarded = session.known_state().and_then(|state| state.guard.as_ref());
    guarded.is_some_and(|guarded| guarded.client && !guarded.live)
}

/// Judges a client's `publish` if nginx-rtmp alone handles names. Returns the violation: two publishers that write files with one name
/// would stop the worker.
pub(super) fn on_free_publish(session: &mut Session, raw: &[u8]) -> Option<Violation> {
    let guarded = session.known_state().and_then(|state| state.guard.as_ref())?;
    if guarded.publishes {
        return Some(Violation::SecondPublish);
    }
    let name = String::from_utf8_lossy(arguments::name_bytes(raw));
    let app = session.app().to_owned();
    if session.settings().is_some_and(|settings| is_live(&mut session.all(), settings, &app, &name)) {
        return Some(Violation::Duplicate);
    }
    let guarded = session.known_state().and_then(|state| state.guard.as_mut())?;
    guarded.name = Some(name.into_owned());
    None
}

fn is_live(sessions: &mut Sessions<'_>, settings: &AppSettings, app: &str, name: &str) -> bool {
    let is_same = |other: &mut Session| {
        let guarded = other.known_state().and_then(|state| state.guard.as_ref());
        let same = guarded.is_some_and(|guarded| guarded.publishes && guarded.name.as_deref() == Some(name));
        same && other.app() == app && other.settings().is_some_and(|other| settings.excludes(other))
    };
    let here = sessions.find(is_same, |_| ());
    let (server, folders) = (&settings.server, &settings.folders);
    here.is_some()
        || runtime::current().is_some_and(|runtime| {
            runtime.zone().lock(process::pid()).occupant(server, folders, app, name, process::alive).is_some()
        })
}

/// Returns whether the guard is on for a session.
pub(super) fn stands_before(session: &Session) -> bool {
    session.guard_settings().is_some_and(AppSettings::guard)
}

/// Judges bytes before anything else has read them. Returns whether the connection may continue.
pub fn on_bytes(session: &mut Session, bytes: usize) -> bool {
    if !session.is_accepted() {
        let outcome = outgoing::on_bytes(session, bytes);
        return allow(outcome, session);
    }
    let connected = session.is_connected();
    let Some(guarded) = session.known_state().and_then(|state| state.guard.as_mut()) else { return true };
    let outcome = guarded.gate.received(connected, bytes);
    allow(outcome, session)
}

/// Judges a message of a type that nginx-rtmp does not know. Returns whether the connection may continue.
pub fn on_unknown_kind(session: &mut Session, kind: u8) -> bool {
    on_message(session, kind, std::iter::empty()) != Passage::Close
}

/// Judges a message whose header changed its length to `length` after `read` bytes were read. Returns whether the connection may continue.
pub fn on_running(session: &mut Session, read: u32, length: u32) -> bool {
    allow(guard::running_message(read, length), session)
}

/// Judges the name of a client's `publish` or `play`. Returns the violation.
pub(super) fn on_name(session: &mut Session, raw: &[u8]) -> Option<Violation> {
    let guarded = session.known_state().and_then(|state| state.guard.as_ref());
    guarded.and_then(|_| guard::name(raw).err())
}

/// Judges the name of a client's `publish` if Weir removes keys and tokens from the name. Returns the violation.
pub(super) fn on_name_with_credential(session: &mut Session, raw: &[u8]) -> Option<Violation> {
    let guarded = session.known_state().and_then(|state| state.guard.as_ref());
    guarded.and_then(|_| guard::name_with_credential(raw).err())
}

/// Judges a client's `publish` or `play` whose name cannot be read. Returns the violation: nginx-rtmp would cut the name, or use an empty
/// one.
pub(super) fn on_unreadable_name(session: &mut Session) -> Option<Violation> {
    session.known_state().and_then(|state| state.guard.as_ref()).map(|_| Violation::Name)
}

/// Returns whether a client's `publish` succeeded, and its stream is not closed.
pub(super) fn publishes(session: &mut Session) -> bool {
    session.known_state().and_then(|state| state.guard.as_ref()).is_some_and(|guarded| guarded.publishes)
}

/// Notes that nginx-rtmp is about to publish a client's stream; `authorised`: the client has a key or a token.
pub(super) fn on_accepted(session: &mut Session, authorised: bool) {
    if let Some(guarded) = session.known_state().and_then(|state| state.guard.as_mut()) {
        guarded.publishes = true;
    }
    guests::on_publish(session, authorised);
}

/// Notes that a stream was closed.
pub(super) fn on_close(session: &mut Session) {
    let Some(guarded) = session.known_state().and_then(|state| state.guard.as_mut()) else { return };
    if std::mem::take(&mut guarded.publishes) {
        guarded.live = false;
        guarded.name = None;
    }
    guests::on_close(session);
}
