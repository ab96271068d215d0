//! The life of a configuration and of a worker.
//!
//! nginx-rtmp keeps its chains and its main configuration in globals, which a configuration changes while it
//! is being read. When it then fails, the running one goes on with them, and a worker that the master starts
//! later would inherit half-built chains. So what was in place is noted when this module is loaded, and put
//! back when the pool of a configuration that never ran is destroyed.

use std::{ffi::c_char, ptr};

use nginx_sys::{NGX_ERROR, NGX_OK, ngx_cycle_t, ngx_int_t, ngx_pool_cleanup_add};
use ngx::core::NGX_CONF_ERROR;

use super::{
    advice, allowed, callback, conf, disk, interworker, log, resolver,
    rtmp_sys::{self, Rtmp},
    thread, tls, zone,
};
use crate::{push, runtime, settings::MainSettings, state, worker};

/// One configuration that was begun.
struct Attempt {
    before: Option<Rtmp>,
    globals: Option<rtmp_sys::Globals>,
    succeeded: bool,
}

/// ngx_core_module_t.create_conf: called when the module is loaded, before any block is read.
pub(super) extern "C" fn create(cycle: *mut ngx_cycle_t) -> *mut std::ffi::c_void {
    callback::guard("module load", ptr::null_mut(), || {
        // SAFETY: the cycle that is being built.
        let pool = unsafe { (*cycle).pool };
        let settings = conf::create::<MainSettings>(pool);
        let before = rtmp_sys::refresh();
        let globals = rtmp_sys::rtmp().map(|rtmp| rtmp_sys::Globals::read(&rtmp));
        // SAFETY: as above; the cleanup's data lives in the same pool, until after its handler ran.
        unsafe {
            let cleanup = ngx_pool_cleanup_add(pool, size_of::<Attempt>());
            if cleanup.is_null() || settings.is_null() {
                return ptr::null_mut();
            }
            (*cleanup).data.cast::<Attempt>().write(Attempt { before, globals, succeeded: false });
            (*cleanup).handler = Some(end);
            (*settings.cast::<MainSettings>()).attempt.0 = (*cleanup).data;
        }
        settings
    })
}

/// The pool of a configuration is destroyed.
unsafe extern "C" fn end(attempt: *mut std::ffi::c_void) {
    callback::guard("end of a configuration", (), || {
        // SAFETY: the data of the cleanup in `create`.
        let attempt = unsafe { &*attempt.cast::<Attempt>() };
        if attempt.succeeded {
            return;
        }
        if let (Some(rtmp), Some(globals)) = (rtmp_sys::rtmp(), &attempt.globals) {
            globals.write(&rtmp);
        }
        rtmp_sys::restore(attempt.before);
    });
}

/// ngx_core_module_t.init_conf: the whole configuration has been read.
pub(super) extern "C" fn check(cycle: *mut ngx_cycle_t, settings: *mut std::ffi::c_void) -> *mut c_char {
    callback::guard("check of the configuration", NGX_CONF_ERROR.cast(), || {
        // SAFETY: the settings of `create`.
        let settings = unsafe { &mut *settings.cast::<MainSettings>() };
        if let (0, Some((directive, place))) = (settings.zone_size, &settings.needs_zone) {
            // SAFETY: the log of the cycle that is being built.
            unsafe {
                log::to(
                    (*cycle).log,
                    log::Level::Emergency,
                    format_args!(
                        "\"{directive}\" needs a zone: add \"weir_zone 4m state=/var/lib/weir-nginx/state;\" \
                         outside of all blocks in {place}"
                    ),
                );
            }
            return NGX_CONF_ERROR.cast();
        }
        if settings.zone_size > 0 {
            // SAFETY: the cycle that is being built, read to its end.
            unsafe {
                let completed =
                    resolver::complete(cycle, settings).and_then(|()| tls::complete(cycle, settings));
                if let Err(error) = completed {
                    log::to((*cycle).log, log::Level::Emergency, format_args!("weir: {error}"));
                    return NGX_CONF_ERROR.cast();
                }
                advice::warn(cycle);
            }
        }
        ptr::null_mut()
    })
}

/// ngx_module_t.init_module: this configuration will run. Workers are forked after it.
pub(super) extern "C" fn commit(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    callback::guard("start of a configuration", NGX_ERROR as ngx_int_t, || {
        // SAFETY: the settings of `create`, in the cycle that takes over; its zone is mapped.
        unsafe {
            let settings = &mut *conf::main_settings((*cycle).conf_ctx);
            if let Some(attempt) = settings.attempt.0.cast::<Attempt>().as_mut() {
                attempt.succeeded = true;
            }
            settings.auto_push = !settings.zone.0.is_null() && interworker::take_over(cycle);
            let zone = settings.zone.0.as_ref().and_then(|zone| zone::view(zone).ok());
            if let Some(zone) = &zone
                && !take_over(zone, settings, (*cycle).log)
            {
                return NGX_ERROR as ngx_int_t;
            }
            if zone.is_some() {
                allowed::note();
                disk::find();
                resolver::run(settings);
                tls::run(settings);
                push::forget_wanted();
            }
            if runtime::replace(zone, settings) {
                thread::start_pools(cycle);
            }
        }
        NGX_OK as ngx_int_t
    })
}

/// The zone belongs to the state file of this configuration. Returns whether nginx may go on; it must, once it serves.
///
/// # Safety
///
/// `log` is that of the cycle that takes over.
unsafe fn take_over(
    zone: &zone::SharedZone,
    settings: &MainSettings,
    log: *mut nginx_sys::ngx_log_t,
) -> bool {
    let (path, user) = (settings.state_path.as_deref(), zone::worker_user(settings));
    // SAFETY: by contract.
    let say = |level, line: &str| unsafe { log::to(log, level, format_args!("{line}")) };
    let warn = |line: &str| say(log::Level::Critical, line);
    match state::load::commit(zone, path, user, settings.fresh, warn) {
        Ok(()) => true,
        Err(error) if settings.fresh => {
            say(log::Level::Emergency, &format!("\"weir_zone\": {error} in {}", settings.place));
            false
        }
        Err(error) => {
            warn(&format!("weir: the state file is not taken over: {error}"));
            true
        }
    }
}

/// ngx_module_t.init_process.
pub(super) extern "C" fn start(_cycle: *mut ngx_cycle_t) -> ngx_int_t {
    callback::guard("start of a worker", (), || {
        worker::ensure_started();
    });
    NGX_OK as ngx_int_t
}

/// ngx_module_t.exit_process.
pub(super) extern "C" fn stop(_cycle: *mut ngx_cycle_t) {
    callback::guard("end of a worker", (), worker::stop);
}
