//! The process: its number, the clock, who is alive, and state that one event loop alone touches.

use std::{cell::RefCell, collections::HashMap};

use weir_model::Timestamp;

/// Process id of the caller, as nginx knows it: no system call.
#[must_use]
pub fn pid() -> u32 {
    // SAFETY: read by value; nginx sets it when a process starts, before any callback of ours.
    unsafe { nginx_sys::ngx_pid as u32 }
}

/// The version of nginx that this module was built for.
#[must_use]
pub fn nginx_version() -> String {
    nginx_sys::NGINX_VERSION.to_string_lossy().into_owned()
}

/// The version of nginx-rtmp that this module was built for, as it calls itself.
#[must_use]
pub fn rtmp_version() -> String {
    String::from_utf8_lossy(super::rtmp_sys::NGINX_RTMP_VERSION).trim_end_matches('\0').to_owned()
}

/// The time as nginx last read it (`ngx_cached_time`): no system call.
#[must_use]
pub fn now() -> Timestamp {
    // SAFETY: nginx initialises its cached time before it reads the configuration, and replaces the pointer
    // only with others of a static table.
    let (seconds, milliseconds) = unsafe {
        let time = nginx_sys::ngx_cached_time;
        ((*time).sec, (*time).msec)
    };
    Timestamp::from_millis(u64::try_from(seconds).unwrap_or(0) * 1000 + milliseconds as u64)
}

/// A clock that is never set (`ngx_current_msec`), for how long something lasted: no system call.
#[must_use]
pub fn uptime() -> Timestamp {
    // SAFETY: read by value.
    Timestamp::from_millis(unsafe { nginx_sys::ngx_current_msec } as u64)
}

/// Random bits, none where the system has none.
#[must_use]
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    // A back-off without jitter is still one.
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Whether a process with this id exists. One that exited and was not yet reaped does.
#[must_use]
pub fn alive(pid: u32) -> bool {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return false };
    // SAFETY: signal 0 only asks.
    let found = unsafe { libc::kill(pid, 0) } == 0;
    found || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// As [`alive`], asking the kernel once for each process: for lists of many rows.
pub fn census() -> impl Fn(u32) -> bool {
    let known = RefCell::new(HashMap::<u32, bool>::new());
    move |pid| *known.borrow_mut().entry(pid).or_insert_with(|| alive(pid))
}

/// How many connections of this worker are taken, and how many it has (`worker_connections`).
#[must_use]
pub fn connections() -> (usize, usize) {
    // SAFETY: nginx sets ngx_cycle before any callback of ours; plain numbers, changed by this thread alone.
    unsafe {
        nginx_sys::ngx_cycle.as_ref().map_or((0, 0), |cycle| {
            (cycle.connection_n.saturating_sub(cycle.free_connection_n), cycle.connection_n)
        })
    }
}

/// Whether the worker was told to quit.
#[must_use]
pub fn draining() -> bool {
    // SAFETY: plain flags that a signal handler sets, read by value.
    unsafe { nginx_sys::ngx_exiting != 0 || nginx_sys::ngx_quit != 0 || nginx_sys::ngx_terminate != 0 }
}

/// Whether nginx only tests its configuration (`nginx -t`, `nginx -T`).
#[must_use]
pub fn is_test() -> bool {
    // SAFETY: read by value, set once when nginx reads its arguments.
    unsafe { nginx_sys::ngx_test_config != 0 }
}

/// Whether this process is one of a master's workers.
#[must_use]
pub fn is_worker() -> bool {
    // SAFETY: read by value, set once before any callback of ours.
    unsafe { nginx_sys::ngx_process == nginx_sys::NGX_PROCESS_WORKER as usize }
}

/// Whether this process runs an event loop with connections: a worker, or nginx with `master_process off`.
#[must_use]
pub fn serves() -> bool {
    // SAFETY: read by value, set once before any callback of ours.
    let process = unsafe { nginx_sys::ngx_process };
    process == nginx_sys::NGX_PROCESS_WORKER as usize || process == nginx_sys::NGX_PROCESS_SINGLE as usize
}

/// State of one process, touched by its event loop and nobody else.
pub struct Local<T>(RefCell<T>);

// SAFETY: nginx runs configuration, callbacks and timers of a process on one thread. The work that goes to
// the thread pool is `Send` and is given what it needs by value; it never names a `Local`.
unsafe impl<T> Sync for Local<T> {}

impl<T> Local<T> {
    /// A value for every process that is forked from here.
    pub const fn new(value: T) -> Self {
        Local(RefCell::new(value))
    }

    /// Works on the value. Calls do not nest: `work` must not call back into the same `Local`.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.0.borrow_mut())
    }
}
