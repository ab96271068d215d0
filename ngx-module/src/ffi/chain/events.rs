//! Messages and connections, before nginx-rtmp's own modules see them.

use std::{marker::PhantomData, slice};

use nginx_sys::{NGX_DONE, NGX_ERROR, NGX_OK, ngx_chain_t, ngx_int_t};
use weir_model::{masking, media::content};

use super::{asks, with_message};
use crate::{
    disk,
    ffi::{
        callback, client_log, codec_header, outgoing as connections, relay,
        rtmp_sys::{
            self, NGX_RTMP_MSG_AUDIO, NGX_RTMP_MSG_CHUNK_SIZE, NGX_RTMP_MSG_VIDEO, ngx_rtmp_header_t,
            ngx_rtmp_session_t,
        },
        session::{self, Session},
    },
    hooks::{
        self, early, enhanced,
        guard::{self, Passage},
        live::{self, Media},
        outgoing,
    },
};

/// A message's bytes, in the pieces that nginx-rtmp has it in.
#[derive(Clone)]
struct Pieces<'m> {
    next: *mut ngx_chain_t,
    message: PhantomData<&'m [u8]>,
}

impl<'m> Iterator for Pieces<'m> {
    type Item = &'m [u8];

    fn next(&mut self) -> Option<&'m [u8]> {
        // SAFETY: made by `message` alone, of a chain of buffers in memory that lives for the call;
        // `pos..last` is the unread part of each.
        unsafe {
            let link = self.next.as_ref()?;
            self.next = link.next;
            let buffer = &*link.buf;
            let length = usize::try_from(buffer.last.offset_from(buffer.pos)).unwrap_or(0);
            Some(if length == 0 { &[] } else { slice::from_raw_parts(buffer.pos, length) })
        }
    }
}

/// A message of any kind.
pub(super) unsafe extern "C" fn message(
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    message: *mut ngx_chain_t,
) -> ngx_int_t {
    callback::guard("a message", NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx-rtmp calls with a live session, the message's header and its buffers.
        let (mut session, bytes, kind) = unsafe { (Session::new(session), (*header).mlen, (*header).type_) };
        let raw = session.as_ptr();
        let body = Pieces { next: message, message: PhantomData };
        let passage = guard::on_message(&mut session, kind, body.clone());
        if passage != Passage::Open {
            return code(passage);
        }
        let passage = match u32::from(kind) {
            NGX_RTMP_MSG_AUDIO => {
                live::on_media(&mut session, Media::Audio, bytes, has_content(kind, bytes, body.clone()))
            }
            NGX_RTMP_MSG_VIDEO => {
                live::on_media(&mut session, Media::Video, bytes, has_content(kind, bytes, body.clone()))
            }
            NGX_RTMP_MSG_CHUNK_SIZE => {
                // SAFETY: as above.
                unsafe { limit_chunk_size(&session, message) };
                return code(Passage::Open);
            }
            _ => {
                // SAFETY: as above; nobody looks at the message meanwhile.
                unsafe { hide_keys(&session, kind, message) };
                return code(early::on_data(&mut session, kind, body));
            }
        };
        match passage {
            // SAFETY: the session and the header of the message that is handled now.
            Passage::Open if !unsafe { hand_on(&mut session, header) } => return NGX_ERROR as ngx_int_t,
            Passage::Open => {
                disk::before_writing(&session);
                let media = if u32::from(kind) == NGX_RTMP_MSG_VIDEO { Media::Video } else { Media::Audio };
                match enhanced::on_media(&mut session, media, body) {
                    // SAFETY: as above, for both.
                    enhanced::Found::Header => unsafe { codec_header::keep(raw, message) },
                    // SAFETY: likewise.
                    enhanced::Found::Pictures { is_key } => unsafe { codec_header::lend(raw, is_key) },
                    enhanced::Found::Nothing => {}
                }
            }
            Passage::Drop => early::keep(&mut session, kind, body),
            Passage::Close => {}
        }
        code(passage)
    })
}

/// Whether a message of audio or video holds sound or a frame.
fn has_content<'m>(kind: u8, len: u32, body: impl Iterator<Item = &'m [u8]>) -> bool {
    let (mut head, mut filled) = ([0; content::HEAD_LEN], 0);
    for byte in body.flatten().take(head.len()) {
        head[filled] = *byte;
        filled += 1;
    }
    let (head, len) = (&head[..filled], usize::try_from(len).unwrap_or(usize::MAX));
    if u32::from(kind) == NGX_RTMP_MSG_AUDIO { content::audio(head, len) } else { content::video(head, len) }
}

/// Gives the headers to nginx-rtmp that came before the stream was live, at the time of the message that came now:
/// recordings begin with it, and players count from it. Returns whether nginx-rtmp took them.
///
/// # Safety
///
/// `next` is the header of a message of the session.
unsafe fn hand_on(session: &mut Session, next: *const ngx_rtmp_header_t) -> bool {
    let headers = early::hand_on(session);
    if headers.is_empty() {
        return true;
    }
    let Some(rtmp) = rtmp_sys::rtmp() else { return true };
    headers.into_iter().all(|mut early| {
        // SAFETY: by contract.
        let mut header = unsafe { ngx_rtmp_header_t { type_: early.kind, ..*next } };
        header.mlen = u32::try_from(early.body.len()).unwrap_or(0);
        // SAFETY: a live session. The handlers copy what they keep of a message, as its buffers are read into anew
        // (ngx_rtmp_recv).
        let outcome = with_message(&mut early.body, |chain| unsafe {
            (rtmp.ngx_rtmp_receive_message)(session.as_ptr(), &raw mut header, chain)
        });
        outcome == NGX_OK as ngx_int_t
    })
}

