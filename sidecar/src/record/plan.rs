//! Decides which recordings and stills must run, from the configuration and the live streams.

use crate::config::Config;
use crate::config::record::{Record, Thumbnail};
use crate::feed::Plan;
use crate::streams::Live;

/// One ffmpeg for one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordJob {
    /// `APP/NAME/record` or `APP/NAME/thumbnail`.
    pub id: String,
    /// The stream.
    pub live: Live,
    /// The output.
    pub kept: Kept,
}

/// Kind of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// A recording of the whole stream.
    Recording(Box<Record>),
    /// Stills at intervals.
    Stills(Thumbnail),
}

impl Kept {
    /// Returns the name for lists.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Recording(rule) => rule.format.extension().into(),
            Self::Stills(_) => "jpg".into(),
        }
    }
}

impl RecordJob {
    /// Returns whether ffmpeg decodes the audio and copies the video.
    pub(crate) fn decodes_sound(&self) -> bool {
        let plan = Plan::of(&self.live);
        let is_copied = self.live.audio.as_ref().is_some_and(|audio| audio.codec == "AAC");
        matches!(self.kept, Kept::Recording(_)) && plan.video && plan.audio && !is_copied
    }
}

/// Returns the jobs for the live streams. A stream uses the first rule of each kind that fits it.
pub(crate) fn plan<'l>(config: &Config, live: impl Iterator<Item = &'l Live>) -> Vec<RecordJob> {
    live.flat_map(|live| {
        let name = live.name.as_str();
        let record = config.records.iter().find(|rule| rule.app == live.app && rule.stream.fits(name));
        let plan = Plan::of(live);
        let record = record
            .filter(|_| !live.slate && (plan.video || plan.audio))
            .map(|rule| ("record", Kept::Recording(Box::new(rule.clone()))));
        let stills = config.thumbnails.iter().find(|rule| rule.app == live.app && rule.stream.fits(name));
        let stills = stills.filter(|_| plan.video).map(|rule| ("thumbnail", Kept::Stills(rule.clone())));
        record.into_iter().chain(stills).map(|(what, kept)| RecordJob {
            id: format!("{}/{what}", live.path()),
            live: live.clone(),
            kept,
        })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::streams::{Audio, Video};

    #[test]
    fn the_first_rule_that_fits_counts_and_sound_has_no_stills() {
        let text = "[[record]]\napp = \"live\"\nstream = \"show\"\nformat = \"mkv\"\n\
                    [[record]]\napp = \"live\"\nstream = \"s*\"\n\
                    [[thumbnail]]\napp = \"live\"\nstream = \"*\"\n";
        let config = crate::config::parse(Path::new("weir.toml"), text).unwrap();
        let live = |name: &str, video: bool| Live {
            app: "live".parse().unwrap(),
            name: name.parse().unwrap(),
            session: "s1".into(),
            slate: false,
            video: video.then(|| Video { codec: "H264".into(), width: 0, height: 0 }),
            audio: Some(Audio { codec: "AAC".into() }),
        };
        let streams = [live("show", true), live("sound", false), live("other", true)];
        let jobs: Vec<_> =
            plan(&config, streams.iter()).into_iter().map(|job| (job.id, job.kept.name())).collect();
        let expected = [
            ("live/show/record", "mkv"),
            ("live/show/thumbnail", "jpg"),
            ("live/sound/record", "mp4"),
            ("live/other/thumbnail", "jpg"),
        ];
        assert_eq!(jobs, expected.map(|(id, name)| (id.to_owned(), name.to_owned())));
    }
}
