//! Answers that the module makes while nginx sends them. The module makes a piece when nginx has sent the piece before, and nginx handles
//! other events between two pieces.

use std::{collections::BTreeMap, ffi::c_void};

use nginx_sys::{
    NGX_ERROR, NGX_HTTP_REQUEST_TIME_OUT, NGX_OK, ngx_add_timer, ngx_connection_t, ngx_del_timer,
    ngx_event_t, ngx_handle_write_event, ngx_http_cleanup_add, ngx_http_core_loc_conf_t,
    ngx_http_core_module, ngx_http_finalize_request, ngx_http_output_filter, ngx_http_request_t,
    ngx_http_run_posted_requests, ngx_http_send_header, ngx_http_test_reading, ngx_int_t,
};

use super::{callback, log, outlet::Outlet, slots};
use crate::local;

const FAILED: ngx_int_t = NGX_ERROR as ngx_int_t;

/// Milliseconds until the next piece, so that the event loop handles other events first.
const TURN_MS: usize = 1;

/// An answer that the module makes piece by piece.
pub struct Pieces {
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Returns the next piece of the body; `None` after the last piece.
    pub next: Box<dyn FnMut() -> Option<String>>,
}

/// An unfinished answer. `event` comes first, because `on_time` casts the event to the sender.
#[repr(C)]
struct Sender {
    event: ngx_event_t,
    request: *mut ngx_http_request_t,
    outlet: Outlet,
    pieces: Pieces,
}

local! {
    /// The unfinished answers, each with the box that `begin` leaked. The gate uses the module's place in a request's `ctx`.
    static SENDERS: BTreeMap<*mut ngx_http_request_t, *mut Sender> = BTreeMap::new();
}

impl Drop for Sender {
    fn drop(&mut self) {
        if self.event.timer_set() != 0 {
            // SAFETY: the event is in the timer tree, where `go_on` put it (ngx_event_add_timer).
            unsafe { ngx_del_timer(&raw mut self.event) };
        }
    }
}

/// Begins an answer. Returns the code to finalize the request with, if the request ends here.
///
/// # Safety
///
/// `r` is alive, its body was read, and its headers are set but not sent.
pub(super) unsafe fn begin(r: *mut ngx_http_request_t, pieces: Pieces) -> Option<ngx_int_t> {
    // SAFETY: by contract. The sender is boxed, and goes with the request, see `ended`.
    unsafe {
        (*r).headers_out.content_length_n = -1;
        let cleanup = ngx_http_cleanup_add(r, 0);
        if cleanup.is_null() {
            return Some(FAILED);
        }
        let sent = ngx_http_send_header(r);
        if sent != NGX_OK as ngx_int_t || (*r).header_only() != 0 {
            return Some(sent);
        }
        let Some(outlet) = Outlet::new(r) else { return Some(FAILED) };
        let mut sender = Box::new(Sender { event: std::mem::zeroed(), request: r, outlet, pieces });
        // nginx's debug log reads a connection behind `data`.
        sender.event.data = (*r).connection.cast();
        sender.event.log = (*(*r).connection).log;
        sender.event.handler = Some(on_time);
        SENDERS.with(|senders| senders.insert(r, Box::into_raw(sender)));
        (*cleanup).handler = Some(ended);
        (*cleanup).data = r.cast();
        (*r).read_event_handler = Some(ngx_http_test_reading);
        (*r).write_event_handler = Some(writable);
        go_on(r);
    }
    None
}

/// Returns the sender of a request, null without one.
fn sender(r: *mut ngx_http_request_t) -> *mut Sender {
    SENDERS.with(|senders| senders.get(&r).copied()).unwrap_or(std::ptr::null_mut())
}

/// Runs when the request ends, for any reason.
unsafe extern "C" fn ended(r: *mut c_void) {
    callback::guard("end of an answer", (), || forget(r.cast()));
}

