//! Low-Latency HLS of a live stream (RFC 8216bis): groups fragments into parts and segments, and writes their playlist.
//! The code uses no clock and no I/O: `T` is the media of a fragment, and callers pass times as arguments.
//!
//! A part contains some fragments, and a segment contains several parts. A segment begins with a keyframe, unless the
//! next keyframe is too late.

use std::collections::VecDeque;
use std::fmt::Write;

use weir_model::Timestamp;

/// `EXT-X-TARGETDURATION`, in seconds.
pub const TARGET_S: u64 = 4;
/// A segment ends with the first keyframe after the first time, and at the latest after the second, in milliseconds.
const LEAST_SEGMENT: i64 = 1900;
const MOST_SEGMENT: i64 = 4450;
/// Maximum duration of a part if frames are frequent enough, in milliseconds.
const MOST_PART: i64 = 334;
/// `PART-TARGET` for such parts, in milliseconds. A part must have at least 85 % of it (RFC 8216bis, 4.4.4.9).
const PART_TARGET: i64 = 340;
/// Duration of a playlist, in milliseconds: longer than the part that a delta update may omit.
const WINDOW: i64 = 32_000;
/// The number of segments that can still be fetched after they have left the playlist.
const BEHIND_WINDOW: usize = 4;
/// The playlist lists parts up to this time before its end, in milliseconds (RFC 8216bis, 4.4.4.9).
const PARTS_LISTED: i64 = 3 * TARGET_S as i64 * 1000;
/// A delta update omits older segments, in milliseconds.
const SKIP_UNTIL: i64 = 6 * TARGET_S as i64 * 1000;
/// Maximum size of all stored media, in bytes.
const MOST_BYTES: usize = 64 << 20;

/// The facts about a new fragment.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Start in milliseconds.
    pub start: i64,
    /// Whether a decoder can begin with it.
    pub is_key: bool,
    /// Size of the media in bytes.
    pub bytes: usize,
}

