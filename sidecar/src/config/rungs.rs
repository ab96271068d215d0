//! `[rung.NAME]` and `[ladder.NAME]`: renditions that streams can be transcoded to.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Spanned;

use super::check::{Checked, Unfit, check_name, number, parsed, problem, text_or, time};
use crate::values::Bitrate;

pub(in crate::config) mod raw {
    use serde::Deserialize;
    use toml::Spanned;

    use crate::config::check::{Number, Text};

    /// `[rung.NAME]`
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct Rung {
        pub height: Number,
        pub bitrate: Text,
        pub max_fps: Number,
        pub audio_only: bool,
    }

    /// `[ladder.NAME]`
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct Ladder {
        pub rungs: Option<Spanned<Vec<Spanned<String>>>>,
        pub encoder: Text,
        pub preset: Text,
        pub keyframe: Text,
    }
}

/// A rung: the settings of a rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rung {
    /// Name in URLs and stream names.
    pub name: String,
    /// Kind of rendition.
    pub kind: RungKind,
}

/// Kind of rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RungKind {
    /// The publisher's stream, unchanged.
    Source,
    /// Scaled and encoded video.
    Video {
        /// Height in pixels; the width follows from the source.
        height: u32,
        /// Video bitrate in bit/s, kept within any two seconds.
        bitrate: u64,
        /// Maximum frame rate in frames per second; frames of a faster source are dropped.
        max_fps: Option<u32>,
    },
    /// Audio only.
    Audio {
        /// Audio bitrate in bit/s.
        bitrate: u64,
    },
}

/// A set of renditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ladder {
    /// Rungs, in file order.
    pub rungs: Vec<Rung>,
    /// Encoder of all video rungs.
    pub encoder: Encoder,
    /// ffmpeg's `-preset`, for encoders that have one.
    pub preset: Option<String>,
    /// Keyframe interval, if the source is not one of the rungs; otherwise the source's keyframes are kept.
    pub keyframe: Duration,
}

/// ffmpeg's H.264 encoders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoder {
    /// Encoder on the CPU.
    X264,
    /// Encoder of NVIDIA GPUs.
    Nvenc,
    /// Encoder of Intel GPUs.
    Qsv,
    /// Linux interface to the encoders of Intel and AMD GPUs.
    Vaapi,
}

impl Encoder {
    /// All encoders.
    pub(crate) const ALL: [Self; 4] = [Self::X264, Self::Nvenc, Self::Qsv, Self::Vaapi];

    /// Returns ffmpeg's name of the encoder.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::X264 => "libx264",
            Self::Nvenc => "h264_nvenc",
            Self::Qsv => "h264_qsv",
            Self::Vaapi => "h264_vaapi",
        }
    }
}

/// Returns the rungs that exist without a `[rung.NAME]`.
fn presets() -> BTreeMap<String, Rung> {
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

/// Returns the rungs of the file, and the presets that the file does not replace.
pub(super) fn all_rungs(written: BTreeMap<Spanned<String>, raw::Rung>) -> Checked<BTreeMap<String, Rung>> {
    let mut rungs = presets();
    for (name, rung) in written {
        check_name("rung", &name)?;
        if name.get_ref() == "source" {
            return problem(
                &name,
                "[rung.source]: this name is reserved for the publisher's own stream; choose another one",
            );
        }
        let bitrate = |default: Option<u64>| match (&rung.bitrate, default) {
            (None, None) => {
                problem(&name, format!("[rung.{}]: bitrate is missing, such as \"1400k\"", name.get_ref()))
            }
            (None, Some(default)) => Ok(default),
            (Some(_), _) => {
                text_or("bitrate", &rung.bitrate, || 0, |text| parsed::<Bitrate>(text).map(|rate| rate.0))
            }
        };
        let kind = if rung.audio_only {
            RungKind::Audio { bitrate: bitrate(Some(64_000))? }
        } else {
            let Some(_) = &rung.height else {
                return problem(&name, format!("[rung.{}]: height is missing, such as 480", name.get_ref()));
            };
            let height = number("height", &rung.height, 0, 16, 8192)?;
            if height % 2 == 1 {
                return problem(&name, format!("height = {height}: must be even"));
            }
            let max_fps =
                rung.max_fps.as_ref().map(|_| number("max_fps", &rung.max_fps, 0, 1, 240)).transpose()?;
            RungKind::Video { height, bitrate: bitrate(None)?, max_fps }
        };
        rungs.insert(name.get_ref().clone(), Rung { name: name.get_ref().clone(), kind });
    }
    Ok(rungs)
}

pub(super) fn all_ladders(
    written: BTreeMap<Spanned<String>, raw::Ladder>,
    rungs: &BTreeMap<String, Rung>,
) -> Checked<BTreeMap<String, Ladder>> {
    let mut ladders = BTreeMap::new();
    for (name, raw) in written {
        check_name("ladder", &name)?;
        let ladder = ladder(&name, raw, rungs)?;
        ladders.insert(name.into_inner(), ladder);
    }
    Ok(ladders)
}

fn ladder(name: &Spanned<String>, raw: raw::Ladder, rungs: &BTreeMap<String, Rung>) -> Checked<Ladder> {
    let Some(names) = &raw.rungs else {
        return problem(
            name,
            format!("[ladder.{}]: rungs are missing, such as [\"source\", \"480p\"]", name.get_ref()),
        );
    };
    let mut chosen: Vec<Rung> = Vec::new();
    for name in names.get_ref() {
        let Some(rung) = rungs.get(name.get_ref()) else {
            let known: Vec<_> = rungs.keys().map(|known| format!("{known:?}")).collect();
            return problem(
                name,
                format!("rungs: no rung {:?}; there are {}", name.get_ref(), known.join(", ")),
            );
        };
        if chosen.iter().any(|other| other.name == rung.name) {
            return problem(name, format!("rungs: {:?} is listed twice", name.get_ref()));
        }
        chosen.push(rung.clone());
    }
    if chosen.is_empty() {
        return problem(names, "rungs: at least one is needed, such as [\"source\", \"480p\"]");
    }
    let encoder = |text: &str| {
        let known = Encoder::ALL.map(|encoder| format!("{:?}", encoder.name())).join(", ");
        Encoder::ALL.into_iter().find(|encoder| encoder.name() == text).ok_or(Unfit::NotOneOf(known))
    };
    let word = |text: &str| match text.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !text.is_empty() {
        true => Ok(Some(text.to_owned())),
        false => Err(Unfit::Remedy("write a preset of the encoder, such as \"veryfast\"")),
    };
    let encoder = text_or("encoder", &raw.encoder, || Encoder::X264, encoder)?;
    Ok(Ladder {
        rungs: chosen,
        encoder,
        preset: text_or(
            "preset",
            &raw.preset,
            || (encoder == Encoder::X264).then(|| "veryfast".into()),
            word,
        )?,
        keyframe: time("keyframe", &raw.keyframe, 2, 1, 10)?,
    })
}
