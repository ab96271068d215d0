//! Builds ffmpeg's arguments of a job. A recording is not encoded; for stills, only keyframes are decoded.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::record::Format;
use crate::feed::{self, Plan};
use crate::streams::Live;

/// Length of a piece in milliseconds: the most media that is lost if the machine stops.
const PIECE_MS: u32 = 500;

fn input(plan: Plan, place: &Path, more: &str) -> Vec<OsString> {
    let mut line: Vec<OsString> =
        "-hide_banner -nostdin -nostats -loglevel level+warning -progress pipe:1 -stats_period 1"
            .split_whitespace()
            .chain(more.split_whitespace())
            .chain(plan.input().split_whitespace())
            .map(OsString::from)
            .collect();
    line.push(format!("unix:{}", feed::socket(place).display()).into());
    line
}

fn words(line: &mut Vec<OsString>, text: &str) {
    line.extend(text.split_whitespace().map(OsString::from));
}

/// Returns the arguments for a recording, which ffmpeg writes to a socket. Codecs that the container cannot hold are encoded.
pub(crate) fn recording(live: &Live, format: Format, place: &Path) -> Vec<OsString> {
    let plan = Plan::of(live);
    let mut line = input(plan, place, "");
    // Announced media must exist: nobody would notice a recording without its video.
    if plan.video {
        words(&mut line, "-map 0:v:0 -c:v");
        words(&mut line, pictures(live));
    }
    if plan.audio {
        words(&mut line, "-map 0:a:0 -c:a");
        words(&mut line, sound(live));
    }
    words(&mut line, "-flush_packets 1");
    match format {
        Format::Mp4 => {
            // ffmpeg keeps the timestamps as they arrive. Otherwise video that begins after the audio would be moved to the start of the
            // audio, and its first frame would freeze until the next. Decoding begins before the first frame, so an offset keeps all
            // times above 0.
            words(&mut line, "-use_editlist 0 -avoid_negative_ts disabled -output_ts_offset 10 -movflags");
            words(&mut line, "frag_keyframe+empty_moov+default_base_moof+frag_discont -frag_duration");
            line.push(format!("{}", u64::from(PIECE_MS) * 1000).into());
            words(&mut line, "-f mp4");
        }
        Format::Mkv => {
            // The writer changes the times in the file, so checksums would be wrong.
            words(&mut line, "-write_crc32 0 -live 1 -cluster_time_limit");
            line.push(PIECE_MS.to_string().into());
            words(&mut line, "-f matroska");
        }
    }
    line.push(format!("unix:{}", socket(place).display()).into());
    line
}

fn pictures(live: &Live) -> &'static str {
    match live.video.as_ref().map(|video| video.codec.as_str()) {
        // With this tag, players look for parameter sets at their place in the file.
        Some("HEVC") => "copy -tag:v hvc1",
        Some("H264" | "AV1" | "VP9") => "copy",
        _ => "libx264 -preset veryfast",
    }
}

fn sound(live: &Live) -> &'static str {
    match live.audio.as_ref().map(|audio| audio.codec.as_str()) {
        Some("AAC") => "copy",
        Some("MP3" | "Opus" | "FLAC") => "aac -b:a 128k",
        // The Speex decoder does not report the position of its one channel.
        Some("Speex") => "aac -b:a 48k -ac 1",
        // The codec is for speech of 8 or 16 kHz.
        _ => "aac -b:a 48k",
    }
}

/// Returns the arguments for stills: ffmpeg writes a JPEG to a socket at intervals of `every`.
pub(crate) fn stills(live: &Live, every: Duration, height: u32, place: &Path) -> Vec<OsString> {
    let mut line = input(Plan { audio: false, ..Plan::of(live) }, place, "-skip_frame nokey");
    words(&mut line, "-map 0:v:0 -vf");
    let seconds = every.as_secs();
    line.push(
        format!(
            "select='isnan(prev_selected_t)+gte(t-prev_selected_t\\,{seconds})',\
             scale=-2:'min({height}\\,ih)':out_range=full,format=yuv420p"
        )
        .into(),
    );
    // The pixel formats with the range in their name are deprecated. The encoder accepts the other formats only with the option
    // `-strict unofficial`.
    words(
        &mut line,
        "-fps_mode passthrough -c:v mjpeg -strict unofficial -color_range pc -q:v 4 -flush_packets 1 -f image2pipe",
    );
    line.push(format!("unix:{}", socket(place).display()).into());
    line
}

/// Returns the path of ffmpeg's output socket in the folder of a job.
pub(crate) fn socket(place: &Path) -> PathBuf {
    place.join("0")
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
            slate: false,
            video: Some(video),
            audio: Some(crate::streams::Audio { codec: "AAC".into() }),
        }
    }

    fn joined(line: Vec<OsString>) -> String {
        line.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn recordings_are_copied_in_pieces() {
        let place = Path::new("/run/weir/out/1");
        let mp4 = joined(recording(&live(), Format::Mp4, place));
        assert!(
            mp4.contains(
                "-f flv -i unix:/run/weir/out/1/in -map 0:v:0 -c:v copy -map 0:a:0 -c:a copy -flush_packets 1"
            ),
            "{mp4}"
        );
        assert!(mp4.ends_with("-frag_duration 500000 -f mp4 unix:/run/weir/out/1/0"), "{mp4}");
        let silent = joined(recording(&Live { audio: None, ..live() }, Format::Mp4, place));
        assert!(silent.contains("-map 0:v:0 -c:v copy -flush_packets"), "{silent}");
        let mkv = joined(recording(&live(), Format::Mkv, place));
        assert!(mkv.contains("-cluster_time_limit 500 -f matroska unix:"), "{mkv}");
        let stills = joined(stills(&live(), Duration::from_secs(10), 360, place));
        assert!(stills.contains("-skip_frame nokey") && stills.contains("prev_selected_t\\,10)"), "{stills}");
    }

    #[test]
    fn sound_that_mp4_has_no_place_for_is_encoded_and_the_pictures_stay() {
        let of = |video: &str, audio: &str| {
            let video = crate::streams::Video { codec: video.into(), width: 0, height: 0 };
            let audio = crate::streams::Audio { codec: audio.into() };
            let live = Live { video: Some(video), audio: Some(audio), ..live() };
            joined(recording(&live, Format::Mp4, Path::new("/p")))
        };
        let speech = "-map 0:v:0 -c:v copy -map 0:a:0 -c:a aac -b:a 48k";
        for codec in ["G711A", "G711U", "Speex", "Nellymoser"] {
            assert!(of("H264", codec).contains(speech), "{}", of("H264", codec));
        }
        assert!(of("H264", "Speex").contains("-b:a 48k -ac 1 "));
        assert!(of("H264", "MP3").contains("-c:a aac -b:a 128k"));
        assert!(of("HEVC", "AAC").contains(
            "-fflags +ignidx -f mp4 -i unix:/p/in -map 0:v:0 -c:v copy -tag:v hvc1 -map 0:a:0 -c:a copy"
        ));
        // No decoder knows this codec.
        let unknown = of("H264", "DeviceSpecific");
        assert!(unknown.contains("-map 0:v:0 -c:v copy -flush_packets"), "{unknown}");
        assert!(of("Sorenson-H263", "AAC").contains("-c:v libx264"));
    }
}
