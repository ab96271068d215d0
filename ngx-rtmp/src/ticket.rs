//! How the fence recognizes the module's connections to push targets among those that nginx-rtmp's relay opens.

use std::ffi::c_void;

use super::{
    rtmp_sys::{self, ngx_rtmp_relay_ctx_t, ngx_rtmp_session_t},
    slots,
};

/// The address of this static marks the relay contexts of the fence.
static TAG: u8 = 0;

/// Returns the mark of the fence for `tag` of a relay context (ngx_rtmp_relay_target_t).
pub(super) fn tag() -> *mut c_void {
    (&raw const TAG).cast_mut().cast()
}

/// Returns the ticket of a connection that the module opened to a target.
///
/// # Safety
///
/// `session` is alive.
pub(super) unsafe fn of(session: *mut ngx_rtmp_session_t) -> Option<u64> {
    // SAFETY: by contract.
    unsafe {
        let rtmp = rtmp_sys::rtmp().filter(|_| (*session).relay() != 0)?;
        let context: &ngx_rtmp_relay_ctx_t = slots::entry((*session).ctx, rtmp.ngx_rtmp_relay_module)?;
        (context.tag == tag()).then(|| context.data.addr() as u64)
    }
}
