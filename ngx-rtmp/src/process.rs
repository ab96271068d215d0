//! The process: its id, the clock, and which processes are alive.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

/// Returns the id of this process, without a system call.
#[must_use]
pub fn pid() -> u32 {
    // SAFETY: read by value; nginx sets it when a process starts, before any callback of ours (main, ngx_spawn_process).
    unsafe { nginx_sys::ngx_pid as u32 }
}

/// Returns the version of nginx that this module was built for.
#[must_use]
pub fn nginx_version() -> String {
    nginx_sys::NGINX_VERSION.to_string_lossy().into_owned()
}

/// Returns the version of nginx-rtmp that this module was built for, as nginx-rtmp's headers name it.
#[must_use]
pub fn rtmp_version() -> String {
    String::from_utf8_lossy(super::rtmp_sys::NGINX_RTMP_VERSION).trim_end_matches('\0').to_owned()
}

/// Returns the milliseconds since 1970, from nginx's last reading of the time (`ngx_cached_time`), without a system call.
#[must_use]
pub fn now_ms() -> u64 {
    // SAFETY: nginx initialises its cached time (ngx_time_init) before it reads the configuration, and replaces the pointer
    // only with others of a static table.
    let (seconds, milliseconds) = unsafe {
        let time = nginx_sys::ngx_cached_time;
        ((*time).sec, (*time).msec)
    };
    u64::try_from(seconds).unwrap_or(0) * 1000 + milliseconds as u64
}

/// Returns the milliseconds of a clock that is never set (`ngx_current_msec`), to measure durations, without a system call.
#[must_use]
pub fn uptime_ms() -> u64 {
    // SAFETY: read by value; this thread alone writes it (ngx_time_update).
    unsafe { nginx_sys::ngx_current_msec as u64 }
}

/// Returns whether a process with this id exists. A process that exited and was not yet reaped exists.
#[must_use]
pub fn alive(pid: u32) -> bool {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return false };
    // SAFETY: signal 0 only asks (kill(2)).
    let found = unsafe { libc::kill(pid, 0) } == 0;
    found || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// Returns whether no program runs in the process with this id: it does not exist, or it exited and was not yet reaped.
#[must_use]
pub fn has_ended(pid: u32) -> bool {
    let is_zombie = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name of the program is in parentheses and may contain some (proc(5)).
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
    };
    !alive(pid) || is_zombie()
}

/// Returns the process id of the parent: of a worker, its master, unless the master has died.
#[must_use]
pub fn parent() -> u32 {
    // SAFETY: only asks (getppid(2)).
    unsafe { libc::getppid() as u32 }
}

/// Like [`alive`], but asks the kernel once for each process: for lists with many rows.
pub fn census() -> impl Fn(u32) -> bool {
    let known = RefCell::new(HashMap::<u32, bool>::new());
    move |pid| *known.borrow_mut().entry(pid).or_insert_with(|| alive(pid))
}

/// Returns the number of used connections of this worker, and the number of all its connections (`worker_connections`).
#[must_use]
pub fn connections() -> (usize, usize) {
    // SAFETY: nginx sets ngx_cycle before any callback of ours; plain numbers, changed by this thread alone.
    unsafe {
        nginx_sys::ngx_cycle.as_ref().map_or((0, 0), |cycle| {
            (cycle.connection_n.saturating_sub(cycle.free_connection_n), cycle.connection_n)
        })
    }
}

/// Returns whether nginx has told the worker to quit.
#[must_use]
pub fn draining() -> bool {
    // SAFETY: plain flags that a signal handler sets, read by value (ngx_signal_handler).
    unsafe { nginx_sys::ngx_exiting != 0 || nginx_sys::ngx_quit != 0 || nginx_sys::ngx_terminate != 0 }
}

/// Returns whether nginx only tests its configuration (`nginx -t`, `nginx -T`).
#[must_use]
pub fn is_test() -> bool {
    // SAFETY: read by value, set once when nginx reads its arguments (ngx_get_options).
    unsafe { nginx_sys::ngx_test_config != 0 }
}

/// Returns whether this process only reads the configuration to find the master (`nginx -s SIGNAL`).
#[must_use]
pub fn is_signaller() -> bool {
    // SAFETY: read by value, set once before any callback of ours (main, ngx_worker_process_init).
    unsafe { nginx_sys::ngx_process == nginx_sys::NGX_PROCESS_SIGNALLER as usize }
}

/// Returns whether another master has started this one for an upgrade of the binary (SIGUSR2), and it reads its first configuration.
#[must_use]
pub(crate) fn is_upgrade() -> bool {
    // SAFETY: read by value, set once before nginx reads its configuration (ngx_add_inherited_sockets). Until the first configuration runs,
    // ngx_cycle has no settings (ngx_is_init_cycle).
    unsafe { nginx_sys::ngx_inherited != 0 && (*nginx_sys::ngx_cycle).conf_ctx.is_null() }
}

/// Returns whether a master forked this process: a worker, or a helper of nginx's cache.
#[must_use]
pub(crate) fn is_child() -> bool {
    // SAFETY: read by value, set once before any callback of ours (ngx_worker_process_init).
    let process = unsafe { nginx_sys::ngx_process };
    process == nginx_sys::NGX_PROCESS_WORKER as usize || process == nginx_sys::NGX_PROCESS_HELPER as usize
}

/// Returns whether this process is one of a master's workers.
#[must_use]
pub fn is_worker() -> bool {
    // SAFETY: read by value, set once before any callback of ours (main, ngx_worker_process_init).
    unsafe { nginx_sys::ngx_process == nginx_sys::NGX_PROCESS_WORKER as usize }
}

/// Returns whether this process runs an event loop with connections: a worker, or nginx with `master_process off`.
#[must_use]
pub fn serves() -> bool {
    // SAFETY: read by value, set once before any callback of ours (main, ngx_worker_process_init).
    let process = unsafe { nginx_sys::ngx_process };
    process == nginx_sys::NGX_PROCESS_WORKER as usize || process == nginx_sys::NGX_PROCESS_SINGLE as usize
}

/// Returns the largest size of this process's stack, in bytes; `None` without a limit.
#[must_use]
pub fn stack_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the kernel writes to a struct that is ours (getrlimit(2)).
    let known = unsafe { libc::getrlimit(libc::RLIMIT_STACK, &raw mut limit) } == 0;
    (known && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

thread_local! {
    /// Whether nginx has called back on this thread outside a pool's task.
    static IS_LOOP: Cell<bool> = const { Cell::new(false) };
}

/// Notes that this thread runs the event loop. It also reads configurations.
pub(crate) fn enter_loop() {
    IS_LOOP.set(true);
}

/// Checks that the caller runs on the thread of the event loop. Only this thread may touch connections, timers and configurations.
///
/// # Panics
///
/// On any other thread.
#[track_caller]
pub(crate) fn assert_loop() {
    assert!(IS_LOOP.get(), "called on another thread than that of the event loop");
}
