//! What the other end of a connection sends, as it is read from the socket.

use nginx_sys::{NGX_AGAIN, NGX_ERROR, ngx_connection_t, ngx_io, ngx_recv_pt};

use super::{
    callback,
    message::Message,
    rtmp_sys::{NGX_RTMP_MSG_MAX, ngx_rtmp_session_t},
    session::{Session, slot::Receiver},
    types::{Tables, Types},
};

/// Bytes that are read at once of a client that nobody trusts.
const AT_ONCE: usize = 16_384;

/// How often a refused client's socket is emptied for one event of it.
const MOST_EMPTIED: usize = 64;

/// What is read of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// As much as nginx-rtmp has room for.
    All,
    /// A little: no publish was accepted.
    Little,
    /// Nothing for now: its socket keeps it.
    Later,
    /// All, for nobody: it was refused, and only has to read why.
    Discard,
    /// Nothing any more: the connection is closed.
    Close,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// nginx-rtmp gets it.
    Open,
    /// It is ignored.
    Drop,
    /// The connection is closed.
    Close,
}

/// What is sent, from bytes to messages.
pub trait Incoming: Types {
    /// A message came, before nginx-rtmp's own modules see it.
    fn on_message(session: &mut Session<'_, Self>, message: &mut Message<'_>) -> Passage;
    /// A message of which `read` bytes were read now has `length`. Returns whether the connection may go on.
    fn on_running(session: &mut Session<'_, Self>, read: u32, length: u32) -> bool;
    /// A message came, of a type that nginx-rtmp does not know. Returns whether the connection may go on.
    fn on_unknown_kind(session: &mut Session<'_, Self>, kind: u8) -> bool;
    /// The longest of the messages that are being read on a connection that nginx made has this length. Returns whether
    /// the connection may go on.
    fn on_length(session: &mut Session<'_, Self>, length: u32) -> bool;
    /// Bytes are about to be read.
    fn before_reading(session: &mut Session<'_, Self>) -> Reading;
    /// Bytes came, before anybody looked at them. Returns whether the connection may go on.
    fn on_bytes(session: &mut Session<'_, Self>, bytes: usize) -> bool;
}

impl<M: Tables + Incoming> Session<'_, M> {
    /// Has the bytes counted that the other end sends.
    pub fn watch_incoming(&mut self) {
        if self.own_slot().is_some() {
            watch(self);
        }
    }
}

/// Has every byte counted that comes over a connection (`ngx_connection_t.recv`).
pub(super) fn watch<M: Tables + Incoming>(session: &mut Session<'_, M>) {
    // SAFETY: a session has its connection as long as it lives (ngx_rtmp_close_connection); what stands there is called by
    // `receive`.
    let connection = unsafe { &mut *(*session.as_ptr()).connection };
    let own: ngx_recv_pt = Some(receive::<M>);
    if connection.recv.map(|recv| recv as usize) == own.map(|recv| recv as usize) {
        return;
    }
    let before = Receiver(connection.recv);
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
        let own = session.known_slot().and_then(|slot| slot.receiver).map_or(ngx_io.recv, |own| own.0);
        let Some(recv) = own else { return NGX_ERROR as isize };
        let size = match reading {
            Reading::All => size,
            Reading::Little => size.min(AT_ONCE),
            Reading::Later => return NGX_AGAIN as isize,
            Reading::Discard => return discard(connection, recv),
            Reading::Close => return NGX_ERROR as isize,
        };
        let received = recv(connection, buffer, size);
        let count = usize::try_from(received).unwrap_or(0);
        if count > 0 && refuse::<M>(connection, |session| M::on_bytes(session, count)) {
            return NGX_ERROR as isize;
        }
        received
    }
}

/// Empties the socket: a connection that is closed with something unread loses the last words.
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

/// A message of which more was read than its header now says it has, with both lengths.
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

/// The type of a message before `connect` that has no handlers, which nginx-rtmp passes over.
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
