//! The types of a module, and the nginx modules that belong to them.

use nginx_sys::ngx_module_t;

use super::thread::Pool;

/// Settings that inner blocks inherit.
pub trait Inherit {
    /// Takes the values that this block does not set from the outer block.
    fn inherit(&mut self, outer: &Self);
}

/// The types of a module's settings and state.
pub trait Types: Sized + 'static {
    /// The name that its lines in the log begin with.
    const NAME: &'static str;
    /// Its thread pools.
    const POOLS: &'static [Pool];
    /// The settings of a whole configuration.
    type Main: Default + 'static;
    /// An application's settings.
    type App: Default + Inherit + 'static;
    /// A location's settings.
    type Location: Default + Inherit + 'static;
    /// The module's state of a session; it is dropped with the connection.
    type Session: Default + 'static;
}

/// The nginx modules of a type.
///
/// # Safety
///
/// The three functions return modules of nginx that live for ever, each always the same, whose contexts and commands are
/// those of [`export`](mod@crate::export) for this very type, and which nobody else uses.
/// [`export!`](crate::export!) implements the trait so.
pub unsafe trait Tables: Types {
    /// Returns the core module, which has a whole configuration's settings.
    fn core_module() -> *mut ngx_module_t;
    /// Returns the nginx-rtmp module, which has an application's settings and a session's state.
    fn rtmp_module() -> *mut ngx_module_t;
    /// Returns the HTTP module, which has a location's settings.
    fn http_module() -> *mut ngx_module_t;
    /// The name of the nginx-rtmp module in `ngx_module_names`.
    const RTMP_NAME: &'static str;
}
