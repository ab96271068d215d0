//! A stream as players see it: tracks, their segments, and the playlists that list them. No file is touched here.

use std::collections::VecDeque;
use std::time::Duration;

use weir_model::Timestamp;

use crate::cmaf::{Fragment, Init, Kind};

pub mod dash;
pub mod hls;
#[cfg(test)]
mod tests;

/// All that is playable of one stream.
#[derive(Clone, Debug)]
pub struct Presentation {
    /// The least length of a segment.
    pub segment: Duration,
    /// How much a playlist holds.
    pub window: Duration,
    /// When it began.
    pub since: Timestamp,
    /// The renditions, best first, then sound.
    pub tracks: Vec<Track>,
    /// Each time ffmpeg ran: where its times lie in ours.
    pub runs: Vec<Run>,
    /// No more will come.
    pub ended: bool,
}

/// One run of ffmpeg: its own times, and the first segment's place in ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Counted up.
    pub id: u64,
    /// The media time, in seconds, that belongs to `at`.
    pub origin: f64,
    /// The time of day of that.
    pub at: Timestamp,
}

/// One rendition.
#[derive(Clone, Debug)]
pub struct Track {
    /// Its folder.
    pub name: String,
    /// For a variant of the master playlist, or only the sound that goes with variants.
    pub role: Role,
    /// What was promised, bit/s; 0 where nobody knows.
    pub nominal: u64,
    /// None until it has begun.
    pub init: Option<Init>,
    /// Pictures a second, of the first segment of the last run.
    pub frame_rate: f64,
    /// The run whose frame rate it is.
    rate_of: Option<u64>,
    /// What the playlist lists.
    pub segments: VecDeque<Segment>,
    /// No segment was longer, in seconds.
    pub longest: f64,
    /// The highest bit rate of a segment.
    pub peak: u64,
    /// The bit rate of all segments.
    pub total_bytes: u64,
    /// Seconds of all segments.
    pub total_seconds: f64,
    /// How many discontinuities have left the playlist.
    pub forgotten_breaks: u64,
    next: u64,
}

/// What a track is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Pictures.
    Video,
    /// The sound of all variants with pictures.
    Sound,
    /// A variant for those who only listen.
    AudioOnly,
}

/// One file.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Its number; the file is `NUMBER.m4s`.
    pub number: u64,
    /// The run it is of; the initialization segment is `init-RUN.mp4`.
    pub run: u64,
    /// In units of the track.
    pub start: u64,
    /// Likewise.
    pub duration: u64,
    /// In seconds.
    pub seconds: f64,
    /// When it begins.
    pub at: Timestamp,
    /// It does not follow from the one before.
    pub breaks: bool,
}

impl Track {
    /// A track without segments, whose first number is `first`: higher than any that a player may still know.
    pub fn new(name: &str, role: Role, nominal: u64, first: u64) -> Self {
        Self {
            name: name.to_owned(),
            role,
            nominal,
            init: None,
            frame_rate: 0.0,
            rate_of: None,
            segments: VecDeque::new(),
            longest: 0.0,
            peak: 0,
            total_bytes: 0,
            total_seconds: 0.0,
            forgotten_breaks: 0,
            next: first,
        }
    }

    /// The bit rate that no segment exceeds, as far as is known.
    pub fn bandwidth(&self) -> u64 {
        self.peak.max(self.nominal)
    }

    /// The mean bit rate.
    pub fn average(&self) -> u64 {
        if self.total_seconds > 0.0 { (self.total_bytes as f64 * 8.0 / self.total_seconds) as u64 } else { 0 }
    }

    /// Whether a player finds something.
    pub fn is_playable(&self) -> bool {
        self.init.is_some() && !self.segments.is_empty()
    }

    /// The number that the next segment has.
    pub fn next_number(&self) -> u64 {
        self.next
    }
}

impl Presentation {
    /// Takes over what a run of a track begins with.
    pub fn begin(&mut self, track: usize, init: Init) {
        if let Some(track) = self.tracks.get_mut(track) {
            track.init = Some(init);
        }
    }

