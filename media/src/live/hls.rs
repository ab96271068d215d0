//! Low-Latency HLS of a live stream (RFC 8216bis): groups fragments into parts and segments, and writes their playlist.
//! The code uses no clock and no I/O: `T` is the media of a fragment, and callers pass times as arguments.
//!
//! A part contains some fragments, and a segment contains several parts. A segment begins with a keyframe, unless the
//! next keyframe is too late. A pause of the publisher is in no part: a discontinuity follows.

use std::collections::VecDeque;
use std::fmt::Write;

use weir_model::Timestamp;

mod bandwidth;
mod lengths;

use lengths::{PART_TARGET, Rarity, SPARE, is_short, target};

/// `EXT-X-TARGETDURATION`, in seconds.
pub const TARGET_S: u64 = 4;
/// A segment ends with the first keyframe after the first time, and at the latest after the second, in milliseconds.
const LEAST_SEGMENT: i64 = 1900;
/// The same for the first segment, in milliseconds: players that know no parts wait for it.
const LEAST_FIRST: i64 = LEAST_SEGMENT / 2;
const MOST_SEGMENT: i64 = 4450;
/// The longest segment whose rounded duration is at most [`TARGET_S`], in milliseconds.
const LONGEST_SEGMENT: i64 = TARGET_S as i64 * 1000 + 499;
/// Duration of a playlist, in milliseconds: longer than the part that a delta update may omit.
const WINDOW: i64 = 32_000;
/// A segment can be fetched while this duration of media or less follows it, in milliseconds: after a segment has left
/// the playlist, for its duration and that of the longest playlist (RFC 8216bis, 6.2.2).
const KEPT: i64 = 2 * WINDOW + 3 * MOST_SEGMENT;
/// The playlist lists parts up to this time before its end, in milliseconds (RFC 8216bis, 4.4.4.9).
const PARTS_LISTED: i64 = 3 * TARGET_S as i64 * 1000;
/// A delta update omits older segments, in milliseconds.
const SKIP_UNTIL: i64 = 6 * TARGET_S as i64 * 1000;
/// Maximum size of all stored media, in bytes: [`KEPT`] of 14 Mbit/s, and [`WINDOW`] of 33 Mbit/s.
const MOST_BYTES: usize = 128 << 20;
/// Longest interval between two fragments before the duration of parts is known, in milliseconds. A longer interval is a
/// pause of the publisher, and so is an interval that does not fit in a part.
const PAUSE: i64 = 1500;
/// Interval between fragments until it is known, in milliseconds.
const USUAL: i64 = 40;

/// The facts about a new fragment.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Start in milliseconds.
    pub start: i64,
    /// Whether a decoder can begin with it.
    pub is_key: bool,
    /// Size of the media in bytes.
    pub bytes: usize,
    /// The least discontinuity sequence number of a segment that begins with it: other renditions have that number at this time.
    pub era: u64,
}

/// The newest segments of a stream.
#[derive(Debug)]
pub struct Shelf<T> {
    segments: VecDeque<Segment<T>>,
    /// The number of the next segment.
    next: u64,
    /// The discontinuity sequence number of the newest segment, and the least one of the next segment.
    era: u64,
    least_era: u64,
    part: Option<Open<T>>,
    part_target: i64,
    /// The newest interval between fragments without a pause, in milliseconds.
    usual: i64,
    rarity: Rarity,
    /// The first segment whose parts are as long as [`Self::part_target`] says.
    parts_from: u64,
    bytes: usize,
    /// Offset from a start to the time of day.
    epoch: i64,
    /// The newest initialization segment, and the number of the first segment that needs it.
    init: Option<(u64, T)>,
    is_new_run: bool,
}

#[derive(Debug)]
struct Segment<T> {
    number: u64,
    init: (u64, T),
    /// Discontinuity sequence number (RFC 8216bis, 4.4.3.3).
    era: u64,
    start: i64,
    /// Time of day, in milliseconds.
    at: i64,
    parts: Vec<Part<T>>,
    is_complete: bool,
}

