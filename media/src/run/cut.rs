//! Divides a live stream into runs that a demuxer can read from beginning to end. Each run begins with the decoders'
//! configurations and a keyframe, has increasing times, and ends before a configuration changes. The code uses no
//! clock: `now` is the time since any fixed moment.

use std::time::Duration;

use weir_rtmp::flv::{Tag, TagKind};
use weir_rtmp::media::{self, Codec, Content};

use super::timeline::Timeline;

/// Without a keyframe for this long, a run begins with any frame, because some encoders refresh the video gradually.
const NO_KEY: Duration = Duration::from_secs(15);
/// The number of frames that show how frames are reordered.
const LOOK: usize = 10;
/// Time limit of the wait for these frames.
const LOOK_TIME: Duration = Duration::from_millis(800);
/// Time limit of the wait for the configuration of the audio.
const NO_SOUND: Duration = Duration::from_secs(5);
/// No encoder decodes a frame this long before its presentation; in milliseconds.
const MOST_EARLY: i64 = 5000;

/// The media to feed to the demuxer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whether to feed video, whose codec the demuxer must know.
    pub video: bool,
    /// Whether to feed audio, whose codec the demuxer must know.
    pub audio: bool,
}

/// A decoder's configuration, or only the codec if it needs none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The codec of the messages.
    pub codec: Codec,
    /// The configuration.
    pub data: Vec<u8>,
}

/// The headers at the beginning of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// The video, if there is any.
    pub video: Option<Header>,
    /// The audio, if there is any.
    pub audio: Option<Header>,
    /// `onMetaData`.
    pub metadata: Option<Vec<u8>>,
}

/// One video or audio frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Video or audio.
    pub kind: TagKind,
    /// Decoding time, in milliseconds.
    pub time: i64,
    /// Time from decoding to presentation, in milliseconds; not below 0.
    pub composition: i64,
    /// Whether a decoder can begin with it.
    pub is_key: bool,
    /// The message as received.
    pub payload: Vec<u8>,
}

/// A step of the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A run begins.
    Begin(Headers),
    /// The next frame of the run.
    Frame(Frame),
    /// The run has ended, and another run follows.
    End,
    /// The configuration of the video was repeated: the following frames may be from another publisher.
    Doubt,
}

/// Reads tags and returns steps.
#[derive(Debug)]
pub struct Cut {
    wanted: Wanted,
    timeline: Timeline,
    /// The newest headers.
    headers: Headers,
    /// The headers of the current run.
    current: Headers,
    phase: Phase,
    /// How much earlier frames are decoded than the publisher states.
    early: i64,
    /// Decoding time of the last video frame.
    decoded: i64,
}

#[derive(Debug)]
enum Phase {
    /// Waits for a keyframe, since this time.
    Waiting(Option<Duration>),
    /// Collects frames to find their order, since this time.
    Looking(Duration, Vec<Frame>),
    Running,
}

