//! An HTTP request: how it is read, answered, and kept alive while its work is in the thread pool.

mod head;

use std::borrow::Cow;

use nginx_sys::{
    NGX_DONE, NGX_ERROR, NGX_HTTP_INTERNAL_SERVER_ERROR, NGX_OK, ngx_buf_t, ngx_chain_t, ngx_connection_t,
    ngx_event_t, ngx_http_core_loc_conf_t, ngx_http_core_module, ngx_http_finalize_request,
    ngx_http_output_filter, ngx_http_read_client_request_body, ngx_http_request_t,
    ngx_http_run_posted_requests, ngx_http_send_header, ngx_int_t, ngx_list_push, ngx_palloc, ngx_post_event,
    ngx_table_elt_t,
};
use ngx::{core::Pool, http::Request};

pub use super::pieces::Pieces;
use super::{
    buffers,
    callback::{self, Sessions},
    conf::{Context, Location},
    event_stream::{self, Events},
    pieces,
    slots::LocationSlot,
    types::{Tables, Types},
};
pub use head::Head;

/// Callbacks for HTTP requests.
pub trait Requests: Types {
    /// Longest body that is read, in bytes.
    const MAX_BODY: usize;
    /// Decides whether a request is allowed, before its body is read.
    fn admit(head: &Head<'_, Self>) -> Result<(), Response>;
    /// Handles a request with its body; `body` is `None` if it is too large.
    fn dispatch(head: &Head<'_, Self>, body: Option<&[u8]>, sessions: &mut Sessions<'_>) -> Step;
    /// Answers a request for statistics.
    fn stat(head: &Head<'_, Self>) -> Response;
}

/// An answer.
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The text after the headers.
    pub body: String,
}

/// Work that answers a request later.
pub type Suspended = Box<dyn FnOnce(Waiting, &mut Sessions<'_>)>;

/// The next step of a request.
pub enum Step {
    /// Answers the request now.
    Answer(Response),
    /// Runs work that answers the request later.
    Suspend(Suspended),
    /// Answers the request piece by piece.
    Pieces(Pieces),
    /// Answers the request with events until the client leaves.
    Follow(Events),
}

impl<M: Tables + Requests> Context<'_, M, Location> {
    /// Makes nginx call the API for requests to this location, with memory for a whole body.
    pub fn serve_api(&mut self) {
        self.answers();
        let core = self.location();
        core.handler = Some(handle::<M>);
        core.client_body_buffer_size = M::MAX_BODY + 1;
    }

    /// Makes nginx call the statistics for requests to this location.
    pub fn serve_stat(&mut self) {
        self.answers();
        self.location().handler = Some(handle_stat::<M>);
    }

    /// Notes that the module answers requests to this location.
    fn answers(&mut self) {
        // SAFETY: as in `Context::settings`; nothing else refers to the settings, because the context is borrowed.
        unsafe { (*self.settings_ptr().cast::<LocationSlot<M::Location>>()).answers = true };
    }

    /// Returns the HTTP core module's settings of the location that nginx is reading.
    fn location(&mut self) -> &mut ngx_http_core_loc_conf_t {
        // SAFETY: within a location, `ctx` is that of http, with the location's settings of its core module (ngx_http_core_location).
        unsafe {
            let ctx = &*self.reading().ctx.cast::<nginx_sys::ngx_http_conf_ctx_t>();
            &mut *(*ctx.loc_conf.add(ngx_http_core_module.ctx_index)).cast()
        }
    }
}

/// ngx_http_core_loc_conf_t.handler of a location with the API.
pub(super) unsafe extern "C" fn handle<M: Tables + Requests>(r: *mut ngx_http_request_t) -> ngx_int_t {
    callback::guard("an API request", NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t, || {
        // SAFETY: nginx calls with a live request (ngx_http_core_content_phase).
        unsafe {
            let Some(head) = head::head::<M>(&*r) else { return NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t };
            match M::admit(&head) {
                Ok(()) => {
                    // `client_body_in_file_only` would put each body into a file.
                    (*r).set_request_body_in_file_only(0);
                    let outcome = ngx_http_read_client_request_body(r, Some(body_read::<M>));
                    if outcome >= nginx_sys::NGX_HTTP_SPECIAL_RESPONSE as ngx_int_t {
                        return outcome;
                    }
                    NGX_DONE as ngx_int_t
                }
                Err(response) => {
                    let discarded = Request::from_ngx_http_request(r).discard_request_body().0;
                    if discarded == NGX_OK as ngx_int_t { send(r, response) } else { discarded }
                }
            }
        }
    })
}

/// ngx_http_core_loc_conf_t.handler of a location with statistics.
pub(super) unsafe extern "C" fn handle_stat<M: Tables + Requests>(r: *mut ngx_http_request_t) -> ngx_int_t {
    callback::guard("statistics", NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t, || {
        // SAFETY: nginx calls with a live request (ngx_http_core_content_phase).
        unsafe {
            let Some(head) = head::head::<M>(&*r) else { return NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t };
            let response = M::stat(&head);
            let discarded = Request::from_ngx_http_request(r).discard_request_body().0;
            if discarded == NGX_OK as ngx_int_t { send(r, response) } else { discarded }
        }
    })
}

/// Runs after the body was read. The code that answers the request also finalizes it.
unsafe extern "C" fn body_read<M: Tables + Requests>(r: *mut ngx_http_request_t) {
    // SAFETY: nginx calls with the request whose body was read (ngx_http_read_client_request_body).
    unsafe {
        let step = callback::guard("an API request", None, || {
            let head = head::head::<M>(&*r)?;
            // No session is lent: nginx reads requests in events of the loop (ngx_http_set_keepalive).
            Some(M::dispatch(&head, body(&*r, M::MAX_BODY).as_deref(), &mut Sessions::new()))
        });
        proceed::<M>(r, step);
    }
}

type Proceed = unsafe fn(*mut ngx_http_request_t, Option<Step>);

/// A request that is answered later, from the event loop. It stays alive until then. If the value is dropped without an answer, the answer
/// is 500.
pub struct Waiting {
    request: *mut ngx_http_request_t,
    proceed: Proceed,
}

impl Waiting {
    /// # Safety
    ///
    /// `request` is alive and its body was read.
    unsafe fn hold<M: Tables + Requests>(request: *mut ngx_http_request_t) -> Self {
        // SAFETY: by contract. nginx frees no request that is blocked (ngx_http_terminate_request).
        unsafe {
            let main = &mut *(*request).main;
            main.set_blocked(main.blocked() + 1);
        }
        Waiting { request, proceed: proceed::<M> }
    }