#[derive(Debug)]
struct Part<T> {
    pieces: Vec<T>,
    duration: i64,
    is_independent: bool,
    bytes: usize,
}

#[derive(Debug)]
struct Open<T> {
    pieces: Vec<(T, Facts)>,
    start: i64,
    last: i64,
}

impl<T> Open<T> {
    fn of(piece: T, facts: Facts) -> Self {
        Self { pieces: vec![(piece, facts)], start: facts.start, last: facts.start }
    }
}

/// The result of a look-up by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<T> {
    /// The media exist.
    There(T),
    /// The media will exist soon.
    NotYet,
    /// The media are gone, or too far in the future.
    Nowhere,
}

impl<T> Segment<T> {
    fn duration(&self) -> i64 {
        self.parts.iter().map(|part| part.duration).sum()
    }
}

impl<T: Clone> Shelf<T> {
    /// Returns an empty shelf. `first` is the number of the first segment, which must be larger than any number of this
    /// stream in a cache.
    pub fn new(first: u64) -> Self {
        Self {
            segments: VecDeque::new(),
            next: first,
            era: 0,
            least_era: 0,
            part: None,
            part_target: PART_TARGET,
            usual: USUAL,
            rarity: Rarity::default(),
            parts_from: 0,
            bytes: 0,
            epoch: 0,
            init: None,
            is_new_run: true,
        }
    }

    /// Sets the initialization segment of the following fragments.
    pub fn init(&mut self, init: T) {
        self.end();
        self.init = Some((self.next, init));
    }

    /// Closes the open part and the open segment: no media follows for now. A discontinuity precedes later media.
    pub fn end(&mut self) {
        if let Some((start, last)) = self.part.as_ref().map(|part| (part.start, part.last)) {
            let end = last + self.usual;
            if !self.has_parts() {
                self.part_target = self.part_target.max(end - start + SPARE);
            }
            self.fit(end);
            self.close_part(end);
        }
        self.close_segment();
        self.is_new_run = true;
    }

    /// Adds the next fragment, which arrived at this time of day.
    pub fn push(&mut self, piece: T, facts: Facts, at: Timestamp) {
        if self.init.is_none() {
            return;
        }
        self.least_era = facts.era;
        let interval = self.part.as_ref().map(|part| (facts.start - part.last).max(1));
        if let Some(rare) =
            interval.filter(|interval| self.has_parts() && (self.part_target + 1..=PAUSE).contains(interval))
            && self.rarity.is_frequent(facts.start)
        {
            self.grow(target(rare, rare), facts.start);
        }
        let longest = if self.has_parts() { self.part_target } else { PAUSE };
        let is_pause = interval.is_some_and(|interval| interval > longest);
        if is_pause {
            self.end();
        } else if self.is_new_run && !facts.is_key {
            return;
        }
        if self.is_new_run {
            self.epoch = i64::try_from(at.as_millis()).unwrap_or_default() - facts.start;
        }
        if let Some(interval) = interval.filter(|_| !is_pause) {
            self.advance(facts, interval);
        }
        match &mut self.part {
            Some(part) => {
                part.pieces.push((piece, facts));
                part.last = facts.start;
            }
            None => {
                self.begin_segment(facts.start);
                self.part = Some(Open::of(piece, facts));
            }
        }
    }

    /// Makes parts longer from the next segment on. The playlist then lists no parts of earlier segments, which are too short for it.
    fn grow(&mut self, target: i64, end: i64) {
        self.rarity.begin(self.part_target, end);
        self.part_target = target.max(self.part_target);
        self.fit(end);
        self.close_part(end);
        self.close_segment();
        self.parts_from = self.next;
    }

