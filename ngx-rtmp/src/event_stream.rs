//! Requests that are answered with events for as long as the client stays.
//!
//! A reader is sent something only when nginx has sent all that came before: a client that does not read
//! holds up nobody, costs no more memory, and is told later what it missed.

use std::ptr;

use nginx_sys::{
    NGX_ERROR, NGX_OK, ngx_http_cleanup_add, ngx_http_finalize_request, ngx_http_request_t,
    ngx_http_run_posted_requests, ngx_http_send_header, ngx_http_test_reading, ngx_int_t, ngx_str_t,
};

use super::{
    callback::{self, Sessions},
    outlet::Outlet,
    process,
    timer::{self, TICKS_A_SECOND},
};
use crate::local;

/// Ticks after which a silent stream says that it is alive: 15 seconds.
const ALIVE: u32 = 15 * TICKS_A_SECOND;
/// Ticks after which a client that takes nothing is given up: one minute.
const GIVE_UP: u32 = 60 * TICKS_A_SECOND;

/// Events for one client.
pub struct Events {
    /// What it is sent at once.
    pub hello: String,
    /// What is new since it was last asked, on the wire.
    pub news: Box<dyn FnMut() -> Option<String>>,
}

struct Reader {
    request: *mut ngx_http_request_t,
    outlet: Outlet,
    news: Box<dyn FnMut() -> Option<String>>,
    /// Ticks since something was sent.
    quiet: u32,
    /// A worker that is told to quit ends its readers before it exits.
    _hold: timer::Hold,
}

local! {
    static READERS: Vec<Reader> = Vec::new();
}

/// Answers a request with events. `false` when it is to be finalized as failed.
///
/// # Safety
///
/// `r` is alive, its body was read, and nothing was sent for it.
pub(super) unsafe fn begin(r: *mut ngx_http_request_t, events: Events) -> bool {
    let text = |text: &'static str| ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() };
    // SAFETY: by contract; the texts are static.
    unsafe {
        (*r).set_disable_not_modified(1);
        let headers = &mut (*r).headers_out;
        headers.status = 200;
        headers.content_type = text("text/event-stream");
        headers.content_type_len = headers.content_type.len;
        headers.content_length_n = -1;
        for (name, value) in [
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Accel-Buffering", "no"),
        ] {
            let row = nginx_sys::ngx_list_push(&raw mut headers.headers).cast::<nginx_sys::ngx_table_elt_t>();
            let Some(row) = row.as_mut() else { return false };
            (row.hash, row.key, row.value) = (1, text(name), text(value));
        }
        // A row without a hash is not sent. It says that nothing is to be compressed (ngx_http_gzip_header_filter):
        // a compressor keeps back what it was given, and 256 KB for each reader.
        let row = nginx_sys::ngx_list_push(&raw mut headers.headers).cast::<nginx_sys::ngx_table_elt_t>();
        let Some(row) = row.as_mut() else { return false };
        (row.hash, row.key, row.value) = (0, text("Content-Encoding"), text("identity"));
        headers.content_encoding = row;
        let cleanup = ngx_http_cleanup_add(r, 0);
        if cleanup.is_null() || ngx_http_send_header(r) != NGX_OK as ngx_int_t || (*r).header_only() != 0 {
            return false;
        }
        let Some(mut outlet) = Outlet::new(r) else { return false };
        (*cleanup).handler = Some(ended);
        (*cleanup).data = r.cast();
        (*r).read_event_handler = Some(ngx_http_test_reading);
        (*r).write_event_handler = Some(writable);
        let begun = outlet.send(&events.hello) != NGX_ERROR as ngx_int_t;
        let _hold = timer::Hold::on_worker();
        let reader = Reader { request: r, outlet, news: events.news, quiet: 0, _hold };
        READERS.with(|readers| readers.push(reader));
        begun
    }
}

/// The request ends, for whatever reason.
unsafe extern "C" fn ended(r: *mut std::ffi::c_void) {
    callback::guard("end of an event stream", (), || {
        READERS.with(|readers| readers.retain(|reader| !ptr::eq(reader.request.cast(), r)));
    });
}

/// The client reads again: nginx sends what it has kept.
unsafe extern "C" fn writable(r: *mut ngx_http_request_t) {
    callback::guard("an event stream", (), || {
        // SAFETY: nginx calls with a live request (ngx_http_request_handler).
        unsafe {
            if nginx_sys::ngx_http_output_filter(r, ptr::null_mut()) == NGX_ERROR as ngx_int_t {
                ngx_http_finalize_request(r, NGX_ERROR as ngx_int_t);
            }
        }
    });
}

/// Sends what is new to every reader of this worker. A worker that was told to quit ends its readers.
pub fn pump(_: &mut Sessions<'_>) {
    let draining = process::draining();
    // Whoever is finalized here may take others along.
    let requests: Vec<_> = READERS.with(|readers| readers.iter().map(|reader| reader.request).collect());
    for request in requests {
        let outcome = READERS.with(|readers| {
            let at = readers.iter().position(|reader| reader.request == request)?;
            let outcome = readers[at].turn(draining)?;
            // What is left to send is nginx's own business.
            readers.swap_remove(at);
            Some(outcome)
        });
        if let Some(outcome) = outcome {
            // SAFETY: a request is alive as long as its reader is listed (ngx_http_free_request); the connection outlives it.
            unsafe {
                let connection = (*request).connection;
                ngx_http_finalize_request(request, outcome);
                ngx_http_run_posted_requests(connection);
            }
        }
    }
}

impl Reader {
    /// Does what this tick is for. Returns what the request is to be finalized with, when it ends.
    fn turn(&mut self, draining: bool) -> Option<ngx_int_t> {
        const FAILED: ngx_int_t = NGX_ERROR as ngx_int_t;
        self.quiet = self.quiet.saturating_add(1);
        if self.outlet.is_broken() {
            return Some(FAILED);
        }
        if self.outlet.is_busy() {
            return (draining || self.quiet > GIVE_UP).then_some(FAILED);
        }
        if draining {
            // SAFETY: a request is alive as long as its reader is listed (ngx_http_free_request).
            return Some(unsafe { self.outlet.finish() });
        }
        let text = self.text()?;
        self.quiet = 0;
        // SAFETY: as above.
        let sent = unsafe { self.outlet.send(&text) };
        (sent == FAILED).then_some(FAILED)
    }

    /// What is to be told, if anything.
    fn text(&mut self) -> Option<String> {
        let news = (self.news)().filter(|text| !text.is_empty());
        news.or_else(|| (self.quiet > ALIVE).then(|| ": alive\n\n".to_owned()))
    }
}