    /// Answers the request. Other requests of its client may run before this returns (ngx_http_run_posted_requests).
    pub fn answer(mut self, _: &mut Sessions<'_>, response: Response) {
        let request = std::mem::replace(&mut self.request, std::ptr::null_mut());
        // SAFETY: alive, because `hold` has blocked it (ngx_http_terminate_request).
        unsafe { end(request, self.proceed, Some(Step::Answer(response))) }
    }
}

/// # Safety
///
/// `request` was kept alive by [`Waiting::hold`], and nobody answers it but the caller.
unsafe fn end(request: *mut ngx_http_request_t, proceed: Proceed, step: Option<Step>) {
    // SAFETY: by contract. The connection outlives the request.
    unsafe {
        let main = &mut *(*request).main;
        main.set_blocked(main.blocked() - 1);
        let connection: *mut ngx_connection_t = (*request).connection;
        proceed(request, step);
        ngx_http_run_posted_requests(connection);
    }
}

/// A request whose `Waiting` was dropped. It is answered in an event of its own, because the code that drops it may hold a lock or a value
/// that another request needs.
#[repr(C)]
struct Forgotten {
    event: ngx_event_t,
    request: *mut ngx_http_request_t,
    proceed: Proceed,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.request.is_null() {
            return;
        }
        // SAFETY: kept alive since `hold`, with its pool; an event of zeroes is how nginx makes one. Posted events are handled
        // before the loop waits again (ngx_process_events_and_timers). Without memory, the request waits for good.
        unsafe {
            let forgotten: *mut Forgotten = ngx_palloc((*self.request).pool, size_of::<Forgotten>()).cast();
            if forgotten.is_null() {
                return;
            }
            let mut event: ngx_event_t = std::mem::zeroed();
            // nginx's debug log reads a connection behind `data`.
            event.data = (*self.request).connection.cast();
            event.log = (*(*self.request).connection).log;
            event.handler = Some(on_forgotten);
            forgotten.write(Forgotten { event, request: self.request, proceed: self.proceed });
            ngx_post_event(&raw mut (*forgotten).event, &raw mut nginx_sys::ngx_posted_events);
        }
    }
}

unsafe extern "C" fn on_forgotten(event: *mut ngx_event_t) {
    callback::guard("an API request", (), || {
        // SAFETY: the event is the first field of a `Forgotten`, in the pool of a live request. nginx calls once (ngx_event_process_posted).
        unsafe {
            let Forgotten { request, proceed, .. } = *event.cast::<Forgotten>();
            end(request, proceed, None);
        }
    });
}

