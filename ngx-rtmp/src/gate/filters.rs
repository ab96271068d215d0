//! The gate's hooks in nginx: two phases, the filters of head and body, and the text that nginx writes to the error log.

use std::{ffi::c_void, ptr, slice};

use nginx_sys::{
    NGX_DECLINED, NGX_ERROR, NGX_HTTP_FORBIDDEN, NGX_HTTP_SATISFY_ANY, NGX_HTTP_SERVICE_UNAVAILABLE, NGX_OK,
    ngx_buf_t, ngx_chain_t, ngx_conf_t, ngx_http_core_loc_conf_t, ngx_http_core_main_conf_t,
    ngx_http_core_module, ngx_http_handler_pt, ngx_http_log_handler_pt, ngx_http_output_body_filter_pt,
    ngx_http_output_header_filter_pt, ngx_http_phases_NGX_HTTP_ACCESS_PHASE,
    ngx_http_phases_NGX_HTTP_POST_READ_PHASE, ngx_http_phases_NGX_HTTP_PREACCESS_PHASE, ngx_http_request_t,
    ngx_http_top_body_filter, ngx_http_top_header_filter, ngx_http_weak_etag, ngx_int_t, ngx_list_push,
    ngx_str_t, ngx_table_elt_t,
};
use ngx::core::Pool;

use super::{Answer, Asked, Gate, Verdict, headers};
use crate::{
    buffers, callback, collections, local,
    slots::{self, LocationSlot},
    types::Tables,
};

/// The filters and the log handler that nginx calls after the gate's.
#[derive(Clone, Copy)]
struct Next {
    header: ngx_http_output_header_filter_pt,
    body: ngx_http_output_body_filter_pt,
    log: ngx_http_log_handler_pt,
}

local! {
    static NEXT: Next = Next { header: None, body: None, log: None };
}

/// State of a request, in the request's pool.
struct Kept<V> {
    answer: Option<Box<dyn Answer>>,
    visit: Option<V>,
    is_rewritten: bool,
    /// Whether the answer is complete; later bytes are ignored.
    is_done: bool,
    /// The header `Accept-Encoding` as the client sent it: row, value.
    encoding: Option<(*mut ngx_table_elt_t, ngx_str_t)>,
}

/// ngx_http_module_t.postconfiguration. Installs the gate's hooks.
pub(crate) unsafe extern "C" fn install<M: Tables + Gate>(cf: *mut ngx_conf_t) -> ngx_int_t {
    callback::guard("the gate of http", NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx calls with the configuration being read, whose `ctx` is http's (ngx_http_block); one thread reads it.
        unsafe {
            let ctx = &*(*cf).ctx.cast::<nginx_sys::ngx_http_conf_ctx_t>();
            let core = &mut *(*ctx.main_conf.add(ngx_http_core_module.ctx_index))
                .cast::<ngx_http_core_main_conf_t>();
            for (phase, handler) in [
                (ngx_http_phases_NGX_HTTP_POST_READ_PHASE, begin::<M> as unsafe extern "C" fn(_) -> _),
                (ngx_http_phases_NGX_HTTP_PREACCESS_PHASE, part::<M>),
                (ngx_http_phases_NGX_HTTP_ACCESS_PHASE, access::<M>),
            ] {
                let handlers = &raw mut core.phases[phase as usize].handlers;
                let place = nginx_sys::ngx_array_push(handlers).cast::<ngx_http_handler_pt>();
                if place.is_null() {
                    return NGX_ERROR as ngx_int_t;
                }
                place.write(Some(handler));
            }
            let next = (ngx_http_top_header_filter, ngx_http_top_body_filter);
            NEXT.with(|kept| (kept.header, kept.body) = next);
            ngx_http_top_header_filter = Some(header_filter::<M>);
            ngx_http_top_body_filter = Some(body_filter::<M>);
        }
        NGX_OK as ngx_int_t
    })
}

/// The post-read phase. From now on, the error log lines of the request are masked.
unsafe extern "C" fn begin<M: Tables + Gate>(r: *mut ngx_http_request_t) -> ngx_int_t {
    callback::guard("the beginning of a request", NGX_DECLINED as ngx_int_t, || {
        // SAFETY: nginx calls with a live request (ngx_http_core_generic_phase).
        unsafe {
            // nginx calls this phase once per request, even with redirects, so the handler found here is nginx's own.
            NEXT.with(|next| next.log = (*r).log_handler);
            (*r).log_handler = Some(log_handler::<M>);
        }
        NGX_DECLINED as ngx_int_t
    })
}

