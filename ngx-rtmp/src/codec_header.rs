//! The decoder configuration of a codec that nginx-rtmp does not know, such as HEVC. Players that join later need it.
//!
//! nginx-rtmp sends `avc_header` of the codec context to each player that joins (ngx_rtmp_live_av). HLS takes the same field as a sign that
//! the stream has H.264, so the header is there only while nginx-rtmp handles a video message.
//!
//! With `wait_key`, which is on by default, nginx-rtmp lets players begin only with an H.264 keyframe. The fence turns `wait_key` off while
//! nginx-rtmp handles a keyframe of another codec.

use std::ptr;

use nginx_sys::ngx_chain_t;

use super::{
    message::Message,
    rtmp_sys::{
        self, ngx_rtmp_codec_ctx_t, ngx_rtmp_core_srv_conf_t, ngx_rtmp_live_app_conf_t, ngx_rtmp_session_t,
    },
    session::{Session, slot::CodecHeader},
    types::Tables,
};

impl<M: Tables> Session<'_, M> {
    /// Keeps a message as the decoder configuration of the stream's video, for players that join later.
    pub fn keep_codec_header(&mut self, message: &Message<'_>) {
        // SAFETY: a live session, and a message that nginx-rtmp has given (ngx_rtmp_receive_message).
        unsafe { keep::<M>(self.as_ptr(), message.chain()) }
    }

    /// Shows this configuration to nginx-rtmp while it handles the current video message. If `is_key`, players may begin with this message.
    pub fn lend_codec_header(&mut self, is_key: bool) {
        // SAFETY: a live session (`Session::new`).
        unsafe { lend::<M>(self.as_ptr(), is_key) }
    }
}

/// Keeps a message as the header of its session, and frees the previous header.
///
/// # Safety
///
/// The session is alive, and `message` is what nginx-rtmp has given for it.
unsafe fn keep<M: Tables>(session: *mut ngx_rtmp_session_t, message: *mut ngx_chain_t) {
    let Some(rtmp) = rtmp_sys::rtmp() else { return };
    // SAFETY: by contract; the server's settings outlive the session. The copy is ours until it is freed or given away
    // (ngx_rtmp_append_shared_bufs, ngx_rtmp_free_shared_chain).
    unsafe {
        let Some(core) = server(session) else { return };
        let mut holder = Session::<M>::new(session);
        let Some(state) = holder.known_slot() else { return };
        let before = std::mem::replace(
            &mut state.header.chain,
            (rtmp.ngx_rtmp_append_shared_bufs)(core, ptr::null_mut(), message),
        );
        if !before.is_null() {
            (rtmp.ngx_rtmp_free_shared_chain)(core, before);
        }
    }
}

/// Puts the header where nginx-rtmp looks for one. If the message is a keyframe, players may begin with it.
///
/// # Safety
///
/// The session is alive.
unsafe fn lend<M: Tables>(session: *mut ngx_rtmp_session_t, is_key: bool) {
    // SAFETY: by contract; see `codec` and `live`.
    unsafe {
        let mut holder = Session::<M>::new(session);
        let Some(state) = holder.known_slot() else { return };
        if let Some(codec) = codec(session)
            && codec.avc_header.is_null()
        {
            codec.avc_header = state.header.chain;
        }
        if let Some(live) = live(session)
            && is_key
            && state.header.wait_key.is_none()
        {
            state.header.wait_key = Some(std::mem::replace(&mut live.wait_key, 0));
        }
    }
}

/// Restores `wait_key`.
///
/// # Safety
///
/// The session is alive.
unsafe fn restore(session: *mut ngx_rtmp_session_t, header: &mut CodecHeader) {
    // SAFETY: by contract; see `live`.
    if let (Some(live), Some(wait_key)) = (unsafe { live(session) }, header.wait_key.take()) {
        live.wait_key = wait_key;
    }
}

/// Takes the header back, unless nginx-rtmp has freed it and stored a header of its own (ngx_rtmp_codec_av).
///
/// # Safety
///
/// The session is alive, and [`lend`] was called for the same message.
pub(super) unsafe fn take_back<M: Tables>(session: *mut ngx_rtmp_session_t) {
    // SAFETY: by contract; see `codec`.
    unsafe {
        let mut holder = Session::<M>::new(session);
        let Some(state) = holder.known_slot() else { return };
        restore(session, &mut state.header);
        let Some(codec) = codec(session) else { return };
        if state.header.chain.is_null() || codec.avc_header.is_null() {
            return;
        }
        if ptr::eq(codec.avc_header, state.header.chain) {
            codec.avc_header = ptr::null_mut();
        } else {
            state.header.chain = ptr::null_mut();
        }
    }
}

/// Frees the header of a session that ends.
///
/// # Safety
///
/// The session is alive, and its codec context is not freed yet.
pub(super) unsafe fn forget<M: Tables>(session: *mut ngx_rtmp_session_t) {
    let Some(rtmp) = rtmp_sys::rtmp() else { return };
    // SAFETY: by contract. A message that ended the session may have left the header lent: nginx-rtmp frees it then
    // (ngx_rtmp_codec_disconnect).
    unsafe {
        let mut holder = Session::<M>::new(session);
        let Some(state) = holder.known_slot() else { return };
        restore(session, &mut state.header);
        let header = std::mem::replace(&mut state.header.chain, ptr::null_mut());
        let is_lent = codec(session).is_some_and(|codec| ptr::eq(codec.avc_header, header));
        if let Some(core) = server(session).filter(|_| !header.is_null() && !is_lent) {
            (rtmp.ngx_rtmp_free_shared_chain)(core, header);
        }
    }
}

/// Returns the server's settings.
///
/// # Safety
///
/// The session is alive.
unsafe fn server(session: *mut ngx_rtmp_session_t) -> Option<*mut ngx_rtmp_core_srv_conf_t> {
    let rtmp = rtmp_sys::rtmp()?;
    // SAFETY: by contract; a session has the settings of its server (ngx_rtmp_init_session).
    let core = unsafe { *(*session).srv_conf.add((*rtmp.ngx_rtmp_core_module).ctx_index) };
    (!core.is_null()).then(|| core.cast())
}

/// Returns the codec context of the session, of nginx-rtmp's codec module.
///
/// # Safety
///
/// The session is alive, and nothing else refers to the context while the result is used.
unsafe fn codec<'s>(session: *mut ngx_rtmp_session_t) -> Option<&'s mut ngx_rtmp_codec_ctx_t> {
    let rtmp = rtmp_sys::rtmp()?;
    // SAFETY: by contract; the entry is null or the module's own context (ngx_rtmp_codec_av).
    unsafe {
        (*(*session).ctx.add((*rtmp.ngx_rtmp_codec_module).ctx_index)).cast::<ngx_rtmp_codec_ctx_t>().as_mut()
    }
}

/// Returns the live module's settings of the session's application.
///
/// # Safety
///
/// The session is alive, and nothing else refers to the settings while the result is used.
unsafe fn live<'s>(session: *mut ngx_rtmp_session_t) -> Option<&'s mut ngx_rtmp_live_app_conf_t> {
    let rtmp = rtmp_sys::rtmp()?;
    // SAFETY: by contract; `app_conf` is null or has the live module's own settings (ngx_rtmp_live_create_app_conf).
    unsafe {
        let table = (*session).app_conf;
        if table.is_null() {
            return None;
        }
        (*table.add((*rtmp.ngx_rtmp_live_module).ctx_index)).cast::<ngx_rtmp_live_app_conf_t>().as_mut()
    }
}
