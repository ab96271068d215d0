//! Merged writes to players: messages wait for each other, and one system call sends all waiting messages of a player.
//!
//! nginx-rtmp keeps its queues, its references, its time-outs and its drops. The fence changes two things:
//!
//! - While nginx-rtmp handles audio or video of a publisher, the write events of its players count as active. ngx_rtmp_send_message then
//!   queues the message and does not send it. [`media`] clears the flags before it returns: an event that counts as active but is unknown
//!   to epoll would be removed from epoll (ngx_rtmp_send).
//! - `send` of a player's connection writes all queued messages ([`gather`]).
//!
//! Without a setting, messages wait only until the worker has read all that a publisher has sent: a frame and its audio that arrive together
//! leave together.
//!
//! Of the sessions that nginx-rtmp opened itself, only the module's connections to push targets take part: a push to another worker would
//! add its delay to the delay of the player there, and a `push` line is nginx-rtmp's own.

use std::mem;

use nginx_sys::{NGX_DONE, NGX_ERROR, NGX_OK, ngx_chain_t, ngx_event_t, ngx_int_t};
use weir_rtmp::merge::{Moment, Rule, When};

use super::{
    callback::{self, Sessions},
    collections, gather, process,
    rtmp_sys::{
        self, NGX_RTMP_MSG_VIDEO, ngx_rtmp_core_main_conf_t, ngx_rtmp_handler_pt, ngx_rtmp_header_t,
        ngx_rtmp_live_ctx_t, ngx_rtmp_session_t,
    },
    session::Session,
    slots, ticket,
    timer::Alarm,
    types::Tables,
    waiting::Waiting,
};
use crate::local;

/// How long before the alarm a worker that is awake anyway looks through the list, in milliseconds.
const EARLY_MS: u64 = 50;
/// Most players that get their messages before other connections have their turn.
const MOST_WRITES: usize = 128;

/// Settings and callbacks for messages to players.
pub trait Players: Tables {
    /// Returns how long messages to the players of an application may wait for each other. With `None`, they wait only while more bytes of
    /// the publisher are there to be read.
    fn merge_write(app: &Self::App) -> Option<Rule>;

    /// Returns how many bytes of messages since the last keyframe are kept for each stream of an application. With `None`, none are kept.
    fn gop_cache(app: &Self::App) -> Option<usize>;

