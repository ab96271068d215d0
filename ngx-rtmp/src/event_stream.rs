//! Requests that the module answers with events until the client leaves.
//!
//! The fence sends a reader new events only when nginx has sent all earlier bytes. So a client that does not read delays no other client
//! and costs no more memory; it gets the missed events later.

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

/// Ticks after which a silent stream sends a sign of life: 15 seconds.
const ALIVE: u32 = 15 * TICKS_A_SECOND;
/// Ticks after which the fence gives up a client that reads nothing: one minute.
const GIVE_UP: u32 = 60 * TICKS_A_SECOND;

/// Source of events for one client.
pub struct Events {
    /// The text that the client gets immediately.
    pub hello: String,
    /// Returns the events since its last call, in the form for the wire.
    pub news: Box<dyn FnMut() -> Option<String>>,
}

struct Reader {
    request: *mut ngx_http_request_t,
    outlet: Outlet,
    news: Box<dyn FnMut() -> Option<String>>,
    /// Ticks since the last send.
    quiet: u32,
    /// Keeps a worker that must quit alive until its readers have ended.
    _hold: timer::Hold,
}

local! {
    static READERS: Vec<Reader> = Vec::new();
}

/// Answers a request with events. Returns `false` if the caller must finalize the request as failed.
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
        // nginx sends no row without a hash. This row tells nginx not to compress the answer (ngx_http_gzip_header_filter): a compressor
        // holds data back, and takes 256 KB for each reader.
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

/// Runs when the request ends, for any reason.
unsafe extern "C" fn ended(r: *mut std::ffi::c_void) {
    callback::guard("end of an event stream", (), || {
        READERS.with(|readers| readers.retain(|reader| !ptr::eq(reader.request.cast(), r)));
    });
}

/// Runs when the client reads again: nginx sends the bytes that it has kept.
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

/// Sends new events to every reader of this worker. In a worker that must quit, it ends the readers.
pub fn pump(_: &mut Sessions<'_>) {
    let draining = process::draining();
    // Finalizing one request may end others, so each reader is looked up again below.
    let requests: Vec<_> = READERS.with(|readers| readers.iter().map(|reader| reader.request).collect());
    for request in requests {
        let outcome = READERS.with(|readers| {
            let at = readers.iter().position(|reader| reader.request == request)?;
            let outcome = readers[at].turn(draining)?;
            // nginx itself sends the rest.
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
    /// Does the work of one tick. Returns the code to finalize the request with, if the request ends.
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

    /// Returns the text to send, if there is any.
    fn text(&mut self) -> Option<String> {
        let news = (self.news)().filter(|text| !text.is_empty());
        news.or_else(|| (self.quiet > ALIVE).then(|| ": alive\n\n".to_owned()))
    }
}
