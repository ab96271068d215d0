//! Fixes for nginx-rtmp's relay and its `push` lines.
//!
//! A `push` fails immediately if, for example, the machine has no network for the address family of the host. nginx-rtmp then uses the
//! publisher's relay context, which only the first successful push creates. So the fence creates this context before the first push. And
//! when a stream closes, the fence clears the pushes in the context, so that they are gone when its connection publishes again.

use std::{ffi::c_void, mem, ptr, slice};

use nginx_sys::{
    NGX_OK, ngx_add_timer, ngx_array_t, ngx_del_timer, ngx_event_t, ngx_flag_t, ngx_int_t, ngx_log_t,
    ngx_msec_t, ngx_pcalloc, ngx_pnalloc, ngx_pool_t, ngx_str_t, ngx_uint_t,
};

use super::{
    callback, collections, commands,
    rtmp_sys::{
        self, Rtmp, ngx_rtmp_core_app_conf_t, ngx_rtmp_relay_ctx_t, ngx_rtmp_relay_target_t,
        ngx_rtmp_session_t,
    },
    session::Session,
    slots,
    types::Tables,
};

/// ngx_rtmp_relay_app_conf_t, which no header of nginx-rtmp has.
#[repr(C)]
struct RelaySettings {
    pulls: ngx_array_t,
    pushes: ngx_array_t,
    static_pulls: ngx_array_t,
    static_events: ngx_array_t,
    log: *mut ngx_log_t,
    nbuckets: ngx_uint_t,
    buflen: ngx_msec_t,
    session_relay: ngx_flag_t,
    push_reconnect: ngx_msec_t,
    pull_reconnect: ngx_msec_t,
}

/// Returns the settings of a session's application.
///
/// # Safety
///
/// `session` is alive.
unsafe fn settings<'a>(rtmp: &Rtmp, session: *mut ngx_rtmp_session_t) -> Option<&'a RelaySettings> {
    // SAFETY: by contract.
    unsafe { settings_of(rtmp, (*session).app_conf) }
}

/// Returns the settings of an application, if the loaded nginx-rtmp has the layout that is declared above: the offsets of its directives
/// show that.
///
/// # Safety
///
/// `app_conf` is null, or the settings of an application.
unsafe fn settings_of<'a>(rtmp: &Rtmp, app_conf: *mut *mut c_void) -> Option<&'a RelaySettings> {
    // SAFETY: by contract; a module's commands are a table that ends with an empty name.
    unsafe {
        let module = rtmp.ngx_rtmp_relay_module;
        let as_declared = [
            ("relay_buffer", mem::offset_of!(RelaySettings, buflen)),
            ("push_reconnect", mem::offset_of!(RelaySettings, push_reconnect)),
            ("pull_reconnect", mem::offset_of!(RelaySettings, pull_reconnect)),
        ];
        as_declared
            .iter()
            .all(|(name, offset)| commands::offset(module, name) == Some(*offset))
            .then(|| slots::entry(app_conf, module))?
    }
}

/// Removes secrets from the text that nginx-rtmp logs about `push` and `pull` lines, and shows as the address of the other end: the part of
/// the URL after the host, and `playPath=`. The other end still gets them.
///
/// # Safety
///
/// `app` is an application of a configuration that was read completely, and nothing runs with it yet; `pool` is
/// the configuration's.
pub(super) unsafe fn hide(rtmp: &Rtmp, app: &ngx_rtmp_core_app_conf_t, pool: *mut ngx_pool_t) {
    // SAFETY: by contract; the arrays hold pointers to targets (ngx_rtmp_relay_push_pull).
    unsafe {
        let Some(settings) = settings_of(rtmp, app.app_conf) else { return };
        for lines in [&settings.pushes, &settings.pulls, &settings.static_pulls] {
            for target in collections::array::<*mut ngx_rtmp_relay_target_t>(lines) {
                hide_in(&mut **target, &app.name, pool);
            }
        }
    }
}

