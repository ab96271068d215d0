//! Where nginx-rtmp is hooked.
//!
//! `publish` is taken out of the table of AMF commands, before nginx-rtmp's own handler even logs it: what
//! that handler gets is a command with the stream's public name. The chains (`ngx_rtmp_publish`,
//! `ngx_rtmp_close_stream`) are hooked in postconfiguration, outermost because this module is loaded last.

use std::{ffi::CStr, ptr};

use nginx_sys::{
    NGX_DONE, NGX_ERROR, NGX_OK, ngx_array_push, ngx_array_t, ngx_buf_t, ngx_chain_t, ngx_conf_t, ngx_int_t,
};
use weir_rtmp::amf0;

use super::{
    callback, collections, conf, log,
    process::Local,
    rtmp_sys::{
        self, NGX_RTMP_CONNECT, NGX_RTMP_DISCONNECT, NGX_RTMP_MSG_AUDIO, NGX_RTMP_MSG_VIDEO,
        ngx_rtmp_amf_handler_t, ngx_rtmp_close_stream_pt, ngx_rtmp_close_stream_t, ngx_rtmp_conf_ctx_t,
        ngx_rtmp_core_app_conf_t, ngx_rtmp_core_main_conf_t, ngx_rtmp_core_srv_conf_t, ngx_rtmp_handler_pt,
        ngx_rtmp_header_t, ngx_rtmp_play_pt, ngx_rtmp_play_t, ngx_rtmp_publish_pt, ngx_rtmp_publish_t,
        ngx_rtmp_session_t,
    },
    session::{self, Session},
};
use crate::hooks::{
    self,
    live::{self, Media},
    play,
    publish::{self, Flow},
};

/// A `publish` longer than this is no encoder's: names end at 255 bytes.
const MAX_COMMAND: usize = 4096;

/// What was in place before our hooks.
struct Next {
    publish_command: ngx_rtmp_handler_pt,
    play_command: ngx_rtmp_handler_pt,
    play2_command: ngx_rtmp_handler_pt,
    publish: ngx_rtmp_publish_pt,
    play: ngx_rtmp_play_pt,
    close_stream: ngx_rtmp_close_stream_pt,
}

static NEXT: Local<Next> = Local::new(Next {
    publish_command: None,
    play_command: None,
    play2_command: None,
    publish: None,
    play: None,
    close_stream: None,
});

/// Puts the hooks into a configuration: nginx-rtmp calls it after the postconfiguration of its own modules.
pub(super) extern "C" fn postconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    callback::guard("postconfiguration", NGX_ERROR as ngx_int_t, || {
        let Some(rtmp) = rtmp_sys::rtmp() else {
            // Without a zone nothing is hooked.
            return NGX_OK as ngx_int_t;
        };
        // SAFETY: `ctx` is nginx-rtmp's, whose core module made its main configuration; arrays and chain
        // heads are its own and only changed at configuration time.
        unsafe {
            let ctx = &*(*cf).ctx.cast::<ngx_rtmp_conf_ctx_t>();
            let core = *ctx.main_conf.add((*rtmp.ngx_rtmp_core_module).ctx_index);
            let core = &mut *core.cast::<ngx_rtmp_core_main_conf_t>();
            let command = replace_command(&mut core.amf, c"publish", publish_command);
            for event in [NGX_RTMP_MSG_AUDIO, NGX_RTMP_MSG_VIDEO] {
                if !push_front(&mut core.events[event as usize], media) {
                    return NGX_ERROR as ngx_int_t;
                }
            }
            // After nginx-rtmp's own: ngx_rtmp_limit_connect must count first, for it counts at disconnect.
            if !push_back(&mut core.events[NGX_RTMP_CONNECT as usize], connected)
                || !push_front(&mut core.events[NGX_RTMP_DISCONNECT as usize], disconnected)
            {
                return NGX_ERROR as ngx_int_t;
            }
            let settings = &mut *conf::main_settings((*(*cf).cycle).conf_ctx);
            settings.applications = applications(core);
            NEXT.with(|next| {
                next.publish_command = command;
                next.play_command = replace_command(&mut core.amf, c"play", play_command);
                next.play2_command = replace_command(&mut core.amf, c"play2", play2_command);
                next.publish = (*rtmp.ngx_rtmp_publish).replace(published);
                next.play = (*rtmp.ngx_rtmp_play).replace(played);
                next.close_stream = (*rtmp.ngx_rtmp_close_stream).replace(close_stream);
            });
            if command.is_none() {
                log::to(
                    (*cf).log,
                    log::Level::Emergency,
                    format_args!("weir: this nginx-rtmp has no publish command"),
                );
                return NGX_ERROR as ngx_int_t;
            }
        }
        NGX_OK as ngx_int_t
    })
}

