//! Headers that a publisher sends before nginx-rtmp has accepted the publish. Weir keeps them, and passes them to nginx-rtmp with the first
//! message of the live stream.

use ngx_rtmp::incoming::Passage;
use weir_model::guard::early::Header;

use super::guard;
use crate::session::Session;

/// Keeps a message of a stream that is not live if it is a codec header or metadata.
pub fn keep<'m>(session: &mut Session, kind: u8, body: impl Iterator<Item = &'m [u8]> + Clone) {
    if let Some(state) = session.known_state().filter(|state| !state.is_closing()) {
        state.early.offer(kind, body);
    }
}

/// Decides on a data message. Metadata of a stream that is not live waits with the codec headers, so that nginx-rtmp gets both in their
/// original order.
pub fn on_data<'m>(session: &mut Session, kind: u8, body: impl Iterator<Item = &'m [u8]> + Clone) -> Passage {
    if !guard::is_early(session) {
        return Passage::Open;
    }
    let nothing_waits = session.known_state().is_none_or(|state| state.early.is_empty());
    if nothing_waits && session.live_name().is_some() {
        return Passage::Open;
    }
    let kept = session.known_state().is_some_and(|state| state.early.offer(kind, body));
    if kept { Passage::Drop } else { Passage::Open }
}

/// Takes the headers that nginx-rtmp must get before a message of a live stream. Usually there are none.
pub fn hand_on(session: &mut Session) -> Vec<Header> {
    session.known_state().map(|state| state.early.take()).unwrap_or_default()
}
