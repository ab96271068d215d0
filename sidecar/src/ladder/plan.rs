//! Decides which jobs must run, from the configuration and the live streams.

use std::time::Duration;

use weir_model::StreamName;
use weir_model::stream_name::NameError;

use crate::config::{Config, Delivery, Encoder, Ladder, RtmpServer, Rule, RungKind};
use crate::feed::Plan;
use crate::streams::Live;

/// Bitrate for audio that is not AAC, in bit/s.
const SOUND_BITRATE: u64 = 128_000;

/// One ffmpeg for one stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LadderJob {
    /// `APP/NAME/ladder`.
    pub id: String,
    /// The source stream.
    pub live: Live,
    /// Server from which the source is played and to which renditions are published.
    pub server: RtmpServer,
    /// The renditions, in the order of the ladder.
    pub renditions: Vec<Rendition>,
    /// Audio of the renditions with video.
    pub sound: Option<Sound>,
    /// Video encoder.
    pub encoder: Encoder,
    /// Preset of the video encoder.
    pub preset: Option<String>,
    /// Keyframe interval, if the source is not a rendition. Otherwise renditions have keyframes where the source has them.
    pub keyframe: Duration,
    /// Destination of the renditions.
    pub delivery: Delivery,
}

/// One rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rendition {
    /// The publisher's video, unchanged.
    Copy {
        /// Name of the rung.
        name: String,
    },
    /// Scaled and encoded video.
    Video {
        /// Name of the rung.
        name: String,
        /// Height in pixels.
        height: u32,
        /// Bitrate in bit/s.
        bitrate: u64,
        /// Highest frame rate, in frames per second.
        max_fps: Option<u32>,
    },
    /// Audio only.
    Audio {
        /// Name of the rung.
        name: String,
        /// Bitrate in bit/s.
        bitrate: u64,
    },
}

impl Rendition {
    /// Returns the name of the rung.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Copy { name } | Self::Video { name, .. } | Self::Audio { name, .. } => name,
        }
    }
}

/// Processing of the audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sound {
    /// The audio is AAC, and is copied.
    Copy,
    /// The audio is encoded as AAC with this bitrate, in bit/s.
    Encode(u64),
}

impl LadderJob {
    /// Returns whether the publisher's own video is one of the renditions.
    pub(crate) fn has_source(&self) -> bool {
        self.renditions.iter().any(|rendition| matches!(rendition, Rendition::Copy { .. }))
    }

    /// Returns whether ffmpeg decodes the audio, and there is video too.
    pub(crate) fn decodes_sound(&self) -> bool {
        let is_sound = |rendition: &Rendition| matches!(rendition, Rendition::Audio { .. });
        let encodes = matches!(self.sound, Some(Sound::Encode(_))) || self.renditions.iter().any(is_sound);
        encodes && !self.renditions.iter().all(is_sound)
    }
}

/// Returns the jobs for the live streams. A stream uses the first rule that fits it.
pub(crate) fn plan<'l>(config: &Config, live: impl Iterator<Item = &'l Live>) -> Vec<LadderJob> {
    live.filter_map(|live| {
        let fits = |rule: &&Rule| rule.app == live.app && rule.stream.fits(live.name.as_str());
        job(config, config.rules.iter().find(fits)?, live)
    })
    .collect()
}

fn job(config: &Config, rule: &Rule, live: &Live) -> Option<LadderJob> {
    let feed = Plan::of(live);
    let mut renditions = renditions(&rule.ladder, live, feed);
    if let Delivery::Rtmp(_) = rule.delivery {
        renditions.retain(|rendition| published(live, rendition.name()).is_ok());
    }
    if renditions.is_empty() {
        return None;
    }
    let sound = live.audio.as_ref().filter(|_| feed.audio).map(|audio| match audio.codec.as_str() {
        "AAC" => Sound::Copy,
        _ => Sound::Encode(SOUND_BITRATE),
    });
    Some(LadderJob {
        id: format!("{}/ladder", live.path()),
        live: live.clone(),
        server: config.nginx.rtmp.clone(),
        renditions,
        sound,
        encoder: rule.ladder.encoder,
        preset: rule.ladder.preset.clone(),
        keyframe: rule.ladder.keyframe,
        delivery: rule.delivery.clone(),
    })
}

/// Returns the name under which a rung is published.
///
/// # Errors
///
/// The stream's name is so long that no name is left for the rung.
pub(crate) fn published(live: &Live, rung: &str) -> Result<StreamName, NameError> {
    format!("{}_{rung}", live.name).parse()
}

/// Returns notes for the administrator about rungs of a live stream that are not published because their names are too long.
pub(crate) fn unpublished(config: &Config, live: &Live) -> Vec<String> {
    let fits = |rule: &&Rule| rule.app == live.app && rule.stream.fits(live.name.as_str());
    let rule = config.rules.iter().find(fits).filter(|rule| matches!(rule.delivery, Delivery::Rtmp(_)));
    let rungs = rule.into_iter().flat_map(|rule| &rule.ladder.rungs);
    rungs.filter_map(|rung| Some(format!("{}: {}", rung.name, published(live, &rung.name).err()?))).collect()
}

/// Returns the renditions of this stream. None is larger than the source.
fn renditions(ladder: &Ladder, live: &Live, feed: Plan) -> Vec<Rendition> {
    let mut lowest: Option<(u32, Rendition)> = None;
    let mut chosen = Vec::new();
    for rung in &ladder.rungs {
        let name = rung.name.clone();
        let video = live.video.as_ref().filter(|_| feed.video);
        match (&rung.kind, video, &live.audio) {
            (RungKind::Source, Some(video), _) if video.codec == "H264" => {
                chosen.push(Rendition::Copy { name })
            }
            (RungKind::Video { height, bitrate, max_fps }, Some(video), _) => {
                let (height, bitrate, max_fps) = (*height, *bitrate, *max_fps);
                if video.height == 0 || height <= video.height {
                    chosen.push(Rendition::Video { name, height, bitrate, max_fps });
                } else if lowest.as_ref().is_none_or(|(known, _)| height < *known) {
                    // 4:2:0 cannot use the last line of an odd height.
                    let as_source = Rendition::Video { name, height: video.height & !1, bitrate, max_fps };
                    lowest = Some((height, as_source));
                }
            }
            (RungKind::Audio { bitrate }, _, Some(_)) if feed.audio => {
                chosen.push(Rendition::Audio { name, bitrate: *bitrate })
            }
            _ => {}
        }
    }
    // A source below all rungs still gets one rendition.
    let has_pictures = chosen.iter().any(|rendition| !matches!(rendition, Rendition::Audio { .. }));
    if !has_pictures && let Some((_, rendition)) = lowest {
        chosen.insert(0, rendition);
    }
    chosen
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
