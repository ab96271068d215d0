//! nginx's chains of buffers in memory, and values and texts in a pool.

use std::ffi::c_void;

use nginx_sys::{ngx_buf_t, ngx_chain_t, ngx_pool_cleanup_add, ngx_pool_t, ngx_str_t};
use ngx::core::Pool;

use super::{callback, log};

/// Calls `work` with these bytes as a message in one buffer.
pub(super) fn with_message<T>(bytes: &mut [u8], work: impl FnOnce(*mut ngx_chain_t) -> T) -> T {
    let range = bytes.as_mut_ptr_range();
    // SAFETY: a buffer of zeroes is how nginx makes one (ngx_calloc_buf).
    let mut buffer: ngx_buf_t = unsafe { std::mem::zeroed() };
    (buffer.start, buffer.pos, buffer.last, buffer.end) = (range.start, range.start, range.end, range.end);
    let mut chain = ngx_chain_t { buf: &raw mut buffer, next: std::ptr::null_mut() };
    work(&raw mut chain)
}

/// Returns a message's bytes in one piece; `None` if there are more than `most`.
///
/// # Safety
///
/// `chain` is null or a chain of buffers in memory.
pub(super) unsafe fn flatten(mut chain: *mut ngx_chain_t, most: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    // SAFETY: by contract; `pos..last` is the unread part of each buffer.
    unsafe {
        while let Some(link) = chain.as_ref() {
            let buffer = &*link.buf;
            let length = usize::try_from(buffer.last.offset_from(buffer.pos)).ok()?;
            if bytes.len() + length > most {
                return None;
            }
            bytes.extend_from_slice(std::slice::from_raw_parts(buffer.pos, length));
            chain = link.next;
        }
    }
    Some(bytes)
}

/// Returns the bytes of a chain, at most `limit` of them.
///
/// # Safety
///
/// `chain` is null or a chain of buffers in memory.
pub(super) unsafe fn gather(mut chain: *mut ngx_chain_t, limit: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    // SAFETY: by contract; `pos..last` is the unread part of each buffer.
    unsafe {
        while let Some(link) = chain.as_ref() {
            let buffer = &*link.buf;
            let length = usize::try_from(buffer.last.offset_from(buffer.pos)).unwrap_or(0);
            let length = length.min(limit - bytes.len());
            if length > 0 {
                bytes.extend_from_slice(std::slice::from_raw_parts(buffer.pos, length));
            }
            chain = link.next;
        }
    }
    bytes
}

/// Moves a value to a pool, which drops it when the pool ends. Returns null without memory.
///
/// # Safety
///
/// `pool` is alive.
pub(super) unsafe fn keep<T: 'static>(pool: *mut ngx_pool_t, value: T) -> *mut T {
    // ngx_palloc aligns to NGX_ALIGNMENT, the size of a pointer.
    const { assert!(align_of::<T>() <= align_of::<usize>()) };
    // SAFETY: by contract. `data` has room for the value (ngx_pool_cleanup_add); the handler runs once, when the pool ends
    // (ngx_destroy_pool), and the value has this type.
    unsafe {
        let Some(cleanup) = ngx_pool_cleanup_add(pool, size_of::<T>().max(1)).as_mut() else {
            return std::ptr::null_mut();
        };
        let place = cleanup.data.cast::<T>();
        place.write(value);
        cleanup.handler = Some(discard::<T>);
        place
    }
}

unsafe extern "C" fn discard<T>(data: *mut c_void) {
    callback::guard("a value of a pool", (), || {
        // SAFETY: the value that `keep` put there. A pool calls each cleanup handler once (ngx_destroy_pool).
        unsafe { std::ptr::drop_in_place(data.cast::<T>()) };
    });
}

/// Gives a text to a pool without a copy; the pool drops the text when the pool ends. Returns `None` without memory, and logs that.
///
/// # Safety
///
/// `pool` is alive.
pub(super) unsafe fn hand_over(pool: *mut ngx_pool_t, text: String) -> Option<ngx_str_t> {
    // SAFETY: by contract. The pool keeps the `String` where it is, and nobody else refers to it.
    let Some(text) = (unsafe { keep(pool, text).as_mut() }) else {
        log::named(log::Level::Critical, format_args!("not enough memory for an answer"));
        return None;
    };
    Some(ngx_str_t { len: text.len(), data: text.as_mut_ptr() })
}

/// Copies a text to a request's pool. Returns `None` without memory, and logs that.
pub(super) fn copy(pool: &Pool, text: &str) -> Option<ngx_str_t> {
    let data: *mut c_void = pool.alloc_unaligned(text.len().max(1));
    if data.is_null() {
        log::named(log::Level::Critical, format_args!("not enough memory for an answer"));
        return None;
    }
    // SAFETY: `data` has at least the length of the text (ngx_pnalloc), and is new, so the two do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), data.cast(), text.len()) };
    Some(ngx_str_t { len: text.len(), data: data.cast() })
}