/// ngx_http_request_t.log_handler, which adds text to an error line about a request.
unsafe extern "C" fn log_handler<M: Tables + Gate>(
    r: *mut ngx_http_request_t,
    sr: *mut ngx_http_request_t,
    buffer: *mut u8,
    length: usize,
) -> *mut u8 {
    callback::guard("an error line", buffer, || {
        let Some(handler) = NEXT.with(|next| next.log) else { return buffer };
        // SAFETY: nginx calls with live requests and a buffer of `length` bytes; its own handler returns the end of what it
        // wrote there (ngx_http_log_error_handler).
        unsafe {
            let end = handler(r, sr, buffer, length);
            let written = usize::try_from(end.offset_from(buffer)).unwrap_or(0).min(length);
            buffer.add(M::mask(slice::from_raw_parts_mut(buffer, written)))
        }
    })
}

/// The phase before access, which nginx also runs for subrequests.
unsafe extern "C" fn part<M: Tables + Gate>(r: *mut ngx_http_request_t) -> ngx_int_t {
    callback::guard("a part of an answer", NGX_HTTP_FORBIDDEN as ngx_int_t, || {
        // SAFETY: nginx calls with a live request, whose location was found, and whose main request lives as long
        // (ngx_http_core_generic_phase, ngx_http_subrequest).
        unsafe {
            let main = &*(*r).main;
            let is_judged = (*r).loc_conf == main.loc_conf
                && collections::bytes(&(*r).uri) == collections::bytes(&main.uri)
                && collections::bytes(&(*r).args) == collections::bytes(&main.args);
            if ptr::eq(r, main) || is_judged {
                return NGX_DECLINED as ngx_int_t;
            }
            let location: Option<&ngx_http_core_loc_conf_t> =
                slots::entry((*r).loc_conf, &raw const ngx_http_core_module);
            let is_any = location.is_some_and(|location| location.satisfy == NGX_HTTP_SATISFY_ANY as usize);
            match slots::entry::<LocationSlot<M::Location>>((*r).loc_conf, M::http_module()) {
                Some(slot) if !is_any => {
                    match M::judge_part(&Asked { request: &*r, location }, &slot.settings) {
                        true => NGX_DECLINED as ngx_int_t,
                        false => NGX_HTTP_FORBIDDEN as ngx_int_t,
                    }
                }
                _ => NGX_DECLINED as ngx_int_t,
            }
        }
    })
}

/// The access phase.
unsafe extern "C" fn access<M: Tables + Gate>(r: *mut ngx_http_request_t) -> ngx_int_t {
    callback::guard("access to a location", NGX_HTTP_FORBIDDEN as ngx_int_t, || {
        // SAFETY: nginx calls with a live request, whose location was found (ngx_http_core_access_phase).
        unsafe {
            let Some(slot) = slots::entry::<LocationSlot<M::Location>>((*r).loc_conf, M::http_module())
            else {
                return NGX_DECLINED as ngx_int_t;
            };
            let location = slots::entry((*r).loc_conf, &raw const ngx_http_core_module);
            let (verdict, visit) = M::judge(&Asked { request: &*r, location }, &slot.settings);
            let (outcome, answer) = match verdict {
                Verdict::Open => (NGX_DECLINED as ngx_int_t, None),
                Verdict::Refuse => (NGX_HTTP_FORBIDDEN as ngx_int_t, None),
                Verdict::Busy(seconds) => {
                    add_header(&mut *r, b"Retry-After", seconds.as_bytes());
                    (NGX_HTTP_SERVICE_UNAVAILABLE as ngx_int_t, None)
                }
                Verdict::Admit(answer) => (NGX_OK as ngx_int_t, answer),
            };
            if (answer.is_some() || visit.is_some()) && !keep::<M>(r, answer, visit) {
                return NGX_ERROR as ngx_int_t;
            }
            outcome
        }
    })
}

/// # Safety
///
/// `r` is alive and not answered yet.
unsafe fn keep<M: Tables + Gate>(
    r: *mut ngx_http_request_t,
    answer: Option<Box<dyn Answer>>,
    visit: Option<M::Visit>,
) -> bool {
    // SAFETY: by contract. What is kept is dropped with the request's pool; nginx clears its place with a redirect.
    unsafe {
        let likely = answer.as_ref().is_some_and(|answer| answer.is_likely(collections::bytes(&(*r).uri)));
        let encoding = likely.then(|| hide_encoding(&mut *r)).flatten();
        let kept = Kept::<M::Visit> { answer, visit, is_rewritten: false, is_done: false, encoding };
        let kept = buffers::keep((*r).pool, kept);
        *place::<M>(r) = kept.cast();
        !kept.is_null()
    }
}

