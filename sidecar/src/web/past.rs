//! The last ten minutes of each live stream, and its health as messages. Pure: time is an argument.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Serialize;
use serde_json::{Value, json};

/// Time that samples are kept, in seconds.
const KEPT_S: u64 = 600;
/// Minimum interval between two samples, in seconds.
const STEP_S: u64 = 2;
/// Minimum number of samples for a meaningful median.
const FEWEST: usize = 10;
/// Fraction of the median below which the bitrate counts as dropped.
const DROP: f64 = 0.6;
/// Number of reconnects within ten minutes that is reported.
const RECONNECTS: usize = 2;
/// Keyframe interval that viewers notice, in milliseconds: each new viewer and each segment waits for a keyframe.
const RARE_KEYS: i64 = 4500;
/// Frame rate that looks like a slide show, in frames per second.
const FEW_FPS: f64 = 10.0;

/// Severity of a health message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Good,
    Notice,
    Bad,
}

/// A health message with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Word {
    pub(super) level: Level,
    pub(super) text: String,
}

/// Current state of a live stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Now {
    pub(super) session: String,
    /// Seconds since the stream went live.
    pub(super) age_s: u64,
    /// Bitrate in bit/s.
    pub(super) bitrate: u64,
    pub(super) has_video: bool,
    pub(super) has_audio: bool,
    /// Frames per second; 0 if unknown.
    pub(super) fps: f64,
    pub(super) is_slate: bool,
    /// Keyframe interval in milliseconds; known only for streams that viewers watch through the daemon.
    pub(super) key_interval: Option<i64>,
    /// Reason why viewers could not watch the stream over WebRTC.
    pub(super) unfit: Option<&'static str>,
    /// Number of targets that wait for a retry.
    pub(super) waiting_targets: usize,
}

#[derive(Debug, Default)]
struct Stream {
    /// Samples: time in seconds, and bit/s.
    samples: VecDeque<(u64, u64)>,
    /// Sessions, with the time of their last sample.
    sessions: Vec<(u64, String)>,
    seen: u64,
}

/// The last ten minutes of all streams, by `APP/NAME`.
#[derive(Debug, Default)]
pub(super) struct Past(BTreeMap<String, Stream>);

impl Past {
    /// Records a sample of a stream at the time `at`, in seconds.
    pub(super) fn note(&mut self, path: &str, now: &Now, at: u64) {
        let stream = self.0.entry(path.to_owned()).or_default();
        stream.seen = at;
        if stream.samples.back().is_none_or(|(last, _)| at >= last + STEP_S) {
            stream.samples.push_back((at, now.bitrate));
        }
        while stream.samples.front().is_some_and(|(first, _)| first + KEPT_S < at) {
            stream.samples.pop_front();
        }
        match stream.sessions.last_mut() {
            Some((seen, session)) if *session == now.session => *seen = at,
            _ if now.is_slate => {}
            _ => stream.sessions.push((at, now.session.clone())),
        }
        stream.sessions.retain(|(seen, _)| seen + KEPT_S >= at);
    }

    /// Removes streams without a sample in the last ten minutes.
    pub(super) fn forget(&mut self, at: u64) {
        self.0.retain(|_, stream| stream.seen + KEPT_S >= at);
    }

