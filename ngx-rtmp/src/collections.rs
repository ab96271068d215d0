//! nginx's strings, arrays and lists as text and slices.

use std::slice;

use nginx_sys::{ngx_array_t, ngx_list_part_t, ngx_list_t, ngx_str_t};

/// Returns the elements of an array.
///
/// # Safety
///
/// It is an array of `T`, as its owner declares it, and nothing changes it meanwhile.
pub(super) unsafe fn array<T>(array: &ngx_array_t) -> &[T] {
    match array.nelts {
        0 => &[],
        // SAFETY: by contract; `elts` holds `nelts` elements.
        count => unsafe { slice::from_raw_parts(array.elts.cast(), count) },
    }
}

/// Like [`array()`], but the elements can be changed.
///
/// # Safety
///
/// As for [`array()`], and nobody else looks at it meanwhile.
pub(super) unsafe fn array_mut<T>(array: &mut ngx_array_t) -> &mut [T] {
    match array.nelts {
        0 => &mut [],
        // SAFETY: by contract; `elts` holds `nelts` elements.
        count => unsafe { slice::from_raw_parts_mut(array.elts.cast(), count) },
    }
}

/// Returns the elements of a list, in order.
///
/// # Safety
///
/// It is a list of `T`, as its owner declares it, and nothing changes it meanwhile.
pub(super) unsafe fn list<T>(list: &ngx_list_t) -> impl Iterator<Item = *mut T> {
    let mut part: Option<&ngx_list_part_t> = Some(&list.part);
    let parts = std::iter::from_fn(move || {
        let this = part?;
        // SAFETY: null, or the next part of the same list (ngx_list_push).
        part = unsafe { this.next.as_ref() };
        Some(this)
    });
    // SAFETY: by contract; `elts` holds `nelts` elements.
    parts.flat_map(|part| (0..part.nelts).map(move |at| unsafe { part.elts.cast::<T>().add(at) }))
}

/// Returns a string of nginx as text; `None` if it is not UTF-8.
pub(super) fn text(word: &ngx_str_t) -> Option<&str> {
    if word.len == 0 {
        return Some("");
    }
    // SAFETY: a string of nginx: `len` bytes at `data` (ngx_str_t).
    std::str::from_utf8(unsafe { slice::from_raw_parts(word.data, word.len) }).ok()
}

/// Returns the bytes of a string of nginx.
pub(super) fn bytes(word: &ngx_str_t) -> &[u8] {
    // SAFETY: a string of nginx: `len` bytes at `data` (ngx_str_t), and nothing is read of an empty one.
    if word.len == 0 { &[] } else { unsafe { slice::from_raw_parts(word.data, word.len) } }
}
