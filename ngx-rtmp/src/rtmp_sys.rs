//! nginx-rtmp's types, bound at build time, and its symbols, found at run time.
//!
//! The fence looks the symbols up and does not link them, so that a wrong load order causes a readable line in the log and not "undefined
//! symbol" from the dynamic linker.

use std::{
    ffi::{CStr, c_char},
    ptr,
};

use nginx_sys::{ngx_chain_t, ngx_connection_t, ngx_int_t, ngx_module_t, ngx_str_t, ngx_uint_t};

use crate::local;

#[allow(
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    dead_code,
    missing_docs,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::undocumented_unsafe_blocks
)]
mod raw {
    include!(concat!(env!("OUT_DIR"), "/rtmp.rs"));
}
pub use raw::*;

/// Declares the table of symbols, each checked against its declaration in nginx-rtmp's headers.
macro_rules! symbols {
    (
        functions { $($function:ident: $signature:ty,)* }
        modules { $($module:ident,)* }
        globals { $($global:ident: $type:ty,)* }
    ) => {
        /// The symbols of the loaded nginx-rtmp.
        #[derive(Clone, Copy)]
        #[allow(missing_docs)]
        pub(crate) struct Rtmp {
            $(pub $function: $signature,)*
            $(pub $module: *mut ngx_module_t,)*
            $(pub $global: *mut $type,)*
        }

        /// The values of nginx-rtmp's global variables, which reading a configuration changes.
        #[allow(missing_docs)]
        pub(crate) struct Globals {
            $($global: $type,)*
        }

        impl Globals {
            /// Notes the values.
            pub(super) fn read(rtmp: &Rtmp) -> Globals {
                // SAFETY: variables of a loaded library, changed by this thread alone (ngx_rtmp_block).
                unsafe { Globals { $($global: *rtmp.$global,)* } }
            }

            /// Restores the values.
            pub(super) fn write(&self, rtmp: &Rtmp) {
                // SAFETY: as in `read`.
                unsafe { $(*rtmp.$global = self.$global;)* }
            }
        }

        // An unused constant refers to nothing at run time; it only makes the compiler compare the types.
        $(const _: $signature = raw::$function;)*

        impl Rtmp {
            fn find() -> Option<Rtmp> {
                Some(Rtmp {
                    $(
                        // SAFETY: the symbol has the type that nginx-rtmp's header declares, see above; the
                        // flavour check guards against another nginx-rtmp than the module was built for.
                        $function: unsafe {
                            std::mem::transmute::<*mut libc::c_void, $signature>(
                                symbol(concat!(stringify!($function), "\0"))?
                            )
                        },
                    )*
                    $($module: symbol(concat!(stringify!($module), "\0"))?.cast(),)*
                    $($global: symbol(concat!(stringify!($global), "\0"))?.cast(),)*
                })
            }
        }
    };
}

