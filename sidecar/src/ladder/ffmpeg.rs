//! Builds ffmpeg's arguments of a job. The source is decoded once, for any number of renditions.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use weir_media::playlist::Role;

use super::plan::{LadderJob, Rendition, Sound};
use crate::config::{Delivery, Encoder, Files};
use crate::feed;

/// One output that ffmpeg writes to a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    /// Name of the rung; `sound` for the audio that all renditions share.
    pub name: String,
    /// Role of the track, if the output is written to files.
    pub role: Role,
    /// Maximum bitrate in bit/s; 0 if unknown.
    pub nominal: u64,
    /// Index of the rendition; `None` for the shared audio.
    rendition: Option<usize>,
}

/// Returns the outputs of a job: one track per output for files, video with audio per output for RTMP.
pub(crate) fn outputs(job: &LadderJob) -> Vec<Output> {
    let mut outputs: Vec<Output> = job.renditions.iter().enumerate().map(of_rendition).collect();
    let has_pictures = outputs.iter().any(|output| output.role == Role::Video);
    if matches!(job.delivery, Delivery::Files(_)) && has_pictures && job.sound.is_some() {
        outputs.push(Output { name: "sound".into(), role: Role::Sound, nominal: 0, rendition: None });
    }
    outputs
}

fn of_rendition((index, rendition): (usize, &Rendition)) -> Output {
    let (role, nominal) = match rendition {
        Rendition::Copy { .. } => (Role::Video, 0),
        // Highest rate that the encoder's buffer allows over two seconds.
        Rendition::Video { bitrate, .. } => (Role::Video, bitrate * 5 / 4),
        Rendition::Audio { bitrate, .. } => (Role::AudioOnly, bitrate * 9 / 8),
    };
    Output { name: rendition.name().to_owned(), role, nominal, rendition: Some(index) }
}

/// Returns the socket of the output with this index.
pub(crate) fn socket(place: &Path, index: usize) -> PathBuf {
    place.join(index.to_string())
}

/// Returns the arguments, without the program.
pub(crate) fn arguments(job: &LadderJob, place: &Path) -> Vec<OsString> {
    let mut line = Line::default();
    line.words("-hide_banner -nostdin -nostats -loglevel level+warning -progress pipe:1 -stats_period 1");
    if job.encoder == Encoder::Vaapi {
        line.words("-vaapi_device /dev/dri/renderD128");
    }
    // Timestamps of the feed are kept, so that a new run continues the last one.
    line.words("-copyts");
    line.words(feed::Plan::of(&job.live).input());
    line.word(format!("unix:{}", feed::socket(place).display()));
    if let Some(graph) = graph(job) {
        line.words("-filter_complex");
        line.word(graph);
    }
    for (index, output) in outputs(job).iter().enumerate() {
        let rendition = output.rendition.and_then(|index| job.renditions.get(index));
        let to_files = match &job.delivery {
            Delivery::Files(files) => Some(files),
            Delivery::Rtmp(_) => None,
        };
        pictures(&mut line, job, rendition, output.rendition.unwrap_or_default());
        sound(&mut line, job, rendition, to_files.is_some());
        match to_files {
            Some(files) => container(&mut line, files, output.role == Role::Video),
            None => line.words("-flvflags no_duration_filesize -f flv"),
        }
        line.word(format!("unix:{}", socket(place, index).display()));
    }
    line.0
}

#[derive(Default)]
struct Line(Vec<OsString>);

impl Line {
    fn words(&mut self, text: &str) {
        self.0.extend(text.split_whitespace().map(OsString::from));
    }

    fn word(&mut self, word: impl Into<OsString>) {
        self.0.push(word.into());
    }
}

