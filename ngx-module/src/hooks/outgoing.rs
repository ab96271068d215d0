//! Connections that nginx opened itself, to push or to pull. The other end is untrusted, and needs to send only a few messages.

use weir_model::{
    ServerAddr, Timestamp, client,
    guard::{
        self as model, Violation, deadline, guest,
        outgoing::{self, Answered, Balance, Exchange, Role},
    },
};

use super::violation::{allow, refuse};
use crate::{process, runtime, session::Session, session::SessionExt as _};

/// State of such a connection.
pub struct Outgoing {
    exchange: Exchange,
    balance: Balance,
    since: Timestamp,
}

/// Creates this state for a connection that nginx is opening; does nothing for an accepted connection. Returns whether the connection may
/// continue: without memory for its state, nothing would watch it.
pub(super) fn on_connect(session: &mut Session) -> bool {
    if session.is_accepted() {
        return true;
    }
    let (exchange, balance, since) = (Exchange::default(), Balance::default(), process::uptime());
    let Some(state) = session.state() else { return false };
    state.outgoing = Some(Outgoing { exchange, balance, since });
    true
}

/// Returns whether the other end may send this message.
pub(super) fn admits<'m>(session: &Session, kind: u8, body: impl Iterator<Item = &'m [u8]>) -> bool {
    session.is_accepted() || outgoing::admits(session.role(), kind, body)
}

/// Judges incoming bytes. Returns the violation.
pub(super) fn on_bytes(session: &mut Session, bytes: usize) -> Result<(), Violation> {
    let (pulls, sent) = (session.role() == Role::Pull, session.bytes_out());
    match session.known_state().and_then(|state| state.outgoing.as_mut()) {
        // A pull receives a stream, so its bytes are not limited.
        Some(outgoing) if !(pulls && outgoing.exchange == Exchange::Begun) => {
            outgoing.balance.received(bytes, sent)
        }
        _ => Ok(()),
    }
}

/// Judges the length of the longest message that is being read. Returns whether the connection may continue.
pub fn on_length(session: &mut Session, length: u32) -> bool {
    session.role() == Role::Pull || allow(outgoing::length(length), session)
}

/// Returns the chunk size to read with when the other end announces `size`.
pub fn chunk_size(session: &Session, size: u32) -> u32 {
    let push = !session.is_accepted() && session.role() == Role::Push;
    let longest = if push { outgoing::MAX_ANSWER.into() } else { session.max_message() };
    model::chunk_size(size, longest)
}

/// Handles `_result` of the other end with this transaction number. Returns the command that it answers.
pub fn on_result(session: &mut Session, transaction: Option<f64>) -> Answered {
    let outgoing = session.known_state().and_then(|state| state.outgoing.as_mut());
    let answered = outgoing.map_or(Answered::Nothing, |outgoing| outgoing.exchange.result(transaction));
    if answered == Answered::CreateStream && session.role() == Role::Pull {
        show_own_pull(session);
    }
    answered
}

/// Adds a ticket to the name that a pull is about to request, if it pulls from this same nginx. Weir then does not count it as a viewer.
fn show_own_pull(session: &mut Session) {
    let (Some(runtime), Some(ends)) = (runtime::current(), session.ends()) else { return };
    let own =
        runtime.servers.iter().flat_map(|block| block.server.addresses()).filter_map(ServerAddr::socket);
    if ends.lead_to(own) {
        let ticket = client::ticket_of_pull(&runtime.zone().pull_secret(), ends.near, ends.far);
        session.add_play_argument(&format!("{}={}", client::TICKET_ARGUMENT, ticket.expose()));
    }
}

/// Runs once per second. Closes a connection if the other end has not answered in time. A push to a target has deadlines of its own.
pub fn check_deadline(session: &mut Session) {
    let is_targets = session.ticket().is_some();
    let Some(settings) = session.guard_settings() else { return };
    let Some(state) = session.known_state().filter(|state| state.guard.is_some() && !is_targets) else {
        return;
    };
    let Some(outgoing) = state.outgoing.as_ref().filter(|it| it.exchange != Exchange::Begun) else { return };
    if let Some(violation) =
        deadline::overdue(guest::Role::Arriving, outgoing.since, process::uptime(), &settings.limits(), false)
    {
        refuse(session, violation);
        session.close();
    }
}
