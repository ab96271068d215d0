//! The messages since the last keyframe, for players that join.
//!
//! [`record`] comes after all other handlers of audio and video, and keeps the messages that nginx-rtmp's live module has sent. A player
//! that joins gets them as one message in its queue. [`feed`] then writes the same values into the live module's context that nginx-rtmp
//! would have written, so that the player gets the next message like every other player.
//!
//! The queued message is a chain in nginx-rtmp's own form ([`Chain`]). The fence keeps one reference to it, so nginx-rtmp never frees it.
//! The fence frees it when no queue refers to it.

use std::{ffi::c_void, mem::offset_of, ptr, slice};

use nginx_sys::{NGX_OK, ngx_buf_t, ngx_chain_t, ngx_int_t, u_char};
use weir_rtmp::gop::{Gop, Headers, Kept, Media, Start, Wire};

use super::{
    callback::{self, Sessions},
    collections,
    merge::{Players, live_of},
    rtmp_sys::{
        self, NGX_RTMP_MSG_VIDEO, NGX_RTMP_MSID, ngx_rtmp_codec_ctx_t, ngx_rtmp_core_app_conf_t,
        ngx_rtmp_core_main_conf_t, ngx_rtmp_core_srv_conf_t, ngx_rtmp_header_t, ngx_rtmp_live_app_conf_t,
        ngx_rtmp_live_ctx_t, ngx_rtmp_session_t,
    },
    session::Session,
    slots,
    timer::Alarm,
};
use crate::local;

/// Messages that may wait for a player. While the player reads the kept messages, live ones follow, and nginx-rtmp drops some of these when
/// half of the places are taken (ngx_rtmp_send_message).
const ROOM: usize = 1024;
/// Earlier keyframes of one publisher that slow players may still be reading from. With more, further players wait for a keyframe.
const MOST_EARLIER: usize = 4;
/// Interval between checks of chains that players have not read yet, in milliseconds.
const LOOK_MS: usize = 1000;

local! {
    /// Players that asked for a stream and have not joined it yet, because nginx-rtmp is asking a program (`on_play`).
    static PENDING: Vec<*mut ngx_rtmp_session_t> = Vec::new();
}
local! {
    static LENT: Lent = Lent { chains: Vec::new(), alarm: None };
}

/// Chains that queues refer to, or referred to.
struct Lent {
    chains: Vec<Chain>,
    alarm: Option<Alarm>,
}

/// Gives longer queues to the players of servers with a cache.
///
/// # Safety
///
/// `core` is the main configuration of nginx-rtmp's core module, read completely, and nothing runs with it yet.
pub(super) unsafe fn make_room<M: Players>(core: &ngx_rtmp_core_main_conf_t) {
    // SAFETY: by contract; both arrays hold pointers (ngx_rtmp_core_server, ngx_rtmp_core_application), and our entry in an
    // application's table is an `M::App` (`export::rtmp_context`).
    unsafe {
        for server in collections::array::<*mut ngx_rtmp_core_srv_conf_t>(&core.servers) {
            let apps = collections::array::<*mut ngx_rtmp_core_app_conf_t>(&(**server).applications);
            let keeps = |app: &*mut ngx_rtmp_core_app_conf_t| {
                let settings = slots::entry::<M::App>((**app).app_conf, M::rtmp_module());
                settings.and_then(M::gop_cache).is_some()
            };
            if apps.iter().any(keeps) {
                // nginx-rtmp counts correctly only with a power of two.
                (**server).out_queue = (**server).out_queue.max(ROOM).next_power_of_two();
            }
        }
    }
}

/// Handles an audio or video message after all other handlers.
pub(super) unsafe extern "C" fn record<M: Players>(
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    message: *mut ngx_chain_t,
) -> ngx_int_t {
    callback::guard("a message that is kept", (), || {
        // SAFETY: nginx-rtmp calls with a live session and the header and buffers of a message (ngx_rtmp_receive_message).
        unsafe {
            let mut safe = Session::<M>::new(session);
            if let Some(most) = safe.settings().and_then(M::gop_cache)
                && keep::<M>(session, &*header, message, most) == Kept::TooLarge
            {
                M::gop_is_too_large(&mut safe);
            }
        }
    });
    NGX_OK as ngx_int_t
}

