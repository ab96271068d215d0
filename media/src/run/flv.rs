//! Writes a run as FLV, for codecs that have a number in FLV.

use weir_rtmp::flv::{Tag, TagKind, write_tag};
use weir_rtmp::media::{self, Codec};

use super::cut::{Frame, Header, Headers};

/// Begins a file with the tracks of `headers` only.
pub fn begin(headers: &Headers, time: i64, out: &mut Vec<u8>) {
    let flags = u8::from(headers.video.is_some()) | u8::from(headers.audio.is_some()) << 2;
    out.extend(b"FLV\x01");
    out.push(flags);
    out.extend([0, 0, 0, 9, 0, 0, 0, 0]);
    let mut put = |kind, payload| write_tag(&Tag { kind, timestamp: stamp(time), payload }, out);
    if let Some(metadata) = &headers.metadata {
        put(TagKind::Script, metadata.clone());
    }
    let has_data = |header: &&Header| !header.data.is_empty();
    if let Some(Header { data, .. }) = headers.video.as_ref().filter(has_data) {
        put(TagKind::Video, [&[0x17, 0, 0, 0, 0][..], data].concat());
    }
    if let Some(Header { data, .. }) = headers.audio.as_ref().filter(has_data) {
        put(TagKind::Audio, [&[0xaf, 0][..], data].concat());
    }
}

/// Appends a frame. H.264 and AAC of Enhanced RTMP are converted to their old form, and MP3 to the number that ffmpeg
/// knows, because MP3 frames contain their own sample rate.
pub fn frame(frame: &Frame, out: &mut Vec<u8>) {
    let read = match frame.kind {
        TagKind::Audio => media::audio(&frame.payload),
        _ => media::video(&frame.payload),
    };
    let payload = match read {
        Some(read) if frame.kind == TagKind::Video && read.codec.is_avc() => {
            let composition = u32::try_from(frame.composition.min(0x7f_ffff)).unwrap_or_default();
            let first = if frame.is_key { 0x17 } else { 0x27 };
            [&[first, 1], &composition.to_be_bytes()[1..], read.data].concat()
        }
        Some(read) if frame.kind == TagKind::Audio && read.codec.is_aac() => [&[0xaf, 1], read.data].concat(),
        Some(read) if frame.kind == TagKind::Audio && is_mp3(read.codec) => [&[0x2f], read.data].concat(),
        _ => frame.payload.clone(),
    };
    write_tag(&Tag { kind: frame.kind, timestamp: stamp(frame.time), payload }, out);
}

/// Returns whether the codec is MP3: the name of Enhanced RTMP, or FLV's 14 for MP3 with 8 kHz.
fn is_mp3(codec: Codec) -> bool {
    matches!(codec, Codec::FourCc([b'.', b'm', b'p', b'3']) | Codec::Id(14))
}

/// The times of the timeline are far below 2^32.
fn stamp(time: i64) -> u32 {
    u32::try_from(time.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use weir_rtmp::flv::Reader;

    use super::*;

    #[test]
    fn a_reader_finds_headers_and_frames() {
        let headers = Headers {
            video: Some(Header { codec: Codec::Id(7), data: vec![1, 100] }),
            audio: Some(Header { codec: Codec::Id(11), data: Vec::new() }),
            metadata: Some(b"meta".to_vec()),
        };
        let mut out = Vec::new();
        begin(&headers, 10_000, &mut out);
        assert_eq!(out[4], 5);
        let picture = Frame {
            kind: TagKind::Video,
            time: 10_040,
            composition: 80,
            is_key: true,
            payload: vec![0x17, 1, 0xff, 0xff, 0xff, 5],
        };
        frame(&picture, &mut out);
        let mut reader = Reader::new();
        reader.feed(&out);
        let tags: Vec<Tag> = std::iter::from_fn(|| reader.next_tag().unwrap()).collect();
        let payloads: Vec<&[u8]> = tags.iter().map(|tag| &tag.payload[..]).collect();
        assert_eq!(payloads, [b"meta", &[0x17, 0, 0, 0, 0, 1, 100][..], &[0x17, 1, 0, 0, 80, 5]]);
        assert_eq!(tags[2].timestamp, 10_040);
        // MP3 of 8 kHz.
        let mut out = Vec::new();
        let sound = Frame { kind: TagKind::Audio, payload: vec![0xe2, 9, 8], ..picture };
        frame(&sound, &mut out);
        assert_eq!(out[11..14], [0x2f, 9, 8]);
    }
}