/// # Safety
///
/// `r` is alive and its body was read.
unsafe fn proceed<M: Tables + Requests>(r: *mut ngx_http_request_t, step: Option<Step>) {
    // SAFETY: by contract.
    unsafe {
        let outcome = match step {
            Some(Step::Answer(response)) => send(r, response),
            // No session is lent: this is an event of the loop, or `answer`, which has borrowed the sessions.
            Some(Step::Suspend(work)) => return work(Waiting::hold::<M>(r), &mut Sessions::new()),
            Some(Step::Pieces(pieces)) => match begin_pieces(r, pieces) {
                None => return,
                Some(outcome) => outcome,
            },
            Some(Step::Follow(events)) => match event_stream::begin(r, events) {
                true => return,
                false => NGX_ERROR as ngx_int_t,
            },
            None => NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t,
        };
        ngx_http_finalize_request(r, outcome);
    }
}

/// Returns the body in one piece; `None` if it was too large for memory.
///
/// # Safety
///
/// The body was read.
unsafe fn body(r: &ngx_http_request_t, most: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    // SAFETY: by contract; the buffers are in memory unless there is a temporary file.
    unsafe {
        let Some(body) = r.request_body.as_ref() else { return Some(bytes) };
        if !body.temp_file.is_null() {
            return None;
        }
        let mut chain = body.bufs;
        while let Some(link) = chain.as_ref() {
            let buffer = &*link.buf;
            let length = usize::try_from(buffer.last.offset_from(buffer.pos)).ok()?;
            if bytes.len() + length > most {
                return None;
            }
            if length > 0 {
                bytes.extend_from_slice(std::slice::from_raw_parts(buffer.pos, length));
            }
            chain = link.next;
        }
    }
    Some(bytes)
}

/// Headers of every answer: nothing may cache it, and no browser may guess another content type.
const COMMON: [(&str, &str); 2] = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")];

/// Sends an answer. Returns the code to finalize the request with.
///
/// # Safety
///
/// `r` is alive and nothing was sent for it.
unsafe fn send(r: *mut ngx_http_request_t, response: Response) -> ngx_int_t {
    // SAFETY: by contract. What the answer points to belongs to the request's pool.
    unsafe {
        if !set_headers(r, response.status, response.content_type, &response.headers) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t;
        }
        (*r).headers_out.content_length_n = response.body.len() as nginx_sys::off_t;
        let pool = Pool::from_ngx_pool((*r).pool);
        let sent = ngx_http_send_header(r);
        if sent == NGX_ERROR as ngx_int_t || sent > NGX_OK as ngx_int_t || (*r).header_only() != 0 {
            return sent;
        }
        let buffer = pool.calloc(size_of::<ngx_buf_t>()).cast::<ngx_buf_t>();
        let text = buffers::hand_over((*r).pool, response.body);
        let (Some(buffer), Some(text)) = (buffer.as_mut(), text) else {
            return NGX_ERROR as ngx_int_t;
        };
        if text.len > 0 {
            (buffer.start, buffer.pos) = (text.data, text.data);
            (buffer.last, buffer.end) = (text.data.add(text.len), text.data.add(text.len));
            buffer.set_memory(1);
        }
        buffer.set_last_buf(1);
        buffer.set_last_in_chain(1);
        let mut chain = ngx_chain_t { buf: buffer, next: std::ptr::null_mut() };
        ngx_http_output_filter(r, &raw mut chain)
    }
}

/// Begins an answer that is made while it is sent. Returns the code to finalize the request with, if the request ends here.
///
/// # Safety
///
/// As for [`send`].
unsafe fn begin_pieces(r: *mut ngx_http_request_t, pieces: Pieces) -> Option<ngx_int_t> {
    // SAFETY: by contract.
    unsafe {
        if !set_headers(r, 200, pieces.content_type, &[]) {
            return Some(NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t);
        }
        pieces::begin(r, pieces)
    }
}

/// Sets status and headers. Returns `false` without memory.
///
/// # Safety
///
/// As for [`send`].
unsafe fn set_headers(
    r: *mut ngx_http_request_t,
    status: u16,
    content_type: &str,
    more: &[(&'static str, Cow<'static, str>)],
) -> bool {
    // SAFETY: by contract; the texts are copied into the request's pool.
    unsafe {
        let pool = Pool::from_ngx_pool((*r).pool);
        // These answers have no versions that a client could compare (ngx_http_not_modified_header_filter).
        (*r).set_disable_not_modified(1);
        let headers = &mut (*r).headers_out;
        headers.status = usize::from(status);
        let Some(kind) = buffers::copy(&pool, content_type) else { return false };
        (headers.content_type, headers.content_type_len) = (kind, kind.len);
        let more = more.iter().map(|(name, value)| (*name, &**value));
        for (name, value) in COMMON.into_iter().chain(more) {
            let row = ngx_list_push(&raw mut headers.headers).cast::<ngx_table_elt_t>();
            let (Some(row), Some(key), Some(value)) =
                (row.as_mut(), buffers::copy(&pool, name), buffers::copy(&pool, value))
            else {
                return false;
            };
            row.hash = 1;
            (row.key, row.value) = (key, value);
        }
        true
    }
}