/// Keeps a message in the form in which ngx_rtmp_live_av has sent it to players.
///
/// # Safety
///
/// As for a handler.
unsafe fn keep<M: Players>(
    session: *mut ngx_rtmp_session_t,
    header: &ngx_rtmp_header_t,
    message: *mut ngx_chain_t,
    most: usize,
) -> Kept {
    // SAFETY: by contract; each entry is null or its module's own.
    unsafe {
        let (Some(rtmp), false) = (rtmp_sys::rtmp(), message.is_null()) else { return Kept::Yes };
        let Some(live) = live_of(session).filter(|live| live.publishing() != 0 && !live.stream.is_null())
        else {
            return Kept::Yes;
        };
        let core = slots::entry::<ngx_rtmp_core_srv_conf_t>((*session).srv_conf, rtmp.ngx_rtmp_core_module);
        let app = slots::entry::<ngx_rtmp_live_app_conf_t>((*session).app_conf, rtmp.ngx_rtmp_live_module);
        let (Some(core), Some(app)) = (core, app) else { return Kept::Yes };
        let codec = codec_of(session);
        let wire = Wire {
            chunk_size: usize::try_from(core.chunk_size).unwrap_or(1).max(1),
            repeats_time: core.play_time_fix == 1,
            chunk_streams: [live.cs[0].csid, live.cs[1].csid],
            interleaved: app.interleave == 1,
            announces_audio: app.wait_video == 1,
            message_stream: NGX_RTMP_MSID,
        };
        let header_of = |of: fn(&ngx_rtmp_codec_ctx_t) -> *mut ngx_chain_t| {
            codec.map(of).filter(|chain| !chain.is_null()).map(|chain| Pieces::new(chain))
        };
        let headers = Headers {
            video: header_of(|codec| codec.avc_header),
            audio: header_of(|codec| codec.aac_header),
        };
        let media = Media {
            is_video: u32::from(header.type_) == NGX_RTMP_MSG_VIDEO,
            timestamp: header.timestamp,
            pieces: Pieces::new(message),
        };
        let mut safe = Session::<M>::new(session);
        let Some(slot) = safe.own_slot() else { return Kept::Yes };
        slot.gop.get_or_insert_with(|| Box::new(Gop::new(most))).push(&wire, &media, &headers)
    }
}

/// Called when nginx-rtmp serves a player, or asks a program about it.
///
/// # Safety
///
/// A live session, whose `play` ngx_rtmp_play has handled.
pub(super) unsafe fn join<M: Players>(player: *mut ngx_rtmp_session_t) {
    // SAFETY: by contract.
    unsafe {
        let mut safe = Session::<M>::new(player);
        let keeps = safe.settings().and_then(M::gop_cache).is_some() && safe.has_live_streams();
        if !keeps || safe.is_ending() || !M::begins_with_gop(&mut safe) {
            return;
        }
        match has_joined(player) {
            true => feed::<M>(player),
            false => PENDING.with(|pending| {
                if !pending.contains(&player) {
                    pending.push(player);
                }
            }),
        }
    }
}

/// Runs before an audio or video message: players that have joined since the last message get the kept messages first.
pub(super) fn serve_pending<M: Players>() {
    // SAFETY: a session leaves the list before it is freed (`forget`, ngx_rtmp_close_session_handler).
    let joined = |player: &mut *mut ngx_rtmp_session_t| unsafe { has_joined(*player) };
    let ready: Vec<_> = PENDING.with(|pending| match pending.is_empty() {
        true => Vec::new(),
        false => pending.extract_if(.., joined).collect(),
    });
    for player in ready {
        // SAFETY: as above; closing is posted (ngx_rtmp_finalize_session).
        unsafe {
            let mut safe = Session::<M>::new(player);
            if !safe.is_ending() && M::begins_with_gop(&mut safe) {
                feed::<M>(player);
            }
        }
    }
}

/// Called when a publisher or a player of a stream has closed it.
pub(super) fn closed<M: Players>(session: &mut Session<'_, M>) {
    if let Some(slot) = session.known_slot() {
        slot.gop = None;
        slot.has_begun = false;
    }
}

/// Called when a session ends.
pub(super) fn forget(session: *mut ngx_rtmp_session_t) {
    PENDING.with(|pending| pending.retain(|listed| *listed != session));
}

/// # Safety
///
/// A live session.
unsafe fn has_joined(player: *mut ngx_rtmp_session_t) -> bool {
    // SAFETY: by contract.
    unsafe { live_of(player) }.is_some_and(|live| !live.stream.is_null())
}

/// Returns the codec context of the session, of nginx-rtmp's codec module.
///
/// # Safety
///
/// A live session.
unsafe fn codec_of<'s>(session: *mut ngx_rtmp_session_t) -> Option<&'s ngx_rtmp_codec_ctx_t> {
    // SAFETY: by contract; the entry is null or the module's own context (ngx_rtmp_codec_av).
    unsafe { slots::entry((*session).ctx, rtmp_sys::rtmp()?.ngx_rtmp_codec_module) }
}

