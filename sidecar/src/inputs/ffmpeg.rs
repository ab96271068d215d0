//! Builds ffmpeg's arguments of an input, and explains ffmpeg's messages.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use weir_model::Secret;
use weir_rtmp::flv::{Tag, TagKind};

use crate::config::input::{Input, Source, Transport};
use crate::outlet::Error;

/// H.264 with a keyframe every 2 s, and AAC.
const ENCODE: &str = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -bf 0 -force_key_frames expr:gte(t,n_forced*2) \
                      -c:a aac -b:a 128k -ar 44100 -ac 2";

/// Returns the path of the list that ffmpeg reads.
pub(crate) fn list(place: &Path) -> PathBuf {
    place.join("input")
}

/// Returns the path of ffmpeg's output socket.
pub(crate) fn socket(place: &Path) -> PathBuf {
    place.join("0")
}

/// Returns the arguments, without the program.
pub(crate) fn arguments(input: &Input, place: &Path) -> Vec<OsString> {
    let mut line: Vec<OsString> = Vec::new();
    let mut words = |text: &str| line.extend(text.split_whitespace().map(OsString::from));
    words("-hide_banner -nostdin -nostats -progress pipe:1 -stats_period 1 -loglevel");
    words(if input.is_keyed { "level+verbose" } else { "level+warning" });
    if has_no_clock(&input.source) {
        words("-re");
    }
    words(
        "-f concat -safe 0 -protocol_whitelist file,rtsp,rtp,tcp,udp,rtmp,rtmps,tls,http,https,crypto,srt,rist -i",
    );
    line.push(list(place).into());
    let mut words = |text: &str| line.extend(text.split_whitespace().map(OsString::from));
    words("-map 0:v:0? -map 0:a:0?");
    words(if input.transcode { ENCODE } else { "-c copy" });
    words("-flvflags no_duration_filesize -f flv");
    line.push(format!("unix:{}", socket(place).display()).into());
    line
}

/// Returns whether ffmpeg reads a source as fast as the disk or the server permits. An HLS playlist may be a recording. `-re` computes
/// each time from the beginning, so a live playlist catches up after a stall.
fn has_no_clock(source: &Source) -> bool {
    match source {
        Source::File(_) | Source::Playlist(_) => true,
        Source::Remote(remote) => remote.transport == Transport::Hls,
        Source::Node(_) => false,
    }
}

/// Refuses codecs that FLV can hold and players cannot play.
///
/// # Errors
///
/// [`Error::Codec`] with ffmpeg's name of the codec (Adobe Flash Video File Format Specification 10.1, E.4.2 and E.4.3).
pub(crate) fn check(tag: &Tag) -> Result<(), Error> {
    let Some(first) = tag.payload.first() else { return Ok(()) };
    let codec = match tag.kind {
        TagKind::Script => return Ok(()),
        TagKind::Audio => match first >> 4 {
            0 | 3 => "pcm_s16le",
            1 => "adpcm_swf",
            4..=6 => "nellymoser",
            7 => "pcm_alaw",
            8 => "pcm_mulaw",
            11 => "speex",
            _ => return Ok(()),
        },
        TagKind::Video if first & 0x80 != 0 => return Ok(()),
        TagKind::Video => match first & 15 {
            2 => "flv1",
            3 => "flashsv",
            4 => "vp6f",
            5 => "vp6a",
            6 => "flashsv2",
            _ => return Ok(()),
        },
    };
    Err(Error::Codec(codec))
}

/// Returns the stream key of a sender's `streamid`: the whole text, or its resource (`#!::r=KEY,m=publish`, SRT Access Control
/// Guidelines). libavformat's `libsrt_setup` writes the line.
pub(crate) fn streamid(line: &str) -> Option<Secret> {
    let (_, rest) =
        line.split_once("] accept streamid [").or_else(|| line.split_once("accept streamid ["))?;
    // A text with line ends, or with something that is hidden like a password, is no key.
    let id = rest.rsplit_once("], length ").map_or("", |(id, _)| id);
    let key = match id.strip_prefix("#!::") {
        Some(pairs) => pairs.split(',').find_map(|pair| pair.strip_prefix("r=")).unwrap_or(""),
        None => id,
    };
    Some(Secret::new(key))
}