    /// Closes the part, and the segment, that end at the start of a fragment.
    fn advance(&mut self, facts: Facts, interval: i64) {
        self.usual = interval;
        self.rarity.see(interval, facts.start);
        self.fit(facts.start);
        let (Some(part), Some(segment)) = (&self.part, self.segments.back()) else { return };
        let length = facts.start - segment.start;
        let least = if self.segments.len() == 1 { LEAST_FIRST } else { LEAST_SEGMENT };
        let ends = (facts.is_key && length >= least) || length + interval > MOST_SEGMENT;
        let part_length = facts.start - part.start;
        // A part that is too short stays open: the next frame may come sooner than this one.
        let target = if self.has_parts() { self.part_target } else { target(interval, part_length) };
        let is_full = part_length + interval > self.part_target - SPARE && !is_short(part_length, target);
        if ends || is_full {
            self.part_target = target;
            self.close_part(facts.start);
        }
        if ends {
            self.close_segment();
            if let Some(target) = self.rarity.end(facts.start) {
                (self.part_target, self.parts_from) = (target, self.next);
            }
        }
    }

    /// Closes the open part before its last fragment if it would be too long with it, because frames do not come at equal
    /// intervals. A part that is then too short must be the last one of its segment (RFC 8216bis, 4.4.4.9).
    fn fit(&mut self, end: i64) {
        let (has_parts, most) = (self.has_parts(), self.part_target);
        let (Some(part), Some(segment)) = (&self.part, self.segments.back()) else { return };
        let is_long = has_parts && end - part.start > most;
        let ends = end - segment.start > LONGEST_SEGMENT;
        if !is_long && !ends {
            return;
        }
        let (start, at) = (part.start, part.last);
        let would_be_short = part.pieces.len() > 1 && is_short(at - start, most);
        if !ends && would_be_short && self.rarity.is_frequent(at) {
            let grown = target(end - at, end - start);
            return self.grow(grown, end);
        }
        let (Some(part), Some(segment)) = (&mut self.part, self.segments.back()) else { return };
        let last = if part.pieces.len() > 1 { part.pieces.pop() } else { None };
        match last {
            Some((piece, facts)) => {
                self.close_part(at);
                if ends || is_short(at - start, most) {
                    self.close_segment();
                }
                self.begin_segment(at);
                self.part = Some(Open::of(piece, facts));
            }
            // The segment ends before this part.
            None if !segment.parts.is_empty() => {
                self.close_segment();
                self.begin_segment(at);
            }
            None => {}
        }
    }

    /// Begins a segment at this time, unless one is open.
    fn begin_segment(&mut self, start: i64) {
        let Some(init) = self.init.clone() else { return };
        if self.segments.back().is_some_and(|segment| !segment.is_complete) {
            return;
        }
        let breaks = std::mem::take(&mut self.is_new_run) && !self.segments.is_empty();
        self.era = (self.era + u64::from(breaks)).max(self.least_era);
        let (number, at, era) = (self.next, self.epoch + start, self.era);
        self.next += 1;
        let parts = Vec::new();
        self.segments.push_back(Segment { number, init, era, start, at, parts, is_complete: false });
    }

    fn has_parts(&self) -> bool {
        self.segments.iter().any(|segment| !segment.parts.is_empty())
    }

    fn close_part(&mut self, end: i64) {
        let (Some(part), Some(segment)) = (self.part.take(), self.segments.back_mut()) else { return };
        let duration = (end - part.start).max(1);
        let bytes = part.pieces.iter().map(|(_, facts)| facts.bytes).sum();
        let is_independent = part.pieces.first().is_some_and(|(_, facts)| facts.is_key);
        self.bytes += bytes;
        let pieces = part.pieces.into_iter().map(|(piece, _)| piece).collect();
        segment.parts.push(Part { pieces, duration, is_independent, bytes });
    }

