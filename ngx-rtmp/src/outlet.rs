//! The body of an answer that is sent in pieces, with one buffer for all pieces.
//!
//! Buffer and text live in the request's pool, because nginx refers to them even after the request has ended. nginx sends a half-sent
//! HTTP/2 frame completely, even after the client has reset the stream, and the pool waits for it (ngx_http_v2_close_stream).

use std::ptr;

use nginx_sys::{
    NGX_ERROR, ngx_buf_t, ngx_chain_t, ngx_http_output_filter, ngx_http_request_t, ngx_int_t, ngx_palloc,
    ngx_pcalloc, ngx_pfree,
};

/// Least size of the memory, in bytes. It is above NGX_MAX_ALLOC_FROM_POOL: nginx allocates it from the system, and ngx_pfree returns it.
const LEAST: usize = 8192;

/// Sends the pieces of one answer.
pub(super) struct Outlet {
    request: *mut ngx_http_request_t,
    buffer: *mut ngx_buf_t,
}

impl Outlet {
    /// Creates an outlet for a request whose headers were sent. Returns `None` without memory.
    ///
    /// # Safety
    ///
    /// `request` is alive, and outlives the outlet.
    pub(super) unsafe fn new(request: *mut ngx_http_request_t) -> Option<Outlet> {
        // SAFETY: by contract; a buffer of zeroes is how nginx makes one (ngx_calloc_buf).
        let buffer = unsafe { ngx_pcalloc((*request).pool, size_of::<ngx_buf_t>()) }.cast::<ngx_buf_t>();
        (!buffer.is_null()).then_some(Outlet { request, buffer })
    }

    /// Returns whether nginx still has to send a part of the last piece.
    pub(super) fn is_busy(&self) -> bool {
        // SAFETY: the request is alive, by the contract of `new`; a filter that is done with the buffer has moved its position to the end
        // (ngx_http_write_filter).
        unsafe {
            let connection = &*(*self.request).connection;
            let buffer = &*self.buffer;
            connection.buffered() != 0 || (*self.request).buffered() != 0 || buffer.pos != buffer.last
        }
    }

    /// Returns whether the connection is broken.
    pub(super) fn is_broken(&self) -> bool {
        // SAFETY: as above.
        unsafe { (*(*self.request).connection).error() != 0 }
    }

    /// Sends a piece immediately. Returns the code of nginx's filters: `NGX_ERROR` ends the request.
    ///
    /// # Safety
    ///
    /// The request is alive and the outlet is not busy.
    pub(super) unsafe fn send(&mut self, text: &str) -> ngx_int_t {
        // SAFETY: by contract. The memory is as long as the text, see `make_room`.
        unsafe {
            if !self.make_room(text.len()) {
                return NGX_ERROR as ngx_int_t;
            }
            let buffer = &mut *self.buffer;
            ptr::copy_nonoverlapping(text.as_ptr(), buffer.start, text.len());
            buffer.pos = buffer.start;
            buffer.last = buffer.start.add(text.len());
            // nginx reports an empty buffer in memory as an error (ngx_http_write_filter).
            buffer.set_temporary(u32::from(!text.is_empty()));
            buffer.set_flush(1);
            self.pass_on()
        }
    }

    /// Ends the answer. Returns the code to finalize the request with.
    ///
    /// # Safety
    ///
    /// As for [`send`](Self::send).
    pub(super) unsafe fn finish(&mut self) -> ngx_int_t {
        // SAFETY: by contract.
        unsafe {
            let buffer = &mut *self.buffer;
            (buffer.pos, buffer.last) = (buffer.start, buffer.start);
            buffer.set_temporary(0);
            buffer.set_flush(0);
            buffer.set_last_buf(1);
            buffer.set_last_in_chain(1);
            self.pass_on()
        }
    }

    unsafe fn pass_on(&self) -> ngx_int_t {
        let mut chain = ngx_chain_t { buf: self.buffer, next: ptr::null_mut() };
        // SAFETY: by contract of the callers; filters copy the links that they keep (ngx_chain_add_copy).
        unsafe { ngx_http_output_filter(self.request, &raw mut chain) }
    }

    /// Makes sure that the buffer has memory for `length` bytes. Allocates only if the piece is longer than all earlier pieces.
    unsafe fn make_room(&mut self, length: usize) -> bool {
        // SAFETY: nginx is done with the old memory, since the outlet is not busy (ngx_chain_update_chains).
        unsafe {
            let buffer = &mut *self.buffer;
            let has = buffer.end.offset_from(buffer.start).cast_unsigned();
            if !buffer.start.is_null() && length <= has {
                return true;
            }
            let pool = (*self.request).pool;
            if !buffer.start.is_null() {
                ngx_pfree(pool, buffer.start.cast());
            }
            let size = length.next_multiple_of(LEAST).max(LEAST);
            buffer.start = ngx_palloc(pool, size).cast();
            if buffer.start.is_null() {
                (buffer.pos, buffer.last, buffer.end) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
                return false;
            }
            buffer.end = buffer.start.add(size);
            true
        }
    }
}
