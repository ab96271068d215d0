//! Refusals. Weir tells the client the reason, logs it without letting an attacker fill the log, and closes the connection.

use std::net::Ipv6Addr;

use ngx_rtmp::{
    log::{self, Level},
    module::PublishFlow as Flow,
};
use weir_model::{
    ClientAddr, Refusal,
    event::{Denied, Event},
    network,
    refusal::{RefusedCommand, Topic},
    throttle::LogLine,
};
use weir_zone::Summary;

use super::{lingering::close_soon, publishing::Publish};
use crate::{process, runtime, session::Session, session::SessionExt as _};

/// Tells the publisher the reason, logs it, and closes the connection a moment later, so that the answer arrives.
pub(super) fn refuse(session: &mut Session, refusal: Refusal) -> Flow {
    refuse_command(session, RefusedCommand::Publish, refusal, 0.0);
    Flow::Done
}

/// Like [`refuse`], for any command. A `connect` gets an answer with its transaction number, and a status, as other servers do.
pub(super) fn refuse_command(
    session: &mut Session,
    command: RefusedCommand,
    refusal: Refusal,
    transaction: f64,
) {
    log_refusal(session, command, refusal);
    let (code, reason) = (refusal.code(command), refusal.to_string());
    if command == RefusedCommand::Connect {
        session.send_connect_error(transaction, code, &reason);
    }
    session.send_status(code, "error", &reason);
    close_soon(session);
}

fn log_refusal(session: &mut Session, command: RefusedCommand, refusal: Refusal) {
    let Some(runtime) = runtime::current() else { return };
    if command == RefusedCommand::Publish {
        runtime.zone().count_refusal(refusal.index());
    }
    if !may_tell(session, Topic::Refused(command, refusal)) {
        return;
    }
    if command != RefusedCommand::Play {
        tell(session, &Event::PublishDenied(denied(session, refusal.label())));
    }
    let (reason, more) = refusal.log_parts();
    let stream = session.known_state().and_then(|state| match (command, &state.publish) {
        (RefusedCommand::Play, _) => state.asked.as_deref(),
        (_, Publish::Live(live)) => Some(live.name()),
        (RefusedCommand::Publish, _) if refusal.is_of_a_name() => state.asked.as_deref(),
        _ => None,
    });
    let stream = stream.map(|name| format!(", stream: \"{name}\"")).unwrap_or_default();
    let app = match session.app() {
        "" => String::new(),
        app => format!(", app: \"{app}\""),
    };
    session.log(Level::Error, format_args!("{} refused: {reason}{app}{stream}{more}", command.as_str()));
}

/// Counts an event that a client caused. Returns whether to log it separately and not only in a sum: a few lines per minute for each
/// address and topic.
pub(super) fn may_tell(session: &Session, topic: Topic) -> bool {
    let Some(runtime) = runtime::current() else { return true };
    let bucket = bucket_of(session);
    match runtime.zone().lock(process::pid()).refusal(bucket, topic.index(), process::now()) {
        LogLine::Each => true,
        LogLine::Silent => false,
        LogLine::Summary { unlogged } => {
            log_summary(&Summary { bucket, reason: topic.index(), unlogged });
            true
        }
    }
}

/// Reports a refusal as an event, within the address's share of events.
pub(super) fn tell(session: &Session, event: &Event) {
    if let Some(runtime) = runtime::current() {
        let zone = runtime.zone().lock(process::pid());
        zone.push_refusal(event, bucket_of(session), process::now());
    }
}

/// Returns the fields of the event of a refusal.
pub(super) fn denied(session: &Session, reason: &str) -> Denied {
    Denied {
        addr: session.addr(),
        app: session.app().to_owned(),
        reason: reason.to_owned(),
        server: session.server().to_string(),
    }
}

/// Returns the address bucket that the other end is counted for.
pub(super) fn bucket_of(session: &Session) -> [u8; 16] {
    match session.client() {
        ClientAddr::Ip(addr) => network::attempt_bucket(addr),
        ClientAddr::Unix => [0; 16],
    }
}

/// Logs one line for the refusals of an address that were not logged separately.
pub fn log_summary(summary: &Summary) {
    let (words, more) = (Topic::words(summary.reason), summary.unlogged);
    let client = client_of(summary.bucket);
    log::cycle(Level::Error, format_args!("{words}, {more} more times, client: {client}"));
}

/// Returns the address or network that refusals are counted for (`network::attempt_bucket`).
pub(super) fn client_of(bucket: [u8; 16]) -> String {
    let addr = Ipv6Addr::from(bucket);
    match addr.to_ipv4_mapped() {
        Some(v4) => v4.to_string(),
        None if addr.is_unspecified() => "unix:".to_owned(),
        None => format!("{addr}/64"),
    }
}