    fn close_segment(&mut self) {
        if let Some(segment) = self.segments.back_mut() {
            segment.is_complete = true;
        }
        let mut after: i64 = self.segments.iter().map(Segment::duration).sum();
        while self.segments.len() > 1 {
            after -= self.segments.front().map_or(0, Segment::duration);
            if after <= KEPT && self.bytes <= MOST_BYTES {
                break;
            }
            let Some(gone) = self.segments.pop_front() else { return };
            self.bytes -= gone.parts.iter().map(|part| part.bytes).sum::<usize>();
        }
    }

    /// Returns which segment is the first of a playlist.
    fn first_listed(&self) -> usize {
        let mut length = 0;
        let enough = self.segments.iter().rposition(|segment| {
            length += segment.duration();
            length > WINDOW
        });
        enough.map_or(0, |at| at + 1).min(self.segments.len().saturating_sub(1))
    }

    /// Returns whether the playlist has at least three parts, which a player needs to begin.
    pub fn is_ready(&self) -> bool {
        self.segments.iter().map(|segment| segment.parts.len()).sum::<usize>() >= 3
    }

    /// Returns whether the playlist has a complete segment, which a player that knows no parts needs to begin.
    pub fn has_segment(&self) -> bool {
        self.segments.iter().any(|segment| segment.is_complete && !segment.parts.is_empty())
    }

    /// Returns whether the playlist has this part of this segment, or this whole segment (RFC 8216bis, 6.2.5.2).
    pub fn has(&self, number: u64, part: Option<usize>) -> Found<()> {
        let open = self.next - u64::from(self.segments.back().is_some_and(|segment| !segment.is_complete));
        if number > open + 1 {
            return Found::Nowhere;
        }
        let have = match part {
            None => number < open,
            Some(part) => match self.find(number) {
                Some(segment) if part < segment.parts.len() => true,
                // The part after the last part of a segment is the first of the next segment.
                Some(segment) if segment.is_complete => {
                    self.find(number + 1).is_some_and(|next| !next.parts.is_empty())
                }
                Some(_) => false,
                None => number < open,
            },
        };
        if have { Found::There(()) } else { Found::NotYet }
    }

    /// Returns start, discontinuity sequence number, and offset to the time of day of the newest segment.
    pub fn newest_segment(&self) -> Option<(i64, u64, i64)> {
        self.segments.back().map(|segment| (segment.start, segment.era, segment.at - segment.start))
    }

    /// Returns the newest part: the number of its segment, and its position there.
    pub fn newest_part(&self) -> Option<(u64, usize)> {
        let newest = self.segments.iter().rev().find(|segment| !segment.parts.is_empty())?;
        Some((newest.number, newest.parts.len() - 1))
    }

    fn find(&self, number: u64) -> Option<&Segment<T>> {
        let first = self.segments.front()?.number;
        self.segments.get(usize::try_from(number.checked_sub(first)?).ok()?)
    }

    /// Returns the media of a segment.
    pub fn segment(&self, number: u64) -> Found<Vec<T>> {
        match self.find(number) {
            Some(segment) if segment.is_complete => {
                Found::There(segment.parts.iter().flat_map(|part| part.pieces.iter().cloned()).collect())
            }
            Some(_) => Found::NotYet,
            None => Found::Nowhere,
        }
    }

    /// Returns the media of a part.
    pub fn part(&self, number: u64, part: usize) -> Found<Vec<T>> {
        match self.find(number) {
            Some(segment) => match segment.parts.get(part) {
                Some(part) => Found::There(part.pieces.clone()),
                None if !segment.is_complete && part == segment.parts.len() => Found::NotYet,
                None => Found::Nowhere,
            },
            // The preload hint after a complete segment.
            None if number == self.next && part == 0 => Found::NotYet,
            None => Found::Nowhere,
        }
    }

    /// Returns the initialization segment of this segment.
    pub fn init_of(&self, number: u64) -> Option<T> {
        let all = self.segments.iter().map(|segment| &segment.init).chain(&self.init);
        all.into_iter().find(|init| init.0 == number).map(|init| init.1.clone())
    }

