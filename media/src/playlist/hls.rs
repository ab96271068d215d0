//! HLS (RFC 8216, and its second edition for `FRAME-RATE` and `AVERAGE-BANDWIDTH` with fragmented MP4).

use std::fmt::Write;

use super::{Presentation, Role, Track};

/// Returns the master playlist with each variant that can be played.
pub fn master(presentation: &Presentation) -> String {
    let mut text = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n".to_owned();
    let sound = presentation.playable().find(|track| track.role == Role::Sound);
    if let Some(sound) = sound {
        let _ = writeln!(
            text,
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"sound\",DEFAULT=YES,AUTOSELECT=YES{},URI=\"{}/index.m3u8\"",
            channels(sound),
            sound.name
        );
    }
    let has_pictures = presentation.playable().any(|track| track.role == Role::Video);
    for track in presentation.playable() {
        let with = match track.role {
            Role::Video => sound,
            Role::AudioOnly => None,
            // Without video, the audio is the only track to play.
            Role::Sound if !has_pictures => None,
            Role::Sound => continue,
        };
        variant(&mut text, track, with);
    }
    text
}

fn channels(sound: &Track) -> String {
    match sound.init.as_ref().map(|init| init.kind) {
        Some(crate::cmaf::TrackKind::Audio { channels, .. }) => format!(",CHANNELS=\"{channels}\""),
        _ => String::new(),
    }
}

fn variant(text: &mut String, track: &Track, sound: Option<&Track>) {
    let tracks = || std::iter::once(track).chain(sound);
    let bandwidth: u64 = tracks().map(Track::bandwidth).sum();
    let average: u64 = tracks().map(Track::average).sum();
    let codecs: Vec<&str> = tracks().filter_map(|track| Some(track.init.as_ref()?.codec.as_str())).collect();
    let _ = write!(
        text,
        "#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},AVERAGE-BANDWIDTH={},CODECS=\"{}\"",
        average.min(bandwidth),
        codecs.join(",")
    );
    if let Some((width, height)) = track.size() {
        let _ = write!(text, ",RESOLUTION={width}x{height},FRAME-RATE={:.3}", track.frame_rate);
    }
    if sound.is_some() {
        text.push_str(",AUDIO=\"sound\"");
    }
    let _ = writeln!(text, "\n{}/index.m3u8", track.name);
}

/// Returns the playlist of one track.
pub fn media(presentation: &Presentation, track: &Track) -> String {
    let target = presentation.segment.as_secs_f64().max(track.longest).round().max(1.0);
    let first = track.segments.front().map_or(track.next_number(), |segment| segment.number);
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
    );
    if track.forgotten_breaks > 0 {
        let _ = writeln!(text, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", track.forgotten_breaks);
    }
    let mut run = None;
    for segment in &track.segments {
        if segment.breaks {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if run != Some(segment.run) {
            run = Some(segment.run);
            let _ = writeln!(text, "#EXT-X-MAP:URI=\"init-{}.mp4\"", segment.run);
        }
        let at = with_millis(segment.at);
        let _ = writeln!(
            text,
            "#EXT-X-PROGRAM-DATE-TIME:{at}\n#EXTINF:{:.5},\n{}.m4s",
            segment.seconds, segment.number
        );
    }
    if presentation.ended {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    text
}

/// RFC 3339, always with milliseconds.
fn with_millis(at: weir_model::Timestamp) -> String {
    let text = at.to_string();
    if text.contains('.') { text } else { text.replace('Z', ".000Z") }
}
