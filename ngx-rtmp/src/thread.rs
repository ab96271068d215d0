//! Runs blocking work in a thread pool of nginx, and the rest of the work in the event loop.

use std::{
    ffi::{CStr, c_void},
    ptr,
};

use nginx_sys::{
    NGX_OK, ngx_array_t, ngx_command_t, ngx_conf_t, ngx_cycle_t, ngx_event_t, ngx_int_t, ngx_module_t,
    ngx_str_t, ngx_thread_pool_t, ngx_thread_task_t,
};

use super::{
    callback::{self, Sessions},
    process,
    rtmp_sys::symbol,
};

/// A pool of one thread. There is one pool for each kind of work, because work may take long: a disk may be slow, or another process may
/// hold a file lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool(&'static CStr);

impl Pool {
    /// Returns the pool with this name.
    #[must_use]
    pub const fn named(name: &'static CStr) -> Pool {
        Pool(name)
    }

    fn name(self) -> ngx_str_t {
        word(self.0)
    }
}

/// Returns a word of a directive, without the NUL that ends it.
fn word(text: &'static CStr) -> ngx_str_t {
    ngx_str_t { len: text.to_bytes().len(), data: text.as_ptr().cast_mut().cast() }
}

type TaskPost = unsafe extern "C" fn(*mut ngx_thread_pool_t, *mut ngx_thread_task_t) -> ngx_int_t;
type PoolGet = unsafe extern "C" fn(*mut ngx_cycle_t, *mut ngx_str_t) -> *mut ngx_thread_pool_t;

/// Functions of nginx's thread pool. An nginx without threads has none of them.
struct Threads {
    task_post: TaskPost,
    pool_get: PoolGet,
    module: *mut ngx_module_t,
}

impl Threads {
    fn find() -> Option<Threads> {
        // SAFETY: the functions have the types that nginx declares in ngx_thread_pool.h.
        unsafe {
            Some(Threads {
                task_post: std::mem::transmute::<*mut c_void, TaskPost>(symbol("ngx_thread_task_post\0")?),
                pool_get: std::mem::transmute::<*mut c_void, PoolGet>(symbol("ngx_thread_pool_get\0")?),
                module: symbol("ngx_thread_pool_module\0")?.cast(),
            })
        }
    }
}

/// Why nginx cannot add thread pools to a configuration.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// nginx has no thread pools.
    #[error("this nginx was built without threads (--with-threads)")]
    NoThreads,
    /// The work of the pools needs TLS, and nginx has none.
    #[error("this nginx was built without SSL (--with-http_ssl_module)")]
    NoTls,
    /// nginx cannot add the pool.
    #[error("the thread pool {} cannot be added", .0.0.to_string_lossy())]
    NotAdded(Pool),
}

/// Adds the pools to the configuration that nginx is reading: `thread_pool NAME threads=1` and so on. nginx's own default would be 32
/// threads per worker.
pub(super) fn add_pools(cf: &mut ngx_conf_t, pools: &[Pool]) -> Result<(), PoolError> {
    let threads = Threads::find().ok_or(PoolError::NoThreads)?;
    symbol("ngx_ssl_handshake\0").ok_or(PoolError::NoTls)?;
    pools.iter().try_for_each(|pool| add_pool(cf, &threads, *pool))
}

fn add_pool(cf: &mut ngx_conf_t, threads: &Threads, pool: Pool) -> Result<(), PoolError> {
    let mut words = [word(c"thread_pool"), pool.name(), word(c"threads=1")];
    let mut args = ngx_array_t {
        elts: words.as_mut_ptr().cast(),
        nelts: words.len(),
        size: size_of::<ngx_str_t>(),
        nalloc: words.len(),
        pool: cf.pool,
    };
    let own = std::mem::replace(&mut cf.args, &raw mut args);
    // SAFETY: the first directive of the thread pool's module is `thread_pool`. It reads `cf.args` and keeps the name, which is static
    // (ngx_thread_pool_add).
    let outcome = unsafe {
        let command: *mut ngx_command_t = (*threads.module).commands;
        (*command).set.map(|set| set(cf, command, ptr::null_mut()))
    };
    cf.args = own;
    match outcome {
        Some(answer) if answer.is_null() => Ok(()),
        _ => Err(PoolError::NotAdded(pool)),
    }
}

