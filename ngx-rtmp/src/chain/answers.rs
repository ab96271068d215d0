//! Answers of the other end of a connection that nginx opened, before nginx-rtmp's relay reads them.
//!
//! nginx-rtmp reads an answer strictly, and closes the connection if a value has an unexpected type. It needs only the transaction number
//! of a `_result`, so the fence passes it an answer with that number and nothing else.

use nginx_sys::{NGX_ERROR, NGX_OK, ngx_chain_t, ngx_int_t};
use weir_rtmp::{amf0, status::Status};

use super::{asks, next::NEXT};
use crate::{
    buffers, callback,
    module::Module,
    push::Answered,
    rtmp_sys::{ngx_rtmp_header_t, ngx_rtmp_session_t},
    session::Session,
    sessions::Sessions,
};

/// Transactions of nginx-rtmp's relay (NGX_RTMP_RELAY_CONNECT_TRANS, NGX_RTMP_RELAY_CREATE_STREAM_TRANS).
const CONNECT: u32 = 1;
const CREATE_STREAM: u32 = 2;

/// Handles `_result`, the answer to `connect` and to `createStream`, once for each.
pub(super) unsafe extern "C" fn result<M: Module>(
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    message: *mut ngx_chain_t,
) -> ngx_int_t {
    callback::guard("the answer of a server", NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx-rtmp calls with a live session and the rest of the message behind its name (ngx_rtmp_amf_message_handler).
        let (mut safe, values) = unsafe { (Session::<M>::new(session), values::<M>(message)) };
        if !safe.is_relay() {
            return NGX_OK as ngx_int_t;
        }
        let ticket = safe.ticket();
        let number = match M::on_result(&mut safe, transaction(&values)) {
            Answered::Connect => CONNECT,
            Answered::CreateStream => CREATE_STREAM,
            Answered::Publish => {
                if let Some(ticket) = ticket {
                    let Status { level, code, description } = Status::read(&values);
                    let level = if code.is_empty() && level.is_empty() { "status".to_owned() } else { level };
                    M::on_status(&mut safe.all(), ticket, &level, &code, &description);
                }
                return NGX_OK as ngx_int_t;
            }
            Answered::Nothing => return NGX_OK as ngx_int_t,
        };
        let mut writer = amf0::Writer::new();
        writer.number(number.into()).null().begin_object().end();
        let next = NEXT.with(|next| next.result);
        // SAFETY: a live session; the handler copies the values before it returns (ngx_rtmp_receive_amf).
        let outcome = buffers::with_message(&mut writer.into_bytes(), |chain| unsafe {
            asks::hand_on(next, session, header, chain)
        });
        if let (CREATE_STREAM, Some(ticket)) = (number, ticket) {
            if !safe.gather() {
                safe.send_at_once(false);
            }
            M::on_sending(&mut safe.all(), ticket);
        }
        outcome
    })
}

/// Handles `onStatus`, which nginx-rtmp's relay ignores.
pub(super) unsafe extern "C" fn status<M: Module>(
    session: *mut ngx_rtmp_session_t,
    _header: *mut ngx_rtmp_header_t,
    message: *mut ngx_chain_t,
) -> ngx_int_t {
    // SAFETY: nginx-rtmp calls with a live session and the rest of the message behind its name (ngx_rtmp_amf_message_handler).
    unsafe {
        hear::<M>(session, message, |sessions, ticket, says| {
            M::on_status(sessions, ticket, &says.level, &says.code, &says.description);
        })
    }
}

/// Handles `_error`, which nginx-rtmp's relay ignores too.
pub(super) unsafe extern "C" fn error<M: Module>(
    session: *mut ngx_rtmp_session_t,
    _header: *mut ngx_rtmp_header_t,
    message: *mut ngx_chain_t,
) -> ngx_int_t {
    // SAFETY: as in `status`.
    unsafe {
        hear::<M>(session, message, |sessions, ticket, says| {
            M::on_error(sessions, ticket, &says.code, &says.description)
        })
    }
}

/// # Safety
///
/// As for a handler of nginx-rtmp.
unsafe fn hear<M: Module>(
    session: *mut ngx_rtmp_session_t,
    message: *mut ngx_chain_t,
    hear: fn(&mut Sessions<'_>, u64, &Status),
) -> ngx_int_t {
    callback::guard("the answer of a target", NGX_OK as ngx_int_t, || {
        // SAFETY: by contract.
        let (mut session, values) = unsafe { (Session::<M>::new(session), values::<M>(message)) };
        if let Some(ticket) = session.ticket() {
            hear(&mut session.all(), ticket, &Status::read(&values));
        }
        NGX_OK as ngx_int_t
    })
}

/// Returns the values after the name of an answer; nothing if the answer is longer than `MAX_ANSWER`.
///
/// # Safety
///
/// `message` is null or a chain of buffers in memory.
unsafe fn values<M: Module>(message: *mut ngx_chain_t) -> Vec<u8> {
    // SAFETY: by contract.
    unsafe { buffers::flatten(message, M::MAX_ANSWER) }.unwrap_or_default()
}

/// Returns the number of the command that an answer belongs to. Some services send the number as text.
fn transaction(values: &[u8]) -> Option<f64> {
    let mut reader = amf0::Reader::new(values);
    reader.number().ok().or_else(|| std::str::from_utf8(reader.string().ok()?).ok()?.trim().parse().ok())
}
