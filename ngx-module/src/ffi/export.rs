//! What nginx looks for in a module (ngx_load_module): the table of modules, their names, their contexts.
//!
//! One library carries three: a core module (`weir_zone`), one of nginx-rtmp's kind (`weir_publish`) and one
//! of http's (`weir_api`).

use std::{ffi::c_char, ptr, sync::atomic::AtomicPtr};

use nginx_sys::{
    NGX_CORE_MODULE, NGX_HTTP_MODULE, NGX_RS_MODULE_SIGNATURE, nginx_version, ngx_command_t,
    ngx_core_module_t, ngx_http_module_t, ngx_module_t, ngx_str_t, ngx_uint_t,
};

use super::{
    chain,
    conf::{self, command, no_command},
    cycle,
    rtmp_sys::{NGX_RTMP_MODULE, ngx_rtmp_module_t},
};
use crate::{
    directives::{
        WeirApi, WeirApiToken, WeirDrainTimeout, WeirDuplicate, WeirGuard, WeirIdlePublisher, WeirKeyFile,
        WeirLimitUnauthenticated, WeirMinFree, WeirPublish, WeirPush, WeirPushAllow, WeirPushDeny,
        WeirPushTo, WeirResolver, WeirSecret, WeirSessionTimeout, WeirStat, WeirTlsVerify,
        WeirTrustedCertificate, WeirZone,
    },
    settings::{AppSettings, LocationSettings},
};

static mut CORE_COMMANDS: [ngx_command_t; 5] = [
    command::<WeirZone>(),
    command::<WeirSecret>(),
    command::<WeirResolver>(),
    command::<WeirTrustedCertificate>(),
    no_command(),
];
static mut RTMP_COMMANDS: [ngx_command_t; 15] = [
    command::<WeirPublish>(),
    command::<WeirKeyFile>(),
    command::<WeirDuplicate>(),
    command::<WeirDrainTimeout>(),
    command::<WeirGuard>(),
    command::<WeirSessionTimeout>(),
    command::<WeirIdlePublisher>(),
    command::<WeirLimitUnauthenticated>(),
    command::<WeirMinFree>(),
    command::<WeirPush>(),
    command::<WeirPushTo>(),
    command::<WeirPushAllow>(),
    command::<WeirPushDeny>(),
    command::<WeirTlsVerify>(),
    no_command(),
];
static mut HTTP_COMMANDS: [ngx_command_t; 4] =
    [command::<WeirApi>(), command::<WeirApiToken>(), command::<WeirStat>(), no_command()];

static mut CORE: ngx_core_module_t = ngx_core_module_t {
    name: ngx_str_t { len: 4, data: c"weir".as_ptr().cast_mut().cast() },
    create_conf: Some(cycle::create),
    init_conf: Some(cycle::check),
};

static mut RTMP: ngx_rtmp_module_t = ngx_rtmp_module_t {
    preconfiguration: None,
    postconfiguration: Some(chain::postconfiguration),
    create_main_conf: None,
    init_main_conf: None,
    create_srv_conf: None,
    merge_srv_conf: None,
    create_app_conf: Some(conf::create_in_conf::<AppSettings>),
    merge_app_conf: Some(conf::merge::<AppSettings>),
};

static mut HTTP: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: None,
    postconfiguration: None,
    create_main_conf: None,
    init_main_conf: None,
    create_srv_conf: None,
    merge_srv_conf: None,
    create_loc_conf: Some(conf::create_in_conf::<LocationSettings>),
    merge_loc_conf: Some(conf::merge_location),
};

const EMPTY: ngx_module_t = ngx_module_t {
    ctx_index: ngx_uint_t::MAX,
    index: ngx_uint_t::MAX,
    name: ptr::null_mut(),
    spare0: 0,
    spare1: 0,
    version: nginx_version as ngx_uint_t,
    signature: NGX_RS_MODULE_SIGNATURE.as_ptr().cast_mut(),
    ctx: ptr::null_mut(),
    commands: ptr::null_mut(),
    type_: 0,
    init_master: None,
    init_module: None,
    init_process: None,
    init_thread: None,
    exit_thread: None,
    exit_process: None,
    exit_master: None,
    spare_hook0: 0,
    spare_hook1: 0,
    spare_hook2: 0,
    spare_hook3: 0,
    spare_hook4: 0,
    spare_hook5: 0,
    spare_hook6: 0,
    spare_hook7: 0,
};

static mut CORE_MODULE: ngx_module_t = ngx_module_t {
    ctx: (&raw mut CORE).cast(),
    commands: (&raw mut CORE_COMMANDS).cast(),
    type_: NGX_CORE_MODULE as ngx_uint_t,
    init_module: Some(cycle::commit),
    init_process: Some(cycle::start),
    exit_process: Some(cycle::stop),
    ..EMPTY
};

static mut RTMP_MODULE: ngx_module_t = ngx_module_t {
    ctx: (&raw mut RTMP).cast(),
    commands: (&raw mut RTMP_COMMANDS).cast(),
    type_: NGX_RTMP_MODULE as ngx_uint_t,
    ..EMPTY
};

static mut HTTP_MODULE: ngx_module_t = ngx_module_t {
    ctx: (&raw mut HTTP).cast(),
    commands: (&raw mut HTTP_COMMANDS).cast(),
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    ..EMPTY
};

/// The modules, closed by null.
#[unsafe(no_mangle)]
pub static ngx_modules: [AtomicPtr<ngx_module_t>; 4] = [
    AtomicPtr::new(&raw mut CORE_MODULE),
    AtomicPtr::new(&raw mut RTMP_MODULE),
    AtomicPtr::new(&raw mut HTTP_MODULE),
    AtomicPtr::new(ptr::null_mut()),
];

/// Their names, which appear in messages of nginx.
#[unsafe(no_mangle)]
pub static ngx_module_names: [AtomicPtr<c_char>; 4] = [
    AtomicPtr::new(c"ngx_weir_module".as_ptr().cast_mut()),
    AtomicPtr::new(c"ngx_rtmp_weir_module".as_ptr().cast_mut()),
    AtomicPtr::new(c"ngx_http_weir_module".as_ptr().cast_mut()),
    AtomicPtr::new(ptr::null_mut()),
];

/// Where they stand among other modules: nowhere in particular, so after all that were loaded before.
#[unsafe(no_mangle)]
pub static ngx_module_order: [AtomicPtr<c_char>; 1] = [AtomicPtr::new(ptr::null_mut())];

/// The core module, whose settings are those of the whole configuration.
pub(super) fn core_module() -> *const ngx_module_t {
    &raw const CORE_MODULE
}

/// The module of nginx-rtmp's kind: an application's settings, a session's state.
pub(super) fn rtmp_module() -> *const ngx_module_t {
    &raw const RTMP_MODULE
}

/// The module of http's kind: a location's settings.
pub(super) fn http_module() -> *const ngx_module_t {
    &raw const HTTP_MODULE
}
