//! The symbols that nginx looks for in a module (ngx_load_module): the table of modules, their names, their contexts.
//!
//! One library carries three modules: a core module, an nginx-rtmp module and an HTTP module. [`export!`](crate::export!) makes them.

use std::ptr;

use nginx_sys::{
    NGX_CORE_MODULE, NGX_HTTP_MODULE, NGX_RS_MODULE_SIGNATURE, nginx_version, ngx_command_t,
    ngx_core_module_t, ngx_http_module_t, ngx_module_t, ngx_str_t, ngx_uint_t,
};

use super::{
    chain, cycle, gate,
    module::Module,
    rtmp_sys::{NGX_RTMP_MODULE, ngx_rtmp_module_t},
    slots, variables,
};

/// Makes the three nginx modules of a library, for a type that implements the traits of [`Module`], and with the directives of each module.
///
/// The library may forbid unsafe code: the macro's text belongs to the fence.
#[macro_export]
macro_rules! export {
    (
        $module:ty as $name:literal;
        core $core_name:literal { $($core:ty),* $(,)? }
        rtmp $rtmp_name:literal { $($rtmp:ty),* $(,)? }
        http $http_name:literal { $($http:ty),* $(,)? }
    ) => {
        const _: () = {
            use ::std::{ffi::c_char, ptr, sync::atomic::AtomicPtr};
            use $crate::export::{self as parts, types};

            static mut CORE_COMMANDS: [types::ngx_command_t; [$(stringify!($core)),*].len() + 1] =
                [$(parts::core_command::<$module, $core>(),)* parts::no_command()];
            static mut RTMP_COMMANDS: [types::ngx_command_t; [$(stringify!($rtmp)),*].len() + 1] =
                [$(parts::rtmp_command::<$module, $rtmp>(),)* parts::no_command()];
            static mut HTTP_COMMANDS: [types::ngx_command_t; [$(stringify!($http)),*].len() + 1] =
                [$(parts::http_command::<$module, $http>(),)* parts::no_command()];
            static mut CORE: types::ngx_core_module_t = parts::core_context::<$module>($name);
            static mut RTMP: types::ngx_rtmp_module_t = parts::rtmp_context::<$module>();
            static mut HTTP: types::ngx_http_module_t = parts::http_context::<$module>();
            static mut CORE_MODULE: types::ngx_module_t =
                parts::core_module::<$module>(&raw mut CORE, (&raw mut CORE_COMMANDS).cast());
            static mut RTMP_MODULE: types::ngx_module_t =
                parts::rtmp_module(&raw mut RTMP, (&raw mut RTMP_COMMANDS).cast());
            static mut HTTP_MODULE: types::ngx_module_t =
                parts::http_module(&raw mut HTTP, (&raw mut HTTP_COMMANDS).cast());

            /// The modules; null ends the list.
            #[unsafe(no_mangle)]
            pub static ngx_modules: [AtomicPtr<types::ngx_module_t>; 4] = [
                AtomicPtr::new(&raw mut CORE_MODULE),
                AtomicPtr::new(&raw mut RTMP_MODULE),
                AtomicPtr::new(&raw mut HTTP_MODULE),
                AtomicPtr::new(ptr::null_mut()),
            ];

            /// The names of the modules, which appear in nginx's messages.
            #[unsafe(no_mangle)]
            pub static ngx_module_names: [AtomicPtr<c_char>; 4] = [
                AtomicPtr::new(concat!($core_name, "\0").as_ptr().cast::<c_char>().cast_mut()),
                AtomicPtr::new(concat!($rtmp_name, "\0").as_ptr().cast::<c_char>().cast_mut()),
                AtomicPtr::new(concat!($http_name, "\0").as_ptr().cast::<c_char>().cast_mut()),
                AtomicPtr::new(ptr::null_mut()),
            ];

            /// The places of the modules among other modules (ngx_add_module). The HTTP module comes before the filter of `add_header`,
            /// because nginx calls filters in the reverse order. The others have no particular place, so they come after all modules that
            /// nginx loaded before.
            #[unsafe(no_mangle)]
            pub static ngx_module_order: [AtomicPtr<c_char>; 3] = [
                AtomicPtr::new(concat!($http_name, "\0").as_ptr().cast::<c_char>().cast_mut()),
                AtomicPtr::new(c"ngx_http_headers_filter_module".as_ptr().cast_mut()),
                AtomicPtr::new(ptr::null_mut()),
            ];

            // SAFETY: the statics above, made for this type and named by nobody else.
            unsafe impl $crate::module::Tables for $module {
                const RTMP_NAME: &'static str = $rtmp_name;

                fn core_module() -> *mut types::ngx_module_t {
                    &raw mut CORE_MODULE
                }

                fn rtmp_module() -> *mut types::ngx_module_t {
                    &raw mut RTMP_MODULE
                }

                fn http_module() -> *mut types::ngx_module_t {
                    &raw mut HTTP_MODULE
                }
            }
        };
    };
}

