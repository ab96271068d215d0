//! The life of a configuration and of a worker.
//!
//! nginx-rtmp keeps its chains and its main configuration in globals, which change while nginx reads a configuration. If this configuration
//! then fails, the running configuration continues with the changed globals, and a worker that the master starts later would inherit
//! half-built chains. So the fence notes the globals when nginx loads this module, and restores them when nginx destroys the pool of a
//! configuration that never ran.

use std::{
    ffi::{OsStr, c_char},
    fmt::Display,
    net::IpAddr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    ptr,
};

use nginx_sys::{NGX_ERROR, NGX_OK, ngx_cycle_t, ngx_int_t, ngx_pool_cleanup_add};
use ngx::core::NGX_CONF_ERROR;

use super::{
    blocks::Block,
    callback::{self, Sessions},
    collections,
    disk::{self, Files},
    explicit, handover, interworker, log, process, resolver,
    rtmp_sys::{self, Rtmp},
    slots::{self, MainSlot},
    thread,
    timer::Worker,
    tls,
    types::{Tables, Types},
    wake,
    zone::{self, Memory},
};

pub use super::tls::TlsError;

/// Callbacks for the life of a configuration.
pub trait Configuration: Types {
    /// Called when nginx has read `rtmp` completely. The module may note in an application's settings what surrounds it.
    fn learn(main: &mut Self::Main, blocks: &mut [Block<'_, Self>]);
    /// The errors of a configuration.
    type Error: Display;
    /// Called when nginx has read the whole configuration. An error is logged, and the configuration does not take effect.
    fn check(cx: &mut Checked<'_, Self>) -> Result<(), Self::Error>;
    /// Called when the configuration takes effect.
    fn commit(cx: &mut Start<'_, Self>) -> Takeover;
}

/// One attempt to read a configuration.
struct Attempt {
    before: Option<Rtmp>,
    globals: Option<rtmp_sys::Globals>,
    succeeded: bool,
}

/// ngx_core_module_t.create_conf. nginx calls it after it has loaded the module, before it reads any block.
pub(crate) extern "C" fn create<M: Types>(cycle: *mut ngx_cycle_t) -> *mut std::ffi::c_void {
    log::set_name(M::NAME);
    callback::guard("module load", ptr::null_mut(), || {
        // SAFETY: nginx calls with the cycle that is being built, which has its pool (ngx_init_cycle).
        let pool = unsafe { (*cycle).pool };
        let slot = slots::create::<MainSlot<M::Main>>(pool);
        // SAFETY: as above.
        let cleanup = unsafe { ngx_pool_cleanup_add(pool, size_of::<Attempt>()) };
        if cleanup.is_null() || slot.is_null() {
            return ptr::null_mut();
        }
        let before = rtmp_sys::refresh();
        let globals = rtmp_sys::rtmp().map(|rtmp| rtmp_sys::Globals::read(&rtmp));
        if let Some(rtmp) = rtmp_sys::rtmp() {
            // SAFETY: they are loaded; what is replaced is put back in `check` or `end`, one of which is called (ngx_init_cycle,
            // ngx_destroy_cycle_pools).
            unsafe { explicit::begin(&rtmp) };
        }
        // SAFETY: as above; the cleanup's data lives in the same pool, until after its handler ran (ngx_destroy_pool).
        unsafe {
            (*cleanup).data.cast::<Attempt>().write(Attempt { before, globals, succeeded: false });
            (*cleanup).handler = Some(end);
            let slot = slot.cast::<MainSlot<M::Main>>();
            (*slot).attempt = (*cleanup).data;
            (*slot).cycle = cycle;
        }
        slot
    })
}

/// Runs when nginx destroys the pool of a configuration.
unsafe extern "C" fn end(attempt: *mut std::ffi::c_void) {
    callback::guard("end of a configuration", (), || {
        // SAFETY: the data of the cleanup in `create` (ngx_destroy_pool).
        let attempt = unsafe { &*attempt.cast::<Attempt>() };
        if attempt.succeeded {
            return;
        }
        end_reading();
        if let (Some(rtmp), Some(globals)) = (rtmp_sys::rtmp(), &attempt.globals) {
            globals.write(&rtmp);
        }
        rtmp_sys::restore(attempt.before);
    });
}

fn end_reading() {
    if let Some(rtmp) = rtmp_sys::rtmp() {
        // SAFETY: they are loaded, as this library is: nginx unloads modules in the reverse order (ngx_unload_module).
        unsafe { explicit::end(&rtmp) };
    }
}

/// A configuration that was read completely.
pub struct Checked<'c, M: Types> {
    cycle: *mut ngx_cycle_t,
    slot: &'c mut MainSlot<M::Main>,
}

impl<M: Types> Checked<'_, M> {
    /// Returns the settings of the configuration.
    pub fn main(&mut self) -> &mut M::Main {
        &mut self.slot.settings
    }

    /// Returns whether the configuration has a zone.
    #[must_use]
    pub fn has_zone(&self) -> bool {
        !self.slot.zone.is_null()
    }

    /// Returns the file that the configuration was read from.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        // SAFETY: the cycle that is being built; the path is a string of it (ngx_init_cycle).
        let path = unsafe { collections::bytes(&(*self.cycle).conf_file) };
        Path::new(OsStr::from_bytes(path)).to_owned()
    }

    /// Writes to the log of the configuration.
    pub fn log(&self, level: log::Level, line: &str) {
        // SAFETY: the log of the cycle that is being built (ngx_init_cycle).
        unsafe { log::to((*self.cycle).log, level, format_args!("{line}")) }
    }

    /// Uses these name servers, unless a directive named others. Returns `false` if nginx cannot create a resolver for them.
    pub fn add_resolver(&mut self, servers: &[IpAddr]) -> bool {
        if self.slot.resolver.is_null() {
            // SAFETY: the cycle that is being built, read to its end (ngx_init_cycle calls init_conf after ngx_conf_parse).
            self.slot.resolver = unsafe { resolver::of_servers(self.cycle, servers) };
        }
        !self.slot.resolver.is_null()
    }

    /// Sets up TLS for the configuration, with the file of trusted certificates.
    pub fn add_tls(&mut self, trusted: Option<&Path>) -> Result<(), TlsError> {
        // SAFETY: as above.
        self.slot.tls = unsafe { tls::create(self.cycle, trusted)? };
        Ok(())
    }
}

/// ngx_core_module_t.init_conf. nginx calls it after it has read the whole configuration.
pub(crate) extern "C" fn check<M: Configuration>(
    cycle: *mut ngx_cycle_t,
    slot: *mut std::ffi::c_void,
) -> *mut c_char {
    callback::guard("check of the configuration", NGX_CONF_ERROR.cast(), || {
        end_reading();
        // SAFETY: the settings of `create`, which nobody else refers to (ngx_init_cycle hands init_conf what create_conf made).
        let slot = unsafe { &mut *slot.cast::<MainSlot<M::Main>>() };
        let mut cx = Checked { cycle, slot };
        match M::check(&mut cx) {
            Ok(()) => ptr::null_mut(),
            Err(line) => {
                cx.log(log::Level::Emergency, &line.to_string());
                NGX_CONF_ERROR.cast()
            }
        }
    })
}

/// A configuration that takes effect.
pub struct Start<'c, M: Types> {
    cycle: *mut ngx_cycle_t,
    slot: &'c mut MainSlot<M::Main>,
    /// All sessions of this process. Only with `master_process off` can there be any.
    pub sessions: Sessions<'c>,
    /// The zone, if there is one.
    pub zone: Option<Memory>,
    /// Whether the zone is new, so that nothing has used it yet.
    pub fresh: bool,
    /// User and group that the workers will run as; `None` if the workers keep the master's.
    pub user: Option<(u32, u32)>,
    /// `rtmp_auto_push on;`, taken over from nginx-rtmp.
    pub auto_push: bool,
}

