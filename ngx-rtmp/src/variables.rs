//! HTTP variables of a module: the request of a client without its secrets, for logs.

use std::ptr;

use nginx_sys::{
    NGX_ERROR, NGX_OK, ngx_conf_t, ngx_http_add_variable, ngx_http_get_variable_pt, ngx_http_request_t,
    ngx_http_variable_value_t, ngx_int_t, ngx_pnalloc, ngx_str_t,
};

use super::{callback, gate::Gate};

/// ngx_http_module_t.preconfiguration. Adds the variables, with the module's name as prefix.
pub(super) unsafe extern "C" fn add<M: Gate>(cf: *mut ngx_conf_t) -> ngx_int_t {
    let variables: [(&str, ngx_http_get_variable_pt); 2] =
        [("masked_request", Some(request::<M>)), ("masked_uri", Some(uri::<M>))];
    for (name, handler) in variables {
        let name = format!("{}_{name}", M::NAME);
        let mut name = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
        // SAFETY: nginx calls with the configuration being read, and copies the name (ngx_http_add_variable).
        let variable = unsafe { ngx_http_add_variable(cf, &raw mut name, 0).as_mut() };
        match variable {
            Some(variable) => variable.get_handler = handler,
            None => return NGX_ERROR as ngx_int_t,
        }
    }
    NGX_OK as ngx_int_t
}

/// Like `$request`.
unsafe extern "C" fn request<M: Gate>(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    _data: usize,
) -> ngx_int_t {
    // SAFETY: nginx calls with a live request and the value to fill (ngx_http_get_indexed_variable).
    unsafe { fill::<M>(r, value, (*r).request_line) }
}

/// Like `$request_uri`.
unsafe extern "C" fn uri<M: Gate>(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    _data: usize,
) -> ngx_int_t {
    // SAFETY: as in `request`.
    unsafe { fill::<M>(r, value, (*r).unparsed_uri) }
}

/// # Safety
///
/// `r` is alive, `value` is one of its variables, and `text` is one of its strings.
unsafe fn fill<M: Gate>(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    text: ngx_str_t,
) -> ngx_int_t {
    callback::guard("a variable", NGX_ERROR as ngx_int_t, || {
        // SAFETY: by contract: `len` bytes at `data`; the masked text is copied into the request's pool.
        unsafe {
            let value = &mut *value;
            let sent: &[u8] =
                if text.len == 0 { &[] } else { std::slice::from_raw_parts(text.data, text.len) };
            let (mut data, mut len) = (text.data, text.len);
            if let Some(masked) = M::masked(sent) {
                data = ngx_pnalloc((*r).pool, masked.len()).cast();
                if data.is_null() {
                    return NGX_ERROR as ngx_int_t;
                }
                ptr::copy_nonoverlapping(masked.as_ptr(), data, masked.len());
                len = masked.len();
            }
            value.data = data;
            value.set_len(u32::try_from(len).unwrap_or(0));
            value.set_valid(1);
            value.set_no_cacheable(0);
            value.set_not_found(u32::from(len == 0));
        }
        NGX_OK as ngx_int_t
    })
}