/// Starts the pools of a configuration that took over in a single process. nginx does not start them there, because it calls init_process
/// once, and would use the missing pools when it exits.
pub(super) fn start_pools(cycle: *mut ngx_cycle_t) {
    if let Some(threads) = Threads::find() {
        // SAFETY: the thread pool's own start (ngx_thread_pool_init_worker), for a cycle that runs from now on.
        unsafe {
            if let Some(start) = (*threads.module).init_process {
                start(cycle);
            }
        }
    }
}

/// Work for the event loop after the work of [`run_alone`].
pub type After = Box<dyn FnOnce(&mut Sessions<'_>) + Send>;

/// A task that belongs to no request.
struct Alone {
    task: ngx_thread_task_t,
    work: Option<Box<dyn FnOnce() -> After + Send>>,
    after: Option<After>,
}

/// Runs `work` in a pool, and the function that it returns in the event loop. Returns `false` if the pool accepts no more tasks.
pub fn run_alone(pool: Pool, work: impl FnOnce() -> After + Send + 'static) -> bool {
    process::assert_loop();
    let Some(threads) = Threads::find() else { return false };
    let mut name = pool.name();
    // SAFETY: a task of zeroes is how nginx makes one (ngx_thread_task_alloc); boxed, it stays in place until
    // `alone_in_event_loop` takes it back.
    unsafe {
        let pool = (threads.pool_get)(nginx_sys::ngx_cycle, &mut name);
        if pool.is_null() {
            return false;
        }
        let alone = Box::into_raw(Box::new(Alone {
            task: std::mem::zeroed(),
            work: Some(Box::new(work)),
            after: None,
        }));
        let task = &raw mut (*alone).task;
        (*task).ctx = alone.cast();
        (*task).handler = Some(alone_in_pool);
        (*task).event.data = alone.cast();
        (*task).event.handler = Some(alone_in_event_loop);
        let posted = (threads.task_post)(pool, task) == NGX_OK as ngx_int_t;
        if !posted {
            drop(Box::from_raw(alone));
        }
        posted
    }
}

/// ngx_thread_task_t.handler. It runs on a thread of the pool.
unsafe extern "C" fn alone_in_pool(alone: *mut c_void, _log: *mut nginx_sys::ngx_log_t) {
    callback::guard_in_pool("work of the thread pool", (), || {
        // SAFETY: the task of `run_alone`; the event loop does not touch it until this returns (ngx_thread_pool_cycle). The work
        // is `Send`.
        let alone = unsafe { &mut *alone.cast::<Alone>() };
        alone.after = alone.work.take().map(|work| work());
    });
}

unsafe extern "C" fn alone_in_event_loop(event: *mut ngx_event_t) {
    callback::guard("the outcome of the thread pool", (), || {
        // SAFETY: `data` is the task of `run_alone`, which nginx is done with (ngx_thread_pool_handler).
        let alone = unsafe { Box::from_raw((*event).data.cast::<Alone>()) };
        if let Some(after) = alone.after {
            // SAFETY: an event of the loop (ngx_thread_pool_handler): no session is lent.
            after(&mut unsafe { Sessions::new() });
        }
    });
}

/// Starts a thread for work that may block forever. A worker that exits waits for the threads of its pools (ngx_thread_pool_destroy), but
/// not for this thread. Returns whether the thread runs.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> bool {
    // SAFETY: two sets of signals on the stack. Signals are for nginx's event loop: the thread has all of them blocked, as those
    // of a pool have (ngx_thread_pool_cycle).
    unsafe {
        let (mut all, mut before): (libc::sigset_t, libc::sigset_t) =
            (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&raw mut all);
        if libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) != 0 {
            return false;
        }
        let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(work);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
        spawned.is_ok()
    }
}
