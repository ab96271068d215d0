//! Functions for refusals: the application that a client asks for, the answer to `connect`, and the delay of a close, so that the client
//! can read the answer.

use std::{ffi::CString, ptr};

use nginx_sys::{ngx_int_t, ngx_str_t};

use super::Session;
use crate::{
    collections,
    rtmp_sys::{
        self, NGX_RTMP_AMF_NULL, NGX_RTMP_AMF_NUMBER, NGX_RTMP_AMF_OBJECT, NGX_RTMP_AMF_STRING,
        NGX_RTMP_MSG_AMF_CMD, ngx_rtmp_amf_elt_t, ngx_rtmp_core_app_conf_t, ngx_rtmp_core_srv_conf_t,
        ngx_rtmp_header_t,
    },
    slots,
    types::Tables,
};

/// The chunk stream of answers to `connect` (NGX_RTMP_CSID_AMF_INI).
const CSID: u32 = 3;

impl<'s, M: Tables> Session<'s, M> {
    /// Returns the settings of an application of the session's `server`, by name; `None` if it does not exist.
    #[must_use]
    pub fn application(&self, name: &[u8]) -> Option<&'s M::App> {
        let rtmp = rtmp_sys::rtmp()?;
        // SAFETY: the server's array holds pointers to applications (ngx_rtmp_core_application), whose settings
        // live as long as the configuration, which outlives its sessions.
        unsafe {
            let server: &ngx_rtmp_core_srv_conf_t =
                slots::entry(self.raw().srv_conf, rtmp.ngx_rtmp_core_module)?;
            let apps = collections::array::<*mut ngx_rtmp_core_app_conf_t>(&server.applications);
            let app =
                apps.iter().find(|app| collections::text(&(***app).name).map(str::as_bytes) == Some(name))?;
            slots::entry((**app).app_conf, M::rtmp_module())
        }
    }

    /// Returns whether nginx-rtmp looked for the application of a `connect`, and found none.
    #[must_use]
    pub fn is_without_application(&self) -> bool {
        self.raw().connected != 0 && self.raw().app_conf.is_null()
    }

    /// Tells the client that its `connect` is refused (`_error`).
    pub fn send_connect_error(&mut self, mut transaction: f64, code: &str, description: &str) {
        let Some(rtmp) = rtmp_sys::rtmp() else { return };
        let text = |text: &str| CString::new(text).unwrap_or_default();
        let (code, description) = (text(code), text(description));
        let string = |name: &'static str, value: &CString| ngx_rtmp_amf_elt_t {
            type_: NGX_RTMP_AMF_STRING as ngx_int_t,
            name: ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() },
            data: value.as_ptr().cast_mut().cast(),
            len: 0,
        };
        let (name, level) = (text("_error"), text("error"));
        let mut information =
            [string("level", &level), string("code", &code), string("description", &description)];
        let plain = |kind: u32, data: *mut std::ffi::c_void, len: usize| ngx_rtmp_amf_elt_t {
            type_: kind as ngx_int_t,
            name: ngx_str_t { len: 0, data: ptr::null_mut() },
            data,
            len,
        };
        let mut elements = [
            string("", &name),
            plain(NGX_RTMP_AMF_NUMBER, (&raw mut transaction).cast(), 0),
            plain(NGX_RTMP_AMF_NULL, ptr::null_mut(), 0),
            plain(NGX_RTMP_AMF_OBJECT, information.as_mut_ptr().cast(), size_of_val(&information)),
        ];
        // SAFETY: a live session. Its messages are cut by the server's chunk size, which nginx-rtmp announces when it
        // accepts a `connect` (ngx_rtmp_cmd_connect). ngx_rtmp_send_amf copies what the elements point to before it returns.
        unsafe {
            let server: Option<&ngx_rtmp_core_srv_conf_t> =
                slots::entry(self.raw().srv_conf, rtmp.ngx_rtmp_core_module);
            let Some(size) = server.and_then(|server| u32::try_from(server.chunk_size).ok()) else { return };
            (rtmp.ngx_rtmp_send_chunk_size)(self.session, size);
            let mut header: ngx_rtmp_header_t = std::mem::zeroed();
            header.csid = CSID;
            header.type_ = NGX_RTMP_MSG_AMF_CMD as u8;
            (rtmp.ngx_rtmp_send_amf)(self.session, &raw mut header, elements.as_mut_ptr(), elements.len());
        }
    }

    /// Takes back a close of the session that nginx-rtmp has only posted, in the present callback. The module then has time to tell the
    /// client the reason.
    pub fn take_back_end(&mut self) {
        // SAFETY: a live session. Its end is an event that waits in nginx's queue (ngx_rtmp_finalize_session);
        // it is taken out as ngx_delete_posted_event does.
        unsafe {
            if !self.is_ending() {
                return;
            }
            let close = &mut (*self.session).close;
            if close.posted() != 0 {
                close.set_posted(0);
                let queue = &mut close.queue;
                (*queue.next).prev = queue.prev;
                (*queue.prev).next = queue.next;
                (*(*self.session).connection).set_destroyed(0);
            }
        }
    }
}
