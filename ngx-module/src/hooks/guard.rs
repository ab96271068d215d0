//! The guard: what would crash, bloat or stall nginx-rtmp is refused before it sees it, and who neither
//! publishes nor plays is sent away.

use ngx_rtmp::{incoming::Passage, sessions::Sessions};
use weir_model::guard::{self, Gate, Violation};

use super::{
    guarded::{Guarded, Standing},
    guests, outgoing,
    violation::{allow, refuse},
};
use crate::{process, runtime, session::Session, settings::AppSettings};

/// A connection begins. Returns whether it may go on.
pub(super) fn on_connect(session: &mut Session) -> bool {
    // The other end of what this server connects to is a stranger whatever `weir_guard` says of clients.
    if session.is_accepted() && !stands_before(session) {
        return true;
    }
    let client = session.is_accepted() && !session.is_from_worker();
    let gate = if client { Gate::accepted() } else { Gate::outgoing() };
    let standing = Standing::new(process::uptime());
    let guarded = Guarded { gate, standing, client, begun: false, publishes: false, name: None, live: false };
    if let Some(state) = session.state() {
        state.guard = Some(guarded);
    }
    if client || !session.is_accepted() {
        session.watch_incoming();
    }
    if !client {
        return true;
    }
    // Behind a proxy the address comes with the first bytes.
    session.is_behind_proxy() || guests::arrive(session)
}

/// The handshake is over.
pub(super) fn on_handshake(session: &mut Session) {
    guests::step(session);
}

/// A message came, of which nothing was looked at yet.
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

/// Whether a client's stream is not live yet, or there is none.
pub(super) fn is_early(session: &mut Session) -> bool {
    let guarded = session.known_state().and_then(|state| state.guard.as_ref());
    guarded.is_some_and(|guarded| guarded.client && !guarded.live)
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

/// Whether the guard stands before a session.
pub(super) fn stands_before(session: &Session) -> bool {
    session.guard_settings().is_some_and(AppSettings::guard)
}

/// Bytes came, before anybody looked at them. Returns whether the connection may go on.
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

/// A message came, of a type that nginx-rtmp does not know. Returns whether the connection may go on.
pub fn on_unknown_kind(session: &mut Session, kind: u8) -> bool {
    on_message(session, kind, std::iter::empty()) != Passage::Close
}

/// A message of which `read` bytes were read now has `length`. Returns whether the connection may go on.
pub fn on_running(session: &mut Session, read: u32, length: u32) -> bool {
    allow(guard::running_message(read, length), session)
}

/// A client says `publish` or `play`, with this name. Returns what is wrong with that.
pub(super) fn on_name(session: &mut Session, raw: &[u8]) -> Option<Violation> {
    let guarded = session.known_state().and_then(|state| state.guard.as_ref());
    guarded.and_then(|_| guard::name(raw).err())
}

/// A client says `publish` where Weir takes keys and tokens out of the name. Returns what is wrong with that.
pub(super) fn on_name_with_credential(session: &mut Session, raw: &[u8]) -> Option<Violation> {
    let guarded = session.known_state().and_then(|state| state.guard.as_ref());
    guarded.and_then(|_| guard::name_with_credential(raw).err())
}

/// A client says `publish` or `play`, with no name that could be read. Returns what is wrong with that:
/// nginx-rtmp would cut it, or take the empty one.
pub(super) fn on_unreadable_name(session: &mut Session) -> Option<Violation> {
    session.known_state().and_then(|state| state.guard.as_ref()).map(|_| Violation::Name)
}

/// Whether a `publish` of a client went through, and its stream was not closed.
pub(super) fn publishes(session: &mut Session) -> bool {
    session.known_state().and_then(|state| state.guard.as_ref()).is_some_and(|guarded| guarded.publishes)
}

/// nginx-rtmp is about to publish what a client sends; `authorised`: for a key or a token.
pub(super) fn on_accepted(session: &mut Session, authorised: bool) {
    if let Some(guarded) = session.known_state().and_then(|state| state.guard.as_mut()) {
        guarded.publishes = true;
    }
    guests::on_publish(session, authorised);
}

/// A stream was closed.
pub(super) fn on_close(session: &mut Session) {
    let Some(guarded) = session.known_state().and_then(|state| state.guard.as_mut()) else { return };
    if std::mem::take(&mut guarded.publishes) {
        guarded.live = false;
        guarded.name = None;
    }
    guests::on_close(session);
}
