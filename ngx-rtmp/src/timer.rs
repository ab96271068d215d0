//! Timers of nginx's event loop.

use std::marker::PhantomData;

use nginx_sys::{
    ngx_add_timer, ngx_connection_t, ngx_del_timer, ngx_event_handler_pt, ngx_event_t, ngx_post_event,
};

use super::{
    callback::{self, Sessions},
    process,
    types::Types,
};
use crate::local;

/// Callbacks for the life of a worker.
pub trait Worker: Types {
    /// Called when the worker starts.
    fn start();
    /// Called when the worker exits.
    fn stop();
    /// Called ten times per second: 50 to 150 ms after the last call.
    fn tick(sessions: &mut Sessions<'_>);
    /// Called when a worker has changed shared memory that other workers follow.
    fn wake(sessions: &mut Sessions<'_>);
}

/// A timer of one session. It ends with the session.
pub(super) struct SessionTimer {
    event: Box<ngx_event_t>,
}

impl SessionTimer {
    /// Creates a timer that is not armed. `connection` outlives it: the timer is part of the session's state, which the connection's pool
    /// drops.
    pub(super) fn new(connection: *mut ngx_connection_t, handler: ngx_event_handler_pt) -> Self {
        let mut event = Box::new(empty_event());
        // nginx's debug log reads a connection behind `data`.
        event.data = connection.cast();
        event.handler = handler;
        SessionTimer { event }
    }

    /// Arms the timer to fire once, in `ms` milliseconds. A new call replaces an earlier deadline.
    pub(super) fn arm(&mut self, ms: usize) {
        let event: *mut ngx_event_t = &raw mut *self.event;
        // SAFETY: the event is boxed, so it stays in place while the timer tree refers to it (ngx_event_add_timer), and `Drop`
        // takes it out. The connection behind `data` is alive, see `new`.
        unsafe {
            (*event).log = (*(*event).data.cast::<ngx_connection_t>()).log;
            ngx_add_timer(event, ms);
        }
    }
}

impl Drop for SessionTimer {
    fn drop(&mut self) {
        if self.event.timer_set() != 0 {
            // SAFETY: the event is in the timer tree, where `arm` put it (ngx_event_add_timer).
            unsafe { ngx_del_timer(&raw mut *self.event) };
        }
    }
}

/// A timer of the process. A worker that must quit waits for it.
pub struct Alarm(Box<AlarmParts>);

#[repr(C)]
struct AlarmParts {
    /// First: nginx's debug log reads a connection behind the event's `data`.
    connection: ngx_connection_t,
    event: ngx_event_t,
    call: fn(&mut Sessions<'_>),
}

impl Alarm {
    /// Creates a timer that is not armed, and calls `call` from the event loop.
    #[must_use]
    pub fn new(call: fn(&mut Sessions<'_>)) -> Self {
        // SAFETY: all zeroes is a valid connection that is closed: numbers, null pointers, no functions (ngx_event_process_init).
        let connection: ngx_connection_t = unsafe { std::mem::zeroed() };
        let mut parts = Box::new(AlarmParts { connection, event: empty_event(), call });
        parts.connection.fd = -1;
        let data: *mut AlarmParts = &raw mut *parts;
        parts.event.data = data.cast();
        parts.event.handler = Some(ring);
        Alarm(parts)
    }

    /// Arms the timer to fire once, in `ms` milliseconds. A new call replaces an earlier deadline.
    pub fn arm(&mut self, ms: usize) {
        process::assert_loop();
        self.disarm();
        let event = &raw mut self.0.event;
        // SAFETY: the event is boxed, so it stays in place while the timer tree refers to it (ngx_event_add_timer), and `Drop` takes it
        // out. The log is that of the running cycle.
        unsafe {
            (*event).log = (*nginx_sys::ngx_cycle).log;
            ngx_add_timer(event, ms);
        }
    }

    /// Disarms the timer.
    pub fn disarm(&mut self) {
        if self.0.event.timer_set() != 0 {
            // SAFETY: the event is in the timer tree, where `arm` put it (ngx_event_add_timer).
            unsafe { ngx_del_timer(&raw mut self.0.event) };
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.disarm();
    }
}

extern "C" fn ring(event: *mut ngx_event_t) {
    // SAFETY: `data` is the box of a live alarm: it is dropped with its timer (ngx_event_expire_timers).
    let call = unsafe { (*(*event).data.cast::<AlarmParts>()).call };
    // SAFETY: an event of the loop (ngx_event_expire_timers): no session is lent.
    callback::guard("a timer", (), || call(&mut unsafe { Sessions::new() }));
}

/// Ticks per second.
pub const TICKS_A_SECOND: u32 = 10;
/// Milliseconds between two ticks of a worker, on average.
const TICK_MS: u64 = 1000 / TICKS_A_SECOND as u64;
/// How much earlier a tick may be when the worker is awake anyway, in milliseconds: media arrives at least 20 times per second.
const EARLY_MS: u64 = 50;

struct Tick {
    event: ngx_event_t,
    connection: ngx_connection_t,
    pid: u32,
    /// The time when the next tick is due, by nginx's clock.
    due: u64,
}

local! {
    static TICK: Option<Box<Tick>> = None;
}
local! {
    /// Number of holds in this process. With any, the tick's event is not cancelable.
    static HOLDS: usize = 0;
}

/// Keeps a worker that must quit from exiting, until the next tick after the value is dropped.
///
/// nginx exits as soon as only cancelable timers are left (ngx_event_no_timers_left).
pub struct Hold(PhantomData<*const ()>);

impl Hold {
    /// Holds the worker.
    #[must_use]
    pub fn on_worker() -> Hold {
        process::assert_loop();
        HOLDS.with(|holds| *holds += 1);
        TICK.with(|tick| {
            if let Some(tick) = tick.as_mut().filter(|tick| tick.pid == process::pid()) {
                tick.event.set_cancelable(0);
            }
        });
        Hold(PhantomData)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        HOLDS.with(|holds| *holds -= 1);
    }
}

/// Starts the worker's tick, once per process: it calls [`tick`](Worker::tick) ten times per second.
pub fn start_tick<M: Worker>() {
    process::assert_loop();
    TICK.with(|tick| {
        if tick.as_ref().is_some_and(|tick| tick.pid == process::pid()) {
            return;
        }
        let mut fresh = Box::new(Tick {
            event: empty_event(),
            // SAFETY: all zeroes is a valid connection that is closed: numbers, null pointers, no functions (ngx_event_process_init).
            connection: unsafe { std::mem::zeroed() },
            pid: process::pid(),
            due: process::uptime_ms(),
        });
        fresh.connection.fd = -1;
        fresh.event.data = (&raw mut fresh.connection).cast();
        fresh.event.handler = Some(on_tick::<M>);
        // The timer tree of this event loop does not have the tick that a forked worker inherits, so that tick may simply be dropped.
        arm_tick(tick.insert(fresh));
    });
}

/// Notes that the worker is awake. If the next tick is due soon, it runs now, after the present event, and does not wake the worker again.
pub fn awake() {
    let now = process::uptime_ms();
    TICK.with(|tick| {
        if let Some(tick) = tick
            && tick.is_due(now)
            && tick.pid == process::pid()
        {
            // SAFETY: boxed and never freed while armed; posted events are handled before the loop waits again
            // (ngx_process_events_and_timers).
            unsafe { ngx_post_event(&raw mut tick.event, &raw mut nginx_sys::ngx_posted_events) };
        }
    });
}

impl Tick {
    fn is_due(&self, now: u64) -> bool {
        now + EARLY_MS >= self.due
    }
}

fn arm_tick(tick: &mut Tick) {
    let now = process::uptime_ms();
    // The next tick keeps the pace, unless the event loop was delayed.
    tick.due = (tick.due + TICK_MS).max(now + TICK_MS - EARLY_MS);
    let wait = usize::try_from(tick.due - now).unwrap_or_default();
    // The log is set again each time, because a reload in a single process replaces it. ngx_add_timer would not move a timer that is set
    // (NGX_TIMER_LAZY_DELAY), so it is removed first. A worker that drains does not wait for the tick, unless a `Hold` exists.
    tick.event.set_cancelable(u32::from(HOLDS.with(|holds| *holds == 0)));
    // SAFETY: boxed and never freed while armed: it stays in place (ngx_event_add_timer). The log is that of the running cycle.
    unsafe {
        tick.event.log = (*nginx_sys::ngx_cycle).log;
        if tick.event.timer_set() != 0 {
            ngx_del_timer(&raw mut tick.event);
        }
        ngx_add_timer(&raw mut tick.event, wait);
    }
}

extern "C" fn on_tick<M: Worker>(_event: *mut ngx_event_t) {
    let now = process::uptime_ms();
    // The event may have been posted while its timer fired.
    if TICK.with(|tick| tick.as_ref().is_some_and(|tick| tick.is_due(now))) {
        // SAFETY: an event of the loop (ngx_event_expire_timers): no session is lent.
        callback::guard("the worker's tick", (), || M::tick(&mut unsafe { Sessions::new() }));
        TICK.with(|tick| {
            if let Some(tick) = tick {
                arm_tick(tick);
            }
        });
    }
}

fn empty_event() -> ngx_event_t {
    // SAFETY: an event of zeroes is how nginx itself makes one (ngx_pcalloc): unset flags, null pointers.
    unsafe { std::mem::zeroed() }
}
