//! Workers wake each other: after one worker has changed shared memory, all workers look at it immediately.
//!
//! All workers of a master share one eventfd (eventfd(2)). The master makes it before it forks the first worker, and keeps it across
//! reloads. Each worker waits for it edge-triggered, and no worker reads it, so a write wakes all of them. A worker that is not woken, such
//! as a worker of another master during an upgrade, finds the change with its next tick.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nginx_sys::{
    NGX_OK, NGX_USE_CLEAR_EVENT, ngx_event_actions, ngx_event_flags, ngx_event_t, ngx_free_connection,
    ngx_get_connection, ngx_int_t, ngx_uint_t,
};

use super::{
    callback::{self, Sessions},
    log, process,
    timer::Worker,
};
use crate::local;

/// NGX_READ_EVENT and NGX_CLEAR_EVENT where nginx is built with epoll (ngx_event.h).
const READ_EVENT: ngx_int_t = (libc::EPOLLIN | libc::EPOLLRDHUP) as ngx_int_t;
const CLEAR_EVENT: ngx_uint_t = libc::EPOLLET.cast_unsigned() as ngx_uint_t;

local! {
    /// The eventfd: the master makes it, and the workers inherit it.
    static BELL: Option<OwnedFd> = None;
}
local! {
    /// The process that waits for the eventfd. A worker that was just forked does not wait yet.
    static LISTENER: Option<u32> = None;
}

/// Makes the eventfd, once for a master and its workers.
pub(super) fn prepare() {
    BELL.with(|bell| {
        if bell.is_none() {
            // SAFETY: a new descriptor, which is ours (eventfd(2)).
            let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
            // SAFETY: as above.
            *bell = (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) });
        }
    });
}

/// Wakes all workers of this master, including the caller.
pub fn ring() {
    let one = 1_u64.to_ne_bytes();
    BELL.with(|bell| {
        if let Some(bell) = bell {
            // SAFETY: an open descriptor and eight bytes (eventfd(2)). EFD_NONBLOCK: a write that fails costs others the time until their tick.
            unsafe { libc::write(bell.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        }
    });
}

/// Makes this process wait for the eventfd, once. Each write calls [`wake`](Worker::wake).
pub fn listen<M: Worker>() {
    process::assert_loop();
    let pid = process::pid();
    if LISTENER.with(|listener| listener.replace(pid)) == Some(pid) {
        return;
    }
    let Some(fd) = BELL.with(|bell| bell.as_ref().map(AsRawFd::as_raw_fd)) else { return };
    // SAFETY: read by value; set when the event loop starts (ngx_event_process_init).
    let is_edge_triggered = unsafe { ngx_event_flags } & NGX_USE_CLEAR_EVENT as ngx_uint_t != 0;
    if is_edge_triggered && !add::<M>(fd) {
        log::named(
            log::Level::Warning,
            format_args!("this worker is not woken by others: it looks ten times per second"),
        );
    }
}

/// Adds the eventfd to the event loop.
fn add<M: Worker>(fd: RawFd) -> bool {
    // SAFETY: the running cycle; the descriptor stays open as long as the process (`BELL`). The event is of nginx's kind for its own
    // channel between processes, which a worker that exits does not count as an open connection (ngx_worker_process_exit).
    unsafe {
        let log = (*nginx_sys::ngx_cycle).log;
        let (Some(connection), Some(add)) = (ngx_get_connection(fd, log).as_mut(), ngx_event_actions.add)
        else {
            return false;
        };
        connection.log = log;
        let read = &mut *connection.read;
        read.log = log;
        read.set_channel(1);
        read.handler = Some(heard::<M>);
        if add(read, READ_EVENT, CLEAR_EVENT) != NGX_OK as ngx_int_t {
            ngx_free_connection(connection);
            connection.fd = -1;
            return false;
        }
    }
    true
}

unsafe extern "C" fn heard<M: Worker>(_event: *mut ngx_event_t) {
    // SAFETY: an event of the loop (ngx_epoll_process_events): no session is lent.
    callback::guard("a call of another worker", (), || M::wake(&mut unsafe { Sessions::new() }));
}
