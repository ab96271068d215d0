//! A stream as players see it: tracks, their segments, and the playlists that list them. This module does not access
//! files.

use std::collections::VecDeque;
use std::time::Duration;

use weir_model::Timestamp;

use crate::cmaf::{Fragment, Init, TrackKind};

pub mod dash;
pub mod hls;
#[cfg(test)]
mod tests;

/// All playable media of one stream.
#[derive(Clone, Debug)]
pub struct Presentation {
    /// Minimum duration of a segment.
    pub segment: Duration,
    /// Duration of a playlist.
    pub window: Duration,
    /// The time when the stream began.
    pub since: Timestamp,
    /// The renditions, best first, then the audio.
    pub tracks: Vec<Track>,
    /// The runs of ffmpeg, with the relation of their times to the presentation's times.
    pub runs: Vec<Run>,
    /// Whether the stream has ended.
    pub ended: bool,
}

/// One run of ffmpeg: the relation of its own times to the time of day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// An increasing number.
    pub id: u64,
    /// The media time that corresponds to `at`, in seconds.
    pub origin: f64,
    /// The time of day that corresponds to `origin`.
    pub at: Timestamp,
}

/// One rendition.
#[derive(Clone, Debug)]
pub struct Track {
    /// The name of its folder.
    pub name: String,
    /// Whether it is a variant of the master playlist, or only the audio of the variants.
    pub role: Role,
    /// The configured bit rate, in bit/s; 0 if unknown.
    pub nominal: u64,
    /// The initialization, `None` until the track has begun.
    pub init: Option<Init>,
    /// Frames per second of the first segment of the last run.
    pub frame_rate: f64,
    /// The run of that frame rate.
    rate_of: Option<u64>,
    /// The segments in the playlist.
    pub segments: VecDeque<Segment>,
    /// Duration of the longest segment, in seconds.
    pub longest: f64,
    /// The highest bit rate of a segment.
    pub peak: u64,
    /// The bytes of all segments.
    pub total_bytes: u64,
    /// Duration of all segments, in seconds.
    pub total_seconds: f64,
    /// Number of discontinuities that have left the playlist.
    pub forgotten_breaks: u64,
    next: u64,
}

/// The role of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A variant with video.
    Video,
    /// The audio of all variants with video.
    Sound,
    /// A variant for listeners without video.
    AudioOnly,
}

/// One file.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Its number; the file is `NUMBER.m4s`.
    pub number: u64,
    /// The run that it belongs to; the initialization segment is `init-RUN.mp4`.
    pub run: u64,
    /// Start in units of the track.
    pub start: u64,
    /// Duration in units of the track.
    pub duration: u64,
    /// Duration in seconds.
    pub seconds: f64,
    /// Start as a time of day.
    pub at: Timestamp,
    /// Whether it does not continue the segment before.
    pub breaks: bool,
}

impl Track {
    /// Returns a track without segments. `first` is the first number, which must be higher than any that a player may
    /// still know.
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

    /// Returns the bit rate that no known segment exceeds.
    pub fn bandwidth(&self) -> u64 {
        self.peak.max(self.nominal)
    }

    /// Returns the average bit rate.
    pub fn average(&self) -> u64 {
        if self.total_seconds > 0.0 { (self.total_bytes as f64 * 8.0 / self.total_seconds) as u64 } else { 0 }
    }

    /// Returns whether the track has anything to play.
    pub fn is_playable(&self) -> bool {
        self.init.is_some() && !self.segments.is_empty()
    }

    /// Returns the number of the next segment.
    pub fn next_number(&self) -> u64 {
        self.next
    }
}

impl Presentation {
    /// Stores the initialization of a new run of a track.
    pub fn begin(&mut self, track: usize, init: Init) {
        if let Some(track) = self.tracks.get_mut(track) {
            track.init = Some(init);
        }
    }

    /// Lists a fragment as a segment. Returns its number, and the numbers of the segments that leave the playlist.
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
        // Calculates with the duration in the playlist, which has five decimals, because players do the same.
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

    /// Returns the run, and creates it with its first segment.
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

    /// Returns the tracks that can be played and are as recent as the others, because a publisher may have stopped its
    /// audio.
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
    /// Drops the oldest segments while the rest still fills the window.
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
            // The discontinuity before the new first segment is no longer listed.
            if self.segments.front().is_some_and(|segment| segment.breaks) {
                self.forgotten_breaks += 1;
                if let Some(first) = self.segments.front_mut() {
                    first.breaks = false;
                }
            }
        }
        gone
    }

    /// Returns the size of the video, if there is any.
    pub fn size(&self) -> Option<(u32, u32)> {
        match self.init.as_ref()?.kind {
            TrackKind::Video { width, height } => Some((width, height)),
            TrackKind::Audio { .. } => None,
        }
    }
}