/// The types of nginx that [`export!`](crate::export!) names.
#[doc(hidden)]
pub mod types {
    pub use nginx_sys::{ngx_command_t, ngx_core_module_t, ngx_http_module_t, ngx_module_t};

    pub use crate::rtmp_sys::ngx_rtmp_module_t;
}

#[doc(hidden)]
pub use super::conf::{core_command, http_command, no_command, rtmp_command};

/// Returns the ngx_core_module_t of a module.
#[doc(hidden)]
#[must_use]
pub const fn core_context<M: Module>(name: &'static str) -> ngx_core_module_t {
    ngx_core_module_t {
        name: ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() },
        create_conf: Some(cycle::create::<M>),
        init_conf: Some(cycle::check::<M>),
    }
}

/// Returns the ngx_rtmp_module_t of a module.
#[doc(hidden)]
#[must_use]
pub const fn rtmp_context<M: Module>() -> ngx_rtmp_module_t {
    ngx_rtmp_module_t {
        preconfiguration: None,
        postconfiguration: Some(chain::postconfiguration::<M>),
        create_main_conf: None,
        init_main_conf: None,
        create_srv_conf: None,
        merge_srv_conf: None,
        create_app_conf: Some(slots::create_in_conf::<M::App>),
        merge_app_conf: Some(slots::merge::<M::App>),
    }
}

/// Returns the ngx_http_module_t of a module.
#[doc(hidden)]
#[must_use]
pub const fn http_context<M: Module>() -> ngx_http_module_t {
    ngx_http_module_t {
        preconfiguration: Some(variables::add::<M>),
        postconfiguration: Some(gate::install::<M>),
        create_main_conf: None,
        init_main_conf: None,
        create_srv_conf: None,
        merge_srv_conf: None,
        create_loc_conf: Some(slots::create_in_conf::<slots::LocationSlot<M::Location>>),
        merge_loc_conf: Some(slots::merge_location::<M>),
    }
}

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

/// Returns the core module with this context.
#[doc(hidden)]
#[must_use]
pub const fn core_module<M: Module>(
    context: *mut ngx_core_module_t,
    commands: *mut ngx_command_t,
) -> ngx_module_t {
    ngx_module_t {
        ctx: context.cast(),
        commands,
        type_: NGX_CORE_MODULE as ngx_uint_t,
        init_module: Some(cycle::commit::<M>),
        init_process: Some(cycle::start::<M>),
        exit_process: Some(cycle::stop::<M>),
        ..EMPTY
    }
}

/// Returns the nginx-rtmp module with this context.
#[doc(hidden)]
#[must_use]
pub const fn rtmp_module(context: *mut ngx_rtmp_module_t, commands: *mut ngx_command_t) -> ngx_module_t {
    ngx_module_t { ctx: context.cast(), commands, type_: NGX_RTMP_MODULE as ngx_uint_t, ..EMPTY }
}

/// Returns the HTTP module with this context.
#[doc(hidden)]
#[must_use]
pub const fn http_module(context: *mut ngx_http_module_t, commands: *mut ngx_command_t) -> ngx_module_t {
    ngx_module_t { ctx: context.cast(), commands, type_: NGX_HTTP_MODULE as ngx_uint_t, ..EMPTY }
}
