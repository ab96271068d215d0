//! Settings in nginx's form: created in a pool, inherited by inner blocks, found in a table of settings.

use std::{
    ffi::{c_char, c_void},
    ptr,
    rc::Rc,
};

use nginx_sys::{
    ngx_conf_t, ngx_cycle_t, ngx_module_t, ngx_pool_t, ngx_resolver_t, ngx_shm_zone_t, ngx_ssl_t,
};
use ngx::core::NGX_CONF_ERROR;

use super::{
    buffers, callback,
    collections::{self, text},
    types::{Inherit, Tables},
};

/// The settings of a whole configuration, and the fence's state of the configuration.
pub(super) struct MainSlot<T> {
    pub(super) settings: T,
    /// The configuration that the settings belong to.
    pub(super) cycle: *mut ngx_cycle_t,
    /// The zone, null without one.
    pub(super) zone: *mut ngx_shm_zone_t,
    /// The data to undo, if this configuration never runs.
    pub(super) attempt: *mut c_void,
    /// The resolver, null until nginx has read the whole configuration.
    pub(super) resolver: *mut ngx_resolver_t,
    /// The TLS context, null until nginx has read the whole configuration.
    pub(super) tls: *mut ngx_ssl_t,
    /// Whether the zone is new, so that nothing has used it yet.
    pub(super) fresh: bool,
    /// Exists as long as the configuration.
    pub(super) existence: Rc<()>,
}

impl<T: Default> Default for MainSlot<T> {
    fn default() -> Self {
        MainSlot {
            settings: T::default(),
            cycle: ptr::null_mut(),
            zone: ptr::null_mut(),
            attempt: ptr::null_mut(),
            resolver: ptr::null_mut(),
            tls: ptr::null_mut(),
            fresh: false,
            existence: Rc::new(()),
        }
    }
}

/// The settings of a location, and the fence's state of the location.
#[derive(Default)]
pub(crate) struct LocationSlot<T> {
    pub(super) settings: T,
    /// Whether the module answers requests to the location.
    pub(super) answers: bool,
    /// The names of the location's server, if the module answers there.
    pub(super) names: Vec<ServerName>,
}

/// One name of `server_name`.
pub enum ServerName {
    /// A name; it may have `*` or a dot at one end.
    Text(String),
    /// A regular expression, which nginx has compiled.
    Pattern(Pattern),
}

/// A regular expression of a configuration.
pub struct Pattern(pub(super) *mut nginx_sys::ngx_http_regex_t);

impl<T: Inherit> Inherit for LocationSlot<T> {
    fn inherit(&mut self, outer: &Self) {
        self.settings.inherit(&outer.settings);
    }
}

/// Creates settings in a pool, which drops them. Returns null without memory.
pub(super) fn create<T: Default + 'static>(pool: *mut ngx_pool_t) -> *mut c_void {
    callback::guard("new settings", ptr::null_mut(), || {
        // SAFETY: the pool of the configuration that is being read (ngx_init_cycle), which outlives the settings.
        unsafe { buffers::keep(pool, T::default()) }.cast()
    })
}

pub(crate) extern "C" fn create_in_conf<T: Default + 'static>(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx calls with the configuration that is being read (ngx_rtmp_block, ngx_http_block).
    create::<T>(unsafe { (*cf).pool })
}

pub(crate) extern "C" fn merge<T: Inherit>(
    _cf: *mut ngx_conf_t,
    outer: *mut c_void,
    inner: *mut c_void,
) -> *mut c_char {
    callback::guard("inherited settings", NGX_CONF_ERROR.cast(), || {
        // SAFETY: both were made by `create_in_conf::<T>`, and a block is not its own outer one; nginx-rtmp
        // merges a `server` into itself as application settings, where there is nothing to take.
        unsafe {
            if !ptr::eq(outer, inner) {
                (*inner.cast::<T>()).inherit(&*outer.cast::<T>());
            }
        }
        ptr::null_mut()
    })
}

/// # Safety
///
/// The configuration is being read.
pub(super) unsafe fn server_names(server: &nginx_sys::ngx_http_core_srv_conf_t) -> Vec<ServerName> {
    // SAFETY: by contract.
    let names = unsafe { collections::array::<nginx_sys::ngx_http_server_name_t>(&server.server_names) };
    let name = |name: &nginx_sys::ngx_http_server_name_t| match name.regex.is_null() {
        true => text(&name.name).map(|name| ServerName::Text(name.to_owned())),
        false => Some(ServerName::Pattern(Pattern(name.regex))),
    };
    names.iter().filter_map(name).collect()
}

/// Returns the settings of a module in a table of settings.
///
/// # Safety
///
/// `table` is null or was filled for modules of `module`'s type, and `module`'s entry is a `T` or null.
pub(super) unsafe fn entry<'a, T>(table: *mut *mut c_void, module: *const ngx_module_t) -> Option<&'a T> {
    // SAFETY: by contract.
    unsafe {
        table.as_ref()?;
        (*table.add((*module).ctx_index)).cast::<T>().as_ref()
    }
}

/// Returns the settings of the whole configuration, in a cycle's table.
///
/// # Safety
///
/// `conf_ctx` is the table of a cycle that this module was loaded into.
pub(super) unsafe fn main_slot<M: Tables>(conf_ctx: *mut *mut *mut *mut c_void) -> *mut MainSlot<M::Main> {
    // SAFETY: by contract; the index was given when the module was loaded.
    unsafe { (*conf_ctx.add((*M::core_module()).index)).cast() }
}

/// Like [`merge`], for the settings of locations. A location that the module answers also gets the names of its server.
pub(crate) extern "C" fn merge_location<M: Tables>(
    cf: *mut ngx_conf_t,
    outer: *mut c_void,
    inner: *mut c_void,
) -> *mut c_char {
    let merged = merge::<LocationSlot<M::Location>>(cf, outer, inner);
    callback::guard("names of a server", NGX_CONF_ERROR.cast(), || {
        // SAFETY: `inner` was made by `create_in_conf`; while the locations of a server are merged, `ctx` has that
        // server's settings (ngx_http_merge_servers), and the list of its names is not given back yet.
        unsafe {
            let slot = &mut *inner.cast::<LocationSlot<M::Location>>();
            let ctx = (*cf).ctx.cast::<nginx_sys::ngx_http_conf_ctx_t>().as_ref();
            let core = &raw const nginx_sys::ngx_http_core_module;
            let server = ctx.and_then(|ctx| entry::<nginx_sys::ngx_http_core_srv_conf_t>(ctx.srv_conf, core));
            if let Some(server) = server
                && slot.answers
            {
                slot.names = server_names(server);
            }
        }
        merged
    })
}