/// The names of all applications, each once.
///
/// # Safety
///
/// `core` is the main configuration of nginx-rtmp's core module.
unsafe fn applications(core: &ngx_rtmp_core_main_conf_t) -> Vec<String> {
    let mut names = Vec::new();
    // SAFETY: both arrays hold pointers (ngx_rtmp_core_server, ngx_rtmp_core_application).
    unsafe {
        for server in collections::array::<*mut ngx_rtmp_core_srv_conf_t>(&core.servers) {
            let apps = collections::array::<*mut ngx_rtmp_core_app_conf_t>(&(**server).applications);
            names.extend(apps.iter().filter_map(|app| conf::text(&(**app).name).map(str::to_owned)));
        }
    }
    names.sort();
    names.dedup();
    names
}

type Handler =
    unsafe extern "C" fn(*mut ngx_rtmp_session_t, *mut ngx_rtmp_header_t, *mut ngx_chain_t) -> ngx_int_t;

/// Replaces the handler of a command and returns the one before.
///
/// # Safety
///
/// `commands` is `ngx_rtmp_core_main_conf_t.amf`.
unsafe fn replace_command(commands: &mut ngx_array_t, name: &CStr, handler: Handler) -> ngx_rtmp_handler_pt {
    // SAFETY: by contract.
    let rows = unsafe { collections::array_mut::<ngx_rtmp_amf_handler_t>(commands) };
    // SAFETY: names are static strings of nginx-rtmp.
    let named = |row: &&mut ngx_rtmp_amf_handler_t| unsafe {
        std::slice::from_raw_parts(row.name.data, row.name.len) == name.to_bytes()
    };
    rows.iter_mut().find(named)?.handler.replace(handler)
}

/// # Safety
///
/// `handlers` is one of `ngx_rtmp_core_main_conf_t.events`.
unsafe fn push_back(handlers: &mut ngx_array_t, handler: Handler) -> bool {
    // SAFETY: by contract.
    unsafe {
        let place = ngx_array_push(handlers).cast::<ngx_rtmp_handler_pt>();
        let Some(place) = place.as_mut() else { return false };
        *place = Some(handler);
    }
    true
}

/// As `push_back`, before all others.
///
/// # Safety
///
/// `handlers` is one of `ngx_rtmp_core_main_conf_t.events`.
unsafe fn push_front(handlers: &mut ngx_array_t, handler: Handler) -> bool {
    // SAFETY: by contract.
    unsafe {
        if !push_back(handlers, handler) {
            return false;
        }
        collections::array_mut::<ngx_rtmp_handler_pt>(handlers).rotate_right(1);
    }
    true
}

/// The AMF command `publish`, before nginx-rtmp reads it.
unsafe extern "C" fn publish_command(
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    command: *mut ngx_chain_t,
) -> ngx_int_t {
    callback::guard("publish", NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx-rtmp calls with a live session and the rest of the message behind its name.
        unsafe {
            let bytes = flatten(command);
            let mut safe = Session::new(session);
            let flow = match bytes.as_deref().map(parse_publish) {
                Some(Ok((name, kind))) => publish::on_publish(&mut safe, name, kind),
                _ => publish::on_malformed_publish(&mut safe),
            };
            let next = NEXT.with(|next| next.publish_command);
            match flow {
                Flow::Untouched => pass_on(next, session, header, command),
                Flow::Forward { name, kind } => forward_publish(session, header, &name, kind),
                Flow::Done => NGX_DONE as ngx_int_t,
            }
        }
    })
}

/// The AMF command `play`, before nginx-rtmp logs its name.
unsafe extern "C" fn play_command(
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    command: *mut ngx_chain_t,
) -> ngx_int_t {
    // SAFETY: nginx-rtmp calls with a live session and the rest of the message behind its name.
    unsafe { judge_play(session, header, command, NEXT.with(|next| next.play_command), parse_play) }
}