/// # Safety
///
/// As for `hide`, for a target of `app`.
unsafe fn hide_in(target: &mut ngx_rtmp_relay_target_t, app: &ngx_str_t, pool: *mut ngx_pool_t) {
    let url = bytes(&target.url.url);
    if url.starts_with(b"unix:") {
        return;
    }
    let host = url.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(url.len());
    if target.play_path.len > 0 {
        // nginx-rtmp takes the application and the stream from the path if the line does not name them (ngx_rtmp_relay_create_connection).
        let path = bytes(&target.url.uri);
        let first = path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/').next();
        let first = first.unwrap_or_default();
        let in_path = [b"/-/", bytes(&target.play_path)].concat();
        // SAFETY: by contract.
        let (Some(uri), Some(named), Some(tc_url)) = (unsafe {
            let tc_url = [b"rtmp://", &url[..host], b"/"].concat();
            (copy(pool, &in_path), copy(pool, first), copy(pool, &tc_url))
        }) else {
            return;
        };
        if target.app.len == 0 && first.is_empty() {
            // If the line names no application, nginx-rtmp sends a URL without one.
            if target.tc_url.len == 0 {
                target.tc_url = tc_url;
            }
            target.app = *app;
        } else if target.app.len == 0 {
            target.app = named;
        }
        target.url.uri = uri;
        target.play_path = ngx_str_t { len: 0, data: ptr::null_mut() };
    }
    target.url.url.len = host;
}

/// Copies a text to a pool.
///
/// # Safety
///
/// `pool` is alive.
unsafe fn copy(pool: *mut ngx_pool_t, text: &[u8]) -> Option<ngx_str_t> {
    // SAFETY: by contract; as many bytes as are copied (ngx_pnalloc).
    unsafe {
        let data: *mut u8 = ngx_pnalloc(pool, text.len().max(1)).cast();
        if data.is_null() {
            return None;
        }
        ptr::copy_nonoverlapping(text.as_ptr(), data, text.len());
        Some(ngx_str_t { len: text.len(), data })
    }
}

/// Returns the relay context of a session, null without one.
///
/// # Safety
///
/// `session` is alive.
pub(super) unsafe fn context(rtmp: &Rtmp, session: *mut ngx_rtmp_session_t) -> *mut ngx_rtmp_relay_ctx_t {
    // SAFETY: by contract; a session has an entry for each module.
    unsafe { (*(*session).ctx.add((*rtmp.ngx_rtmp_relay_module).ctx_index)).cast() }
}

/// Shows only the host as the address of the servers that a session is relayed to or from. After a redirect, nginx-rtmp shows the whole
/// URL, with the stream key in it (ngx_rtmp_relay_create_connection).
///
/// # Safety
///
/// `session` is alive.
pub(super) unsafe fn hide_paths(session: *mut ngx_rtmp_session_t) {
    let Some(rtmp) = rtmp_sys::rtmp() else { return };
    let cut = |context: &ngx_rtmp_relay_ctx_t| {
        // SAFETY: by contract. The contexts of pushes are alive as long as they are listed, and that of a pull as long as
        // its players have it; a session has its connection.
        unsafe {
            let Some(peer) = context.session.as_ref().filter(|peer| peer.relay() != 0) else { return };
            let shown = &mut (*peer.connection).addr_text;
            let text = bytes(shown);
            if !text.starts_with(b"unix:") {
                shown.len = text.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(text.len());
            }
        }
    };
    // SAFETY: as above.
    unsafe {
        let Some(own) = context(&rtmp, session).as_ref() else { return };
        let mut push = own.play;
        while let Some(context) = push.as_ref() {
            cut(context);
            push = context.next;
        }
        if let Some(pull) = own.publish.as_ref() {
            cut(pull);
        }
    }
}

impl<M: Tables> Session<'_, M> {
    /// Adds an argument to the name that a pull is about to request (ngx_rtmp_relay_send_play).
    pub fn add_play_argument(&mut self, argument: &str) {
        let Some(rtmp) = rtmp_sys::rtmp() else { return };
        // SAFETY: the session is alive. Its relay context is null or lives as long as the session, and so does the pool of its connection
        // (ngx_rtmp_relay_create_connection).
        unsafe {
            let pool = self.connection().pool;
            let Some(context) = context(&rtmp, self.as_ptr()).as_mut() else { return };
            let name = if context.play_path.len > 0 { context.play_path } else { context.name };
            let between = if bytes(&name).contains(&b'?') { "&" } else { "?" };
            let text = [bytes(&name), between.as_bytes(), argument.as_bytes()].concat();
            if let Some(path) = copy(pool, &text) {
                context.play_path = path;
            }
        }
    }
}

