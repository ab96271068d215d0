//! Handles a message before nginx-rtmp's own modules see it.

use ngx_rtmp::{
    incoming::Passage,
    message::{Message, NGX_RTMP_MSG_AUDIO, NGX_RTMP_MSG_CHUNK_SIZE, NGX_RTMP_MSG_VIDEO},
};
use weir_model::{guard as model, masking, media::content};

use super::{
    early, enhanced, guard,
    media::{self, Media},
    outgoing,
};
use crate::{disk, session::Session};

/// Most bytes of a message that are searched for keys.
const MAX_SEARCHED: usize = 64 << 10;

/// Handles a message of any kind.
pub fn on_message(session: &mut Session, message: &mut Message<'_>) -> Passage {
    let kind = message.kind();
    let passage = guard::on_message(session, kind, message.pieces());
    if passage != Passage::Open {
        return passage;
    }
    let kind_of_media = match u32::from(kind) {
        NGX_RTMP_MSG_AUDIO => Media::Audio,
        NGX_RTMP_MSG_VIDEO => Media::Video,
        NGX_RTMP_MSG_CHUNK_SIZE => {
            limit_chunk_size(session, message);
            return Passage::Open;
        }
        _ => {
            hide_keys(session, kind, message);
            return early::on_data(session, kind, message.pieces());
        }
    };
    let passage =
        media::on_media(session, kind_of_media, message.length(), has_content(kind_of_media, message));
    match passage {
        Passage::Open if !hand_on(session, message) => return Passage::Close,
        Passage::Open => {
            disk::before_writing(session);
            match enhanced::on_media(session, kind_of_media, message.pieces()) {
                enhanced::Found::Header => session.keep_codec_header(message),
                enhanced::Found::Pictures { is_key } => session.lend_codec_header(is_key),
                enhanced::Found::Nothing => {}
            }
        }
        Passage::Drop => early::keep(session, kind, message.pieces()),
        Passage::Close => {}
    }
    passage
}

/// Returns whether a message of audio or video has audio or a frame.
fn has_content(media: Media, message: &Message<'_>) -> bool {
    let (mut head, mut filled) = ([0; content::HEAD_LEN], 0);
    for byte in message.pieces().flatten().take(head.len()) {
        head[filled] = *byte;
        filled += 1;
    }
    let (head, len) = (&head[..filled], usize::try_from(message.length()).unwrap_or(usize::MAX));
    match media {
        Media::Audio => content::audio(head, len),
        Media::Video => content::video(head, len),
    }
}

/// Passes the headers that arrived before the stream was live to nginx-rtmp, with the timestamp of the present message: recordings begin at
/// this time, and players count from it. Returns whether nginx-rtmp accepted them.
fn hand_on(session: &mut Session, next: &Message<'_>) -> bool {
    let headers = early::hand_on(session);
    headers.into_iter().all(|mut early| session.receive_before(next, early.kind, &mut early.body))
}

/// Limits the chunk size that the other end announces. nginx-rtmp refuses a size that is too large and continues to read with the old size,
/// so it gets the largest size that makes a difference.
fn limit_chunk_size(session: &Session, message: &mut Message<'_>) {
    if let Some(size) = message.chunk_size() {
        message.set_chunk_size(outgoing::chunk_size(session, size));
    }
}

/// Overwrites text that looks like a stream key in a client's message, because metadata goes to players and into recordings, and some
/// commands contain the stream's name. Commands whose key is judged elsewhere stay unchanged.
fn hide_keys(session: &Session, kind: u8, message: &mut Message<'_>) {
    if !session.is_accepted() || session.is_from_worker() || !model::is_amf(kind) {
        return;
    }
    let bytes = message.start(MAX_SEARCHED);
    if model::is_judged(kind, &bytes) {
        return;
    }
    for place in masking::places_of_keys(&bytes) {
        message.overwrite(place, b'*');
    }
}
