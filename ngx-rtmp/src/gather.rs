//! Whole writes to players and push targets: one system call writes everything that is queued for a connection.
//!
//! `send` of the connection is [`gather`]. It writes all queued messages, and answers the following calls of ngx_rtmp_send from the bytes
//! that it has already written. nginx-rtmp would write each chunk alone; so each message leaves whole, and TCP_NODELAY splits none.

use std::mem::MaybeUninit;

use nginx_sys::{NGX_ERROR, ngx_chain_t, ngx_connection_t, u_char};

use super::{callback, process, rtmp_sys::ngx_rtmp_session_t, session::Session, types::Tables};

/// Most buffers of one write. A message of `chunk_size` bytes or less is one buffer.
const MOST_BUFFERS: usize = 128;

impl<M: Tables> Session<'_, M> {
    /// Makes one system call write all messages that are queued for this player, and sends them without waiting for acknowledgements
    /// (TCP_NODELAY). Returns whether it does; a connection with TLS stays as it is.
    pub fn gather(&mut self) -> bool {
        // SAFETY: a live session.
        unsafe { adopt::<M>(self.as_ptr()) }
    }
}

/// Replaces nginx's own send function of a connection by [`gather`], if it writes directly to the socket. Returns whether [`gather`] is in
/// place.
///
/// # Safety
///
/// A live session of a player.
pub(super) unsafe fn adopt<M: Tables>(player: *mut ngx_rtmp_session_t) -> bool {
    // SAFETY: by contract; `ngx_io` is set when nginx starts (ngx_os_init).
    unsafe {
        let connection = (*player).connection;
        let mut safe = Session::<M>::new(player);
        let Some(waiting) = safe.waiting() else { return false };
        if waiting.plain.is_some() {
            return true;
        }
        let plain = nginx_sys::ngx_io.send;
        let is_plain = match (plain, (*connection).send) {
            (Some(plain), Some(send)) => std::ptr::fn_addr_eq(plain, send),
            _ => false,
        };
        if !is_plain || !(*connection).ssl.is_null() {
            return false;
        }
        waiting.plain = plain;
        waiting.sent_ms = process::uptime_ms();
        (*connection).send = Some(gather::<M>);
        safe.send_at_once(true);
        true
    }
}

/// `send` of a player's connection. It writes all queued data, and returns how much of the `size` bytes at `bytes` it has sent. Those bytes
/// are the first of the queue; the calls for the others follow before ngx_rtmp_send returns.
unsafe extern "C" fn gather<M: Tables>(
    connection: *mut ngx_connection_t,
    bytes: *mut u_char,
    size: usize,
) -> isize {
    callback::guard("a write to a player", NGX_ERROR as isize, || {
        // SAFETY: ngx_rtmp_send calls for a live session, whose queue begins with these bytes.
        unsafe {
            let session: *mut ngx_rtmp_session_t = (*connection).data.cast();
            let mut safe = Session::<M>::new(session);
            let Some(waiting) = safe.waiting() else { return NGX_ERROR as isize };
            if waiting.credit > 0 {
                let part = waiting.credit.min(size);
                waiting.credit -= part;
                return part.cast_signed();
            }
            let mut buffers = Buffers::new();
            buffers.push(bytes, size);
            buffers.collect(session);
            let written = match buffers.count {
                0 | 1 => -1,
                count => libc::writev((*connection).fd, buffers.all.as_ptr().cast(), count as libc::c_int),
            };
            let Ok(written) = usize::try_from(written) else {
                // There is one buffer, or an error, which nginx's own function also meets and reports.
                return waiting.plain.map_or(NGX_ERROR as isize, |plain| plain(connection, bytes, size));
            };
            (*connection).sent += written as nginx_sys::off_t;
            if written < buffers.bytes {
                (*(*connection).write).set_ready(0);
            }
            let part = written.min(size);
            waiting.credit = written - part;
            part.cast_signed()
        }
    })
}

/// The buffers that one system call writes: the first `count` of `all`. The others are never set: most writes have few.
struct Buffers {
    all: [MaybeUninit<libc::iovec>; MOST_BUFFERS],
    count: usize,
    bytes: usize,
}

impl Buffers {
    const fn new() -> Self {
        Buffers { all: [const { MaybeUninit::uninit() }; MOST_BUFFERS], count: 0, bytes: 0 }
    }

    /// Adds a buffer. Returns whether more may follow: at an empty buffer, nginx-rtmp waits for the socket as if it were full.
    fn push(&mut self, start: *mut u_char, length: usize) -> bool {
        let Some(place) = self.all.get_mut(self.count).filter(|_| length > 0) else { return false };
        place.write(libc::iovec { iov_base: start.cast(), iov_len: length });
        self.count += 1;
        self.bytes += length;
        true
    }

    /// Adds the data that is queued after the buffer that is being sent.
    ///
    /// # Safety
    ///
    /// ngx_rtmp_send is sending for this live session.
    unsafe fn collect(&mut self, session: *mut ngx_rtmp_session_t) {
        // SAFETY: by contract. `out` has `out_queue` places; those from `out_pos` to `out_last` hold chains of buffers in memory, and
        // `out_chain` is a link of the first (ngx_rtmp_send, ngx_rtmp_send_message).
        unsafe {
            // nginx-rtmp puts links and buffers behind a counter of four bytes (ngx_rtmp_alloc_shared_buf): they need not be aligned.
            let (room, last) = ((*session).out_queue, (*session).out_last);
            let out = (&raw const (*session).out).cast::<*mut ngx_chain_t>();
            let (mut at, mut link) = ((*session).out_pos, (*session).out_chain.read_unaligned().next);
            loop {
                while !link.is_null() {
                    let part = link.read_unaligned();
                    let start = (&raw const (*part.buf).pos).read_unaligned();
                    let end = (&raw const (*part.buf).last).read_unaligned();
                    if !self.push(start, usize::try_from(end.offset_from(start)).unwrap_or(0)) {
                        return;
                    }
                    link = part.next;
                }
                at = (at + 1) % room;
                if at == last {
                    return;
                }
                link = *out.add(at);
            }
        }
    }
}
