//! Distinguishes media from messages that only keep a stream open: empty messages, codec headers and commands.

use weir_rtmp::media::{AAC, AVC, COMMAND_FRAME, EX_AUDIO, EX_VIDEO, HEVC};

/// Bytes of a message that [`audio`] and [`video`] need.
pub const HEAD_LEN: usize = 2;

/// The extended header of Enhanced RTMP: one byte and the FourCC.
const EX_HEADER: usize = 5;

/// Returns whether an audio message of `len` bytes that starts with `head` contains audio (FLV specification, E.4.2.1;
/// Enhanced RTMP v2, ExAudioTagHeader). A codec header is not audio.
#[must_use]
pub fn audio(head: &[u8], len: usize) -> bool {
    match head {
        [format, kind, ..] if format >> 4 == AAC => *kind == 1 && len > 2,
        [format, ..] if format >> 4 == EX_AUDIO => carries_frames(*format & 0x0f) && len > EX_HEADER,
        [_, ..] => len > 1,
        [] => false,
    }
}

/// Returns whether a video message of `len` bytes that starts with `head` contains a frame (FLV specification, E.4.3.1;
/// Enhanced RTMP v2, ExVideoTagHeader). A codec header is not a frame.
#[must_use]
pub fn video(head: &[u8], len: usize) -> bool {
    match head {
        [first, ..] if first & EX_VIDEO != 0 => {
            let (frame, packet) = (first >> 4 & 0x07, first & 0x0f);
            frame != COMMAND_FRAME && carries_frames(packet) && len > EX_HEADER
        }
        [first, ..] if first >> 4 == COMMAND_FRAME => false,
        [first, kind, ..] if matches!(first & 0x0f, AVC | HEVC) => *kind == 1 && len > 5,
        [_, ..] => len > 1,
        [] => false,
    }
}

/// Returns whether an extended packet type is for frames: coded frames, with or without a composition time, several
/// tracks, and modifiers in front of any of these.
fn carries_frames(packet: u8) -> bool {
    matches!(packet, 1 | 3 | 5 | 6 | 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound(message: &[u8]) -> bool {
        audio(&message[..message.len().min(HEAD_LEN)], message.len())
    }

    fn frame(message: &[u8]) -> bool {
        video(&message[..message.len().min(HEAD_LEN)], message.len())
    }

    #[test]
    fn sound_is_told_from_empty_messages_and_headers() {
        // AAC, MP3, G.711, Opus by Enhanced RTMP.
        for message in [&[0xaf, 1, 0x21][..], &[0x2f, 0xff], &[0x72, 0xd5], b"\x91Opus\xfc"] {
            assert!(sound(message), "{message:?}");
        }
        let silent: [&[u8]; 7] =
            [b"", &[0xaf], &[0xaf, 1], &[0xaf, 0, 0x12, 0x10], &[0x2f], b"\x90OpusHead", b"\x91Opus"];
        for message in silent {
            assert!(!sound(message), "{message:?}");
        }
    }

    #[test]
    fn frames_are_told_from_empty_messages_headers_and_commands() {
        // H.264, HEVC by its unofficial id, Sorenson, HEVC and AV1 by Enhanced RTMP.
        let frames: [&[u8]; 5] =
            [&[0x27, 1, 0, 0, 0, 0], &[0x1c, 1, 0, 0, 0, 0], &[0x22, 0], b"\x93hvc1\0", b"\x91av01\0"];
        for message in frames {
            assert!(frame(message), "{message:?}");
        }
        let empty: [&[u8]; 10] = [
            b"",
            &[0x17],
            &[0x17, 0, 0, 0, 0, 1, 100],
            &[0x27, 1, 0, 0, 0],
            &[0x17, 2, 0, 0, 0],
            &[0x22],
            &[0x57, 0],
            b"\x90hvc1\x01",
            b"\x93hvc1",
            b"\xd1hvc1\0",
        ];
        for message in empty {
            assert!(!frame(message), "{message:?}");
        }
    }
}
