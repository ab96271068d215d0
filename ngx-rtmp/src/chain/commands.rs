//! Hooks for the commands of a client, which run before nginx-rtmp reads them, and for the chains that nginx-rtmp calls.

use std::ffi::CStr;

use nginx_sys::{NGX_DONE, NGX_ERROR, NGX_OK, ngx_chain_t, ngx_int_t};
use weir_rtmp::amf0;

use super::{asks, next::NEXT};
use crate::{
    buffers, callback,
    client::{Ask, PublishFlow},
    disk::{self, Act},
    gop, merge,
    module::Module,
    relay,
    rtmp_sys::{
        ngx_rtmp_close_stream_t, ngx_rtmp_delete_stream_t, ngx_rtmp_header_t, ngx_rtmp_play_t,
        ngx_rtmp_publish_t, ngx_rtmp_session_t,
    },
    session::Session,
};

/// Longest `publish` that is read, in bytes. Names are at most 255 bytes long, so no encoder sends a longer one.
pub(super) const MAX_COMMAND: usize = 4096;

/// Handles the AMF command `publish` before nginx-rtmp reads it.
pub(super) unsafe extern "C" fn publish_command<M: Module>(
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    command: *mut ngx_chain_t,
) -> ngx_int_t {
    callback::guard("publish", NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx-rtmp calls with a live session and the rest of the message behind its name (ngx_rtmp_amf_message_handler).
        unsafe {
            let bytes = buffers::flatten(command, MAX_COMMAND);
            let mut safe = Session::<M>::new(session);
            let words = bytes.as_deref().and_then(|bytes| parse_publish(bytes).ok());
            let flow = M::on_publish_command(&mut safe, words);
            let next = NEXT.with(|next| next.publish_command);
            match flow {
                PublishFlow::Untouched => match words {
                    // nginx-rtmp gets the values that the module judged, and no others that it could read differently.
                    Some((name, kind))
                        if !bytes.as_deref().is_some_and(weir_rtmp::command::has_plain_head) =>
                    {
                        let kind = std::str::from_utf8(kind).unwrap_or("live");
                        forward_publish(session, header, name, kind)
                    }
                    _ => asks::hand_on(next, session, header, command),
                },
                PublishFlow::Forward { name, kind } => forward_publish(session, header, &name, kind),
                PublishFlow::Done => NGX_DONE as ngx_int_t,
            }
        }
    })
}

/// Returns the name with its arguments, and the type, from: transaction, null, name, type (ngx_rtmp_cmd_publish_init).
fn parse_publish(bytes: &[u8]) -> Result<(&[u8], &[u8]), amf0::Error> {
    let mut reader = amf0::Reader::new(bytes);
    reader.skip_value()?;
    reader.skip_value()?;
    let name = reader.string()?;
    let kind = if reader.is_empty() { &b"live"[..] } else { reader.string().unwrap_or(b"live") };
    Ok((name, kind))
}

impl<M: Module> Session<'_, M> {
    /// Passes a publish to nginx-rtmp with the given name and type. Returns `false` if nginx-rtmp refuses it.
    pub fn forward_publish(&mut self, name: &[u8], kind: &str) -> bool {
        // SAFETY: a live session, whose handler is nginx-rtmp's own (ngx_rtmp_cmd_publish_init).
        unsafe {
            forward_publish(self.as_ptr(), std::ptr::null_mut(), name, kind)
                != nginx_sys::NGX_ERROR as ngx_int_t
        }
    }
}

/// Calls nginx-rtmp's own handler of `publish` with a command made of `name` and `kind`.
///
/// # Safety
///
/// `session` is alive; `header` is null or the message's.
unsafe fn forward_publish(
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
    let next = NEXT.with(|next| next.publish_command);
    // SAFETY: the handler copies the fields out of the chain before it returns (ngx_rtmp_receive_amf), and
    // does not look at the header.
    buffers::with_message(&mut writer.into_bytes(), |chain| unsafe {
        asks::hand_on(next, session, header, chain)
    })
}