/// As `play_command`, for `play2`.
unsafe extern "C" fn play2_command(
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    command: *mut ngx_chain_t,
) -> ngx_int_t {
    // SAFETY: as in `play_command`.
    unsafe { judge_play(session, header, command, NEXT.with(|next| next.play2_command), parse_play2) }
}

/// # Safety
///
/// As for a handler of nginx-rtmp: a live session and the unread rest of a message.
unsafe fn judge_play(
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    command: *mut ngx_chain_t,
    next: ngx_rtmp_handler_pt,
    name_of: for<'a> fn(&'a [u8]) -> Result<&'a [u8], amf0::Error>,
) -> ngx_int_t {
    callback::guard("play", NGX_ERROR as ngx_int_t, || {
        // SAFETY: by contract.
        unsafe {
            let bytes = flatten(command);
            let name = bytes.as_deref().and_then(|bytes| name_of(bytes).ok());
            match name.is_some_and(|name| !play::may_play(&mut Session::new(session), name)) {
                true => NGX_DONE as ngx_int_t,
                false => pass_on(next, session, header, command),
            }
        }
    })
}

/// # Safety
///
/// As for a handler of nginx-rtmp.
unsafe fn pass_on(
    next: ngx_rtmp_handler_pt,
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    command: *mut ngx_chain_t,
) -> ngx_int_t {
    // SAFETY: by contract.
    next.map_or(NGX_ERROR as ngx_int_t, |next| unsafe { next(session, header, command) })
}

/// Transaction, null, name (ngx_rtmp_cmd_play_init).
fn parse_play(bytes: &[u8]) -> Result<&[u8], amf0::Error> {
    let mut reader = amf0::Reader::new(bytes);
    reader.skip_value()?;
    reader.skip_value()?;
    reader.string()
}

/// Transaction, null, an object with `streamName` (ngx_rtmp_cmd_play2_init).
fn parse_play2(bytes: &[u8]) -> Result<&[u8], amf0::Error> {
    let mut reader = amf0::Reader::new(bytes);
    reader.skip_value()?;
    reader.skip_value()?;
    reader.begin_object()?;
    while let Some(key) = reader.key()? {
        if key == b"streamName" {
            return reader.string();
        }
        reader.skip_value()?;
    }
    Ok(b"")
}

/// The name with its arguments, and the type, out of transaction, null, name, type (ngx_rtmp_cmd_publish_init).
fn parse_publish(bytes: &[u8]) -> Result<(&[u8], &[u8]), amf0::Error> {
    let mut reader = amf0::Reader::new(bytes);
    reader.skip_value()?;
    reader.skip_value()?;
    let name = reader.string()?;
    let kind = if reader.is_empty() { &b"live"[..] } else { reader.string().unwrap_or(b"live") };
    Ok((name, kind))
}

/// A message's bytes in one piece; `None` when there are too many.
///
/// # Safety
///
/// `chain` is null or a chain of buffers in memory.
unsafe fn flatten(mut chain: *mut ngx_chain_t) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    // SAFETY: by contract; `pos..last` is the unread part of each buffer.
    unsafe {
        while let Some(link) = chain.as_ref() {
            let buffer = &*link.buf;
            let length = usize::try_from(buffer.last.offset_from(buffer.pos)).ok()?;
            if bytes.len() + length > MAX_COMMAND {
                return None;
            }
            bytes.extend_from_slice(std::slice::from_raw_parts(buffer.pos, length));
            chain = link.next;
        }
    }
    Some(bytes)
}

/// Calls nginx-rtmp's own handler of `publish` with a command made of `name` and `kind`.
///
/// # Safety
///
/// `session` is alive; `header` is null or the message's.
pub(super) unsafe fn forward_publish(
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    name: &[u8],
    kind: &str,
) -> ngx_int_t {
    let mut writer = amf0::Writer::new();
    writer.number(0.0);
    writer.null();
    writer.string(name);
    writer.string(kind.as_bytes());
    let mut bytes = writer.into_bytes();
    let range = bytes.as_mut_ptr_range();
    // SAFETY: a buffer of zeroes is how nginx makes one (ngx_calloc_buf).
    let mut buffer: ngx_buf_t = unsafe { std::mem::zeroed() };
    (buffer.start, buffer.pos, buffer.last, buffer.end) = (range.start, range.start, range.end, range.end);
    let mut chain = ngx_chain_t { buf: &raw mut buffer, next: ptr::null_mut() };
    // SAFETY: the handler copies the fields out of the chain before it returns (ngx_rtmp_receive_amf), and
    // does not look at the header.
    unsafe { pass_on(NEXT.with(|next| next.publish_command), session, header, &raw mut chain) }
}

