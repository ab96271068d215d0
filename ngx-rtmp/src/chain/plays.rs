//! The AMF commands `play` and `play2`, before nginx-rtmp logs the name.

use std::ops::Range;

use nginx_sys::{NGX_DONE, NGX_ERROR, ngx_chain_t, ngx_int_t};
use weir_rtmp::amf0::{self, Writer};

use super::{asks, commands, next::NEXT};
use crate::{
    buffers, callback,
    client::PlayFlow,
    module::Module,
    rtmp_sys::{ngx_rtmp_handler_pt, ngx_rtmp_header_t, ngx_rtmp_session_t},
    session::Session,
};

/// The AMF command `play`.
pub(super) unsafe extern "C" fn play_command<M: Module>(
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    command: *mut ngx_chain_t,
) -> ngx_int_t {
    // SAFETY: nginx-rtmp calls with a live session and the rest of the message behind its name (ngx_rtmp_amf_message_handler).
    unsafe {
        judge::<M>(
            session,
            header,
            command,
            NEXT.with(|next| next.play_command),
            (weir_rtmp::command::plain_play, name_of_play),
        )
    }
}

/// The AMF command `play2`.
pub(super) unsafe extern "C" fn play2_command<M: Module>(
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    command: *mut ngx_chain_t,
) -> ngx_int_t {
    // SAFETY: as in `play_command`.
    unsafe {
        judge::<M>(
            session,
            header,
            command,
            NEXT.with(|next| next.play2_command),
            (plain_play2, name_of_play2),
        )
    }
}

fn plain_play2(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(weir_rtmp::command::plain_play2(bytes))
}

/// Rewrites a command to the form that nginx-rtmp and this crate read alike. Returns `None` if the command already has that form.
type Plain = fn(&[u8]) -> Option<Vec<u8>>;
/// Position of the name in a plain command.
type Name = fn(&[u8]) -> Option<Range<usize>>;

/// # Safety
///
/// As for a handler of nginx-rtmp: a live session and the unread rest of a message.
unsafe fn judge<M: Module>(
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    command: *mut ngx_chain_t,
    next: ngx_rtmp_handler_pt,
    (plain, name): (Plain, Name),
) -> ngx_int_t {
    callback::guard("play", NGX_ERROR as ngx_int_t, || {
        // SAFETY: by contract.
        unsafe {
            let mut safe = Session::<M>::new(session);
            let Some(bytes) = buffers::flatten(command, commands::MAX_COMMAND) else {
                return match M::may_play_at_length(&mut safe) {
                    true => asks::hand_on(next, session, header, command),
                    false => NGX_DONE as ngx_int_t,
                };
            };
            // nginx-rtmp gets what was judged, and nothing that it could read otherwise.
            let written = plain(&bytes);
            let (was_plain, mut bytes) = (written.is_none(), written.unwrap_or(bytes));
            let Some(at) = name(&bytes) else { return NGX_ERROR as ngx_int_t };
            let asked = amf0::Reader::new(&bytes[at.clone()]).string().unwrap_or_default();
            match M::on_play_command(&mut safe, asked) {
                PlayFlow::Untouched if was_plain => return asks::hand_on(next, session, header, command),
                PlayFlow::Untouched => {}
                PlayFlow::Forward(name) => {
                    let mut value = Writer::new();
                    value.string(&name);
                    bytes.splice(at, value.into_bytes());
                }
                PlayFlow::Done => return NGX_DONE as ngx_int_t,
            }
            asks::hand_on_bytes(next, session, header, bytes)
        }
    })
}

/// Transaction, null, name.
fn name_of_play(bytes: &[u8]) -> Option<Range<usize>> {
    let mut reader = amf0::Reader::new(bytes);
    reader.skip_value().ok()?;
    reader.skip_value().ok()?;
    string(bytes, &mut reader)
}

/// Transaction, null, an object whose last field is the name.
fn name_of_play2(bytes: &[u8]) -> Option<Range<usize>> {
    let mut reader = amf0::Reader::new(bytes);
    reader.skip_value().ok()?;
    reader.skip_value().ok()?;
    reader.begin_object().ok()?;
    while let Ok(Some(key)) = reader.key() {
        if key == b"streamName" {
            return string(bytes, &mut reader);
        }
        reader.skip_value().ok()?;
    }
    None
}

/// Reads a string. Returns where its value stands, marker and length included.
fn string(bytes: &[u8], reader: &mut amf0::Reader<'_>) -> Option<Range<usize>> {
    let start = bytes.len() - reader.rest().len();
    reader.string().ok()?;
    Some(start..bytes.len() - reader.rest().len())
}