/// Returns the filter that scales the decoded video to each size, or `None` if no video is encoded. Each size is made from the next
/// larger one, which is less work than from the source.
fn graph(job: &LadderJob) -> Option<String> {
    let of_video = |(index, rendition): (usize, &Rendition)| match rendition {
        Rendition::Video { height, max_fps, .. } => Some((index, *height, *max_fps)),
        _ => None,
    };
    let mut sizes: Vec<(usize, u32, Option<u32>)> =
        job.renditions.iter().enumerate().filter_map(of_video).collect();
    sizes.sort_by_key(|(_, height, _)| std::cmp::Reverse(*height));
    let last = sizes.len().checked_sub(1)?;
    let mut graph = String::new();
    let mut from = "[0:v:0]".to_owned();
    for (at, (index, height, max_fps)) in sizes.into_iter().enumerate() {
        graph.push_str(&format!("{from}scale=-2:{height},format=yuv420p"));
        if at < last {
            from = format!("[n{index}]");
            graph.push_str(&format!(",split=2[s{index}]{from};[s{index}]null"));
        }
        if let Some(fps) = max_fps {
            // Keyframes are kept, so that they stay where the other renditions have them.
            let step = 1.0 / f64::from(fps) - 0.002;
            graph.push_str(&format!(",select='key+isnan(prev_selected_t)+gte(t-prev_selected_t,{step:.4})'"));
        }
        if job.encoder == Encoder::Vaapi {
            graph.push_str(",format=nv12,hwupload");
        }
        graph.push_str(&format!("[v{index}]{}", if at < last { ";" } else { "" }));
    }
    Some(graph)
}

fn pictures(line: &mut Line, job: &LadderJob, rendition: Option<&Rendition>, index: usize) {
    match rendition {
        Some(Rendition::Copy { .. }) => line.words("-map 0:v:0 -c:v copy"),
        Some(Rendition::Video { bitrate, .. }) => {
            line.words(&format!("-map [v{index}] -fps_mode passthrough -enc_time_base 1:1000"));
            line.words(&format!("-c:v {}", job.encoder.name()));
            if let Some(preset) = &job.preset {
                line.words(&format!("-preset {preset}"));
            }
            let (most, buffer) = (bitrate * 11 / 10, bitrate * 3 / 2);
            line.words(&format!("-b:v {bitrate} -maxrate {most} -bufsize {buffer} -g 100000"));
            match job.encoder {
                Encoder::X264 => line.words("-sc_threshold 0 -forced-idr 1"),
                Encoder::Nvenc => line.words("-no-scenecut 1 -forced-idr 1"),
                Encoder::Qsv => line.words("-forced_idr 1"),
                Encoder::Vaapi => {}
            }
            // WebRTC cannot play B-frames, and B-frames add delay for all other protocols.
            if matches!(job.delivery, Delivery::Rtmp(_)) {
                line.words("-bf 0");
            }
            line.words("-force_key_frames");
            line.word(match job.has_source() {
                true => "source".to_owned(),
                false => {
                    format!("expr:if(isnan(prev_forced_t),1,gte(t,prev_forced_t+{}))", job.keyframe.as_secs())
                }
            });
        }
        Some(Rendition::Audio { .. }) | None => line.words("-vn"),
    }
}

fn sound(line: &mut Line, job: &LadderJob, rendition: Option<&Rendition>, to_files: bool) {
    let has_pictures = matches!(rendition, Some(Rendition::Copy { .. } | Rendition::Video { .. }));
    match (rendition, &job.sound) {
        // The audio has its own track.
        _ if has_pictures && to_files => line.words("-an"),
        (_, None) => line.words("-an"),
        (Some(Rendition::Audio { bitrate, .. }), _) | (_, Some(Sound::Encode(bitrate))) => {
            line.words(&format!("-map 0:a:0 -c:a aac -b:a {bitrate}"));
            if job.live.audio.as_ref().is_some_and(|audio| audio.codec == "Speex") {
                // The Speex decoder does not report the position of its one channel.
                line.words("-ac 1");
            }
        }
        (_, Some(Sound::Copy)) => line.words("-map 0:a:0 -c:a copy"),
    }
}

/// Adds the arguments for one CMAF track. Its fragments are the segments.
fn container(line: &mut Line, files: &Files, is_video: bool) {
    let micros = files.segment.as_micros();
    if is_video {
        // A fragment ends before the first keyframe after this time. Encoders are not exact to the millisecond, so the limit is 90 %.
        line.words(&format!(
            "-movflags +frag_keyframe+empty_moov+default_base_moof+frag_discont -min_frag_duration {}",
            micros * 9 / 10
        ));
    } else {
        line.words(&format!("-movflags +empty_moov+default_base_moof+frag_discont -frag_duration {micros}"));
    }
    // An encoder's decoding times begin before the first frame, and fragments have no times below 0.
    line.words("-output_ts_offset 10");
    line.words("-use_editlist 0 -avoid_negative_ts disabled -flush_packets 1 -f mp4");
}

#[cfg(test)]
#[path = "ffmpeg_tests.rs"]
mod tests;