/// Queues the kept messages of a stream for a player that has just joined it, once.
///
/// # Safety
///
/// A live session, which has joined a stream.
unsafe fn feed<M: Players>(player: *mut ngx_rtmp_session_t) {
    // SAFETY: by contract; the live module's context is there and its own.
    unsafe {
        let Some(rtmp) = rtmp_sys::rtmp() else { return };
        match Session::<M>::new(player).own_slot() {
            Some(slot) if !slot.has_begun => slot.has_begun = true,
            _ => return,
        }
        let context = *(*player).ctx.add((*rtmp.ngx_rtmp_live_module).ctx_index);
        let context = context.cast::<ngx_rtmp_live_ctx_t>();
        // The player must not have got any message yet.
        let is_new = (*context).publishing() == 0
            && (*context).paused() == 0
            && (*context).cs.iter().all(|stream| stream.active() == 0);
        let Some(publisher) = publisher_of(context).filter(|_| is_new) else { return };
        let Some(start) = start_of::<M>(publisher) else { return };
        let (last, chain) = (start.last, lend(start, publisher));
        let Some(chain) = chain else { return };
        if let Some(codec) = codec_of(publisher).filter(|codec| !codec.meta.is_null())
            && codec.meta_version != (*context).meta_version
            && (rtmp.ngx_rtmp_send_message)(player, codec.meta, 0) == NGX_OK as ngx_int_t
        {
            (*context).meta_version = codec.meta_version;
        }
        // TCP must not hold back the end of this message until the player has acknowledged earlier data.
        let gathers = Session::<M>::new(player).gather();
        if !gathers {
            Session::<M>::new(player).send_at_once(true);
        }
        let sent = (rtmp.ngx_rtmp_send_message)(player, chain, 0);
        if !gathers && (*player).relay() == 0 {
            Session::<M>::new(player).send_at_once(false);
        }
        if sent != NGX_OK as ngx_int_t {
            return;
        }
        for (stream, timestamp) in (*context).cs.iter_mut().zip(last) {
            if let Some(timestamp) = timestamp {
                stream.set_active(1);
                stream.timestamp = timestamp;
                stream.dropped = 0;
                (*player).current_time = timestamp;
            }
        }
    }
}

/// Returns the session that publishes the stream of a context.
///
/// # Safety
///
/// The context is that of a live session.
unsafe fn publisher_of(context: *const ngx_rtmp_live_ctx_t) -> Option<*mut ngx_rtmp_session_t> {
    // SAFETY: by contract. The contexts of a stream are a list that ends with null, each of a live session (ngx_rtmp_live_join,
    // ngx_rtmp_live_close_stream).
    unsafe {
        let mut next = (*context).stream.as_ref()?.ctx;
        while let Some(context) = next.as_ref() {
            if context.publishing() != 0 {
                return Some(context.session);
            }
            next = context.next;
        }
    }
    None
}

/// Returns the messages that players of a publisher begin with, if these end with the last messages that nginx-rtmp has sent.
///
/// # Safety
///
/// A live session, which publishes.
unsafe fn start_of<M: Players>(publisher: *mut ngx_rtmp_session_t) -> Option<Start> {
    // SAFETY: by contract.
    unsafe {
        let start = Session::<M>::new(publisher).known_slot()?.gop.as_ref()?.start()?;
        let live = live_of(publisher)?;
        let mut streams = live.cs.iter().zip(start.last);
        let ends_there = streams
            .all(|(stream, last)| last.is_none_or(|last| stream.active() != 0 && stream.timestamp == last));
        ends_there.then_some(start)
    }
}

/// Makes a chain. Returns `None` if players of the same publisher still read too many earlier ones.
fn lend(start: Start, publisher: *mut ngx_rtmp_session_t) -> Option<*mut ngx_chain_t> {
    LENT.with(|lent| {
        lent.sweep();
        let mut earlier: Vec<u64> =
            lent.chains.iter().filter_map(|chain| chain.number_of(publisher)).collect();
        earlier.retain(|number| *number != start.number);
        earlier.sort_unstable();
        earlier.dedup();
        if earlier.len() >= MOST_EARLIER {
            return None;
        }
        let chain = Chain::new(start, publisher);
        let first = chain.first();
        lent.chains.push(chain);
        lent.alarm.get_or_insert_with(|| Alarm::new(look)).arm(LOOK_MS);
        Some(first)
    })
}

/// Frees the chains that no player reads any more.
fn look(_sessions: &mut Sessions<'_>) {
    LENT.with(|lent| {
        lent.sweep();
        if !lent.chains.is_empty()
            && let Some(alarm) = &mut lent.alarm
        {
            alarm.arm(LOOK_MS);
        }
    });
}