/// Returns the meaning of a line of ffmpeg that says why the input fails.
pub(crate) fn explain(line: &str) -> Option<String> {
    if let Some((before, _)) = line.split_once(" not compatible with flv") {
        let codec = before.rsplit(' ').next()?.trim_matches('\'');
        return Some(format!("codec {codec} needs transcode = true"));
    }
    if let Some((_, code)) = line.split_once("] method ").and_then(|(_, rest)| rest.split_once(" failed: ")) {
        return status(code, "rtsp camera");
    }
    // For RTSP, an earlier line has given the same reason.
    if let Some(answer) =
        line.split_once(": Server returned ").and_then(|(_, code)| status(code, "http server"))
    {
        return Some(answer);
    }
    if let Some((_, rest)) = line.split_once("Connection to tcp://") {
        let (place, why) = rest.split_once(" failed: ")?;
        return Some(format!("cannot connect to {}: {why}", place.split('?').next()?));
    }
    let (_, why) = line.split_once("/input: ")?;
    Some(format!("the input cannot be read: {why}"))
}

fn status(text: &str, whose: &str) -> Option<String> {
    let code = text.get(..3).filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()))?;
    let remedy = match code {
        "401" | "403" => ": check user and password in url",
        "404" => ": check the path in url",
        _ => "",
    };
    Some(format!("{code} from {whose}{remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ffmpeg_says_is_explained() {
        for (line, expected) in [
            (
                "[rtsp @ 0x55] method DESCRIBE failed: 401 Unauthorized",
                Some("401 from rtsp camera: check user and password in url"),
            ),
            (
                "/run/weir/out/3/input: Server returned 404 Not Found",
                Some("404 from http server: check the path in url"),
            ),
            (
                "/run/weir/out/3/input: Server returned 5XX Server Error reply",
                Some("the input cannot be read: Server returned 5XX Server Error reply"),
            ),
            (
                "[flv @ 0x55] Video codec hevc not compatible with flv",
                Some("codec hevc needs transcode = true"),
            ),
            (
                "[tcp @ 0x55] Connection to tcp://192.0.2.1:554?timeout=1 failed: Connection refused",
                Some("cannot connect to 192.0.2.1:554: Connection refused"),
            ),
            (
                "/run/weir/out/3/input: Invalid data found when processing input",
                Some("the input cannot be read: Invalid data found when processing input"),
            ),
            ("[concat @ 0x55] Impossible to open 'rtsp://u:***@h/'", None),
            ("frame=1", None),
        ] {
            assert_eq!(explain(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn the_key_of_a_sender_is_overheard() {
        for (id, key) in [
            ("abc_1-2", "abc_1-2"),
            ("#!::r=abc,m=publish", "abc"),
            ("#!::m=publish", ""),
            ("", ""),
            ("a]b", "a]b"),
        ] {
            let line =
                format!("[srt @ 0x5625c30f3ac0] [verbose] accept streamid [{id}], length {}", id.len());
            assert_eq!(streamid(&line).map(|key| key.expose().to_owned()).as_deref(), Some(key), "{line}");
        }
        for id in ["x/***, length 5", "one line"] {
            let key = streamid(&format!("[srt @ 0x55] [verbose] accept streamid [{id}"));
            assert_eq!(key.map(|key| key.expose().to_owned()).as_deref(), Some(""), "{id}");
        }
        assert!(streamid("[srt @ 0x55] [verbose] Reinit context").is_none());
    }

    #[test]
    fn codecs_that_nobody_plays_are_named() {
        let refused = |kind, first: u8| {
            let tag = Tag { kind, timestamp: 0, payload: vec![first, 0] };
            check(&tag).err().map(|error| error.to_string())
        };
        assert_eq!(refused(TagKind::Audio, 0x72).as_deref(), Some("codec pcm_alaw needs transcode = true"));
        assert_eq!(refused(TagKind::Video, 0x12).as_deref(), Some("codec flv1 needs transcode = true"));
        for (kind, first) in
            [(TagKind::Audio, 0xaf), (TagKind::Audio, 0x2f), (TagKind::Video, 0x17), (TagKind::Video, 0x90)]
        {
            assert_eq!(refused(kind, first), None);
        }
    }
}
