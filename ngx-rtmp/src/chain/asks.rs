//! `connect`, and the commands for which nginx-rtmp asks a program: `on_connect`, `on_publish` and `on_play`.

use std::ffi::c_void;

use nginx_sys::{NGX_ERROR, NGX_OK, ngx_chain_t, ngx_int_t};

use super::next::NEXT;
use crate::{
    buffers, callback,
    client::{Admission, Ask, ConnectFlow},
    client_log,
    module::Module,
    netcall::{self, Handler},
    relay,
    rtmp_sys::{
        ngx_rtmp_connect_t, ngx_rtmp_handler_pt, ngx_rtmp_header_t, ngx_rtmp_play_t, ngx_rtmp_session_t,
    },
    session::Session,
};

/// Longest `connect` that is read, in bytes. The guard before it accepts less.
const MAX_CONNECT: usize = 1 << 20;
/// Most bytes of an answer that are read: the status and the headers.
const MAX_ANSWER: usize = 8192;
/// An answer that makes nginx-rtmp drop the publisher or player that it had begun.
const NO: &[u8] = b"HTTP/1.0 403 Forbidden\r\n\r\n";

/// Handles the AMF command `connect` before nginx-rtmp logs its values.
pub(super) unsafe extern "C" fn connect_command<M: Module>(
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    command: *mut ngx_chain_t,
) -> ngx_int_t {
    callback::guard("connect", NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx-rtmp calls with a live session and the rest of the message behind its name (ngx_rtmp_amf_message_handler).
        unsafe {
            let next = NEXT.with(|next| next.connect_command);
            match M::on_connect_command(&mut Session::new(session), &buffers::gather(command, MAX_CONNECT)) {
                ConnectFlow::Untouched => hand_on(next, session, header, command),
                ConnectFlow::Rewritten(bytes) => hand_on_bytes(next, session, header, bytes),
                ConnectFlow::Done => NGX_OK as ngx_int_t,
            }
        }
    })
}

/// Hook of the chain `ngx_rtmp_connect`.
pub(super) unsafe extern "C" fn connects<M: Module>(
    session: *mut ngx_rtmp_session_t,
    v: *mut ngx_rtmp_connect_t,
) -> ngx_int_t {
    callback::guard("connect", NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx-rtmp calls with a live session and its own arguments (ngx_rtmp_cmd_connect_init).
        unsafe {
            ask::<M>(session, Ask::Connect, (*v).trans, || {
                NEXT.with(|next| next.connect).map_or(NGX_ERROR as ngx_int_t, |next| next(session, v))
            })
        }
    })
}

/// Calls a chain of nginx-rtmp, in which nginx-rtmp may ask a program. If the chain fails, or the program refuses the client, the module
/// tells the client.
///
/// # Safety
///
/// `session` is alive, and `call` calls the chain of `command` for it.
pub(super) unsafe fn ask<M: Module>(
    session: *mut ngx_rtmp_session_t,
    ask: Ask,
    transaction: f64,
    call: impl FnOnce() -> ngx_int_t,
) -> ngx_int_t {
    // SAFETY: by contract.
    unsafe {
        let mut safe = Session::<M>::new(session);
        let watched = !safe.is_ending() && is_client(&safe);
        let before = netcall::newest(session);
        let outcome = call();
        if !watched {
            return outcome;
        }
        let handler: Handler = match ask {
            Ask::Connect => connect_answered::<M>,
            Ask::Publish => publish_answered::<M>,
            Ask::Play => play_answered::<M>,
        };
        netcall::intercept(session, before, ask, handler);
        if outcome == NGX_ERROR as ngx_int_t { failed(&mut safe, ask, transaction) } else { outcome }
    }
}

/// Returns whether the session is a client of this server, and not another worker or the other end of a relay.
fn is_client<M: Module>(session: &Session<'_, M>) -> bool {
    M::is_on() && session.is_accepted() && !session.is_from_worker()
}

/// Handles a failure of nginx-rtmp's handler. If nginx-rtmp could not ask a program, it has already announced the end of the session.
fn failed<M: Module>(session: &mut Session<'_, M>, ask: Ask, transaction: f64) -> ngx_int_t {
    let asked = session.is_ending();
    session.take_back_end();
    if session.is_ending() {
        return NGX_ERROR as ngx_int_t;
    }
    M::on_failure(session, ask, asked, transaction);
    NGX_OK as ngx_int_t
}

