//! The warnings on a configuration that was read: where it stands, what this process may use, and nginx's log.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path, slice};

use nginx_sys::{NGX_PROCESS_SIGNALLER, ngx_cycle_t};
use weir_model::lint::small_stack;

use super::log::{self, Level};
use crate::advice;

/// Warns of what is dangerous in a cycle's configuration.
///
/// # Safety
///
/// `cycle` is being built, and its configuration has been read.
pub(super) unsafe fn warn(cycle: *mut ngx_cycle_t) {
    // SAFETY: read by value; the path is a string of the cycle, `len` bytes at `data`.
    let (log, path) = unsafe {
        // `nginx -s reload` reads the configuration to find the master, which reads it again.
        if nginx_sys::ngx_process == NGX_PROCESS_SIGNALLER as usize {
            return;
        }
        let file = &(*cycle).conf_file;
        ((*cycle).log, slice::from_raw_parts(file.data, file.len))
    };
    // SAFETY: the log of the cycle.
    let say = |level, line: &str| unsafe { log::to(log, level, format_args!("{line}")) };
    if let Some(line) = small_stack(stack_limit()) {
        say(Level::Warning, &line);
    }
    match advice::lines(Path::new(OsStr::from_bytes(path))) {
        Ok(lines) => lines.iter().for_each(|line| say(Level::Warning, line)),
        Err(error) => say(Level::Notice, &format!("weir: no advice on the configuration: {error}")),
    }
}

/// How far the stack of this process may grow, in bytes; `None` without a limit.
fn stack_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the kernel writes to a struct that is ours.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_STACK, &raw mut limit) } == 0;
    (known && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}