/// Hook of the chain `ngx_rtmp_publish`. It gets the streams of clients, and pulls, which reach the chain without a command.
pub(super) unsafe extern "C" fn published<M: Module>(
    session: *mut ngx_rtmp_session_t,
    v: *mut ngx_rtmp_publish_t,
) -> ngx_int_t {
    callback::guard("a pull", NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx-rtmp calls with a live session and its own arguments, NUL-terminated (ngx_rtmp_cmd_publish_init).
        unsafe {
            let mut safe = Session::<M>::new(session);
            let name = CStr::from_ptr((&raw const (*v).name).cast());
            if safe.is_relay() && !M::on_pull(&mut safe, name.to_bytes()) {
                // An error would end the pull and disconnect the players that caused it. These players get the local stream instead.
                return NGX_OK as ngx_int_t;
            }
            relay::prepare::<M>(session);
            if !safe.is_relay() {
                M::on_publish(&mut safe);
            }
            asks::ask::<M>(session, Ask::Publish, 0.0, || {
                disk::with_writers(Act::Begin, || match NEXT.with(|next| next.publish) {
                    Some(next) => next(session, v),
                    None => NGX_ERROR as ngx_int_t,
                })
            })
        }
    })
}

/// Hook of the chain `ngx_rtmp_play`. A client for which the chain succeeds is a player.
pub(super) unsafe extern "C" fn played<M: Module>(
    session: *mut ngx_rtmp_session_t,
    v: *mut ngx_rtmp_play_t,
) -> ngx_int_t {
    callback::guard("play", NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx-rtmp calls with a live session and its own arguments, NUL-terminated (ngx_rtmp_cmd_play_init).
        unsafe {
            let outcome = asks::play::<M>(session, v);
            if outcome != NGX_ERROR as ngx_int_t {
                let name = CStr::from_ptr((&raw const (*v).name).cast()).to_string_lossy();
                M::on_play(&mut Session::new(session), &name);
                gop::join::<M>(session);
            }
            outcome
        }
    })
}

/// Hook of the chain `ngx_rtmp_delete_stream`, in which nginx-rtmp's relay closes its pushes before the stream.
pub(super) unsafe extern "C" fn delete_stream<M: Module>(
    session: *mut ngx_rtmp_session_t,
    v: *mut ngx_rtmp_delete_stream_t,
) -> ngx_int_t {
    callback::guard("end of a stream", NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx-rtmp calls with a live session (ngx_rtmp_cmd_delete_stream_init).
        unsafe {
            M::before_close(&mut Session::new(session));
            match NEXT.with(|next| next.delete_stream) {
                Some(next) => next(session, v),
                None => NGX_OK as ngx_int_t,
            }
        }
    })
}

/// Hook of the chain `ngx_rtmp_close_stream`, which runs for closeStream, deleteStream and every disconnect.
pub(super) unsafe extern "C" fn close_stream<M: Module>(
    session: *mut ngx_rtmp_session_t,
    v: *mut ngx_rtmp_close_stream_t,
) -> ngx_int_t {
    callback::guard("close of a stream", NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx-rtmp calls with a live session (ngx_rtmp_cmd_close_stream_init, ngx_rtmp_cmd_disconnect_init).
        unsafe {
            // HLS and record finish their files first; only then may another worker use the name.
            if Session::<M>::new(session).is_live() {
                merge::send_all::<M>();
            }
            gop::closed(&mut Session::<M>::new(session));
            M::before_close(&mut Session::new(session));
            M::before_writing(&mut Session::new(session));
            let outcome = disk::with_writers(Act::End, || match NEXT.with(|next| next.close_stream) {
                Some(next) => next(session, v),
                None => NGX_OK as ngx_int_t,
            });
            relay::closed(session);
            M::on_close(&mut Session::new(session));
            outcome
        }
    })
}
