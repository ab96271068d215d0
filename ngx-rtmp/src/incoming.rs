//! Bytes that the other end of a connection sends, as they are read from the socket.

use nginx_sys::{NGX_AGAIN, NGX_ERROR, ngx_connection_t, ngx_io, ngx_recv_pt};

use super::{
    callback, merge,
    message::Message,
    rtmp_sys::{NGX_RTMP_MSG_MAX, ngx_rtmp_session_t},
    session::{Session, slot::Receiver},
    types::{Tables, Types},
};

/// Most bytes that one call reads from an untrusted client.
const AT_ONCE: usize = 16_384;

/// Most reads that empty a refused client's socket, per event.
const MOST_EMPTIED: usize = 64;

/// How much is read from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// As much as nginx-rtmp can take.
    All,
    /// A little, because no publish was accepted.
    Little,
    /// Nothing for now; the bytes stay in the socket.
    Later,
    /// Everything, but all bytes are discarded. The client was refused and only has to read the reason.
    Discard,
    /// Nothing; the connection is closed.
    Close,
}

/// The decision about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// nginx-rtmp gets the message.
    Open,
    /// The message is ignored.
    Drop,
    /// The connection is closed.
    Close,
}

/// Callbacks for incoming data, from bytes to messages.
pub trait Incoming: Types {
    /// Called for each message, before nginx-rtmp's own modules see it.
    fn on_message(session: &mut Session<'_, Self>, message: &mut Message<'_>) -> Passage;
    /// Called when the header of a message changed its length to `length` after `read` bytes were read. Returns whether the connection may
    /// continue.
    fn on_running(session: &mut Session<'_, Self>, read: u32, length: u32) -> bool;
    /// Called for a message of a type that nginx-rtmp does not know. Returns whether the connection may continue.
    fn on_unknown_kind(session: &mut Session<'_, Self>, kind: u8) -> bool;
    /// Called on a connection that nginx opened, with the length of the longest message that is being read. Returns whether the connection
    /// may continue.
    fn on_length(session: &mut Session<'_, Self>, length: u32) -> bool;
    /// Called before bytes are read.
    fn before_reading(session: &mut Session<'_, Self>) -> Reading;
    /// Called after bytes were read, before anything else sees them. Returns whether the connection may continue.
    fn on_bytes(session: &mut Session<'_, Self>, bytes: usize) -> bool;
}

impl<M: Tables + Incoming> Session<'_, M> {
    /// Installs the hook that counts the bytes of the other end.
    pub fn watch_incoming(&mut self) {
        if self.own_slot().is_some() {
            watch(self);
        }
    }
}

/// Installs [`receive`] in a connection (`ngx_connection_t.recv`), so that it counts every byte.
pub(super) fn watch<M: Tables + Incoming>(session: &mut Session<'_, M>) {
    // SAFETY: a session has its connection as long as it lives (ngx_rtmp_close_connection); what stands there is called by
    // `receive`.
    let connection = unsafe { &mut *(*session.as_ptr()).connection };
    let own: ngx_recv_pt = Some(receive::<M>);
    if connection.recv.map(|recv| recv as usize) == own.map(|recv| recv as usize) {
        return;
    }
    let before = Receiver { recv: connection.recv, end: 0 };
    if let Some(slot) = session.known_slot() {
        slot.receiver = Some(before);
        connection.recv = own;
    }
}

unsafe extern "C" fn receive<M: Tables + Incoming>(
    connection: *mut ngx_connection_t,
    buffer: *mut u8,
    size: usize,
) -> isize {
    // SAFETY: nginx-rtmp reads from a live connection, with its session in `data` (ngx_rtmp_recv).
    unsafe {
        let running = running_message::<M>((*connection).data.cast());
        if running.is_some_and(|(read, length)| refuse::<M>(connection, |s| M::on_running(s, read, length))) {
            return NGX_ERROR as isize;
        }
        let unknown = unknown_message::<M>((*connection).data.cast());
        if unknown.is_some_and(|kind| refuse::<M>(connection, |session| M::on_unknown_kind(session, kind))) {
            return NGX_ERROR as isize;
        }
        let mut session = Session::<M>::new((*connection).data.cast());
        if !session.is_accepted() {
            let longest = session.chunk_streams().iter().map(|stream| stream.hdr.mlen).max().unwrap_or(0);
            if refuse::<M>(connection, |session| M::on_length(session, longest)) {
                return NGX_ERROR as isize;
            }
        }
        let reading =
            callback::guard("what a client sends", Reading::Close, || M::before_reading(&mut session));
        let own = session.known_slot().and_then(|slot| slot.receiver).map_or(ngx_io.recv, |own| own.recv);
        let Some(recv) = own else { return NGX_ERROR as isize };
        let size = match reading {
            Reading::All => size,
            Reading::Little => size.min(AT_ONCE),
            Reading::Later => return NGX_AGAIN as isize,
            Reading::Discard => {
                callback::guard("the end of a reading", (), merge::end_of_reading);
                return discard(connection, recv);
            }
            Reading::Close => return NGX_ERROR as isize,
        };
        let received = recv(connection, buffer, size);
        let count = usize::try_from(received).unwrap_or(0);
        if count == 0 {
            callback::guard("the end of a reading", (), merge::end_of_reading);
        } else if let Some(receiver) = session.known_slot().and_then(|slot| slot.receiver.as_mut()) {
            receiver.end = buffer.addr() + count;
        }
        if count > 0 && refuse::<M>(connection, |session| M::on_bytes(session, count)) {
            return NGX_ERROR as isize;
        }
        received
    }
}

/// Empties the socket: a connection that closes with unread bytes loses its last outgoing messages.
///
/// # Safety
///
/// As for `receive`; `recv` is nginx's own function.
unsafe fn discard(
    connection: *mut ngx_connection_t,
    recv: unsafe extern "C" fn(*mut ngx_connection_t, *mut u8, usize) -> isize,
) -> isize {
    let mut nobody = [0; AT_ONCE];
    for _ in 0..MOST_EMPTIED {
        // SAFETY: by contract; the buffer has that size.
        let received = unsafe { recv(connection, nobody.as_mut_ptr(), nobody.len()) };
        if received <= 0 {
            return received;
        }
    }
    NGX_AGAIN as isize
}

/// Finds a message of which more bytes were read than its header now says. Returns both lengths.
///
/// # Safety
///
/// `session` is alive.
unsafe fn running_message<M: Tables + Incoming>(session: *mut ngx_rtmp_session_t) -> Option<(u32, u32)> {
    // SAFETY: by contract.
    unsafe {
        let session = Session::<M>::new(session);
        let mut streams = session.chunk_streams().iter();
        streams.by_ref().map(|stream| (stream.len, stream.hdr.mlen)).find(|(read, length)| read > length)
    }
}

/// Finds a message before `connect` that has no handlers. Returns its type. nginx-rtmp skips such messages.
///
/// # Safety
///
/// `session` is alive.
unsafe fn unknown_message<M: Tables + Incoming>(session: *mut ngx_rtmp_session_t) -> Option<u8> {
    // SAFETY: by contract.
    let session = unsafe { Session::<M>::new(session) };
    if session.is_connected() {
        return None;
    }
    let mut kinds = session.chunk_streams().iter().map(|stream| stream.hdr.type_);
    kinds.find(|kind| u32::from(*kind) > NGX_RTMP_MSG_MAX)
}

/// # Safety
///
/// As for `receive`.
unsafe fn refuse<M: Tables + Incoming>(
    connection: *mut ngx_connection_t,
    allows: impl FnOnce(&mut Session<'_, M>) -> bool,
) -> bool {
    callback::guard("what a client sent", true, || {
        // SAFETY: by contract.
        !allows(&mut unsafe { Session::new((*connection).data.cast()) })
    })
}