fn forget(r: *mut ngx_http_request_t) {
    if let Some(sender) = SENDERS.with(|senders| senders.remove(&r)) {
        // SAFETY: the box that `begin` leaked. It has left the list, so it is freed once, and its timer with it (ngx_event_del_timer).
        drop(unsafe { Box::from_raw(sender) });
    }
}

unsafe fn finish(r: *mut ngx_http_request_t, outcome: ngx_int_t) {
    // SAFETY: a live request; what is left to send is nginx's own business (ngx_http_finalize_request).
    unsafe {
        forget(r);
        ngx_http_finalize_request(r, outcome);
    }
}

/// Makes and sends the next piece, if nginx has sent the piece before.
unsafe fn go_on(r: *mut ngx_http_request_t) {
    // SAFETY: a live request with its sender, which nobody else touches meanwhile: filters call nothing of ours
    // (ngx_http_output_filter).
    unsafe {
        let Some(sender) = sender(r).as_mut() else { return };
        if sender.outlet.is_broken() {
            return finish(r, FAILED);
        }
        if sender.outlet.is_busy() {
            return wait(r);
        }
        match callback::guard("a piece of an answer", None, || Some((sender.pieces.next)())) {
            None => finish(r, FAILED),
            Some(None) => {
                let outcome = sender.outlet.finish();
                finish(r, outcome);
            }
            Some(Some(text)) => {
                if !text.is_empty() && sender.outlet.send(&text) == FAILED {
                    finish(r, FAILED);
                } else if sender.outlet.is_busy() {
                    wait(r);
                } else {
                    ngx_add_timer(&raw mut sender.event, TURN_MS);
                }
            }
        }
    }
}

/// Waits until the client reads more, for at most `send_timeout` (as ngx_http_writer does).
unsafe fn wait(r: *mut ngx_http_request_t) {
    // SAFETY: a live request, its connection and the settings of its location (ngx_http_update_location_config).
    unsafe {
        let event = &mut *(*(*r).connection).write;
        let Some(core) =
            slots::entry::<ngx_http_core_loc_conf_t>((*r).loc_conf, &raw const ngx_http_core_module)
        else {
            return finish(r, FAILED);
        };
        if event.delayed() == 0 {
            ngx_add_timer(event, core.send_timeout);
        }
        if ngx_handle_write_event(event, core.send_lowat) != NGX_OK as ngx_int_t {
            finish(r, FAILED);
        }
    }
}

/// ngx_http_request_t.write_event_handler: the client reads again, or has not read for too long.
unsafe extern "C" fn writable(r: *mut ngx_http_request_t) {
    callback::guard("an answer", (), || {
        // SAFETY: nginx calls with a live request (ngx_http_request_handler).
        unsafe {
            let connection = (*r).connection;
            let event = &mut *(*connection).write;
            if event.timedout() != 0 {
                log::to(
                    (*connection).log,
                    log::Level::Info,
                    format_args!("{}: client timed out", log::name()),
                );
                (*connection).set_timedout(1);
                return finish(r, NGX_HTTP_REQUEST_TIME_OUT as ngx_int_t);
            }
            if event.delayed() != 0 {
                return wait(r);
            }
            if ngx_http_output_filter(r, std::ptr::null_mut()) == FAILED {
                return finish(r, FAILED);
            }
            if event.timer_set() != 0 {
                ngx_del_timer(event);
            }
            go_on(r);
        }
    });
}

/// Runs when the next piece is due.
extern "C" fn on_time(event: *mut ngx_event_t) {
    callback::guard("an answer", (), || {
        // SAFETY: the event of a sender, at its beginning (ngx_event_expire_timers); the connection outlives the request.
        unsafe {
            let r = (*event.cast::<Sender>()).request;
            let connection: *mut ngx_connection_t = (*r).connection;
            go_on(r);
            ngx_http_run_posted_requests(connection);
        }
    });
}