impl<M: Types> Start<'_, M> {
    /// Returns the settings of the configuration.
    pub fn main(&mut self) -> &mut M::Main {
        &mut self.slot.settings
    }

    /// Writes to the log of the configuration.
    pub fn log(&self, level: log::Level, line: &str) {
        // SAFETY: the log of the cycle that takes over (ngx_init_modules).
        unsafe { log::to((*self.cycle).log, level, format_args!("{line}")) }
    }
}

/// The outcome for a configuration that takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takeover {
    /// nginx must not continue.
    Refused,
    /// The configuration is in force.
    Done,
    /// The configuration is in force in this same process, which has connections: `master_process off`.
    InPlace,
}

/// ngx_module_t.init_module. nginx calls it for a configuration that will run, before it forks the workers.
pub(crate) extern "C" fn commit<M: Tables + Configuration + Files>(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    callback::guard("start of a configuration", NGX_ERROR as ngx_int_t, || {
        // SAFETY: the settings of `create`, in the cycle that takes over; its zone is mapped (ngx_init_zone_pool).
        // No event of the loop is being handled (ngx_single_process_cycle).
        unsafe {
            let slot = &mut *slots::main_slot::<M>((*cycle).conf_ctx);
            if let Some(attempt) = slot.attempt.cast::<Attempt>().as_mut() {
                attempt.succeeded = true;
            }
            let auto_push = !slot.zone.is_null() && interworker::take_over(cycle);
            let zone = slot.zone.as_ref().and_then(|zone| Memory::of_running(zone));
            let has_zone = zone.is_some();
            let (fresh, user) = (slot.fresh, zone::worker_user(slot));
            let sessions = Sessions::new();
            let mut cx = Start { cycle, slot, sessions, zone, fresh, user, auto_push };
            let takeover = M::commit(&mut cx);
            if takeover == Takeover::Refused {
                return NGX_ERROR as ngx_int_t;
            }
            zone::settle::<M>(cycle);
            if has_zone {
                wake::prepare();
                let slot = &*slots::main_slot::<M>((*cycle).conf_ctx);
                disk::find::<M>();
                resolver::run(slot.resolver);
                tls::run(slot.tls);
            }
            if takeover == Takeover::InPlace {
                thread::start_pools(cycle);
            }
        }
        NGX_OK as ngx_int_t
    })
}

/// ngx_module_t.init_process.
pub(crate) extern "C" fn start<M: Worker>(_cycle: *mut ngx_cycle_t) -> ngx_int_t {
    callback::guard("start of a worker", (), || {
        if process::is_child() {
            handover::close();
        }
        M::start();
    });
    NGX_OK as ngx_int_t
}

/// ngx_module_t.exit_process.
pub(crate) extern "C" fn stop<M: Worker>(_cycle: *mut ngx_cycle_t) {
    callback::guard("end of a worker", (), M::stop);
}