    /// Returns the playlist, or, with `skips`, a delta update if there is anything to omit. `has_ended`: no media will
    /// follow.
    pub fn playlist(&self, skips: bool, has_ended: bool) -> String {
        let listed: Vec<&Segment<T>> = self.segments.iter().skip(self.first_listed()).collect();
        let mut text = String::with_capacity(4096);
        let target = self.part_target as f64 / 1000.0;
        let sequence = listed.first().map_or(self.next, |segment| segment.number);
        let _ = write!(
            text,
            "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{TARGET_S}\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={:.3},CAN-SKIP-UNTIL={:.1}\n\
             #EXT-X-PART-INF:PART-TARGET={target:.3}\n#EXT-X-MEDIA-SEQUENCE:{sequence}\n",
            target * 3.0,
            SKIP_UNTIL as f64 / 1000.0
        );
        let mut era = listed.first().map_or(self.era, |segment| segment.era);
        if era > 0 {
            let _ = writeln!(text, "#EXT-X-DISCONTINUITY-SEQUENCE:{era}");
        }
        let skipped = if skips { skippable(&listed) } else { 0 };
        if skipped > 0 {
            let _ = writeln!(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
        }
        let mut left: i64 = listed.iter().map(|segment| segment.duration()).sum();
        let mut map = None;
        for (nth, segment) in listed.iter().enumerate() {
            left -= segment.duration();
            let breaks = segment.era - std::mem::replace(&mut era, segment.era);
            if nth >= skipped {
                // The client knows the state at which a delta update begins.
                let is_known = nth == skipped && skipped > 0 && breaks == 0;
                // Each line counts as one.
                (0..breaks).for_each(|_| text.push_str("#EXT-X-DISCONTINUITY\n"));
                if map != Some(segment.init.0) && !is_known {
                    let _ = writeln!(text, "#EXT-X-MAP:URI=\"init-{}.mp4\"", segment.init.0);
                }
                write_segment(&mut text, segment, left < PARTS_LISTED && segment.number >= self.parts_from);
            }
            map = Some(segment.init.0);
        }
        if has_ended {
            text.push_str("#EXT-X-ENDLIST\n");
        } else {
            let open = listed.last().filter(|segment| !segment.is_complete);
            let (number, part) = open.map_or((self.next, 0), |open| (open.number, open.parts.len()));
            let _ = writeln!(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{number}.{part}.m4s\"");
        }
        text
    }
}

/// Returns how many segments a delta update omits: those that end before the boundary, without a discontinuity among
/// them.
fn skippable<T>(listed: &[&Segment<T>]) -> usize {
    let mut left: i64 = listed.iter().map(|segment| segment.duration()).sum();
    let old = listed.iter().take_while(|segment| {
        left -= segment.duration();
        left > SKIP_UNTIL
    });
    old.count()
}

fn write_segment<T>(text: &mut String, segment: &Segment<T>, with_parts: bool) {
    let at = Timestamp::from_millis(segment.at.max(0).unsigned_abs()).to_string();
    // RFC 3339, always with milliseconds.
    let at = if at.contains('.') { at } else { at.replace('Z', ".000Z") };
    let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{at}");
    let number = segment.number;
    for (nth, part) in segment.parts.iter().enumerate().filter(|_| with_parts) {
        let independent = if part.is_independent { ",INDEPENDENT=YES" } else { "" };
        let seconds = part.duration as f64 / 1000.0;
        let _ = writeln!(text, "#EXT-X-PART:DURATION={seconds:.3},URI=\"{number}.{nth}.m4s\"{independent}");
    }
    if segment.is_complete {
        let _ = writeln!(text, "#EXTINF:{:.3},\n{number}.m4s", segment.duration() as f64 / 1000.0);
    }
}

#[cfg(test)]
mod tests;