/// nginx-rtmp reads with the chunk size that the other end announces, or refuses one that is too large and reads on with the
/// old one: it gets the largest that makes a difference.
///
/// # Safety
///
/// `message` is a Set Chunk Size of the session.
unsafe fn limit_chunk_size(session: &Session, message: *mut ngx_chain_t) {
    // SAFETY: by contract; nginx-rtmp looks for the number in the first buffer alone
    // (ngx_rtmp_protocol_message_handler).
    unsafe {
        let Some(buffer) = message.as_ref().and_then(|link| link.buf.as_mut()) else { return };
        if usize::try_from(buffer.last.offset_from(buffer.pos)).unwrap_or(0) >= size_of::<u32>() {
            let place = buffer.pos.cast::<[u8; size_of::<u32>()]>();
            let size = u32::from_be_bytes(place.read());
            place.write(outgoing::chunk_size(session, size).to_be_bytes());
        }
    }
}

/// How much of a message is searched for keys.
const MAX_SEARCHED: usize = 64 << 10;

/// Overwrites what looks like a stream key in a client's message: metadata goes to players and into recordings,
/// and some commands bear the name. Those of which the key is judged elsewhere are left as they are.
///
/// # Safety
///
/// `message` is the chain of a message of `session`, and nobody else looks at it meanwhile.
unsafe fn hide_keys(session: &Session, kind: u8, message: *mut ngx_chain_t) {
    if !session.is_accepted() || session.is_from_worker() || !weir_model::guard::is_amf(kind) {
        return;
    }
    // SAFETY: by contract; what is written to are bytes of nginx-rtmp's own buffers, within `pos..last`.
    unsafe {
        let bytes = asks::gather(message, MAX_SEARCHED);
        if weir_model::guard::is_judged(kind, &bytes) {
            return;
        }
        for place in masking::places_of_keys(&bytes) {
            let (mut link, mut start) = (message, 0);
            while let Some(piece) = link.as_ref() {
                let buffer = &*piece.buf;
                let length = usize::try_from(buffer.last.offset_from(buffer.pos)).unwrap_or(0);
                for at in place.clone().filter(|at| (start..start + length).contains(at)) {
                    *buffer.pos.add(at - start) = b'*';
                }
                (link, start) = (piece.next, start + length);
            }
        }
    }
}

/// A message of pictures, when all others have seen it.
pub(super) unsafe extern "C" fn after_video(
    session: *mut ngx_rtmp_session_t,
    _header: *mut ngx_rtmp_header_t,
    _message: *mut ngx_chain_t,
) -> ngx_int_t {
    // SAFETY: nginx-rtmp calls with a live session, after `message` for the same message.
    callback::guard("the end of a message", (), || unsafe { codec_header::take_back(session) });
    NGX_OK as ngx_int_t
}

/// What nginx-rtmp is told: that others may see the message, that nobody may, or that it ends the connection.
fn code(passage: Passage) -> ngx_int_t {
    match passage {
        Passage::Open => NGX_OK as ngx_int_t,
        Passage::Drop => NGX_DONE as ngx_int_t,
        Passage::Close => NGX_ERROR as ngx_int_t,
    }
}

/// A connection was accepted, or is being made; nothing of nginx-rtmp's has seen it.
pub(super) unsafe extern "C" fn arrived(
    session: *mut ngx_rtmp_session_t,
    _header: *mut ngx_rtmp_header_t,
    _message: *mut ngx_chain_t,
) -> ngx_int_t {
    session::enroll(session);
    // SAFETY: nginx-rtmp calls with a live session.
    let session = unsafe { Session::new(session) };
    callback::guard("a connection", (), || client_log::watch(&session));
    NGX_OK as ngx_int_t
}

/// As [`arrived`], when nginx-rtmp has counted the connection.
pub(super) unsafe extern "C" fn connected(
    session: *mut ngx_rtmp_session_t,
    _header: *mut ngx_rtmp_header_t,
    _message: *mut ngx_chain_t,
) -> ngx_int_t {
    let may = callback::guard("a connection", false, || {
        // SAFETY: nginx-rtmp calls with a live session.
        hooks::on_connect(&mut unsafe { Session::new(session) })
    });
    if may { NGX_OK as ngx_int_t } else { NGX_ERROR as ngx_int_t }
}

/// The handshake is over: behind a proxy, the client's address is known.
pub(super) unsafe extern "C" fn shook_hands(
    session: *mut ngx_rtmp_session_t,
    _header: *mut ngx_rtmp_header_t,
    _message: *mut ngx_chain_t,
) -> ngx_int_t {
    let may = callback::guard("a handshake", false, || {
        // SAFETY: nginx-rtmp calls with a live session.
        hooks::on_handshake(&mut unsafe { Session::new(session) })
    });
    if may { NGX_OK as ngx_int_t } else { NGX_ERROR as ngx_int_t }
}

/// A session ends: before all others, for an error of theirs would end the event.
pub(super) unsafe extern "C" fn disconnected(
    session: *mut ngx_rtmp_session_t,
    _header: *mut ngx_rtmp_header_t,
    _message: *mut ngx_chain_t,
) -> ngx_int_t {
    session::dismiss(session);
    // SAFETY: nginx-rtmp calls with a session that is freed after this.
    callback::guard("the end of a session", (), || unsafe {
        hooks::before_close(&mut Session::new(session));
        relay::forget(session);
        codec_header::forget(session);
        hooks::on_disconnect(&mut Session::new(session));
        connections::forget(session);
    });
    NGX_OK as ngx_int_t
}
