//! Configuration and live streams to the jobs that there are to be.

use std::time::Duration;

use weir_model::StreamName;
use weir_model::stream_name::NameError;

use crate::config::{Config, Delivery, Encoder, Ladder, RtmpServer, Rule, RungKind};
use crate::feed::Plan;
use crate::streams::Live;

/// For sound that is not AAC already.
const SOUND_BITRATE: u64 = 128_000;

/// One ffmpeg for one stream.
#[derive(Clone, Debug, PartialEq)]
pub struct LadderJob {
    /// `APP/NAME/ladder`.
    pub id: String,
    /// What it transcodes.
    pub live: Live,
    /// Where that is played from, and renditions are published to.
    pub server: RtmpServer,
    /// In the order of the ladder.
    pub renditions: Vec<Rendition>,
    /// What goes with pictures.
    pub sound: Option<Sound>,
    /// For video.
    pub encoder: Encoder,
    /// The encoder's.
    pub preset: Option<String>,
    /// Between key frames, where the source is no rendition; otherwise they are where the source has them.
    pub keyframe: Duration,
    /// Where it goes.
    pub delivery: Delivery,
}

/// One of the things that a stream becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rendition {
    /// The publisher's pictures.
    Copy {
        /// Of the rung.
        name: String,
    },
    /// Scaled and encoded.
    Video {
        /// Of the rung.
        name: String,
        /// Pixels.
        height: u32,
        /// bit/s
        bitrate: u64,
        /// Frames a second at most.
        max_fps: Option<u32>,
    },
    /// Sound alone.
    Audio {
        /// Of the rung.
        name: String,
        /// bit/s
        bitrate: u64,
    },
}

impl Rendition {
    /// Of the rung.
    pub fn name(&self) -> &str {
        match self {
            Self::Copy { name } | Self::Video { name, .. } | Self::Audio { name, .. } => name,
        }
    }
}

/// What is done with the sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sound {
    /// It is AAC.
    Copy,
    /// It becomes AAC, bit/s.
    Encode(u64),
}

impl LadderJob {
    /// Whether the publisher's own pictures are among the renditions.
    pub fn has_source(&self) -> bool {
        self.renditions.iter().any(|rendition| matches!(rendition, Rendition::Copy { .. }))
    }

    /// Whether ffmpeg decodes the sound, and there are pictures beside it.
    pub fn decodes_sound(&self) -> bool {
        let is_sound = |rendition: &Rendition| matches!(rendition, Rendition::Audio { .. });
        let encodes = matches!(self.sound, Some(Sound::Encode(_))) || self.renditions.iter().any(is_sound);
        encodes && !self.renditions.iter().all(is_sound)
    }
}

/// The jobs for what is live. A stream takes the first rule that fits it.
pub fn plan<'l>(config: &Config, live: impl Iterator<Item = &'l Live>) -> Vec<LadderJob> {
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

/// The name under which a rung is published.
///
/// # Errors
///
/// The stream's name is so long that no name is left for the rung.
pub fn published(live: &Live, rung: &str) -> Result<StreamName, NameError> {
    format!("{}_{rung}", live.name).parse()
}

/// What an administrator should know of a live stream's rungs that are not published: the rule's names are too long.
pub fn unpublished(config: &Config, live: &Live) -> Vec<String> {
    let fits = |rule: &&Rule| rule.app == live.app && rule.stream.fits(live.name.as_str());
    let rule = config.rules.iter().find(fits).filter(|rule| matches!(rule.delivery, Delivery::Rtmp(_)));
    let rungs = rule.into_iter().flat_map(|rule| &rule.ladder.rungs);
    rungs.filter_map(|rung| Some(format!("{}: {}", rung.name, published(live, &rung.name).err()?))).collect()
}

/// The rungs that make sense for this stream: none above the source.
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
                    // Of an odd number of lines, 4:2:0 has no use for the last.
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
    // A source below all rungs is still to be seen.
    let has_pictures = chosen.iter().any(|rendition| !matches!(rendition, Rendition::Audio { .. }));
    if !has_pictures && let Some((_, rendition)) = lowest {
        chosen.insert(0, rendition);
    }
    chosen
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