impl Lent {
    fn sweep(&mut self) {
        self.chains.retain(Chain::is_in_use);
    }
}

/// A chain in nginx-rtmp's form: a counter of references comes before the first link (ngx_rtmp_alloc_shared_buf).
struct Chain(*mut Parts);

#[repr(C)]
struct Parts {
    _fills: u32,
    count: u32,
    first: ngx_chain_t,
    others: Vec<ngx_chain_t>,
    buffers: Vec<ngx_buf_t>,
    /// Owns the bytes.
    start: Start,
    publisher: *mut ngx_rtmp_session_t,
}

// ngx_rtmp_ref
const _: () = assert!(offset_of!(Parts, first) == offset_of!(Parts, count) + size_of::<u32>());

impl Chain {
    fn new(start: Start, publisher: *mut ngx_rtmp_session_t) -> Chain {
        let mut buffers: Vec<ngx_buf_t> = start
            .parts()
            .map(|part| {
                let bytes: *mut u_char = part.as_ptr().cast_mut().cast();
                // SAFETY: a buffer of zeroes is how nginx makes one (ngx_calloc_buf); the end is that of the same bytes.
                let (mut buffer, end): (ngx_buf_t, _) =
                    unsafe { (std::mem::zeroed(), bytes.add(part.len())) };
                (buffer.start, buffer.pos, buffer.last, buffer.end) = (bytes, bytes, end, end);
                buffer.set_memory(1);
                buffer
            })
            .collect();
        // Moving these lists into the box below leaves their heap memory in place, so the pointers into it stay valid.
        let (count, base) = (buffers.len(), buffers.as_mut_ptr());
        let mut others =
            vec![ngx_chain_t { buf: ptr::null_mut(), next: ptr::null_mut() }; count.saturating_sub(1)];
        let links = others.as_mut_ptr();
        for nth in 1..count {
            // SAFETY: within both lists.
            unsafe {
                let next = if nth + 1 < count { links.add(nth) } else { ptr::null_mut() };
                links.add(nth - 1).write(ngx_chain_t { buf: base.add(nth), next });
            }
        }
        let next = if count > 1 { links } else { ptr::null_mut() };
        let first = ngx_chain_t { buf: base, next };
        Chain(Box::into_raw(Box::new(Parts {
            _fills: 0,
            count: 1,
            first,
            others,
            buffers,
            start,
            publisher,
        })))
    }

    fn first(&self) -> *mut ngx_chain_t {
        // SAFETY: alive until `Drop`.
        unsafe { &raw mut (*self.0).first }
    }

    /// Returns whether a queue refers to the chain.
    fn is_in_use(&self) -> bool {
        // SAFETY: as above; nginx-rtmp changes the counter on this thread (ngx_rtmp_free_shared_chain).
        unsafe { (*self.0).count > 1 }
    }

    /// Returns the number of the keyframe that the chain begins with, if the chain belongs to this publisher.
    fn number_of(&self, publisher: *mut ngx_rtmp_session_t) -> Option<u64> {
        // SAFETY: as above.
        unsafe { ptr::eq((*self.0).publisher, publisher).then(|| (*self.0).start.number) }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and in no queue (`sweep`).
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// Bytes of a chain of buffers. They need not be aligned, because nginx-rtmp puts its own behind a counter of four bytes
/// (ngx_rtmp_alloc_shared_buf).
#[derive(Clone, Copy)]
struct Pieces<'m> {
    next: *const c_void,
    message: std::marker::PhantomData<&'m [u8]>,
}

impl Pieces<'_> {
    /// # Safety
    ///
    /// A chain of buffers in memory, which stays as it is for as long as the result is used.
    unsafe fn new(chain: *mut ngx_chain_t) -> Self {
        Pieces { next: chain.cast(), message: std::marker::PhantomData }
    }
}

impl<'m> Iterator for Pieces<'m> {
    type Item = &'m [u8];

    fn next(&mut self) -> Option<&'m [u8]> {
        if self.next.is_null() {
            return None;
        }
        // SAFETY: by the contract of `new`; `pos..last` is the unread part of each buffer (ngx_buf_t).
        unsafe {
            let link = self.next.cast::<ngx_chain_t>().read_unaligned();
            self.next = link.next.cast();
            let start = (&raw const (*link.buf).pos).read_unaligned();
            let end = (&raw const (*link.buf).last).read_unaligned();
            let length = usize::try_from(end.offset_from(start)).unwrap_or(0);
            Some(if length == 0 { &[] } else { slice::from_raw_parts(start, length) })
        }
    }
}