/// The newest segments of a stream.
#[derive(Debug)]
pub struct Shelf<T> {
    segments: VecDeque<Segment<T>>,
    /// The number of the next segment.
    next: u64,
    /// `EXT-X-DISCONTINUITY-SEQUENCE` of the first stored segment.
    breaks: u64,
    part: Option<Open<T>>,
    part_target: i64,
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
    breaks: bool,
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
    pieces: Vec<T>,
    start: i64,
    last: i64,
    is_independent: bool,
    bytes: usize,
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
            breaks: 0,
            part: None,
            part_target: PART_TARGET,
            bytes: 0,
            epoch: 0,
            init: None,
            is_new_run: true,
        }
    }

    /// Sets the initialization segment of the following fragments.
    pub fn init(&mut self, init: T) {
        let end = self.part.as_ref().map(|part| part.last + 40);
        if let Some(end) = end {
            self.close_part(end);
        }
        self.close_segment();
        self.init = Some((self.next, init));
        self.is_new_run = true;
    }

    /// Adds the next fragment, at this time of day.
    pub fn push(&mut self, piece: T, facts: Facts, now: Timestamp) {
        let Some(init) = self.init.clone() else { return };
        if self.is_new_run {
            if !facts.is_key {
                return;
            }
            self.epoch = i64::try_from(now.as_millis()).unwrap_or_default() - facts.start;
        }
        if let Some(part) = &self.part {
            let interval = (facts.start - part.last).max(1);
            let begun = self.segments.back().map_or(facts.start, |segment| segment.start);
            let length = facts.start - begun;
            let ends = (facts.is_key && length >= LEAST_SEGMENT) || length + interval > MOST_SEGMENT;
            let is_full = facts.start - part.start + interval > MOST_PART;
            if ends || is_full {
                self.learn(interval);
                self.close_part(facts.start);
            }
            if ends {
                self.close_segment();
            }
        }
        if self.segments.back().is_none_or(|segment| segment.is_complete) {
            let breaks = std::mem::take(&mut self.is_new_run) && !self.segments.is_empty();
            let (number, at) = (self.next, self.epoch + facts.start);
            self.next += 1;
            self.segments.push_back(Segment {
                number,
                init,
                breaks,
                start: facts.start,
                at,
                parts: Vec::new(),
                is_complete: false,
            });
        }
        let part = self.part.get_or_insert_with(|| Open {
            pieces: Vec::new(),
            start: facts.start,
            last: facts.start,
            is_independent: facts.is_key,
            bytes: 0,
        });
        part.pieces.push(piece);
        part.last = facts.start;
        part.bytes += facts.bytes;
    }

    /// Learns the duration of parts from the first frame interval: if frames are rare, parts are shorter or longer than
    /// usual.
    fn learn(&mut self, interval: i64) {
        let is_first = self.segments.iter().all(|segment| segment.parts.is_empty());
        let fits = (MOST_PART / interval).max(1) * interval;
        if is_first && !(PART_TARGET * 85 / 100..=PART_TARGET).contains(&fits) {
            self.part_target = fits + 6;
        }
    }

    fn close_part(&mut self, end: i64) {
        let (Some(part), Some(segment)) = (self.part.take(), self.segments.back_mut()) else { return };
        let duration = (end - part.start).max(1);
        self.bytes += part.bytes;
        let Open { pieces, is_independent, bytes, .. } = part;
        segment.parts.push(Part { pieces, duration, is_independent, bytes });
    }

    fn close_segment(&mut self) {
        if let Some(segment) = self.segments.back_mut() {
            segment.is_complete = true;
        }
        while self.segments.len() > 1 && (self.first_listed() > BEHIND_WINDOW || self.bytes > MOST_BYTES) {
            let Some(gone) = self.segments.pop_front() else { return };
            self.bytes -= gone.parts.iter().map(|part| part.bytes).sum::<usize>();
            self.breaks += u64::from(self.segments.front().is_some_and(|segment| segment.breaks));
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

    /// Returns the bits per second of the largest complete segment, and of all stored media.
    pub fn bandwidth(&self) -> Option<(u64, u64)> {
        let rate = |bytes: usize, ms: i64| bytes as u64 * 8000 / u64::try_from(ms).unwrap_or(1).max(1);
        let bytes = |segment: &Segment<T>| segment.parts.iter().map(|part| part.bytes).sum::<usize>();
        let filled = || self.segments.iter().filter(|segment| !segment.parts.is_empty());
        let peak = filled().map(|segment| rate(bytes(segment), segment.duration())).max()?;
        Some((peak, rate(filled().map(bytes).sum(), filled().map(Segment::duration).sum())))
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
        let before = self.segments.iter().skip(1).take(self.first_listed()).filter(|segment| segment.breaks);
        let breaks = self.breaks + before.count() as u64;
        if breaks > 0 {
            let _ = writeln!(text, "#EXT-X-DISCONTINUITY-SEQUENCE:{breaks}");
        }
        let skipped = if skips { skippable(&listed) } else { 0 };
        if skipped > 0 {
            let _ = writeln!(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
        }
        let mut left: i64 = listed.iter().map(|segment| segment.duration()).sum();
        let mut map = None;
        for (nth, segment) in listed.iter().enumerate() {
            left -= segment.duration();
            let is_first = nth == 0;
            if nth >= skipped {
                // The client knows the state at which a delta update begins.
                let is_known = nth == skipped && skipped > 0 && !segment.breaks;
                if segment.breaks && !is_first {
                    text.push_str("#EXT-X-DISCONTINUITY\n");
                }
                if map != Some(segment.init.0) && !is_known {
                    let _ = writeln!(text, "#EXT-X-MAP:URI=\"init-{}.mp4\"", segment.init.0);
                }
                write_segment(&mut text, segment, left < PARTS_LISTED);
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
mod tests {
    use super::*;

    /// One frame per 40 ms, with these keyframes.
    fn filled(count: i64, is_key: impl Fn(i64) -> bool) -> Shelf<i64> {
        let mut shelf = Shelf::new(100);
        shelf.init(-1);
        for n in 0..count {
            let facts = Facts { start: n * 40, is_key: is_key(n), bytes: 1000 };
            shelf.push(n, facts, Timestamp::from_millis(1_700_000_000_000 + n.unsigned_abs() * 40));
        }
        shelf
    }

    #[test]
    fn parts_are_even_and_segments_begin_with_key_frames() {
        let shelf = filled(130, |n| n % 50 == 0);
        let text = shelf.playlist(false, false);
        let expected = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:4\n\
            #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.020,CAN-SKIP-UNTIL=24.0\n\
            #EXT-X-PART-INF:PART-TARGET=0.340\n#EXT-X-MEDIA-SEQUENCE:100\n#EXT-X-MAP:URI=\"init-100.mp4\"\n\
            #EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20.000Z\n\
            #EXT-X-PART:DURATION=0.320,URI=\"100.0.m4s\",INDEPENDENT=YES\n";
        assert!(text.starts_with(expected), "{text}");
        assert!(
            text.contains("#EXTINF:2.000,\n100.m4s\n#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:22.000Z\n"),
            "{text}"
        );
        assert!(text.ends_with("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"102.3.m4s\"\n"), "{text}");
        assert_eq!(shelf.part(100, 0), Found::There((0..8).collect()));
        assert_eq!(shelf.segment(101), Found::There((50..100).collect()));
        assert_eq!(shelf.init_of(100), Some(-1));
    }

    #[test]
    fn without_key_frames_a_segment_ends_all_the_same() {
        let text = filled(300, |n| n == 0).playlist(false, false);
        assert!(text.contains("#EXTINF:4.440,"), "{text}");
        assert_eq!(text.matches("INDEPENDENT=YES").count(), 1, "{text}");
    }

    #[test]
    fn what_is_asked_for_is_there_or_soon_or_nowhere() {
        let shelf = filled(130, |n| n % 50 == 0);
        let there = Found::There(());
        for (number, part, expected) in [
            (99, None, there),
            (101, None, there),
            (102, None, Found::NotYet),
            (103, None, Found::NotYet),
            (104, None, Found::Nowhere),
            (102, Some(2), there),
            (102, Some(3), Found::NotYet),
            (101, Some(99), there),
            (103, Some(0), Found::NotYet),
        ] {
            assert_eq!(shelf.has(number, part), expected, "{number} {part:?}");
        }
        assert_eq!((shelf.part(102, 3), shelf.part(102, 4)), (Found::NotYet, Found::Nowhere));
        assert_eq!((shelf.segment(102), shelf.segment(103)), (Found::NotYet, Found::Nowhere));
    }

    #[test]
    fn a_delta_update_leaves_out_what_is_old() {
        let shelf = filled(1500, |n| n % 50 == 0);
        let (whole, delta) = (shelf.playlist(false, false), shelf.playlist(true, false));
        let skipped: usize =
            delta.split("SKIPPED-SEGMENTS=").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
        assert!(skipped > 0 && !delta.contains("EXT-X-MAP"), "{delta}");
        assert_eq!(whole.matches("#EXTINF").count(), skipped + delta.matches("#EXTINF").count());
        let length = whole.matches("#EXTINF").count() * 2;
        assert!((28..=34).contains(&length), "{whole}");
    }

    #[test]
    fn another_init_segment_is_a_discontinuity() {
        let mut shelf = filled(60, |n| n % 50 == 0);
        shelf.init(-2);
        for n in 60..120 {
            let facts = Facts { start: n * 40, is_key: n % 50 == 10, bytes: 1000 };
            shelf.push(n, facts, Timestamp::from_millis(1_700_000_100_000));
        }
        let text = shelf.playlist(false, true);
        assert!(text.contains("101.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-102.mp4\"\n"), "{text}");
        assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
        assert_eq!((shelf.init_of(100), shelf.init_of(102)), (Some(-1), Some(-2)));
    }
}
