//! Filters nginx-rtmp's log lines about a client before nginx writes them.
//!
//! Each accepted connection has a log of its own (ngx_event_accept), and nginx gives a line to the log's writer if there is one
//! (ngx_log_error_core). So the fence installs its own writer there. This writer counts nginx-rtmp's error lines, because a client can
//! cause any number of them, and removes secrets from them. It then writes the line to the log that nginx would have used.

use std::{ptr, slice};

use nginx_sys::{
    NGX_LOG_DEBUG_CONNECTION, NGX_LOG_ERR, NGX_LOG_WARN, ngx_connection_t, ngx_log_t, ngx_log_writer_pt,
    ngx_palloc,
};

use weir_rtmp::hide;

use super::{callback, connections::Connections, log, session::Session, sessions, types::Tables};
use crate::local;

/// A copy of the connection's original log, in the connection's pool: it lives as long as the log itself.
#[repr(C)]
struct Kept {
    log: ngx_log_t,
    connection: *mut ngx_connection_t,
}

local! {
    /// A secret that nginx-rtmp is about to log.
    static SECRET: Option<Vec<u8>> = None;
}

/// Installs the fence's writer in the log of a client's connection.
pub(super) fn watch<M: Tables + Connections>(session: &Session<'_, M>) {
    if !session.is_accepted() {
        return;
    }
    // SAFETY: a session has its connection, with a pool and, as it was accepted, a log of its own. As much as is written is
    // allocated (ngx_palloc aligns for any structure of nginx's).
    unsafe {
        let connection = (*session.as_ptr()).connection;
        let log = &mut *(*connection).log;
        let own: ngx_log_writer_pt = Some(write::<M>);
        if log.writer.map(|writer| writer as usize) == own.map(|writer| writer as usize) {
            return;
        }
        let kept: *mut Kept = ngx_palloc((*connection).pool, size_of::<Kept>()).cast();
        if kept.is_null() {
            return;
        }
        kept.write(Kept { log: ptr::read(log), connection });
        (log.writer, log.wdata, log.next) = (own, kept.cast(), ptr::null_mut());
    }
}

/// Calls nginx-rtmp while the writer hides this secret, which nginx-rtmp logs.
pub(super) fn hiding<R>(secret: Vec<u8>, call: impl FnOnce() -> R) -> R {
    SECRET.with(|hidden| *hidden = Some(secret));
    let outcome = call();
    SECRET.with(|hidden| *hidden = None);
    outcome
}

/// ngx_log_writer_pt.
unsafe extern "C" fn write<M: Tables + Connections>(
    log: *mut ngx_log_t,
    level: usize,
    line: *mut u8,
    length: usize,
) {
    // SAFETY: nginx calls with the log of `watch`, whose connection is alive, and with a line of that length.
    let (log, kept, line) = unsafe {
        let Some(kept) = (*log).wdata.cast::<Kept>().as_mut() else { return };
        (&*log, kept, slice::from_raw_parts(line, length))
    };
    if !callback::guard("a line of the log", true, || may_write::<M>(kept, level, line)) {
        return;
    }
    let clean = SECRET.with(|hidden| hidden.as_deref().and_then(|secret| hide::without(line, secret)));
    // SAFETY: the rest of the chain is the configuration's (ngx_log_open_default, ngx_error_log).
    unsafe { pass_on(&mut kept.log, log.log_level, level, clean.as_deref().unwrap_or(line)) };
}

fn may_write<M: Tables + Connections>(kept: &Kept, level: usize, line: &[u8]) -> bool {
    let counts = level == NGX_LOG_ERR as usize || level == NGX_LOG_WARN as usize;
    if !counts || log::is_own() {
        return true;
    }
    // SAFETY: an entry of nginx's table of connections, read by value: that of a session while there is one
    // (ngx_rtmp_init_session).
    let data = unsafe { (*kept.connection).data };
    // SAFETY: a line is written in a callback of nginx's (ngx_log_error_core).
    match unsafe { sessions::enrolled::<M>(data.cast()) } {
        Some(mut session) => M::may_log(&mut session, line),
        None => true,
    }
}

/// Writes to a log and to the logs after it, as ngx_log_error_core does.
///
/// # Safety
///
/// `first` was the log of a connection, and is alive with all that it refers to.
unsafe fn pass_on(first: &mut ngx_log_t, first_level: usize, level: usize, line: &[u8]) {
    let debugs_connection = first_level & NGX_LOG_DEBUG_CONNECTION as usize != 0;
    first.log_level = first_level;
    let mut next = ptr::from_mut(first);
    // SAFETY: by contract; a file of nginx's is open as long as the log that names it.
    unsafe {
        let now = (*nginx_sys::ngx_cached_time).sec;
        while let Some(log) = next.as_mut() {
            if log.log_level < level && !debugs_connection {
                break;
            }
            next = log.next;
            if let Some(writer) = log.writer {
                writer(log, level, line.as_ptr().cast_mut(), line.len());
            } else if log.disk_full_time != now
                && let Some(file) = log.file.as_ref()
                && libc::write(file.fd, line.as_ptr().cast(), line.len()) == -1
                && std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOSPC)
            {
                log.disk_full_time = now;
            }
        }
    }
}
