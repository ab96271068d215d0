//! The AMF commands `play` and `play2`, before nginx-rtmp logs the name.

use std::ops::Range;

use nginx_sys::{NGX_DONE, NGX_ERROR, ngx_chain_t, ngx_int_t};
use weir_rtmp::amf0::{self, Writer};

use super::{NEXT, asks, commands};
use crate::{
    callback,
    module::{Module, PlayFlow},
    rtmp_sys::{ngx_rtmp_handler_pt, ngx_rtmp_header_t, ngx_rtmp_session_t},
    session::Session,
};

/// The AMF command `play`.
pub(super) unsafe extern "C" fn play_command<M: Module>(
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    command: *mut ngx_chain_t,
) -> ngx_int_t {
    // SAFETY: nginx-rtmp calls with a live session and the rest of the message behind its name.
    unsafe { judge::<M>(session, header, command, NEXT.with(|next| next.play_command), name_of_play) }
}

/// The AMF command `play2`.
pub(super) unsafe extern "C" fn play2_command<M: Module>(
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    command: *mut ngx_chain_t,
) -> ngx_int_t {
    // SAFETY: as in `play_command`.
    unsafe { judge::<M>(session, header, command, NEXT.with(|next| next.play2_command), names_of_play2) }
}

/// Where the values stand in a command that nginx-rtmp may take for the name.
type Names = fn(&[u8]) -> Vec<Range<usize>>;

/// # Safety
///
/// As for a handler of nginx-rtmp: a live session and the unread rest of a message.
unsafe fn judge<M: Module>(
    session: *mut ngx_rtmp_session_t,
    header: *mut ngx_rtmp_header_t,
    command: *mut ngx_chain_t,
    next: ngx_rtmp_handler_pt,
    names: Names,
) -> ngx_int_t {
    callback::guard("play", NGX_ERROR as ngx_int_t, || {
        // SAFETY: by contract.
        unsafe {
            let mut safe = Session::<M>::new(session);
            let Some(bytes) = commands::flatten(command, commands::MAX_COMMAND) else {
                return match M::may_play_at_length(&mut safe) {
                    true => asks::hand_on(next, session, header, command),
                    false => NGX_DONE as ngx_int_t,
                };
            };
            let mut rewritten: Option<Vec<u8>> = None;
            // From the last on, so that the places of those before stay true.
            for at in names(&bytes).into_iter().rev() {
                let name = amf0::Reader::new(&bytes[at.clone()]).string().unwrap_or_default();
                match M::on_play_command(&mut safe, name) {
                    PlayFlow::Untouched => {}
                    PlayFlow::Forward(name) => {
                        let mut value = Writer::new();
                        value.string(&name);
                        let command = rewritten.get_or_insert_with(|| bytes.clone());
                        command.splice(at, value.into_bytes());
                    }
                    PlayFlow::Done => return NGX_DONE as ngx_int_t,
                }
            }
            match rewritten {
                Some(bytes) => asks::hand_on_bytes(next, session, header, bytes),
                // Where no name could be read, nginx-rtmp finds none either.
                None => asks::hand_on(next, session, header, command),
            }
        }
    })
}

/// Transaction, null, name (ngx_rtmp_cmd_play_init).
fn name_of_play(bytes: &[u8]) -> Vec<Range<usize>> {
    let find = || {
        let mut reader = amf0::Reader::new(bytes);
        reader.skip_value().ok()?;
        reader.skip_value().ok()?;
        string(bytes, &mut reader)
    };
    find().into_iter().collect()
}

/// Transaction, null, an object with `streamName`: nginx-rtmp takes the last one (ngx_rtmp_cmd_play2_init).
fn names_of_play2(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut reader = amf0::Reader::new(bytes);
    let mut found = Vec::new();
    if reader.skip_value().is_err() || reader.skip_value().is_err() || reader.begin_object().is_err() {
        return found;
    }
    while let Ok(Some(key)) = reader.key() {
        if key == b"streamName"
            && let Some(at) = string(bytes, &mut reader)
        {
            found.push(at);
        } else if reader.skip_value().is_err() {
            break;
        }
    }
    found
}

/// Reads a string. Returns where its value stands, marker and length included.
fn string(bytes: &[u8], reader: &mut amf0::Reader<'_>) -> Option<Range<usize>> {
    let start = bytes.len() - reader.rest().len();
    reader.string().ok()?;
    Some(start..bytes.len() - reader.rest().len())
}
