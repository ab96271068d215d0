//! What a module is made of: its types, and the modules of nginx that stand for it.

use nginx_sys::ngx_module_t;

use super::thread::Pool;

/// Settings that a block inherits.
pub trait Inherit {
    /// Takes from the outer block what was not said in this one.
    fn inherit(&mut self, outer: &Self);
}

/// What a module keeps, and where.
pub trait Types: Sized + 'static {
    /// What its lines in the log begin with.
    const NAME: &'static str;
    /// The pools of threads that it works in.
    const POOLS: &'static [Pool];
    /// The settings of a whole configuration.
    type Main: Default;
    /// An application's settings.
    type App: Default + Inherit;
    /// A location's settings.
    type Location: Default + Inherit;
    /// What it keeps of a session; dropped with the connection.
    type Session: Default;
}

/// The modules of nginx that a type stands for.
///
/// # Safety
///
/// The three functions return modules of nginx that live for ever, each always the same, whose contexts and commands are
/// those of [`export`](mod@crate::export) for this very type, and which nobody else uses.
/// [`export!`](crate::export!) implements the trait so.
pub unsafe trait Tables: Types {
    /// The core module: a whole configuration's settings.
    fn core_module() -> *mut ngx_module_t;
    /// The module of nginx-rtmp's kind: an application's settings, a session's state.
    fn rtmp_module() -> *mut ngx_module_t;
    /// The module of http's kind: a location's settings.
    fn http_module() -> *mut ngx_module_t;
    /// The name of the second, as `ngx_module_names` has it.
    const RTMP_NAME: &'static str;
}
