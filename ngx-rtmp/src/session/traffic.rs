//! Traffic of a session: incomplete messages, unsent messages, media.

use super::Session;
use crate::{
    rtmp_sys::{self, ngx_rtmp_live_ctx_t},
    slots,
    types::Tables,
};

impl<M: Tables> Session<'_, M> {
    /// Returns whether nginx-rtmp's live module publishes this session.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live_context().is_some_and(|live| live.publishing() != 0 && !live.stream.is_null())
    }

    /// Returns whether nginx-rtmp's live module plays a stream to this session, and the stream gets media.
    #[must_use]
    pub fn gets_live_media(&self) -> bool {
        self.live_context().is_some_and(|live| {
            // SAFETY: the stream of a context that joined one, kept as long as any context does
            // (ngx_rtmp_live_close_stream).
            let active = unsafe { live.stream.as_ref() }.is_some_and(|stream| stream.active() != 0);
            live.publishing() == 0 && live.paused() == 0 && active
        })
    }

    fn live_context(&self) -> Option<&ngx_rtmp_live_ctx_t> {
        let rtmp = rtmp_sys::rtmp()?;
        // SAFETY: the entry of the live module is null or its own context (ngx_rtmp_live_join).
        unsafe { slots::entry(self.raw().ctx, rtmp.ngx_rtmp_live_module) }
    }

    /// Returns the number of messages to this session that wait to be sent (ngx_rtmp_send_message).
    #[must_use]
    pub fn unsent(&self) -> usize {
        let (first, last, size) = (self.raw().out_pos, self.raw().out_last, self.raw().out_queue);
        if last >= first { last - first } else { last + size - first }
    }

    /// Returns the largest number of messages to this session that may wait (`out_queue`).
    pub(crate) fn room(&self) -> usize {
        self.raw().out_queue
    }

    /// Returns the bytes of incomplete messages on all chunk streams, including the chunk that is being read.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        let whole: usize = self.chunk_streams().iter().map(|stream| stream.len as usize).sum();
        // SAFETY: buffers that nginx-rtmp made for this session, null before the first (ngx_rtmp_alloc_in_buf).
        let chunk = unsafe {
            let current = self.chunk_streams().get(self.raw().in_csid as usize);
            let buffer = current.and_then(|stream| stream.in_.as_ref()).and_then(|link| link.buf.as_ref());
            buffer.map_or(0, |buffer| usize::try_from(buffer.last.offset_from(buffer.start)).unwrap_or(0))
        };
        whole + chunk
    }

    /// Makes nginx-rtmp read the bytes that were left in the socket.
    pub fn read_on(&mut self) {
        // SAFETY: a live session, whose connection has its events; closing is only posted (ngx_rtmp_finalize_session).
        unsafe {
            let read = (*self.raw().connection).read;
            if let Some(handler) = (*read).handler {
                handler(read);
            }
        }
    }
}