impl Cut {
    /// Returns a cut at the beginning of a stream.
    pub fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            timeline: Timeline::default(),
            headers: Headers::default(),
            current: Headers::default(),
            phase: Phase::Waiting(None),
            early: 0,
            decoded: i64::MIN,
        }
    }

    /// Uses the same times as each other reader of the stream.
    pub fn with_common_times(mut self) -> Self {
        self.timeline = Timeline::common();
        self
    }

    /// Changes the media to feed, which begins another run.
    pub fn want(&mut self, wanted: Wanted) {
        self.wanted = wanted;
        if !wanted.video {
            self.headers.video = None;
        }
        if !wanted.audio {
            self.headers.audio = None;
        }
        self.end();
    }

    /// Processes the next tag.
    pub fn take(&mut self, tag: Tag, now: Duration) -> Vec<Step> {
        let mut steps = Vec::new();
        let (read, is_wanted) = match tag.kind {
            TagKind::Script => {
                self.headers.metadata = Some(tag.payload);
                return steps;
            }
            TagKind::Video => (media::video(&tag.payload), self.wanted.video),
            TagKind::Audio => (media::audio(&tag.payload), self.wanted.audio),
        };
        let Some(read) = read.filter(|_| is_wanted) else { return steps };
        let (codec, content, is_key) = (read.codec, read.content, read.is_key);
        match content {
            Content::Other => return steps,
            // Some encoders send empty messages while they pause.
            Content::Frame if read.data.is_empty() => return steps,
            Content::Header => {
                let header = Header { codec, data: read.data.to_vec() };
                return self.header(tag.kind, header, steps);
            }
            Content::Frame => {}
        }
        let composition = i64::from(read.composition);
        if !self.is_known(tag.kind, codec) {
            return steps;
        }
        let opens = is_key && (tag.kind == TagKind::Video || !self.wanted.video);
        if opens && matches!(self.phase, Phase::Running) && self.is_due() {
            steps.push(Step::End);
            self.end();
        }
        let time = self.timeline.time(tag.kind, tag.timestamp, now);
        let frame = Frame { kind: tag.kind, time, composition, is_key, payload: tag.payload };
        self.frame(frame, opens, now, &mut steps);
        steps
    }

    /// Returns whether the decoder of a frame can be set up. A codec without a configuration is always known.
    fn is_known(&mut self, kind: TagKind, codec: Codec) -> bool {
        let known = match kind {
            TagKind::Audio => &mut self.headers.audio,
            _ => &mut self.headers.video,
        };
        // Audio and video use different numbers: 7 is also G.711.
        let needs = match kind {
            TagKind::Audio => codec.is_aac(),
            _ => codec.is_avc() || codec.is_hevc(),
        };
        let needs = needs || matches!(codec, Codec::FourCc(name) if name != *b".mp3");
        if !needs && known.as_ref().is_none_or(|known| known.codec != codec) {
            *known = Some(Header { codec, data: Vec::new() });
        }
        known.as_ref().is_some_and(|known| known.codec == codec)
    }

    fn header(&mut self, kind: TagKind, header: Header, mut steps: Vec<Step>) -> Vec<Step> {
        let is_video = kind == TagKind::Video;
        let place = if is_video { &mut self.headers.video } else { &mut self.headers.audio };
        let is_news = place.as_ref() != Some(&header);
        *place = Some(header);
        if is_video && !matches!(self.phase, Phase::Waiting(_)) {
            steps.push(Step::Doubt);
        }
        if is_news && is_video {
            match &mut self.phase {
                // The following frames do not fit the run.
                Phase::Running => {
                    steps.push(Step::End);
                    self.end();
                }
                // The collected frames do not fit either.
                Phase::Looking(..) => self.phase = Phase::Waiting(None),
                Phase::Waiting(_) => {}
            }
        }
        steps
    }

    /// Returns whether the next keyframe must begin a new run.
    fn is_due(&self) -> bool {
        let differs = |now: &Option<Header>, then: &Option<Header>| now.is_some() && now != then;
        differs(&self.headers.audio, &self.current.audio)
            || differs(&self.headers.video, &self.current.video)
            || self.timeline.is_full()
    }

    fn end(&mut self) {
        if self.timeline.is_full() {
            self.timeline.restart();
        }
        self.phase = Phase::Waiting(None);
    }

    fn frame(&mut self, frame: Frame, opens: bool, now: Duration, steps: &mut Vec<Step>) {
        match &mut self.phase {
            Phase::Waiting(since) => {
                let waited = now.saturating_sub(*since.get_or_insert(now));
                let is_late = frame.kind == TagKind::Video && waited >= NO_KEY;
                if opens || is_late {
                    self.phase = Phase::Looking(now, vec![frame]);
                    self.look(now, steps);
                }
            }
            Phase::Looking(_, frames) => {
                frames.push(frame);
                self.look(now, steps);
            }
            Phase::Running => self.put(frame, steps),
        }
    }

    /// Begins the run when enough is known.
    fn look(&mut self, now: Duration, steps: &mut Vec<Step>) {
        let Phase::Looking(since, frames) = &mut self.phase else { return };
        let waited = now.saturating_sub(*since);
        let is_reordered =
            self.headers.video.as_ref().is_some_and(|video| video.codec.is_avc() || video.codec.is_hevc());
        let pictures = || frames.iter().filter(|frame| frame.kind == TagKind::Video);
        let is_seen =
            !self.wanted.video || !is_reordered || pictures().count() >= LOOK || waited >= LOOK_TIME;
        let is_heard = !self.wanted.audio || self.headers.audio.is_some() || waited >= NO_SOUND;
        if !is_seen || !is_heard {
            return;
        }
        let most = pictures().map(|frame| -frame.composition).max().unwrap_or_default();
        self.early = most.clamp(0, MOST_EARLY);
        self.decoded = i64::MIN;
        let frames = std::mem::take(frames);
        self.phase = Phase::Running;
        self.current = self.headers.clone();
        steps.push(Step::Begin(self.current.clone()));
        frames.into_iter().for_each(|frame| self.put(frame, steps));
    }

    fn put(&mut self, mut frame: Frame, steps: &mut Vec<Step>) {
        if frame.kind == TagKind::Audio {
            // Audio of another configuration waits for the next run.
            if self.headers.audio == self.current.audio {
                steps.push(Step::Frame(frame));
            }
            return;
        }
        let shown = frame.time + frame.composition.clamp(-MOST_EARLY, i64::from(i32::MAX));
        self.early = self.early.max(frame.time - shown);
        frame.time = (frame.time - self.early).max(self.decoded.saturating_add(1));
        frame.composition = (shown - frame.time).max(0);
        self.decoded = frame.time;
        steps.push(Step::Frame(frame));
    }
}

#[cfg(test)]
#[path = "cut_tests.rs"]
mod tests;
