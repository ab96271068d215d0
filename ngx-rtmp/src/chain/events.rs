//! Hooks for messages and connections, which run before nginx-rtmp's own modules.

use nginx_sys::{NGX_DONE, NGX_ERROR, NGX_OK, ngx_chain_t, ngx_int_t};

use crate::{
    callback, client_log, codec_header, gop,
    incoming::Passage,
    merge,
    message::{Message, NGX_RTMP_MSG_AUDIO, NGX_RTMP_MSG_VIDEO},
    module::Module,
    outgoing, relay,
    rtmp_sys::{ngx_rtmp_header_t, ngx_rtmp_session_t},
    session::Session,
    sessions,
};

/// Handles a message of any kind.
pub(super) unsafe extern "C" fn message<M: Module>(
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    message: *mut ngx_chain_t,
) -> ngx_int_t {
    callback::guard("a message", NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx-rtmp calls with a live session, the message's header and its buffers, at which nobody looks
        // meanwhile (ngx_rtmp_receive_message).
        let (mut session, mut message) = unsafe { (Session::new(session), Message::new(header, message)) };
        let passage = M::on_message(&mut session, &mut message);
        if matches!(passage, Passage::Open) && is_media(message.kind()) {
            gop::serve_pending::<M>();
        }
        code(passage)
    })
}

fn is_media(kind: u8) -> bool {
    [NGX_RTMP_MSG_AUDIO, NGX_RTMP_MSG_VIDEO].contains(&u32::from(kind))
}

/// Runs after all other handlers of a video message.
pub(super) unsafe extern "C" fn after_video<M: Module>(
    session: *mut ngx_rtmp_session_t,
    _header: *mut ngx_rtmp_header_t,
    _message: *mut ngx_chain_t,
) -> ngx_int_t {
    // SAFETY: nginx-rtmp calls with a live session, after `message` for the same message.
    callback::guard("the end of a message", (), || unsafe { codec_header::take_back::<M>(session) });
    NGX_OK as ngx_int_t
}

/// Returns nginx-rtmp's code for a passage: others may see the message, nobody may see it, or it ends the connection.
fn code(passage: Passage) -> ngx_int_t {
    match passage {
        Passage::Open => NGX_OK as ngx_int_t,
        Passage::Drop => NGX_DONE as ngx_int_t,
        Passage::Close => NGX_ERROR as ngx_int_t,
    }
}

/// Runs when a connection was accepted or is being opened, before any handler of nginx-rtmp.
pub(super) unsafe extern "C" fn arrived<M: Module>(
    session: *mut ngx_rtmp_session_t,
    _header: *mut ngx_rtmp_header_t,
    _message: *mut ngx_chain_t,
) -> ngx_int_t {
    sessions::enroll(session);
    // SAFETY: nginx-rtmp calls with a live session (ngx_rtmp_fire_event).
    let session = unsafe { Session::<M>::new(session) };
    callback::guard("a connection", (), || client_log::watch(&session));
    NGX_OK as ngx_int_t
}

/// Like [`arrived`], but after nginx-rtmp has counted the connection.
pub(super) unsafe extern "C" fn connected<M: Module>(
    session: *mut ngx_rtmp_session_t,
    _header: *mut ngx_rtmp_header_t,
    _message: *mut ngx_chain_t,
) -> ngx_int_t {
    let may = callback::guard("a connection", false, || {
        // SAFETY: nginx-rtmp calls with a live session (ngx_rtmp_fire_event).
        M::on_connect(&mut unsafe { Session::new(session) })
    });
    if may { NGX_OK as ngx_int_t } else { NGX_ERROR as ngx_int_t }
}

/// Runs after the handshake, when the client's address is known even behind a proxy.
pub(super) unsafe extern "C" fn shook_hands<M: Module>(
    session: *mut ngx_rtmp_session_t,
    _header: *mut ngx_rtmp_header_t,
    _message: *mut ngx_chain_t,
) -> ngx_int_t {
    let may = callback::guard("a handshake", false, || {
        // SAFETY: nginx-rtmp calls with a live session (ngx_rtmp_fire_event).
        M::on_handshake(&mut unsafe { Session::new(session) })
    });
    if may { NGX_OK as ngx_int_t } else { NGX_ERROR as ngx_int_t }
}

/// Runs when a session ends, before all other handlers, because an error in one of them would stop the event.
pub(super) unsafe extern "C" fn disconnected<M: Module>(
    session: *mut ngx_rtmp_session_t,
    _header: *mut ngx_rtmp_header_t,
    _message: *mut ngx_chain_t,
) -> ngx_int_t {
    sessions::dismiss(session);
    merge::forget(session);
    gop::forget(session);
    // SAFETY: nginx-rtmp calls with a session that is freed after this (ngx_rtmp_close_session_handler).
    callback::guard("the end of a session", (), || unsafe {
        M::before_close(&mut Session::new(session));
        relay::forget(session);
        codec_header::forget::<M>(session);
        M::on_disconnect(&mut Session::new(session));
        outgoing::forget(session);
    });
    NGX_OK as ngx_int_t
}
