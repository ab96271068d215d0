//! What nginx-rtmp's own directives allow to clients, noted in Weir's settings: an explicit value of the admin wins over a
//! default of Weir.

use super::{
    collections, conf, export,
    rtmp_sys::{self, Rtmp, ngx_rtmp_core_app_conf_t, ngx_rtmp_core_srv_conf_t, ngx_rtmp_live_app_conf_t},
};
use crate::settings::{Allowed, AppSettings};

/// nginx-rtmp's default of `timeout`, in milliseconds (ngx_rtmp_core_merge_srv_conf): nobody need have said it.
const USUAL_TIMEOUT: u64 = 60_000;

/// Notes it for each server and application of the configuration that is about to run.
pub(super) fn note() {
    let Some(rtmp) = rtmp_sys::rtmp() else { return };
    // SAFETY: the main configuration of the cycle that takes over, null without an rtmp block; both arrays hold pointers
    // (ngx_rtmp_core_server, ngx_rtmp_core_application). Nobody else refers to our settings at this time.
    unsafe {
        let Some(core) = (*rtmp.ngx_rtmp_core_main_conf).as_ref() else { return };
        for server in collections::array::<*mut ngx_rtmp_core_srv_conf_t>(&core.servers) {
            let server = &**server;
            let timeout = server.timeout as u64;
            let silence_ms = (timeout != USUAL_TIMEOUT).then_some(timeout);
            // Of the server itself, for clients that have not named an application (Session::guard_settings).
            if let Some(ctx) = server.ctx.as_ref() {
                set(&rtmp, ctx.app_conf, silence_ms);
            }
            for app in collections::array::<*mut ngx_rtmp_core_app_conf_t>(&server.applications) {
                set(&rtmp, (**app).app_conf, silence_ms);
            }
        }
    }
}

/// # Safety
///
/// `app_conf` is null or the settings of an application, read completely, to which nobody else refers.
unsafe fn set(rtmp: &Rtmp, app_conf: *mut *mut std::ffi::c_void, silence_ms: Option<u64>) {
    // SAFETY: by contract; each entry of `app_conf` is the settings of a module.
    unsafe {
        let Some(app_conf) = app_conf.as_mut() else { return };
        let live: Option<&ngx_rtmp_live_app_conf_t> = conf::entry(app_conf, rtmp.ngx_rtmp_live_module);
        // Without the directive it is 0 (ngx_rtmp_live_merge_app_conf).
        let idle_publisher_ms = live.map(|live| live.idle_timeout as u64).filter(|idle| *idle > 0);
        let settings = (*(&raw mut *app_conf).add((*export::rtmp_module()).ctx_index)).cast::<AppSettings>();
        if let Some(settings) = settings.as_mut() {
            settings.allowed = Allowed { idle_publisher_ms, silence_ms };
        }
    }
}
