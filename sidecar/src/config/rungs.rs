//! Rungs and ladders: what a stream may be transcoded to.

use std::collections::BTreeMap;
use std::time::Duration;

/// One rendition, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// The name in URLs and stream names.
    pub name: String,
    /// What it is.
    pub kind: RungKind,
}

/// What a rung is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RungKind {
    /// What the publisher sent, untouched.
    Source,
    /// Scaled and encoded.
    Video {
        /// Pixels; the width follows from the source.
        height: u32,
        /// bit/s of the picture, kept to within two seconds.
        bitrate: u64,
        /// A source with more frames a second is thinned out.
        max_fps: Option<u32>,
    },
    /// Sound alone.
    Audio {
        /// bit/s
        bitrate: u64,
    },
}

/// Renditions that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    /// In the order of the file.
    pub rungs: Vec<Rung>,
    /// For all of its video rungs.
    pub encoder: Encoder,
    /// ffmpeg's `-preset`, for encoders that have one.
    pub preset: Option<String>,
    /// How often there is a key frame, where the source is no rung: otherwise its key frames are kept.
    pub keyframe: Duration,
}

/// ffmpeg's encoders for H.264.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoder {
    /// On the processor.
    X264,
    /// NVIDIA.
    Nvenc,
    /// Intel.
    Qsv,
    /// The Linux interface for Intel's and AMD's.
    Vaapi,
}

impl Encoder {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::X264, Self::Nvenc, Self::Qsv, Self::Vaapi];

    /// ffmpeg's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X264 => "libx264",
            Self::Nvenc => "h264_nvenc",
            Self::Qsv => "h264_qsv",
            Self::Vaapi => "h264_vaapi",
        }
    }
}

/// The rungs that need no `[rung.NAME]`.
pub fn presets() -> BTreeMap<String, Rung> {
    let video = |height, bitrate| RungKind::Video { height, bitrate, max_fps: None };
    let presets = [
        ("source", RungKind::Source),
        ("1080p", video(1080, 5_000_000)),
        ("720p", video(720, 2_800_000)),
        ("480p", video(480, 1_400_000)),
        ("360p", video(360, 800_000)),
        ("audio", RungKind::Audio { bitrate: 64_000 }),
    ];
    presets.into_iter().map(|(name, kind)| (name.to_owned(), Rung { name: name.to_owned(), kind })).collect()
}