    /// Lists a fragment as a segment, and gives its number, and the numbers of those that leave the playlist.
    pub fn push(
        &mut self,
        track: usize,
        run: u64,
        fragment: Fragment,
        bytes: usize,
        now: Timestamp,
    ) -> Option<(u64, Vec<u64>)> {
        let window = self.window.as_secs_f64();
        let track_timescale = f64::from(self.tracks.get(track)?.init.as_ref()?.timescale);
        let start = fragment.start as f64 / track_timescale;
        let seconds = fragment.duration as f64 / track_timescale;
        let run = self.run(run, start, seconds, now);
        let at = run.at.as_millis() as f64 + (start - run.origin) * 1000.0;
        let track = self.tracks.get_mut(track)?;
        // By the duration that the playlist tells, which has five decimals: so players reckon.
        let told = (seconds * 1e5).round() / 1e5;
        let rate = if told > 0.0 { (bytes as f64 * 8.0 / told).ceil() as u64 } else { 0 };
        if track.rate_of != Some(run.id) && seconds > 0.0 {
            track.rate_of = Some(run.id);
            track.frame_rate = f64::from(fragment.samples) / seconds;
        }
        track.peak = track.peak.max(rate);
        track.longest = track.longest.max(seconds);
        track.total_bytes += bytes as u64;
        track.total_seconds += seconds;
        let number = track.next;
        track.next += 1;
        let breaks = track.segments.back().is_some_and(|last| last.run != run.id);
        track.segments.push_back(Segment {
            number,
            run: run.id,
            start: fragment.start,
            duration: fragment.duration,
            seconds,
            at: Timestamp::from_millis(at.max(0.0) as u64),
            breaks,
        });
        let gone = track.forget(window);
        self.runs.retain(|run| {
            self.tracks.iter().any(|track| track.segments.iter().any(|segment| segment.run == run.id))
        });
        Some((number, gone))
    }

    /// The run, which begins with the first segment that tells of it.
    fn run(&mut self, id: u64, start: f64, seconds: f64, now: Timestamp) -> Run {
        if let Some(known) = self.runs.iter().find(|run| run.id == id) {
            return *known;
        }
        // The segment has just ended.
        let at = Timestamp::from_millis(now.as_millis().saturating_sub((seconds * 1000.0) as u64));
        let run = Run { id, origin: start, at };
        self.runs.push(run);
        run
    }

    /// Tracks that can be played, and go on as the others do: a publisher may have left out its sound.
    pub fn playable(&self) -> impl Iterator<Item = &Track> {
        let end = |track: &Track| {
            track.segments.back().map(|last| last.at.as_millis() + (last.seconds * 1000.0) as u64)
        };
        let newest = self.tracks.iter().filter_map(end).max().unwrap_or_default();
        let longest =
            self.tracks.iter().map(|track| track.longest).fold(self.segment.as_secs_f64(), f64::max);
        let late = newest.saturating_sub((longest * 4.0 * 1000.0) as u64);
        self.tracks
            .iter()
            .filter(move |track| track.is_playable() && end(track).is_some_and(|end| end > late))
    }
}

impl Track {
    /// Drops the oldest while the rest still fills the window.
    fn forget(&mut self, window: f64) -> Vec<u64> {
        let mut gone = Vec::new();
        let mut held: f64 = self.segments.iter().map(|segment| segment.seconds).sum();
        while let Some(first) = self.segments.front() {
            if held - first.seconds < window || self.segments.len() <= 3 {
                break;
            }
            held -= first.seconds;
            gone.push(first.number);
            self.segments.pop_front();
            // The break is before the segment that has become the first, and is no longer listed.
            if self.segments.front().is_some_and(|segment| segment.breaks) {
                self.forgotten_breaks += 1;
                if let Some(first) = self.segments.front_mut() {
                    first.breaks = false;
                }
            }
        }
        gone
    }

    /// Whether there are pictures of this size.
    pub fn size(&self) -> Option<(u32, u32)> {
        match self.init.as_ref()?.kind {
            Kind::Video { width, height } => Some((width, height)),
            Kind::Audio { .. } => None,
        }
    }
}