    /// Returns the bitrates of live streams as `{"APP/NAME": [[SECONDS, BITS], ...]}`.
    pub(super) fn bitrates(&self, live: &BTreeSet<String>) -> Value {
        let all = self.0.iter().filter(|(path, _)| live.contains(*path));
        all.map(|(path, stream)| (path.clone(), json!(stream.samples)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    /// Returns the health messages, the worst first; only "good" if nothing is wrong.
    pub(super) fn health(&self, path: &str, now: &Now) -> Vec<Word> {
        let stream = self.0.get(path);
        let samples: Vec<u64> =
            stream.map(|stream| stream.samples.iter().map(|(_, bits)| *bits).collect()).unwrap_or_default();
        let reconnects = stream.map_or(0, |stream| stream.sessions.len().saturating_sub(1));
        words(now, median(samples), reconnects)
    }
}

fn median(mut samples: Vec<u64>) -> Option<u64> {
    samples.sort_unstable();
    (samples.len() >= FEWEST).then(|| samples[samples.len() / 2])
}

/// Returns the problems of a stream, the worst first.
fn words(now: &Now, median: Option<u64>, reconnects: usize) -> Vec<Word> {
    let mut words = Vec::new();
    let mut say = |level, text: String| words.push(Word { level, text });
    let is_settled = now.age_s >= 5;
    if now.is_slate {
        say(Level::Bad, "publisher lost: viewers see the slate".into());
    }
    if is_settled && !now.has_video && !now.has_audio {
        say(Level::Bad, "neither video nor audio: check the sources in the encoder".into());
    } else if is_settled && !now.has_audio {
        say(Level::Bad, "audio missing: add an audio track in the encoder".into());
    } else if is_settled && !now.has_video {
        say(Level::Notice, "no video: audio only".into());
    }
    if let Some(median) = median.filter(|median| *median > 0 && is_settled) {
        let part = now.bitrate as f64 / median as f64;
        if now.bitrate == 0 {
            say(Level::Bad, "no data arrives: check the encoder and its connection".into());
        } else if part < DROP {
            say(
                Level::Bad,
                format!(
                    "bitrate drops to {part:.1} of its median ({}): check the encoder's uplink",
                    rate(median)
                ),
            );
        }
    }
    if reconnects >= RECONNECTS {
        say(
            Level::Bad,
            format!("encoder reconnected {reconnects} times in 10 minutes: check its connection"),
        );
    }
    if is_settled && now.has_video && now.fps > 0.0 && now.fps < FEW_FPS {
        say(Level::Notice, format!("{:.0} frames per second: the encoder may be overloaded", now.fps));
    }
    if let Some(apart) = now.key_interval.filter(|apart| now.has_video && *apart >= RARE_KEYS) {
        let seconds = apart as f64 / 1000.0;
        say(Level::Notice, format!("keyframes every {seconds:.0} s: set 2 s in the encoder"));
    }
    if let Some(reason) = now.unfit {
        say(Level::Notice, format!("not for viewers over WebRTC: {reason}"));
    }
    match now.waiting_targets {
        0 => {}
        1 => say(Level::Notice, "1 target is not live: see Targets".into()),
        n => say(Level::Notice, format!("{n} targets are not live: see Targets")),
    }
    words.sort_by_key(|word| Reverse(word.level));
    if words.is_empty() {
        let text = match is_settled {
            true => format!("good: {}", rate(now.bitrate)),
            false => "starting".to_owned(),
        };
        words.push(Word { level: Level::Good, text });
    }
    words
}

fn rate(bits: u64) -> String {
    match bits {
        0..1_000_000 => format!("{} kbit/s", bits / 1000),
        _ => format!("{:.1} Mbit/s", bits as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> Now {
        Now {
            session: "s1".into(),
            age_s: 60,
            bitrate: 3_000_000,
            has_video: true,
            has_audio: true,
            fps: 30.0,
            ..Now::default()
        }
    }

    fn said(now: &Now, median: Option<u64>, reconnects: usize) -> Vec<(Level, String)> {
        words(now, median, reconnects).into_iter().map(|word| (word.level, word.text)).collect()
    }

    #[test]
    fn health_names_the_fact() {
        use Level::{Bad, Good, Notice};
        let one = |level, text: &str| vec![(level, text.to_owned())];
        assert_eq!(said(&live(), None, 0), one(Good, "good: 3.0 Mbit/s"));
        assert_eq!(said(&Now { age_s: 2, has_audio: false, ..live() }, None, 0), one(Good, "starting"));
        let mute = Now { has_audio: false, ..live() };
        assert_eq!(said(&mute, None, 0), one(Bad, "audio missing: add an audio track in the encoder"));
        let slow = Now { bitrate: 600_000, ..live() };
        let drop = "bitrate drops to 0.2 of its median (3.0 Mbit/s): check the encoder's uplink";
        assert_eq!(said(&slow, Some(3_000_000), 0), one(Bad, drop));
        assert_eq!(said(&Now { bitrate: 1_800_000, ..live() }, Some(3_000_000), 0)[0].0, Good);
        assert_eq!(
            said(&live(), None, 3)[0].1,
            "encoder reconnected 3 times in 10 minutes: check its connection"
        );
        let both = said(&Now { waiting_targets: 2, has_audio: false, ..live() }, None, 1);
        assert_eq!(both.iter().map(|word| word.0).collect::<Vec<_>>(), [Bad, Notice]);
        assert_eq!(both[1].1, "2 targets are not live: see Targets");
        assert_eq!(said(&Now { has_video: false, ..live() }, None, 0), one(Notice, "no video: audio only"));
        assert_eq!(said(&Now { fps: 5.2, ..live() }, None, 0)[0].0, Notice);
        let rare = said(&Now { key_interval: Some(8340), ..live() }, None, 0);
        assert_eq!(rare, one(Notice, "keyframes every 8 s: set 2 s in the encoder"));
        assert_eq!(said(&Now { key_interval: Some(4000), ..live() }, None, 0)[0].0, Good);
        let unfit = said(&Now { unfit: Some("the stream has B-frames"), ..live() }, None, 0);
        assert_eq!(unfit, one(Notice, "not for viewers over WebRTC: the stream has B-frames"));
    }

    #[test]
    fn ten_minutes_are_remembered() {
        let mut past = Past::default();
        for at in 0..1000 {
            past.note("live/a", &Now { bitrate: at, ..live() }, at);
        }
        let live = BTreeSet::from(["live/a".to_owned()]);
        let bitrates = past.bitrates(&live);
        let samples = bitrates["live/a"].as_array().unwrap();
        assert_eq!((samples.len(), &samples[0]), (300, &json!([400, 400])));
        assert_eq!(past.bitrates(&BTreeSet::new()), json!({}));
        for (at, session) in [(1001, "s2"), (1003, "s3"), (1005, "s3")] {
            past.note("live/a", &Now { session: session.into(), ..super::tests::live() }, at);
        }
        let now = Now { session: "s3".into(), ..super::tests::live() };
        assert!(past.health("live/a", &now)[0].text.contains("reconnected 2 times"));
        past.note("live/a", &now, 1700);
        assert_eq!(past.health("live/a", &now)[0].level, Level::Good);
        past.forget(3000);
        assert_eq!(past.0.len(), 0);
    }
}
