//! Timers of nginx's event loop.

use nginx_sys::{ngx_add_timer, ngx_connection_t, ngx_del_timer, ngx_event_t};

use super::{callback, process, session::Session};

/// A timer of one session, which calls [`crate::hooks::on_timer`]. It ends with the session.
pub struct SessionTimer {
    event: Box<ngx_event_t>,
}

impl SessionTimer {
    /// A timer that is not armed. `connection` outlives it: the timer is part of the session's state, which
    /// the connection's pool drops.
    pub(super) fn new(connection: *mut ngx_connection_t) -> Self {
        let mut event = Box::new(empty_event());
        // nginx's debug log reads a connection behind `data`.
        event.data = connection.cast();
        event.handler = Some(fire);
        SessionTimer { event }
    }

    /// Fires once, in `ms` milliseconds; an earlier deadline is replaced.
    pub fn arm(&mut self, ms: usize) {
        let event: *mut ngx_event_t = &raw mut *self.event;
        // SAFETY: the event is boxed, so it stays in place while the timer tree refers to it, and `Drop`
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
            // SAFETY: the event is in the timer tree, see `arm`.
            unsafe { ngx_del_timer(&raw mut *self.event) };
        }
    }
}

extern "C" fn fire(event: *mut ngx_event_t) {
    callback::guard("a session's timer", (), || {
        // SAFETY: `data` is the connection of a live session: the timer is dropped with it.
        let session = unsafe { Session::of_connection((*event).data.cast()) };
        if let Some(mut session) = session {
            crate::hooks::on_timer(&mut session);
        }
    });
}

/// Milliseconds between two ticks of a worker.
pub const TICK_MS: usize = 100;

struct Tick {
    event: ngx_event_t,
    connection: ngx_connection_t,
    pid: u32,
}

static TICK: process::Local<Option<Box<Tick>>> = process::Local::new(None);

/// Starts the worker's tick, once a process: [`crate::worker::tick`] every 100 ms.
pub fn start_tick() {
    TICK.with(|tick| {
        if tick.as_ref().is_some_and(|tick| tick.pid == process::pid()) {
            return;
        }
        let mut fresh = Box::new(Tick {
            event: empty_event(),
            // SAFETY: all zeroes is a valid connection that is closed: numbers, null pointers, no functions.
            connection: unsafe { std::mem::zeroed() },
            pid: process::pid(),
        });
        fresh.connection.fd = -1;
        fresh.event.data = (&raw mut fresh.connection).cast();
        fresh.event.handler = Some(on_tick);
        // A worker that drains does not wait for it.
        fresh.event.set_cancelable(1);
        // What a forked worker inherits is in the timer tree of no event loop, and may just be dropped.
        arm_tick(tick.insert(fresh));
    });
}

fn arm_tick(tick: &mut Tick) {
    // SAFETY: boxed and never freed while armed: it stays in place. The log is that of the running cycle,
    // taken anew each time because a reload in a single process replaces it.
    unsafe {
        tick.event.log = (*nginx_sys::ngx_cycle).log;
        ngx_add_timer(&raw mut tick.event, TICK_MS);
    }
}

extern "C" fn on_tick(_event: *mut ngx_event_t) {
    callback::guard("the worker's tick", (), crate::worker::tick);
    TICK.with(|tick| {
        if let Some(tick) = tick {
            arm_tick(tick);
        }
    });
}

fn empty_event() -> ngx_event_t {
    // SAFETY: an event of zeroes is how nginx itself makes one (ngx_pcalloc): unset flags, null pointers.
    unsafe { std::mem::zeroed() }
}