/// Returns the module's place in a request.
///
/// # Safety
///
/// `r` is alive.
unsafe fn place<M: Tables>(r: *mut ngx_http_request_t) -> *mut *mut c_void {
    // SAFETY: by contract; a request has a place for each module of http (ngx_http_alloc_request).
    unsafe { (*r).ctx.add((*M::http_module()).ctx_index) }
}

/// Hides `Accept-Encoding`, so that nothing compresses the answer before the gate rewrites it: neither the server behind a proxy nor a
/// precompressed file.
fn hide_encoding(r: &mut ngx_http_request_t) -> Option<(*mut ngx_table_elt_t, ngx_str_t)> {
    const NONE: &[u8] = b"identity\0";
    let row = ptr::from_ref(headers(r, b"accept-encoding").next()?).cast_mut();
    // SAFETY: a header of the request, whose value nothing else refers to meanwhile. nginx reads it (ngx_http_gzip_ok).
    let value = unsafe {
        std::mem::replace(
            &mut (*row).value,
            ngx_str_t { len: NONE.len() - 1, data: NONE.as_ptr().cast_mut() },
        )
    };
    Some((row, value))
}

/// The header filter. It runs after those of `add_header` and `expires`, and before that of gzip.
unsafe extern "C" fn header_filter<M: Tables + Gate>(r: *mut ngx_http_request_t) -> ngx_int_t {
    let begun = callback::guard("the head of an answer", false, || {
        // SAFETY: nginx calls with a live request (ngx_http_send_header); only `keep` writes to the module's place in it.
        unsafe {
            if r == (*r).main {
                let kept = (*place::<M>(r)).cast::<Kept<M::Visit>>().as_mut();
                let visit = kept.and_then(|kept| kept.visit.take());
                tell::<M>(&*r, visit);
                if let Some(kept) = (*place::<M>(r)).cast::<Kept<M::Visit>>().as_mut() {
                    begin_answer(&mut *r, kept);
                }
            }
        }
        true
    });
    match NEXT.with(|next| next.header) {
        // SAFETY: the filter that nginx or another module put there before (ngx_http_top_header_filter).
        Some(next) if begun => unsafe { next(r) },
        _ => NGX_ERROR as ngx_int_t,
    }
}

/// # Safety
///
/// `r` is alive, and its head is about to be sent.
unsafe fn tell<M: Tables + Gate>(r: &ngx_http_request_t, visit: Option<M::Visit>) {
    // SAFETY: by contract.
    unsafe {
        let Some(slot) = slots::entry::<LocationSlot<M::Location>>(r.loc_conf, M::http_module()) else {
            return;
        };
        let location = slots::entry(r.loc_conf, &raw const ngx_http_core_module);
        let status = u16::try_from(r.headers_out.status).unwrap_or(0);
        let content_type = collections::bytes(&r.headers_out.content_type);
        M::answered(&Asked { request: r, location }, &slot.settings, status, content_type, visit);
    }
}

fn begin_answer<V>(r: &mut ngx_http_request_t, kept: &mut Kept<V>) {
    if let Some((row, value)) = kept.encoding.take() {
        // SAFETY: the row of `hide_encoding`, a header of the same request. nginx then tests the client's own value (ngx_http_gzip_ok).
        unsafe { (*row).value = value };
        r.set_gzip_tested(0);
    }
    let Some(answer) = &mut kept.answer else { return };
    let (path, out) = (collections::bytes(&r.uri), &r.headers_out);
    let is_not_modified = out.status == nginx_sys::NGX_HTTP_NOT_MODIFIED as usize;
    let is_whole = out.status == nginx_sys::NGX_HTTP_OK as usize && out.content_encoding.is_null();
    if !(is_whole || is_not_modified) || !answer.begin(path, collections::bytes(&out.content_type)) {
        return;
    }
    kept.is_rewritten = is_whole;
    // SAFETY: headers of the answer, in its own list (ngx_list_push).
    unsafe {
        let out = &mut r.headers_out;
        for header in [&mut out.last_modified, &mut out.accept_ranges, &mut out.content_length] {
            if let Some(header) = header.as_mut() {
                header.hash = 0;
            }
            *header = ptr::null_mut();
        }
        out.last_modified_time = -1;
        if is_whole {
            out.content_length_n = -1;
        }
        set_private(r);
        ngx_http_weak_etag(r);
    }
    r.set_allow_ranges(0);
    r.set_filter_need_in_memory(1);
}