/// The chain `ngx_rtmp_publish`: what comes past the command above is a pull.
unsafe extern "C" fn published(session: *mut ngx_rtmp_session_t, v: *mut ngx_rtmp_publish_t) -> ngx_int_t {
    callback::guard("a pull", NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx-rtmp calls with a live session and its own arguments, NUL-terminated.
        unsafe {
            let mut safe = Session::new(session);
            let name = CStr::from_ptr((&raw const (*v).name).cast());
            if safe.is_relay() && !publish::on_pull(&mut safe, name.to_bytes()) {
                // An error would end the pull, and with it the players that asked for it: they have the
                // stream that is here.
                return NGX_OK as ngx_int_t;
            }
            match NEXT.with(|next| next.publish) {
                Some(next) => next(session, v),
                None => NGX_ERROR as ngx_int_t,
            }
        }
    })
}

/// The chain `ngx_rtmp_play`: who gets through is a player.
unsafe extern "C" fn played(session: *mut ngx_rtmp_session_t, v: *mut ngx_rtmp_play_t) -> ngx_int_t {
    callback::guard("play", NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx-rtmp calls with a live session and its own arguments, NUL-terminated.
        unsafe {
            let outcome = match NEXT.with(|next| next.play) {
                Some(next) => next(session, v),
                None => NGX_ERROR as ngx_int_t,
            };
            if outcome != NGX_ERROR as ngx_int_t {
                let name = CStr::from_ptr((&raw const (*v).name).cast()).to_string_lossy();
                play::on_play(&mut Session::new(session), &name);
            }
            outcome
        }
    })
}

/// The chain `ngx_rtmp_close_stream`: closeStream, deleteStream and every disconnect.
unsafe extern "C" fn close_stream(
    session: *mut ngx_rtmp_session_t,
    v: *mut ngx_rtmp_close_stream_t,
) -> ngx_int_t {
    callback::guard("close of a stream", NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx-rtmp calls with a live session.
        unsafe {
            // HLS and record finish their files first: then the name is free for another worker.
            let outcome = match NEXT.with(|next| next.close_stream) {
                Some(next) => next(session, v),
                None => NGX_OK as ngx_int_t,
            };
            hooks::on_close(&mut Session::new(session));
            outcome
        }
    })
}

/// A message of audio or video, before codec, live, record, HLS and DASH.
unsafe extern "C" fn media(
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    _message: *mut ngx_chain_t,
) -> ngx_int_t {
    callback::guard("media", (), || {
        // SAFETY: nginx-rtmp calls with a live session and the message's header.
        let (mut session, bytes, kind) = unsafe { (Session::new(session), (*header).mlen, (*header).type_) };
        let media = if u32::from(kind) == NGX_RTMP_MSG_AUDIO { Media::Audio } else { Media::Video };
        live::on_media(&mut session, media, bytes);
    });
    NGX_OK as ngx_int_t
}

/// A connection was accepted, or is being made.
unsafe extern "C" fn connected(
    session: *mut ngx_rtmp_session_t,
    _header: *mut ngx_rtmp_header_t,
    _message: *mut ngx_chain_t,
) -> ngx_int_t {
    session::enroll(session);
    let may = callback::guard("a connection", false, || {
        // SAFETY: nginx-rtmp calls with a live session.
        hooks::on_connect(&mut unsafe { Session::new(session) })
    });
    if may { NGX_OK as ngx_int_t } else { NGX_ERROR as ngx_int_t }
}

/// A session ends: before all others, for an error of theirs would end the event.
unsafe extern "C" fn disconnected(
    session: *mut ngx_rtmp_session_t,
    _header: *mut ngx_rtmp_header_t,
    _message: *mut ngx_chain_t,
) -> ngx_int_t {
    session::dismiss(session);
    NGX_OK as ngx_int_t
}