symbols! {
    functions {
        ngx_rtmp_init_connection: unsafe extern "C" fn(*mut ngx_connection_t),
        ngx_rtmp_relay_push: unsafe extern "C" fn(
            *mut ngx_rtmp_session_t,
            *mut ngx_str_t,
            *mut ngx_rtmp_relay_target_t,
        ) -> ngx_int_t,
        ngx_rtmp_send_amf: unsafe extern "C" fn(
            *mut ngx_rtmp_session_t,
            *mut ngx_rtmp_header_t,
            *mut ngx_rtmp_amf_elt_t,
            usize,
        ) -> ngx_int_t,
        ngx_rtmp_receive_message: unsafe extern "C" fn(
            *mut ngx_rtmp_session_t,
            *mut ngx_rtmp_header_t,
            *mut ngx_chain_t,
        ) -> ngx_int_t,
        ngx_rtmp_send_chunk_size: unsafe extern "C" fn(*mut ngx_rtmp_session_t, u32) -> ngx_int_t,
        ngx_rtmp_finalize_session: unsafe extern "C" fn(*mut ngx_rtmp_session_t),
        ngx_rtmp_append_shared_bufs: unsafe extern "C" fn(
            *mut ngx_rtmp_core_srv_conf_t,
            *mut ngx_chain_t,
            *mut ngx_chain_t,
        ) -> *mut ngx_chain_t,
        ngx_rtmp_free_shared_chain: unsafe extern "C" fn(*mut ngx_rtmp_core_srv_conf_t, *mut ngx_chain_t),
        ngx_rtmp_send_message:
            unsafe extern "C" fn(*mut ngx_rtmp_session_t, *mut ngx_chain_t, ngx_uint_t) -> ngx_int_t,
        ngx_rtmp_send_status:
            unsafe extern "C" fn(*mut ngx_rtmp_session_t, *mut c_char, *mut c_char, *mut c_char) -> ngx_int_t,
    }
    modules {
        ngx_rtmp_core_module,
        ngx_rtmp_auto_push_module,
        ngx_rtmp_relay_module,
        ngx_rtmp_codec_module,
        ngx_rtmp_live_module,
        ngx_rtmp_play_module,
        ngx_rtmp_record_module,
        ngx_rtmp_hls_module,
        ngx_rtmp_dash_module,
        ngx_rtmp_access_module,
        ngx_rtmp_exec_module,
        ngx_rtmp_netcall_module,
    }
    globals {
        ngx_rtmp_core_main_conf: *mut ngx_rtmp_core_main_conf_t,
        ngx_rtmp_connect: ngx_rtmp_connect_pt,
        ngx_rtmp_disconnect: ngx_rtmp_disconnect_pt,
        ngx_rtmp_create_stream: ngx_rtmp_create_stream_pt,
        ngx_rtmp_close_stream: ngx_rtmp_close_stream_pt,
        ngx_rtmp_delete_stream: ngx_rtmp_delete_stream_pt,
        ngx_rtmp_publish: ngx_rtmp_publish_pt,
        ngx_rtmp_play: ngx_rtmp_play_pt,
        ngx_rtmp_seek: ngx_rtmp_seek_pt,
        ngx_rtmp_pause: ngx_rtmp_pause_pt,
        ngx_rtmp_stream_begin: ngx_rtmp_stream_begin_pt,
        ngx_rtmp_stream_eof: ngx_rtmp_stream_eof_pt,
        ngx_rtmp_stream_dry: ngx_rtmp_stream_dry_pt,
        ngx_rtmp_recorded: ngx_rtmp_recorded_pt,
        ngx_rtmp_set_buflen: ngx_rtmp_set_buflen_pt,
    }
}

local! {
    static FOUND: Option<Rtmp> = None;
}

/// Looks the symbols up again, because a configuration may load another nginx-rtmp, or none. Returns the symbols that were found before.
pub(super) fn refresh() -> Option<Rtmp> {
    restore(Rtmp::find())
}

/// Restores the symbols that [`refresh`] returned. Returns the symbols that were in place.
pub(super) fn restore(before: Option<Rtmp>) -> Option<Rtmp> {
    FOUND.with(|found| std::mem::replace(found, before))
}

/// Why a module cannot work with the loaded nginx-rtmp.
#[derive(Debug, thiserror::Error)]
pub enum Mismatch {
    /// nginx-rtmp is not loaded.
    #[error(
        "nginx-rtmp is not loaded: put \"load_module modules/ngx_rtmp_module.so;\" before \"load_module modules/{own}.so;\""
    )]
    NotLoaded {
        /// The name of the module's library.
        own: &'static str,
    },
    /// The module was built for arut's nginx-rtmp.
    #[error(
        "the loaded nginx-rtmp is the fork of sergey-dryabzhinsky, and this module was built for arut's: build it with \
         NGINX_RTMP_SOURCE_DIR naming the fork's source"
    )]
    Fork,
    /// The module was built for the fork.
    #[error(
        "the loaded nginx-rtmp is arut's, and this module was built for the fork of sergey-dryabzhinsky: build it with \
         NGINX_RTMP_SOURCE_DIR naming arut's source"
    )]
    NotFork,
}

/// Checks that this module knows the loaded nginx-rtmp. `own` is the name of the module's library.
///
/// # Errors
///
/// The mismatch, and its remedy.
pub(super) fn check(own: &'static str) -> Result<(), Mismatch> {
    Rtmp::find().ok_or(Mismatch::NotLoaded { own })?;
    // Only the fork of sergey-dryabzhinsky has playlists. Its sessions and contexts have another layout.
    let fork = symbol("ngx_rtmp_playlist\0").is_some();
    match (fork, cfg!(rtmp_flavour = "dryabzhinsky")) {
        (true, false) => Err(Mismatch::Fork),
        (false, true) => Err(Mismatch::NotFork),
        _ => Ok(()),
    }
}

/// Returns the symbols that [`refresh`] found.
pub(crate) fn rtmp() -> Option<Rtmp> {
    FOUND.with(|found| *found)
}

/// Looks a symbol up in all loaded libraries. `name` ends with a NUL.
pub(super) fn symbol(name: &str) -> Option<*mut libc::c_void> {
    let name = CStr::from_bytes_with_nul(name.as_bytes()).ok()?;
    // SAFETY: a NUL-terminated name; RTLD_DEFAULT searches what is already loaded (dlsym(3)).
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!ptr::eq(found, ptr::null())).then_some(found)
}