/// Creates the relay context of a session that is about to publish, if its application has `push` lines.
///
/// # Safety
///
/// `session` is alive and connected to an application.
pub(super) unsafe fn prepare<M: Tables>(session: *mut ngx_rtmp_session_t) {
    let Some(rtmp) = rtmp_sys::rtmp() else { return };
    // SAFETY: by contract; a context of zeroes in the connection's pool is how nginx-rtmp makes one
    // (ngx_rtmp_relay_create_local_ctx).
    unsafe {
        let entry = (*session).ctx.add((*rtmp.ngx_rtmp_relay_module).ctx_index);
        let pushes = settings(&rtmp, session).is_some_and(|settings| settings.pushes.nelts > 0);
        if !pushes || !(*entry).is_null() || (*session).relay() != 0 {
            return;
        }
        let connection = (*session).connection;
        let context: *mut ngx_rtmp_relay_ctx_t =
            ngx_pcalloc((*connection).pool, size_of::<ngx_rtmp_relay_ctx_t>()).cast();
        if let Some(context) = context.as_mut() {
            context.session = session;
            context.push_evt.data = session.cast();
            context.push_evt.log = (*connection).log;
            context.push_evt.handler = Some(reconnect::<M>);
            *entry = ptr::from_mut(context).cast();
        }
    }
}

/// Clears the pushes in the relay context of a closed stream. They will soon be freed, but nginx-rtmp would still follow the list, and the
/// other publishers that came after this one in its table (ngx_rtmp_relay_close).
///
/// # Safety
///
/// `session` is alive.
pub(super) unsafe fn closed(session: *mut ngx_rtmp_session_t) {
    let Some(rtmp) = rtmp_sys::rtmp() else { return };
    // SAFETY: by contract. A context without a publisher is in nobody's list: nginx-rtmp took it out when it
    // cleared that field.
    unsafe {
        if let Some(context) = context(&rtmp, session).as_mut()
            && context.publish.is_null()
        {
            (context.play, context.next) = (ptr::null_mut(), ptr::null_mut());
        }
    }
}

/// Removes the timer of a session that ends, so that a push that failed immediately is not retried.
///
/// # Safety
///
/// `session` is alive.
pub(super) unsafe fn forget(session: *mut ngx_rtmp_session_t) {
    let Some(rtmp) = rtmp_sys::rtmp() else { return };
    // SAFETY: by contract. nginx-rtmp takes the timer out itself when a push had succeeded, and only then
    // (ngx_rtmp_relay_close).
    unsafe {
        if let Some(context) = context(&rtmp, session).as_mut()
            && context.push_evt.timer_set() != 0
        {
            ngx_del_timer(&raw mut context.push_evt);
        }
    }
}

/// Retries the missing pushes, as ngx_rtmp_relay_push_reconnect does. nginx-rtmp installs that function only with the first push that
/// succeeds.
unsafe extern "C" fn reconnect<M: Tables>(event: *mut ngx_event_t) {
    callback::guard("a push of the configuration", (), || {
        let Some(rtmp) = rtmp_sys::rtmp() else { return };
        // SAFETY: `data` is the session of `prepare`, alive until `forget` (ngx_rtmp_close_session_handler).
        unsafe {
            let session: *mut ngx_rtmp_session_t = (*event).data.cast();
            let (Some(settings), Some(name)) =
                (settings(&rtmp, session), Session::<M>::new(session).live_name())
            else {
                return;
            };
            let mut again = false;
            for target in collections::array::<*mut ngx_rtmp_relay_target_t>(&settings.pushes) {
                let target = &mut **target;
                let wanted = target.name.len == 0 || bytes(&target.name) == name.as_bytes();
                if !wanted || is_pushed(&rtmp, session, target) {
                    continue;
                }
                let mut name = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
                again |= (rtmp.ngx_rtmp_relay_push)(session, &mut name, target) != NGX_OK as ngx_int_t;
            }
            if again && (*event).timer_set() == 0 {
                ngx_add_timer(event, settings.push_reconnect);
            }
        }
    });
}

/// # Safety
///
/// `session` is alive.
unsafe fn is_pushed(rtmp: &Rtmp, session: *mut ngx_rtmp_session_t, target: &ngx_rtmp_relay_target_t) -> bool {
    // SAFETY: the contexts of a publisher's pushes are alive as long as they are listed (ngx_rtmp_relay_close).
    unsafe {
        let context: Option<&ngx_rtmp_relay_ctx_t> = slots::entry((*session).ctx, rtmp.ngx_rtmp_relay_module);
        let mut push = context.map_or(ptr::null_mut(), |context| context.play);
        while let Some(context) = push.as_ref() {
            if ptr::eq(context.data, ptr::from_ref(target).cast()) {
                return true;
            }
            push = context.next;
        }
    }
    false
}

fn bytes(text: &ngx_str_t) -> &[u8] {
    // SAFETY: a string of nginx: `len` bytes at `data` (ngx_str_t), and nothing is read of an empty one.
    if text.len == 0 { &[] } else { unsafe { slice::from_raw_parts(text.data, text.len) } }
}
