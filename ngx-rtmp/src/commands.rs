//! The directives of other modules: where in their settings each writes to.

use nginx_sys::{ngx_command_t, ngx_module_t};

use super::conf;

/// The offset that a module's directive writes to.
///
/// # Safety
///
/// `module` is loaded.
pub(super) unsafe fn offset(module: *const ngx_module_t, name: &str) -> Option<usize> {
    // SAFETY: by contract; the table ends with an empty name.
    unsafe {
        let mut command: *const ngx_command_t = (*module).commands;
        while (*command).name.len > 0 {
            if conf::text(&(*command).name) == Some(name) {
                return Some((*command).offset);
            }
            command = command.add(1);
        }
    }
    None
}