/// Marks the answer as private, because it is for one viewer. Replaces all other cache headers.
///
/// # Safety
///
/// `r` is alive and its head was not sent.
unsafe fn set_private(r: &mut ngx_http_request_t) {
    const NAME: &[u8] = b"Cache-Control";
    // SAFETY: by contract; the list holds headers, and a header of zeros is an empty one.
    unsafe {
        let mut value: &[u8] = b"private, no-cache";
        for header in collections::list::<ngx_table_elt_t>(&r.headers_out.headers) {
            if (*header).hash != 0 && collections::bytes(&(*header).key).eq_ignore_ascii_case(NAME) {
                let said = collections::bytes(&(*header).value);
                if said.windows(8).any(|word| word.eq_ignore_ascii_case(b"no-store")) {
                    value = b"private, no-store";
                }
                (*header).hash = 0;
            }
        }
        add_header(r, NAME, value);
    }
}

/// # Safety
///
/// `r` is alive and its head was not sent.
unsafe fn add_header(r: &mut ngx_http_request_t, name: &'static [u8], value: &'static [u8]) {
    // SAFETY: by contract; a header of zeros is an empty one, and the texts are static.
    unsafe {
        let header = ngx_list_push(&raw mut r.headers_out.headers).cast::<ngx_table_elt_t>();
        if let Some(header) = header.as_mut() {
            ptr::write_bytes(header, 0, 1);
            header.hash = 1;
            header.key = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
            header.value = ngx_str_t { len: value.len(), data: value.as_ptr().cast_mut() };
        }
    }
}

/// The body filter.
unsafe extern "C" fn body_filter<M: Tables + Gate>(
    r: *mut ngx_http_request_t,
    chain: *mut ngx_chain_t,
) -> ngx_int_t {
    let Some(next) = NEXT.with(|next| next.body) else { return NGX_ERROR as ngx_int_t };
    // SAFETY: as in `header_filter`; the chain is that of an answer, in memory where that was asked for.
    unsafe {
        let kept = (*place::<M>(r)).cast::<Kept<M::Visit>>().as_mut();
        let Some(kept) = kept.filter(|kept| kept.is_rewritten && r == (*r).main) else {
            return next(r, chain);
        };
        let rewritten = callback::guard("the body of an answer", Err(()), || rewrite(&mut *r, kept, chain));
        match rewritten {
            Ok(chain) => next(r, chain),
            Err(()) => NGX_ERROR as ngx_int_t,
        }
    }
}

/// Reads the buffers of a chain, and returns a chain with the finished output. An empty input chain makes nginx send its pending output.
///
/// # Safety
///
/// As for a body filter, whose header filter asked for buffers in memory.
unsafe fn rewrite<V>(
    r: &mut ngx_http_request_t,
    kept: &mut Kept<V>,
    mut chain: *mut ngx_chain_t,
) -> Result<*mut ngx_chain_t, ()> {
    let (mut out, mut is_last, mut flush) = (Vec::new(), false, false);
    let answer = kept.answer.as_mut().ok_or(())?;
    // SAFETY: by contract; `pos..last` is the unread part of each buffer, and is read now.
    unsafe {
        while let Some(link) = chain.as_mut() {
            let buffer = &mut *link.buf;
            let length = usize::try_from(buffer.last.offset_from(buffer.pos)).unwrap_or(0);
            if length > 0 && !kept.is_done {
                answer.push(slice::from_raw_parts(buffer.pos, length), &mut out);
            }
            buffer.pos = buffer.last;
            buffer.file_pos = buffer.file_last;
            is_last |= buffer.last_buf() != 0;
            flush |= buffer.flush() != 0;
            chain = link.next;
        }
        if is_last && !kept.is_done {
            kept.is_done = true;
            answer.finish(&mut out);
        }
        if out.is_empty() && !is_last && !flush {
            return Ok(ptr::null_mut());
        }
        let pool = Pool::from_ngx_pool(r.pool);
        let buffer = pool.calloc(size_of::<ngx_buf_t>()).cast::<ngx_buf_t>().as_mut().ok_or(())?;
        if !out.is_empty() {
            let bytes = nginx_sys::ngx_pnalloc(r.pool, out.len()).cast::<u8>();
            if bytes.is_null() {
                return Err(());
            }
            ptr::copy_nonoverlapping(out.as_ptr(), bytes, out.len());
            (buffer.start, buffer.pos) = (bytes, bytes);
            (buffer.last, buffer.end) = (bytes.add(out.len()), bytes.add(out.len()));
            buffer.set_memory(1);
        }
        buffer.set_last_buf(u32::from(is_last));
        buffer.set_flush(u32::from(flush));
        let link = pool.calloc(size_of::<ngx_chain_t>()).cast::<ngx_chain_t>().as_mut().ok_or(())?;
        (link.buf, link.next) = (buffer, ptr::null_mut());
        Ok(link)
    }
}
