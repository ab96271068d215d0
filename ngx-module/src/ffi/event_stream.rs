//! Requests that are answered with events for as long as the client stays.
//!
//! A reader has one buffer, which is filled anew when nginx has sent it whole: a client that does not read
//! holds up nobody, costs no more memory, and is told later what it missed.

use std::{mem, ptr, rc::Rc};

use nginx_sys::{
    NGX_ERROR, NGX_OK, ngx_buf_t, ngx_chain_t, ngx_http_cleanup_add, ngx_http_finalize_request,
    ngx_http_output_filter, ngx_http_request_t, ngx_http_run_posted_requests, ngx_http_send_header,
    ngx_http_test_reading, ngx_int_t, ngx_str_t,
};

use super::{
    callback,
    process::{self, Local},
};
use crate::{api::events::wire, runtime::Runtime, worker::TICKS_A_SECOND};

/// Events that are sent at once, at most.
const AT_ONCE: usize = 32;
/// Ticks after which a silent stream says that it is alive: 15 seconds.
const ALIVE: u32 = 15 * TICKS_A_SECOND;
/// Ticks after which a client that takes nothing is given up: one minute.
const GIVE_UP: u32 = 60 * TICKS_A_SECOND;

struct Reader {
    request: *mut ngx_http_request_t,
    /// Id of the last event that was sent.
    seen: u64,
    text: String,
    buffer: ngx_buf_t,
    /// Ticks since something was sent.
    quiet: u32,
}

// nginx refers to the buffer in a reader: the box keeps it in place while the list grows.
#[allow(clippy::vec_box)]
static READERS: Local<Vec<Box<Reader>>> = Local::new(Vec::new());

/// Answers a request with events after the one with this id. `false` when it is to be finalized as failed.
///
/// # Safety
///
/// `r` is alive, its body was read, and nothing was sent for it.
pub(super) unsafe fn begin(r: *mut ngx_http_request_t, after: u64) -> bool {
    let text = |text: &'static str| ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() };
    // SAFETY: by contract; the texts are static.
    unsafe {
        let headers = &mut (*r).headers_out;
        headers.status = 200;
        headers.content_type = text("text/event-stream");
        headers.content_type_len = headers.content_type.len;
        headers.content_length_n = -1;
        for (name, value) in [("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")] {
            let row = nginx_sys::ngx_list_push(&raw mut headers.headers).cast::<nginx_sys::ngx_table_elt_t>();
            let Some(row) = row.as_mut() else { return false };
            (row.hash, row.key, row.value) = (1, text(name), text(value));
        }
        let cleanup = ngx_http_cleanup_add(r, 0);
        if cleanup.is_null() || ngx_http_send_header(r) != NGX_OK as ngx_int_t || (*r).header_only() != 0 {
            return false;
        }
        (*cleanup).handler = Some(ended);
        (*cleanup).data = r.cast();
        (*r).read_event_handler = Some(ngx_http_test_reading);
        // A worker that is told to quit closes idle connections at once, and waits for no others without a
        // timer (ngx_close_idle_connections).
        (*(*r).connection).set_idle(1);
        (*r).write_event_handler = Some(writable);
        let mut reader = Box::new(Reader {
            request: r,
            seen: after,
            text: String::new(),
            buffer: mem::zeroed(),
            quiet: 0,
        });
        let begun = reader.send(": events of weir\n\n".to_owned());
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

/// The client reads again: what nginx has kept goes on.
unsafe extern "C" fn writable(r: *mut ngx_http_request_t) {
    callback::guard("an event stream", (), || {
        // SAFETY: nginx calls with a live request.
        unsafe {
            if ngx_http_output_filter(r, ptr::null_mut()) == NGX_ERROR as ngx_int_t {
                ngx_http_finalize_request(r, NGX_ERROR as ngx_int_t);
            }
        }
    });
}

/// Sends what is new to every reader of this worker.
pub fn pump(runtime: &Rc<Runtime>) {
    // A reader that is finalized here takes itself out of the list.
    let requests: Vec<_> = READERS.with(|readers| readers.iter().map(|reader| reader.request).collect());
    for request in requests {
        let turn = READERS.with(|readers| {
            let reader = readers.iter_mut().find(|reader| reader.request == request)?;
            Some(match reader.next(runtime) {
                Turn::Nothing => true,
                // SAFETY: a request is alive as long as its reader is listed.
                Turn::Send(text) => unsafe { reader.send(text) },
                Turn::End => false,
            })
        });
        let Some(going_on) = turn else { continue };
        if !going_on {
            // SAFETY: a request is alive as long as its reader is listed; the connection outlives it.
            unsafe {
                let connection = (*request).connection;
                ngx_http_finalize_request(request, NGX_ERROR as ngx_int_t);
                ngx_http_run_posted_requests(connection);
            }
        }
    }
}

enum Turn {
    Nothing,
    Send(String),
    End,
}

impl Reader {
    /// What this tick is for.
    fn next(&mut self, runtime: &Runtime) -> Turn {
        self.quiet = self.quiet.saturating_add(1);
        // SAFETY: a request is alive as long as its reader is listed.
        let busy = unsafe {
            let connection = &*(*self.request).connection;
            if connection.error() != 0 {
                return Turn::End;
            }
            connection.buffered() != 0 || (*self.request).buffered() != 0
        };
        if busy {
            return if self.quiet > GIVE_UP { Turn::End } else { Turn::Nothing };
        }
        if runtime.zone.last_event() != self.seen {
            let after = self.seen;
            let (events, missed) = runtime.zone.lock(process::pid()).events_after(after, AT_ONCE);
            self.seen = events.last().map_or(runtime.zone.last_event(), |event| event.id);
            return Turn::Send(wire(&events, after, missed));
        }
        if self.quiet > ALIVE { Turn::Send(": alive\n\n".to_owned()) } else { Turn::Nothing }
    }

    /// Sends a text. `false` when the connection is broken.
    ///
    /// # Safety
    ///
    /// The request is alive and nothing of the last text is left to send.
    unsafe fn send(&mut self, text: String) -> bool {
        self.quiet = 0;
        self.text = text;
        let range = self.text.as_bytes().as_ptr_range();
        // SAFETY: text and buffer live in this reader, in its box, until nginx has sent them: the next call
        // comes only then, and the reader goes with its request.
        unsafe {
            let buffer = &mut self.buffer;
            *buffer = mem::zeroed();
            (buffer.start, buffer.pos) = (range.start.cast_mut(), range.start.cast_mut());
            (buffer.last, buffer.end) = (range.end.cast_mut(), range.end.cast_mut());
            buffer.set_memory(1);
            buffer.set_flush(1);
            let mut chain = ngx_chain_t { buf: buffer, next: ptr::null_mut() };
            ngx_http_output_filter(self.request, &raw mut chain) != NGX_ERROR as ngx_int_t
        }
    }
}
