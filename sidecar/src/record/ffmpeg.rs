//! Jobs as ffmpeg's arguments. Nothing is encoded for a recording; for stills, only key frames are decoded.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::config::RtmpServer;
use crate::config::record::Format;
use crate::ladder::ffmpeg;
use crate::streams::Live;

/// Pieces of about this length: what is lost at most when the machine stops.
const PIECE_MS: u32 = 500;

fn input(live: &Live, server: &RtmpServer, more: &str) -> Vec<OsString> {
    let mut line: Vec<OsString> =
        "-hide_banner -nostdin -nostats -loglevel level+warning -progress pipe:1 -stats_period 1"
            .split_whitespace()
            .chain(more.split_whitespace())
            .chain(ffmpeg::input(live).split_whitespace())
            .map(OsString::from)
            .collect();
    line.push(format!("{server}/{}/{}", live.app, live.name).into());
    line
}

fn words(line: &mut Vec<OsString>, text: &str) {
    line.extend(text.split_whitespace().map(OsString::from));
}

/// Takes a stream as it is, and writes it to a socket.
pub fn recording(live: &Live, format: Format, server: &RtmpServer, socket: &Path) -> Vec<OsString> {
    let mut line = input(live, server, "");
    // What is known to be sent has to be there: a recording without its pictures would not be noticed.
    for (map, is_sent) in [("-map 0:v:0", live.video.is_some()), ("-map 0:a:0", live.audio.is_some())] {
        if is_sent {
            words(&mut line, map);
        }
    }
    words(&mut line, "-c copy -flush_packets 1");
    match format {
        Format::Mp4 => {
            // Times as they come: otherwise pictures that come after some sound begin with it, and the first stands still until the
            // next. Decoding begins before the first picture, and there are no times below 0.
            words(&mut line, "-use_editlist 0 -avoid_negative_ts disabled -output_ts_offset 10 -movflags");
            words(&mut line, "frag_keyframe+empty_moov+default_base_moof+frag_discont -frag_duration");
            line.push(format!("{}", u64::from(PIECE_MS) * 1000).into());
            words(&mut line, "-f mp4");
        }
        Format::Mkv => {
            // Times in it are changed, and sums over them would not fit any more.
            words(&mut line, "-write_crc32 0 -live 1 -cluster_time_limit");
            line.push(PIECE_MS.to_string().into());
            words(&mut line, "-f matroska");
        }
    }
    line.push(format!("unix:{}", socket.display()).into());
    line
}

/// Writes a JPEG every so often to a socket.
pub fn stills(
    live: &Live,
    every: Duration,
    height: u32,
    server: &RtmpServer,
    socket: &Path,
) -> Vec<OsString> {
    let mut line = input(live, server, "-skip_frame nokey");
    words(&mut line, "-map 0:v:0 -vf");
    let seconds = every.as_secs();
    line.push(
        format!(
            "select='isnan(prev_selected_t)+gte(t-prev_selected_t\\,{seconds})',\
             scale=-2:'min({height}\\,ih)':out_range=full,format=yuvj420p"
        )
        .into(),
    );
    words(&mut line, "-fps_mode passthrough -c:v mjpeg -q:v 4 -flush_packets 1 -f image2pipe");
    line.push(format!("unix:{}", socket.display()).into());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> Live {
        let video = crate::streams::Video { codec: "H264".into(), width: 0, height: 0 };
        Live {
            app: "live".parse().unwrap(),
            name: "show".parse().unwrap(),
            session: "s1".into(),
            video: Some(video),
            audio: Some(crate::streams::Audio { codec: "AAC".into() }),
        }
    }

    fn joined(line: Vec<OsString>) -> String {
        line.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn recordings_are_copied_in_pieces() {
        let server = RtmpServer { host: "127.0.0.1".into(), port: 1935 };
        let socket = Path::new("/run/weir/out/1/0");
        let mp4 = joined(recording(&live(), Format::Mp4, &server, socket));
        assert!(
            mp4.contains("-i rtmp://127.0.0.1:1935/live/show -map 0:v:0 -map 0:a:0 -c copy -flush_packets 1"),
            "{mp4}"
        );
        assert!(mp4.ends_with("-frag_duration 500000 -f mp4 unix:/run/weir/out/1/0"), "{mp4}");
        let silent = joined(recording(&Live { audio: None, ..live() }, Format::Mp4, &server, socket));
        assert!(silent.contains("-map 0:v:0 -c copy"), "{silent}");
        let mkv = joined(recording(&live(), Format::Mkv, &server, socket));
        assert!(mkv.contains("-cluster_time_limit 500 -f matroska unix:"), "{mkv}");
        let stills = joined(stills(&live(), Duration::from_secs(10), 360, &server, socket));
        assert!(stills.contains("-skip_frame nokey") && stills.contains("prev_selected_t\\,10)"), "{stills}");
    }
}
