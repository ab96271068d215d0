//! A refusal: told to the client, logged without letting a guesser fill the log, and the connection closed.

use std::net::Ipv6Addr;

use serde_json::json;
use weir_model::{ClientAddr, Refusal, network, throttle::LogLine};

use super::{close_soon, publish::Flow};
use crate::{
    ffi::{
        log::{self, Level},
        process,
        session::Session,
    },
    runtime,
};

/// Tells the publisher why, logs it, and closes the connection a moment later, so that the answer arrives.
pub(super) fn refuse(session: &mut Session, refusal: Refusal) -> Flow {
    log_refusal(session, refusal);
    session.send_status(refusal.status_code(), "error", &refusal.to_string());
    close_soon(session);
    Flow::Done
}

fn log_refusal(session: &Session, refusal: Refusal) {
    if refusal.is_wrong_key()
        && let (ClientAddr::Ip(addr), Some(runtime)) = (session.client(), runtime::current())
    {
        let bucket = network::attempt_bucket(addr);
        match runtime.zone.lock(process::pid()).wrong_key(bucket, process::now()) {
            LogLine::Each => {}
            LogLine::Silent => return,
            LogLine::Summary { unlogged } => log_summary(bucket, unlogged),
        }
    }
    if let Some(runtime) = runtime::current() {
        let data = json!({
            "server": session.server(), "app": session.app(), "reason": refusal.label(), "addr": session.addr(),
        });
        runtime.zone.lock(process::pid()).push_event("publish.denied", &data.to_string(), process::now());
    }
    let (reason, more) = refusal.log_parts();
    session.log(Level::Error, format_args!("publish refused: {reason}, app: \"{}\"{more}", session.app()));
}

/// One line for the wrong keys of an address that were not logged each.
pub fn log_summary(bucket: [u8; 16], unlogged: u32) {
    let client = client_of(bucket);
    log::cycle(
        Level::Error,
        format_args!("publish refused: unknown key, {unlogged} more times, client: {client}"),
    );
}

/// The address or network that refusals are counted for (`network::attempt_bucket`).
pub(super) fn client_of(bucket: [u8; 16]) -> String {
    let addr = Ipv6Addr::from(bucket);
    match addr.to_ipv4_mapped() {
        Some(v4) => v4.to_string(),
        None if addr.is_unspecified() => "unix:".to_owned(),
        None => format!("{addr}/64"),
    }
}
