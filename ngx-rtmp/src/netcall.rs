//! The answers of programs to `on_connect`, `on_publish` and `on_play`.
//!
//! nginx-rtmp asks the program, and calls a handler of its own when the answer arrives. On a refusal, this handler closes the connection
//! and tells the client no reason. So the fence replaces it by its own handler, which sees the answer first.

use std::{ffi::c_void, ptr};

use nginx_sys::{ngx_chain_t, ngx_int_t, ngx_peer_connection_t, ngx_url_t};

use super::{
    client::Ask,
    rtmp_sys::{self, ngx_rtmp_session_t},
};
use crate::local;

/// ngx_rtmp_netcall_handle_pt.
pub(super) type Handler =
    unsafe extern "C" fn(*mut ngx_rtmp_session_t, *mut c_void, *mut ngx_chain_t) -> ngx_int_t;

/// The beginning of ngx_rtmp_netcall_session_t, which no header of nginx-rtmp has.
#[repr(C)]
pub(super) struct Call {
    session: *mut ngx_rtmp_session_t,
    peer: *mut ngx_peer_connection_t,
    url: *mut ngx_url_t,
    next: *mut Call,
    argument: *mut c_void,
    handler: Option<Handler>,
}

/// ngx_rtmp_netcall_ctx_t.
#[repr(C)]
struct Context {
    calls: *mut Call,
}

local! {
    /// nginx-rtmp's own handlers, one for each command. They never change.
    static HANDLERS: [Option<Handler>; 3] = [None; 3];
}

/// Returns the newest open request of a session to a program, null without one.
///
/// # Safety
///
/// `session` is alive.
pub(super) unsafe fn newest(session: *mut ngx_rtmp_session_t) -> *mut Call {
    let Some(rtmp) = rtmp_sys::rtmp() else { return ptr::null_mut() };
    // SAFETY: by contract; the module's entry is null or its context.
    unsafe {
        let entry = *(*session).ctx.add((*rtmp.ngx_rtmp_netcall_module).ctx_index);
        entry.cast::<Context>().as_ref().map_or(ptr::null_mut(), |context| context.calls)
    }
}

/// Makes the answer to the request that began since `before` go to `handler`. Does nothing if there is no such request, or if its layout
/// differs from the declaration above.
///
/// # Safety
///
/// `session` is alive, and `before` is what [`newest`] said earlier in the same callback.
pub(super) unsafe fn intercept(
    session: *mut ngx_rtmp_session_t,
    before: *mut Call,
    ask: Ask,
    handler: Handler,
) {
    // SAFETY: by contract; a question that is listed is open, with its connection (ngx_rtmp_netcall_create).
    unsafe {
        let call = newest(session);
        if ptr::eq(call, before) || call.is_null() || !ptr::eq((*call).session, session) {
            return;
        }
        let connection = (*call).peer.as_ref().map_or(ptr::null_mut(), |peer| peer.connection);
        let is_its_own = connection.as_ref().is_some_and(|connection| ptr::eq(connection.data.cast(), call));
        if let (true, Some(theirs)) = (is_its_own, (*call).handler)
            && theirs as usize != handler as usize
        {
            HANDLERS.with(|handlers| handlers[ask as usize] = Some(theirs));
            (*call).handler = Some(handler);
        }
    }
}

/// Returns nginx-rtmp's own handler of an answer.
pub(super) fn theirs(ask: Ask) -> Option<Handler> {
    HANDLERS.with(|handlers| handlers[ask as usize])
}