    /// Returns whether a player begins with the kept messages.
    fn begins_with_gop(session: &mut Session<'_, Self>) -> bool;

    /// Called when a publisher's messages since the last keyframe exceed that limit. Its players wait for the next keyframe.
    fn gop_is_too_large(session: &mut Session<'_, Self>);
}

pub(super) type Handler =
    unsafe extern "C" fn(*mut ngx_rtmp_session_t, *mut ngx_rtmp_header_t, *mut ngx_chain_t) -> ngx_int_t;

local! {
    /// The address of [`media`] in the table of handlers.
    static OWN: Option<Handler> = None;
}
local! {
    static LIST: List =
        List { sessions: Vec::new(), reading: Vec::new(), at_end: None, alarm: None, at_ms: None, looked_ms: 0 };
}

local! {
    /// Memory for the players of the next message.
    static SPARE: Vec<*mut ngx_rtmp_session_t> = Vec::new();
}

/// Players with waiting messages.
struct List {
    sessions: Vec<*mut ngx_rtmp_session_t>,
    /// Those whose messages wait for the end of the reading, and what sends these.
    reading: Vec<*mut ngx_rtmp_session_t>,
    at_end: Option<fn(u64)>,
    alarm: Option<Alarm>,
    /// The time when the alarm fires, by nginx's clock.
    at_ms: Option<u64>,
    /// When the list was last looked through.
    looked_ms: u64,
}

/// Returns the handler of audio and video, which comes directly after [`Incoming::on_message`](super::module::Incoming::on_message).
pub(super) fn handler<M: Players>() -> Handler {
    OWN.with(|own| *own.get_or_insert(media::<M>))
}

/// Write events that count as active until this value is dropped.
struct Held(Vec<*mut ngx_rtmp_session_t>);

impl Held {
    /// Ends the hold, and returns the players.
    fn let_go(mut self) -> Vec<*mut ngx_rtmp_session_t> {
        self.release();
        mem::take(&mut self.0)
    }

    fn release(&mut self) {
        for session in &self.0 {
            // SAFETY: sessions of players, which are alive until the callback of nginx's that runs now returns: closing is
            // posted (ngx_rtmp_finalize_session).
            unsafe { (*(*(**session).connection).write).set_active(0) };
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

/// Handles an audio or video message.
unsafe extern "C" fn media<M: Players>(
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    message: *mut ngx_chain_t,
) -> ngx_int_t {
    callback::guard("merged writes", NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx-rtmp calls with a live session and the header and buffers of a message (ngx_rtmp_receive_message).
        unsafe {
            let rule = Session::<M>::new(session).settings().and_then(M::merge_write);
            if rule.is_none() && !more_follows::<M>(session, header) {
                return NGX_OK as ngx_int_t;
            }
            let Some(handlers) = behind(session, header) else { return NGX_OK as ngx_int_t };
            let held = hold::<M>(session);
            let outcome = hand_on(handlers, session, header, message);
            let players = held.let_go();
            let is_video = u32::from((*header).type_) == NGX_RTMP_MSG_VIDEO;
            send_or_wait::<M>(session, &players, is_video, rule);
            SPARE.with(|spare| *spare = players);
            // `NGX_DONE` keeps nginx-rtmp from calling the handlers a second time.
            if outcome == NGX_ERROR as ngx_int_t { outcome } else { NGX_DONE as ngx_int_t }
        }
    })
}

/// Returns whether bytes of the publisher follow that have arrived already: in the socket, or in the buffer of this message. If so,
/// [`end_of_reading`] is called after them.
///
/// # Safety
///
/// As for a handler.
unsafe fn more_follows<M: Players>(session: *mut ngx_rtmp_session_t, header: *mut ngx_rtmp_header_t) -> bool {
    // SAFETY: by contract. nginx knows how many bytes are left in the socket when it has read a full buffer (ngx_unix_recv). The chunk
    // stream still has the last buffer of the message, which ends where the message ends (ngx_rtmp_recv).
    unsafe {
        let mut safe = Session::<M>::new(session);
        let Some(receiver) = safe.known_slot().and_then(|slot| slot.receiver) else { return false };
        if (*(*(*session).connection).read).available > 0 {
            return true;
        }
        let stream = safe.chunk_streams().get(usize::try_from((*header).csid).unwrap_or(usize::MAX));
        let last = stream.and_then(|stream| stream.in_.as_ref()).and_then(|link| link.buf.as_ref());
        last.is_some_and(|buffer| buffer.last.addr() != receiver.end)
    }
}

/// Returns the handlers of this kind of message that come after [`media`].
///
/// # Safety
///
/// As for a handler.
unsafe fn behind<'s>(
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
) -> Option<&'s [ngx_rtmp_handler_pt]> {
    let (rtmp, own) = (rtmp_sys::rtmp()?, OWN.with(|own| *own)?);
    // SAFETY: the core module's entry is its own and outlives the session (ngx_rtmp_init_session). Its arrays hold handlers, one array
    // for each type (ngx_rtmp_init_events).
    let handlers = unsafe {
        let core: &ngx_rtmp_core_main_conf_t = slots::entry((*session).main_conf, rtmp.ngx_rtmp_core_module)?;
        collections::array::<ngx_rtmp_handler_pt>(core.events.get(usize::from((*header).type_))?)
    };
    let at = handlers
        .iter()
        .position(|handler| handler.is_some_and(|handler| std::ptr::fn_addr_eq(handler, own)))?;
    handlers.get(at + 1..)
}

/// Calls handlers in the same manner as ngx_rtmp_receive_message.
///
/// # Safety
///
/// As for a handler.
unsafe fn hand_on(
    handlers: &[ngx_rtmp_handler_pt],
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    message: *mut ngx_chain_t,
) -> ngx_int_t {
    for handler in handlers.iter().flatten() {
        // SAFETY: by contract.
        let outcome = unsafe { handler(session, header, message) };
        if outcome == NGX_ERROR as ngx_int_t || outcome == NGX_DONE as ngx_int_t {
            return outcome;
        }
    }
    NGX_OK as ngx_int_t
}

/// Makes messages to the players of a publisher wait in their queues.
///
/// # Safety
///
/// A live session.
unsafe fn hold<M: Players>(publisher: *mut ngx_rtmp_session_t) -> Held {
    let mut held = Held(SPARE.with(mem::take));
    held.0.clear();
    // SAFETY: by contract. The contexts of a stream are a list that ends with null, and each has a live session
    // (ngx_rtmp_live_join, ngx_rtmp_live_close_stream). A session has a connection, and that has a write event.
    unsafe {
        let Some(live) = live_of(publisher).filter(|live| live.publishing() != 0) else { return held };
        let mut next = live.stream.as_ref().map_or(std::ptr::null_mut(), |stream| stream.ctx);
        while let Some(context) = next.as_ref() {
            next = context.next;
            let player = context.session;
            if context.publishing() != 0 || context.paused() != 0 {
                continue;
            }
            if (*player).relay() != 0 && ticket::of(player).is_none() {
                continue;
            }
            let write: *mut ngx_event_t = (*(*player).connection).write;
            if (*write).active() == 0 && gather::adopt::<M>(player) {
                (*write).set_active(1);
                held.0.push(player);
            }
        }
    }
    held
}

/// Returns the live module's context of a session.
///
/// # Safety
///
/// A live session.
pub(super) unsafe fn live_of<'s>(session: *mut ngx_rtmp_session_t) -> Option<&'s ngx_rtmp_live_ctx_t> {
    // SAFETY: by contract; the entry of the live module is null or its own context.
    unsafe { slots::entry((*session).ctx, rtmp_sys::rtmp()?.ngx_rtmp_live_module) }
}

/// Sends the waiting messages of these players, or leaves them for later; without a rule, for the end of the reading.
///
/// # Safety
///
/// Live sessions.
unsafe fn send_or_wait<M: Players>(
    publisher: *mut ngx_rtmp_session_t,
    players: &[*mut ngx_rtmp_session_t],
    is_video: bool,
    rule: Option<Rule>,
) {
    let now = process::uptime_ms();
    // SAFETY: by contract.
    let since_video_ms = unsafe { Session::<M>::new(publisher) }.waiting().and_then(|of_publisher| {
        let before = if is_video { of_publisher.video_ms.replace(now) } else { of_publisher.video_ms };
        before.map(|before| now.saturating_sub(before))
    });
    let mut any_sent = false;
    for player in players {
        // SAFETY: by contract.
        let mut safe = unsafe { Session::<M>::new(*player) };
        let queued = safe.unsent();
        if queued == 0 || safe.is_ending() {
            continue;
        }
        let room = safe.room();
        let Some(waiting) = safe.waiting() else { continue };
        let since_sent_ms = now.saturating_sub(waiting.sent_ms);
        let moment = Moment { is_video, since_video_ms, since_sent_ms, queued, room };
        let when = rule.map_or_else(|| moment.before_more(), |rule| rule.when(&moment));
        match when {
            When::Now => {
                any_sent = true;
                // SAFETY: by contract.
                unsafe { send::<M>(*player, now) }
            }
            When::After(ms) => wait::<M>(*player, waiting, now, ms, rule.is_none()),
        }
    }
    // The players that have just got their messages wait for nothing, so the alarm need not wake the worker for them.
    // With many streams, some player's time is nearly always close, so the list is looked through once in a while only.
    let is_early = |list: &mut List| {
        now >= list.looked_ms + EARLY_MS && list.at_ms.is_some_and(|at| at <= now + EARLY_MS)
    };
    if any_sent && LIST.with(is_early) {
        settle::<M>(now);
    }
}

/// Notes that messages wait for a player, for at most `ms` milliseconds; `reading`: until the end of the reading.
fn wait<M: Players>(
    player: *mut ngx_rtmp_session_t,
    waiting: &mut Waiting,
    now: u64,
    ms: u64,
    reading: bool,
) {
    let due = *waiting.since_ms.get_or_insert(now) + ms;
    let is_listed = mem::replace(&mut waiting.is_listed, true);
    LIST.with(|list| {
        if reading {
            list.at_end = Some(finish::<M>);
        }
        if !is_listed {
            if reading { &mut list.reading } else { &mut list.sessions }.push(player);
        }
        if !reading {
            list.look_at::<M>(due, now);
        }
    });
}

impl List {
    /// Makes sure that [`look`] runs at `due` or earlier.
    fn look_at<M: Players>(&mut self, due: u64, now: u64) {
        if self.at_ms.is_none_or(|at| due < at) {
            self.at_ms = Some(due);
            let ms = usize::try_from(due.saturating_sub(now)).unwrap_or(0);
            self.alarm.get_or_insert_with(|| Alarm::new(look::<M>)).arm(ms.max(1));
        }
    }
}

/// Called when a publisher's socket has no more bytes. Sends the messages that wait for this.
pub(super) fn end_of_reading() {
    if let Some(finish) = LIST.with(|list| list.at_end.take()) {
        finish(process::uptime_ms());
    }
}

fn finish<M: Players>(now: u64) {
    let listed = LIST.with(|list| mem::take(&mut list.reading));
    let rest = send_some::<M>(&listed, now);
    LIST.with(|list| {
        if !rest.is_empty() {
            list.sessions.extend_from_slice(rest);
            list.look_at::<M>(now, now);
        }
    });
}

/// Sends the messages that have waited long enough. Runs when the alarm fires.
fn look<M: Players>(_sessions: &mut Sessions<'_>) {
    settle::<M>(process::uptime_ms());
}

/// Sends the messages that have waited long enough, and sets the alarm for the others. Many players may be due at once: after some of
/// them, other connections have their turn.
fn settle<M: Players>(now: u64) {
    let listed = LIST.with(|list| {
        (list.at_ms, list.at_end, list.looked_ms) = (None, None, now);
        let mut listed = mem::take(&mut list.sessions);
        listed.append(&mut list.reading);
        listed
    });
    let rest = send_some::<M>(&listed, now);
    LIST.with(|list| {
        if !rest.is_empty() {
            list.sessions.splice(..0, rest.iter().copied());
            list.look_at::<M>(now, now);
        }
        if let (None, Some(alarm)) = (list.at_ms, &mut list.alarm) {
            alarm.disarm();
        }
    });
}

/// Sends the messages of these players that have waited long enough, but to [`MOST_WRITES`] players only. Returns the players after these.
fn send_some<M: Players>(listed: &[*mut ngx_rtmp_session_t], now: u64) -> &[*mut ngx_rtmp_session_t] {
    let mut writes = 0;
    for (at, player) in listed.iter().enumerate() {
        if writes == MOST_WRITES {
            return &listed[at..];
        }
        // SAFETY: a session leaves the list before it is freed (`forget`), and closing is posted (ngx_rtmp_finalize_session).
        let mut safe = unsafe { Session::<M>::new(*player) };
        let ms = safe.settings().and_then(M::merge_write).map_or(0, Rule::most_ms);
        let is_sent = safe.unsent() == 0;
        let Some(waiting) = safe.waiting() else { continue };
        waiting.is_listed = false;
        match waiting.since_ms {
            Some(_) if is_sent => waiting.since_ms = None,
            Some(since) if since + ms <= now => {
                writes += 1;
                // SAFETY: as above.
                unsafe { send::<M>(*player, now) }
            }
            Some(_) => wait::<M>(*player, waiting, now, ms, false),
            None => {}
        }
    }
    &[]
}

/// Sends all waiting messages of a player. If its socket is full, epoll reports when sending can continue.
///
/// # Safety
///
/// A live session.
unsafe fn send<M: Players>(player: *mut ngx_rtmp_session_t, now: u64) {
    // SAFETY: by contract; the handler of a connection that plays is ngx_rtmp_send (ngx_rtmp_cycle).
    unsafe {
        if let Some(waiting) = Session::<M>::new(player).waiting() {
            waiting.sent_ms = now;
            waiting.since_ms = None;
        }
        let write = (*(*player).connection).write;
        if let (0, Some(handler)) = ((*write).active(), (*write).handler) {
            handler(write);
        }
    }
}

/// Called when a stream ends. Its players get the waiting messages, because their connections may close next.
pub(super) fn send_all<M: Players>() {
    let now = process::uptime_ms();
    let listed = LIST.with(|list| {
        let mut listed = mem::take(&mut list.sessions);
        listed.append(&mut list.reading);
        listed
    });
    for player in listed {
        // SAFETY: as in `look`.
        unsafe {
            if let Some(waiting) = Session::<M>::new(player).waiting() {
                waiting.is_listed = false;
            }
            send::<M>(player, now);
        }
    }
}

/// Called when a session ends.
pub(super) fn forget(session: *mut ngx_rtmp_session_t) {
    LIST.with(|list| {
        list.sessions.retain(|listed| *listed != session);
        list.reading.retain(|listed| *listed != session);
    });
}
