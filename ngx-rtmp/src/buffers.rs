//! nginx's chains of buffers in memory.

use nginx_sys::{ngx_buf_t, ngx_chain_t};

/// Calls `work` with these bytes as a message in one buffer.
pub(super) fn with_message<T>(bytes: &mut [u8], work: impl FnOnce(*mut ngx_chain_t) -> T) -> T {
    let range = bytes.as_mut_ptr_range();
    // SAFETY: a buffer of zeroes is how nginx makes one (ngx_calloc_buf).
    let mut buffer: ngx_buf_t = unsafe { std::mem::zeroed() };
    (buffer.start, buffer.pos, buffer.last, buffer.end) = (range.start, range.start, range.end, range.end);
    let mut chain = ngx_chain_t { buf: &raw mut buffer, next: std::ptr::null_mut() };
    work(&raw mut chain)
}

/// A message's bytes in one piece; `None` when there are more than `most`.
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

/// The bytes of a chain, `limit` at most.
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
