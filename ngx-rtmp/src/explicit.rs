//! `drop_idle_publisher off`. nginx-rtmp stores 0 for it (ngx_rtmp_live_set_msec_slot), and merges 0 if the directive is missing
//! (ngx_rtmp_live_merge_app_conf). So the fence stores another value for `off` while nginx reads a configuration.

use std::ffi::{c_char, c_void};

use nginx_sys::{ngx_command_t, ngx_conf_t, ngx_msec_t};

use super::{callback, commands, local, rtmp_sys::Rtmp};

/// The value for `off`, in milliseconds: a hundred years and one millisecond. No configuration has this value, and a timer of that length
/// would do no harm.
const NEVER: ngx_msec_t = 3_155_760_000_001;

type Setter = unsafe extern "C" fn(*mut ngx_conf_t, *mut ngx_command_t, *mut c_void) -> *mut c_char;

struct Replaced {
    /// nginx-rtmp's own setter, while the fence's setter is in its table.
    setter: Option<Setter>,
}

local! {
    static REPLACED: Replaced = Replaced { setter: None };
}

/// Installs the fence's setter before nginx reads a configuration.
///
/// # Safety
///
/// The modules of `rtmp` are loaded. [`end`] is called before this library may be unloaded.
pub(super) unsafe fn begin(rtmp: &Rtmp) {
    // SAFETY: by contract; the table is not constant (ngx_rtmp_live_commands), and read by this thread alone.
    unsafe {
        let Some(command) = command(rtmp) else { return };
        REPLACED.with(|replaced| {
            if replaced.setter.is_none() {
                replaced.setter = (*command).set.replace(set);
            }
        });
    }
}

/// Restores nginx-rtmp's setter after nginx has read or given up the configuration.
///
/// # Safety
///
/// The modules of `rtmp` are loaded.
pub(super) unsafe fn end(rtmp: &Rtmp) {
    let Some(setter) = REPLACED.with(|replaced| replaced.setter.take()) else { return };
    // SAFETY: as in `begin`.
    unsafe {
        if let Some(command) = command(rtmp) {
            (*command).set = Some(setter);
        }
    }
}

/// Returns the limit of an application, in milliseconds: `None` without the directive, 0 for `off`. Restores nginx-rtmp's own value.
pub(super) fn take(value: &mut ngx_msec_t) -> Option<u64> {
    match *value {
        0 => None,
        NEVER => {
            *value = 0;
            Some(0)
        }
        limit => Some(limit as u64),
    }
}

/// # Safety
///
/// The modules of `rtmp` are loaded.
unsafe fn command(rtmp: &Rtmp) -> Option<*mut ngx_command_t> {
    // SAFETY: by contract.
    unsafe { commands::find(rtmp.ngx_rtmp_live_module, "drop_idle_publisher") }
}

/// ngx_command_t.set of `drop_idle_publisher`.
unsafe extern "C" fn set(cf: *mut ngx_conf_t, command: *mut ngx_command_t, conf: *mut c_void) -> *mut c_char {
    let setter = callback::guard("drop_idle_publisher", None, || REPLACED.with(|replaced| replaced.setter));
    let Some(setter) = setter else { return c"is not known".as_ptr().cast_mut() };
    // SAFETY: what nginx passes (ngx_conf_handler); `conf` is a ngx_rtmp_live_app_conf_t, and the offset that of its time.
    unsafe {
        let failed = setter(cf, command, conf);
        let value = conf.byte_add((*command).offset).cast::<ngx_msec_t>();
        if failed.is_null() && *value == 0 {
            *value = NEVER;
        }
        failed
    }
}
