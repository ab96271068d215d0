//! Values of the configuration that have variables.

use std::{
    ffi::c_void,
    ptr,
    rc::{Rc, Weak},
    slice,
};

use nginx_sys::{
    NGX_OK, ngx_conf_t, ngx_http_compile_complex_value, ngx_http_compile_complex_value_t,
    ngx_http_complex_value, ngx_http_complex_value_t, ngx_http_conf_ctx_t, ngx_http_request_t, ngx_int_t,
    ngx_str_t,
};
use ngx::core::Pool;

/// A value of the configuration, with variables. It has no text once its configuration is gone.
#[derive(Clone)]
pub struct Value {
    value: *mut ngx_http_complex_value_t,
    /// Exists as long as the configuration, whose pool holds the value.
    configuration: Weak<()>,
    /// The table of HTTP settings of the configuration, which its requests have too (ngx_http_core_loc_conf_t).
    main_conf: *mut *mut c_void,
}

impl Value {
    /// Compiles the text of an argument. If that fails, nginx logs the error.
    ///
    /// # Safety
    ///
    /// `cf` is the configuration being read, in an HTTP block; `text` lives in its pool and ends with a NUL. That pool drops
    /// `configuration`.
    pub(super) unsafe fn compile(
        cf: *mut ngx_conf_t,
        mut text: ngx_str_t,
        configuration: &Rc<()>,
    ) -> Option<Value> {
        // SAFETY: by contract. A structure of zeros is how nginx begins; the value lives in the configuration's pool. `ctx` is that of the
        // block (ngx_http_block, ngx_http_core_location).
        unsafe {
            let pool = Pool::from_ngx_pool((*cf).pool);
            let value = pool.calloc(size_of::<ngx_http_complex_value_t>()).cast::<ngx_http_complex_value_t>();
            if value.is_null() {
                return None;
            }
            let mut compile: ngx_http_compile_complex_value_t = std::mem::zeroed();
            (compile.cf, compile.value, compile.complex_value) = (cf, &raw mut text, value);
            (ngx_http_compile_complex_value(&raw mut compile) == NGX_OK as ngx_int_t).then(|| {
                let main_conf = (*(*cf).ctx.cast::<ngx_http_conf_ctx_t>()).main_conf;
                Value { value, configuration: Rc::downgrade(configuration), main_conf }
            })
        }
    }

    /// Returns the value for a request of its configuration; `None` for another request.
    pub(super) fn of<'r>(&self, request: &'r ngx_http_request_t) -> Option<&'r [u8]> {
        if self.configuration.strong_count() == 0 || request.main_conf != self.main_conf {
            return None;
        }
        let mut text = ngx_str_t { len: 0, data: ptr::null_mut() };
        let request = ptr::from_ref(request).cast_mut();
        // The configuration exists, as checked: nginx frees it only after its requests (ngx_clean_old_cycles), and not within a callback.
        // SAFETY: the request is alive and has the variables of the value's configuration (ngx_http_script_flush_complex_value), whose pool
        // has the value; ngx_http_complex_value takes the text from one of the two.
        let done = unsafe { ngx_http_complex_value(request, self.value, &raw mut text) };
        if done != NGX_OK as ngx_int_t {
            return None;
        }
        // SAFETY: as above: `len` bytes at `data`.
        Some(if text.len == 0 { &[] } else { unsafe { slice::from_raw_parts(text.data, text.len) } })
    }
}