unsafe extern "C" fn connect_answered<M: Module>(
    session: *mut ngx_rtmp_session_t,
    argument: *mut c_void,
    answer: *mut ngx_chain_t,
) -> ngx_int_t {
    // SAFETY: nginx-rtmp calls with a live session and the arguments of the chain (ngx_rtmp_notify_connect).
    unsafe {
        let transaction = argument.cast::<ngx_rtmp_connect_t>().as_ref().map_or(0.0, |connect| connect.trans);
        answered::<M>(session, argument, answer, Ask::Connect, transaction)
    }
}

unsafe extern "C" fn publish_answered<M: Module>(
    session: *mut ngx_rtmp_session_t,
    argument: *mut c_void,
    answer: *mut ngx_chain_t,
) -> ngx_int_t {
    // SAFETY: as in `connect_answered`.
    unsafe { answered::<M>(session, argument, answer, Ask::Publish, 0.0) }
}

unsafe extern "C" fn play_answered<M: Module>(
    session: *mut ngx_rtmp_session_t,
    argument: *mut c_void,
    answer: *mut ngx_chain_t,
) -> ngx_int_t {
    // SAFETY: as in `connect_answered`.
    unsafe { answered::<M>(session, argument, answer, Ask::Play, 0.0) }
}

/// Handles a program's answer. If the program failed to answer, `answer` is null or cut short.
///
/// # Safety
///
/// As for nginx-rtmp's own handler: a live session, and the arguments of its chain.
unsafe fn answered<M: Module>(
    session: *mut ngx_rtmp_session_t,
    argument: *mut c_void,
    answer: *mut ngx_chain_t,
    ask: Ask,
    transaction: f64,
) -> ngx_int_t {
    callback::guard("the answer of a program", NGX_ERROR as ngx_int_t, || {
        // SAFETY: by contract.
        unsafe {
            let Some(theirs) = netcall::theirs(ask) else { return NGX_ERROR as ngx_int_t };
            let mut safe = Session::<M>::new(session);
            let bytes = buffers::gather(answer, MAX_ANSWER);
            let outcome = match M::on_answer(&mut safe, ask, &bytes, transaction) {
                Admission::GoOn => theirs(session, argument, answer),
                Admission::Relay(path) => {
                    let outcome = client_log::hiding(path.into_bytes(), || theirs(session, argument, answer));
                    relay::hide_paths(session);
                    outcome
                }
                Admission::Refused => {
                    // nginx-rtmp drops the publisher or player, so it does not call `on_publish_done` or its siblings for this client.
                    buffers::with_message(&mut NO.to_vec(), |no| theirs(session, argument, no));
                    return NGX_OK as ngx_int_t;
                }
            };
            if outcome == NGX_ERROR as ngx_int_t { failed(&mut safe, ask, transaction) } else { outcome }
        }
    })
}

/// Calls a handler of nginx-rtmp.
///
/// # Safety
///
/// As for a handler of nginx-rtmp.
pub(super) unsafe fn hand_on(
    next: ngx_rtmp_handler_pt,
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    command: *mut ngx_chain_t,
) -> ngx_int_t {
    // SAFETY: by contract.
    next.map_or(NGX_ERROR as ngx_int_t, |next| unsafe { next(session, header, command) })
}

/// Calls a handler of nginx-rtmp with a command that the fence made.
///
/// # Safety
///
/// As for a handler of nginx-rtmp that copies what it reads before it returns (ngx_rtmp_receive_amf).
pub(super) unsafe fn hand_on_bytes(
    next: ngx_rtmp_handler_pt,
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    mut bytes: Vec<u8>,
) -> ngx_int_t {
    // SAFETY: by contract.
    buffers::with_message(&mut bytes, |chain| unsafe { hand_on(next, session, header, chain) })
}

/// Calls the handler of `ngx_rtmp_play` that was there before the hook.
///
/// # Safety
///
/// A live session, and the arguments of nginx-rtmp.
pub(super) unsafe fn play<M: Module>(session: *mut ngx_rtmp_session_t, v: *mut ngx_rtmp_play_t) -> ngx_int_t {
    // SAFETY: by contract.
    unsafe {
        ask::<M>(session, Ask::Play, 0.0, || match NEXT.with(|next| next.play) {
            Some(next) => next(session, v),
            None => NGX_ERROR as ngx_int_t,
        })
    }
}
