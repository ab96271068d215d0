//! Directives of other modules, and the offsets in the settings that they write to.

use std::slice;

use nginx_sys::{ngx_command_t, ngx_module_t};

/// Returns the offset that a module's directive writes to.
///
/// # Safety
///
/// `module` is loaded.
pub(super) unsafe fn offset(module: *const ngx_module_t, name: &str) -> Option<usize> {
    // SAFETY: by contract.
    unsafe { find(module, name).map(|command| (*command).offset) }
}

/// Finds a directive of a module.
///
/// # Safety
///
/// `module` is loaded.
pub(super) unsafe fn find(module: *const ngx_module_t, name: &str) -> Option<*mut ngx_command_t> {
    // SAFETY: by contract; the table ends with an empty name (ngx_null_command).
    unsafe {
        let mut command: *mut ngx_command_t = (*module).commands;
        while (*command).name.len > 0 {
            if slice::from_raw_parts((*command).name.data, (*command).name.len) == name.as_bytes() {
                return Some(command);
            }
            command = command.add(1);
        }
    }
    None
}
