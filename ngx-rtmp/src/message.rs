//! A message of a session, during one callback.

use std::{marker::PhantomData, ops::Range, slice};

use nginx_sys::{NGX_OK, ngx_chain_t, ngx_int_t};

pub use super::rtmp_sys::{NGX_RTMP_MSG_AUDIO, NGX_RTMP_MSG_CHUNK_SIZE, NGX_RTMP_MSG_VIDEO};
use super::{
    buffers,
    rtmp_sys::{self, ngx_rtmp_header_t},
    session::Session,
    types::Tables,
};

/// A message that was read completely.
pub struct Message<'m> {
    header: *const ngx_rtmp_header_t,
    chain: *mut ngx_chain_t,
    callback: PhantomData<&'m mut [u8]>,
}

impl Message<'_> {
    /// # Safety
    ///
    /// Header and chain are those of a message that nginx-rtmp handles now (ngx_rtmp_receive_message), and nobody else looks
    /// at its bytes for as long as the value is used.
    pub(super) unsafe fn new(header: *const ngx_rtmp_header_t, chain: *mut ngx_chain_t) -> Self {
        Message { header, chain, callback: PhantomData }
    }

    pub(super) fn chain(&self) -> *mut ngx_chain_t {
        self.chain
    }

    /// Returns the type of the message.
    #[must_use]
    pub fn kind(&self) -> u8 {
        // SAFETY: the header of a message that nginx-rtmp handles now, see `new` (ngx_rtmp_receive_message).
        unsafe { (*self.header).type_ }
    }

    /// Returns the length that the header of the message says.
    #[must_use]
    pub fn length(&self) -> u32 {
        // SAFETY: the header of a message that nginx-rtmp handles now, see `new` (ngx_rtmp_receive_message).
        unsafe { (*self.header).mlen }
    }

    /// Returns the bytes of the message, in the pieces of nginx-rtmp's buffers.
    #[must_use]
    pub fn pieces(&self) -> Pieces<'_> {
        Pieces { next: self.chain, message: PhantomData }
    }

    /// Returns the first bytes of the message, at most `most` of them.
    #[must_use]
    pub fn start(&self, most: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for piece in self.pieces() {
            bytes.extend_from_slice(&piece[..piece.len().min(most - bytes.len())]);
        }
        bytes
    }

    /// Returns the number of a Set Chunk Size. Like nginx-rtmp, reads it only in the first buffer (ngx_rtmp_protocol_message_handler).
    #[must_use]
    pub fn chunk_size(&self) -> Option<u32> {
        self.pieces().next()?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// Replaces the number of a Set Chunk Size.
    pub fn set_chunk_size(&mut self, size: u32) {
        for (at, byte) in size.to_be_bytes().into_iter().enumerate() {
            self.overwrite(at..at + 1, byte);
        }
    }

    /// Overwrites bytes of the message.
    pub fn overwrite(&mut self, place: Range<usize>, byte: u8) {
        let (mut link, mut start) = (self.chain, 0);
        // SAFETY: see `new`; what is written to are bytes of nginx-rtmp's own buffers, within `pos..last`.
        unsafe {
            while let Some(piece) = link.as_ref() {
                let buffer = &*piece.buf;
                let length = usize::try_from(buffer.last.offset_from(buffer.pos)).unwrap_or(0);
                for at in place.clone().filter(|at| (start..start + length).contains(at)) {
                    *buffer.pos.add(at - start) = byte;
                }
                (link, start) = (piece.next, start + length);
            }
        }
    }
}

/// The bytes of a message, piece by piece.
#[derive(Clone)]
pub struct Pieces<'m> {
    next: *mut ngx_chain_t,
    message: PhantomData<&'m [u8]>,
}

impl<'m> Iterator for Pieces<'m> {
    type Item = &'m [u8];

    fn next(&mut self) -> Option<&'m [u8]> {
        // SAFETY: made by a message alone, of a chain of buffers in memory that lives for the call;
        // `pos..last` is the unread part of each (ngx_buf_t).
        unsafe {
            let link = self.next.as_ref()?;
            self.next = link.next;
            let buffer = &*link.buf;
            let length = usize::try_from(buffer.last.offset_from(buffer.pos)).unwrap_or(0);
            Some(if length == 0 { &[] } else { slice::from_raw_parts(buffer.pos, length) })
        }
    }
}

impl<M: Tables> Session<'_, M> {
    /// Passes a message to nginx-rtmp as if it had arrived before `next`, with the same timestamp. Returns whether nginx-rtmp accepted it.
    pub fn receive_before(&mut self, next: &Message<'_>, kind: u8, body: &mut [u8]) -> bool {
        let Some(rtmp) = rtmp_sys::rtmp() else { return true };
        // SAFETY: see `Message::new`.
        let mut header = unsafe { ngx_rtmp_header_t { type_: kind, ..*next.header } };
        header.mlen = u32::try_from(body.len()).unwrap_or(0);
        // SAFETY: a live session. The handlers copy what they keep of a message, as its buffers are read into anew
        // (ngx_rtmp_recv).
        let outcome = buffers::with_message(body, |chain| unsafe {
            (rtmp.ngx_rtmp_receive_message)(self.as_ptr(), &raw mut header, chain)
        });
        outcome == NGX_OK as ngx_int_t
    }
}
