//! Enhanced RTMP: codecs that nginx-rtmp does not know. nginx-rtmp still passes their messages to players and push targets; HLS and DASH
//! ignore them.

use ngx_rtmp::log::Level;
use weir_model::media::{AudioFacts, VideoFacts};
use weir_rtmp::media::{self, Codec, Content, Payload, config};

use super::{media::Media, publishing::Publish};
use crate::session::Session;

/// Largest decoder configuration that is read, in bytes.
const MAX_HEADER: usize = 64 << 10;
/// Bytes of each message that are read: FourCC, tracks and so on.
const START: usize = 64;

/// The codecs of a session's stream that nginx-rtmp does not know.
#[derive(Default)]
pub struct Enhanced {
    /// Facts about the video, if nginx-rtmp does not know its codec.
    pub video: Option<VideoFacts>,
    /// Facts about the audio, if nginx-rtmp does not know its codec.
    pub audio: Option<AudioFacts>,
}

/// Content of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing that is unknown to nginx-rtmp.
    Nothing,
    /// A decoder configuration for video.
    Header,
    /// A video frame.
    Pictures {
        /// Whether the frame is a keyframe.
        is_key: bool,
    },
}

/// Reads a message of a publisher, given in pieces.
pub fn on_media<'m>(
    session: &mut Session,
    media: Media,
    pieces: impl Iterator<Item = &'m [u8]> + Clone,
) -> Found {
    let Some(first) = pieces.clone().find_map(|piece| piece.first().copied()) else { return Found::Nothing };
    let is_enhanced = match media {
        Media::Video => first & media::EX_VIDEO != 0 || first & 0x0f == media::HEVC,
        Media::Audio => first >> 4 == media::EX_AUDIO,
    };
    let Some(state) = session.known_state() else { return Found::Nothing };
    if !is_enhanced {
        match media {
            Media::Video => state.enhanced.video = None,
            Media::Audio => state.enhanced.audio = None,
        }
        return Found::Nothing;
    }
    let read = match media {
        Media::Video => media::video,
        Media::Audio => media::audio,
    };
    let mut start = gather(pieces.clone(), START);
    let is_header = read(&start).is_some_and(|read| read.content == Content::Header);
    if is_header {
        start = gather(pieces, MAX_HEADER);
    }
    let Some(payload) = read(&start) else { return Found::Nothing };
    let Some(state) = session.known_state() else { return Found::Nothing };
    let known = match media {
        Media::Video => state.enhanced.video.map(|video| video.codec_id),
        Media::Audio => state.enhanced.audio.map(|audio| audio.codec_id),
    };
    let id = id(media, payload.codec);
    if payload.content == Content::Header || known != Some(id) {
        match media {
            Media::Video => state.enhanced.video = Some(video(id, &payload)),
            Media::Audio => state.enhanced.audio = Some(audio(id)),
        }
    }
    if known.is_none() && matches!(state.publish, Publish::Live(_)) {
        tell(session, media, id, payload.is_multitrack);
    }
    match (media, payload.content) {
        (Media::Video, Content::Header) if start.len() < MAX_HEADER => Found::Header,
        (Media::Video, Content::Frame) => Found::Pictures { is_key: payload.is_key },
        _ => Found::Nothing,
    }
}

/// Returns the first bytes of a message.
fn gather<'m>(pieces: impl Iterator<Item = &'m [u8]>, most: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(most.min(1024));
    for piece in pieces {
        let room = most - bytes.len();
        bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        if bytes.len() == most {
            break;
        }
    }
    bytes
}

fn id(media: Media, codec: Codec) -> u8 {
    match (codec, media) {
        (Codec::Id(id), _) => id,
        (Codec::FourCc(name), Media::Video) => VideoFacts::id_of(name),
        (Codec::FourCc(name), Media::Audio) => AudioFacts::id_of(name),
    }
}

fn video(codec_id: u8, payload: &Payload<'_>) -> VideoFacts {
    let shape = match payload.content {
        Content::Header => config::shape(payload.codec, payload.data),
        Content::Frame | Content::Other => config::Shape::default(),
    };
    VideoFacts {
        codec_id,
        profile: shape.profile,
        level: shape.level,
        width: shape.width,
        height: shape.height,
        ..VideoFacts::default()
    }
}

fn audio(codec_id: u8) -> AudioFacts {
    AudioFacts { codec_id, ..AudioFacts::default() }
}

/// Logs one line per session and kind of media.
fn tell(session: &mut Session, media: Media, id: u8, is_multitrack: bool) {
    let (what, codec) = match media {
        Media::Video => ("video", VideoFacts { codec_id: id, ..VideoFacts::default() }.codec()),
        Media::Audio => ("audio", AudioFacts { codec_id: id, ..AudioFacts::default() }.codec()),
    };
    let codec = if codec.is_empty() { "unknown" } else { codec };
    let tracks = if is_multitrack { "; Weir reads the first of several tracks" } else { "" };
    session.log(
        Level::Notice,
        format_args!(
            "{what} of Enhanced RTMP, codec: {codec}, app: \"{}\": RTMP players and push targets get it, HLS and DASH of \
             nginx-rtmp do not{tracks}",
            session.app()
        ),
    );
}
