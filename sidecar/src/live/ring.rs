//! The newest media of a stream, which each viewer reads at its own speed. Time is an argument.
//!
//! Nothing is queued per viewer: a viewer that is too far behind the media since it joined continues at the newest keyframe.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use weir_media::live::captions;
use weir_media::live::{Fragment, Init, Layout, Output};

/// Delay after which a viewer is moved to the newest keyframe.
const BEHIND: Duration = Duration::from_secs(2);
/// Age after which media is kept only as part of the newest group of pictures.
const KEPT: Duration = Duration::from_secs(3);
/// Most bytes that are kept per stream.
const MOST_BYTES: usize = 24 << 20;
/// Number of keyframes that the keyframe interval is computed from.
const KEYS: usize = 4;
/// Most bytes per read, but at least one fragment. A viewer that takes the bytes slowly may be late after it.
const MOST_AT_ONCE: usize = 256 << 10;

/// An item for viewers.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// An initialization segment, which the following fragments need.
    Init(Arc<Start>),
    /// The next fragment.
    Fragment(Piece),
    /// The publisher is gone.
    Ended,
}

/// An initialization segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// Number, counted up.
    pub number: u64,
    /// Its parsed content.
    pub about: Init,
    /// The bytes to send.
    pub bytes: Bytes,
}

/// A fragment, shared by all viewers.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// The bytes to send.
    pub bytes: Bytes,
    /// A decoder can begin with it.
    pub is_key: bool,
    /// Start in milliseconds.
    pub start: i64,
    /// Positions of the frame and of the audio in `bytes`.
    pub layout: Arc<Layout>,
}

#[derive(Debug)]
struct Kept {
    item: Item,
    /// Time of arrival, since any fixed moment.
    at: Duration,
    /// The initialization segment that a fragment needs.
    init: Option<Arc<Start>>,
}

/// The newest media.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    /// Number of the first item.
    base: u64,
    items: VecDeque<Kept>,
    bytes: usize,
    newest_key: Option<u64>,
    init: Option<Arc<Start>>,
    inits: u64,
    has_ended: bool,
    /// Start of the newest fragment, in milliseconds.
    newest: Option<i64>,
    order: Order,
    /// A frame since the last initialization segment has captions.
    has_captions: bool,
    /// Starts of the newest keyframes, in milliseconds.
    keys: VecDeque<i64>,
}

/// Whether frames are sent in the order in which they are shown, since the last initialization segment.
#[derive(Debug, Default)]
struct Order {
    /// Latest display time of a frame, in milliseconds.
    shown: Option<i64>,
    /// A later frame is shown earlier.
    differs: bool,
}

impl Order {
    fn note(&mut self, shown: i64) {
        self.differs |= self.shown.is_some_and(|latest| shown < latest);
        self.shown = self.shown.max(Some(shown));
    }
}

/// Position of a viewer.
#[derive(Debug)]
pub(crate) struct Cursor {
    next: u64,
    joined: Duration,
    /// Number of the initialization segment that the viewer has.
    init: u64,
    /// The viewer continues with the next keyframe.
    needs_key: bool,
}

/// Result of a read.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// The items, in order.
    pub items: Vec<Item>,
    /// Number of fragments that were left out because the viewer was too slow.
    pub skipped: u64,
}

impl Ring {
    /// Takes the next output of the stream.
    pub(crate) fn push(&mut self, output: Output, now: Duration) -> Item {
        let item = match output {
            Output::Init(about) => {
                self.inits += 1;
                let bytes = Bytes::from(about.bytes.clone());
                let start = Arc::new(Start { number: self.inits, about, bytes });
                self.init = Some(start.clone());
                // A viewer cannot continue from media before a new initialization segment.
                self.newest_key = None;
                (self.newest, self.order, self.has_captions) = (None, Order::default(), false);
                self.keys.clear();
                Item::Init(start)
            }
            Output::Fragment(Fragment { bytes, is_key, start, layout, .. }) => {
                self.has_ended = false;
                self.newest = Some(start);
                if let Some(picture) = &layout.picture {
                    self.order.note(start + i64::from(layout.composition));
                    if !self.has_captions {
                        let units = self.init.as_ref().and_then(|init| init.about.units());
                        self.has_captions = units
                            .zip(bytes.get(picture.clone()))
                            .is_some_and(|(units, picture)| captions::has_captions(picture, units));
                    }
                }
                if is_key {
                    self.newest_key = Some(self.end());
                    self.keys.push_back(start);
                    if self.keys.len() > KEYS {
                        self.keys.pop_front();
                    }
                }
                self.bytes += bytes.len();
                Item::Fragment(Piece { bytes: bytes.into(), is_key, start, layout: Arc::new(layout) })
            }
        };
        self.put(item.clone(), now);
        item
    }

    /// Returns the newest initialization segment.
    pub(crate) fn start(&self) -> Option<Arc<Start>> {
        self.init.clone()
    }

    /// Returns the start of the newest fragment in milliseconds, or `None` before the first one.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.newest
    }

    /// Returns the longest interval between the newest keyframes in milliseconds, or `None` before the second keyframe. The time since
    /// the newest keyframe counts if it is longer.
    pub(crate) fn key_interval(&self) -> Option<i64> {
        let apart = self.keys.iter().zip(self.keys.iter().skip(1)).map(|(one, next)| next - one).max()?;
        let since = self.newest.zip(self.keys.back()).map_or(0, |(newest, key)| newest - key);
        Some(apart.max(since))
    }

    /// Returns whether the stream has B-frames: the send order of frames differs from their display order.
    pub(crate) fn has_b_frames(&self) -> bool {
        self.order.differs
    }

    /// Returns whether the stream has captions (CEA-608) in its video.
    pub(crate) fn has_captions(&self) -> bool {
        self.has_captions
    }

    /// Returns whether the publisher is gone and no media has arrived since.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Notes that the publisher is gone.
    pub(crate) fn publisher_gone(&mut self, now: Duration) {
        if !std::mem::replace(&mut self.has_ended, true) {
            self.newest_key = None;
            self.put(Item::Ended, now);
        }
    }

    fn put(&mut self, item: Item, now: Duration) {
        self.items.push_back(Kept { item, at: now, init: self.init.clone() });
        while let Some(first) = self.items.front() {
            let is_needed = self.newest_key.is_some_and(|key| key <= self.base);
            let is_young = first.at + KEPT > now;
            if self.bytes <= MOST_BYTES && (is_needed || is_young || self.items.len() == 1) {
                break;
            }
            if let Some(Kept { item: Item::Fragment(piece), .. }) = self.items.pop_front() {
                self.bytes -= piece.bytes.len();
            }
            self.base += 1;
            self.newest_key = self.newest_key.filter(|key| *key >= self.base);
        }
    }

    /// Returns the newest group of pictures with the times of arrival, its initialization segment first; without a group, that of the
    /// next one.
    pub(crate) fn newest_group(&self) -> Vec<(Item, Duration)> {
        let first = self.newest_key.and_then(|key| usize::try_from(key - self.base).ok());
        let group = || first.into_iter().flat_map(|first| self.items.range(first..));
        let (init, at) = match group().next() {
            Some(kept) => (&kept.init, kept.at),
            None => (&self.init, Duration::ZERO),
        };
        let init = init.clone().map(|init| (Item::Init(init), at));
        init.into_iter().chain(group().map(|kept| (kept.item.clone(), kept.at))).collect()
    }

    /// Returns the number of the next item.
    pub(crate) fn end(&self) -> u64 {
        self.base + self.items.len() as u64
    }

    /// Returns the position of a new viewer: at the newest keyframe, or at the next one.
    pub(crate) fn join(&self, now: Duration) -> Cursor {
        let next = self.newest_key.unwrap_or(self.end());
        Cursor { next, joined: now, init: 0, needs_key: true }
    }

    /// Returns the next items of a viewer. The list is empty if the viewer has everything.
    pub(crate) fn read(&self, cursor: &mut Cursor, now: Duration) -> Taken {
        let mut taken = Taken::default();
        self.skip(cursor, now, &mut taken);
        let mut bytes = 0;
        while cursor.next < self.end() && bytes < MOST_AT_ONCE {
            let Some(kept) = usize::try_from(cursor.next - self.base).ok().and_then(|at| self.items.get(at))
            else {
                break;
            };
            match &kept.item {
                Item::Init(start) => {
                    cursor.needs_key = true;
                    cursor.init = start.number;
                    taken.items.push(kept.item.clone());
                }
                Item::Fragment(piece) if !cursor.needs_key || piece.is_key => {
                    if cursor.needs_key {
                        begin(cursor, kept.init.as_ref(), &mut taken);
                    }
                    bytes += piece.bytes.len();
                    taken.items.push(kept.item.clone());
                }
                Item::Fragment(_) => {}
                Item::Ended => taken.items.push(kept.item.clone()),
            }
            cursor.next += 1;
        }
        taken
    }

    /// Moves a viewer that is too far behind.
    fn skip(&self, cursor: &mut Cursor, now: Duration, taken: &mut Taken) {
        let first =
            cursor.next.checked_sub(self.base).and_then(|at| self.items.get(usize::try_from(at).ok()?));
        let is_gone = cursor.next < self.base;
        let is_late = first.is_some_and(|first| first.at >= cursor.joined && first.at + BEHIND < now);
        let to = match self.newest_key {
            Some(key) if key > cursor.next && (is_gone || is_late) => key,
            // The newest group of pictures is longer than the allowed delay.
            None | Some(_) if is_gone => self.base.max(self.newest_key.unwrap_or(self.end())),
            _ => return,
        };
        taken.skipped = to - cursor.next;
        cursor.next = to;
        cursor.needs_key = true;
        // Media that arrives from now on is not late.
        cursor.joined = now;
    }
}

/// Adds the initialization segment if a decoder needs it here.
fn begin(cursor: &mut Cursor, init: Option<&Arc<Start>>, taken: &mut Taken) {
    cursor.needs_key = false;
    if let Some(init) = init.filter(|init| init.number != cursor.init) {
        cursor.init = init.number;
        taken.items.push(Item::Init(init.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn init() -> Output {
        Output::Init(Init {
            bytes: b"init".to_vec(),
            codecs: "avc1.64001f".into(),
            size: None,
            has_video: true,
            has_audio: false,
            breaks: false,
            video: None,
            audio: None,
        })
    }

    fn fragment(n: u64) -> Output {
        Output::Fragment(Fragment {
            bytes: n.to_be_bytes().to_vec(),
            is_key: n.is_multiple_of(25),
            start: n as i64 * 40,
            duration: 40,
            has_picture: true,
            layout: Layout { picture: Some(0..8), ..Layout::default() },
        })
    }

    /// Returns a ring with a fragment every 40 ms and a keyframe every 25 fragments.
    fn filled(count: u64) -> Ring {
        let mut ring = Ring::default();
        ring.push(init(), ms(0));
        (0..count).for_each(|n| _ = ring.push(fragment(n), ms(n * 40)));
        ring
    }

    fn numbers(taken: &Taken) -> Vec<i64> {
        let number = |item: &Item| match item {
            Item::Init(_) => -1,
            Item::Ended => -2,
            Item::Fragment(piece) => piece.start / 40,
        };
        taken.items.iter().map(number).collect()
    }

    #[test]
    fn who_joins_gets_the_newest_group_of_pictures() {
        let mut ring = filled(130);
        let mut cursor = ring.join(ms(5200));
        assert_eq!(numbers(&ring.read(&mut cursor, ms(5200))), [vec![-1], (125..130).collect()].concat());
        assert!(ring.read(&mut cursor, ms(5200)).items.is_empty());
        ring.push(fragment(130), ms(5200));
        assert_eq!(numbers(&ring.read(&mut cursor, ms(5240))), [130]);
    }

    #[test]
    fn a_slow_viewer_is_skipped_and_told() {
        let mut ring = filled(130);
        let mut slow = ring.join(ms(5200));
        ring.read(&mut slow, ms(5200));
        (130..190).for_each(|n| _ = ring.push(fragment(n), ms(n * 40)));
        let taken = ring.read(&mut slow, ms(190 * 40));
        assert_eq!(taken.skipped, 45);
        assert_eq!(numbers(&taken), (175..190).collect::<Vec<_>>());
        // The viewer's position is no longer in the ring.
        (190..600).for_each(|n| _ = ring.push(fragment(n), ms(n * 40)));
        let taken = ring.read(&mut slow, ms(600 * 40));
        assert_eq!((taken.skipped, numbers(&taken)[0]), (385, 575));
    }

    #[test]
    fn pictures_that_wait_for_a_viewer_come_with_their_own_initialization_segment() {
        let mut ring = filled(30);
        let mut cursor = ring.join(ms(1200));
        ring.push(init(), ms(1200));
        (50..52).for_each(|n| _ = ring.push(fragment(n), ms(1200)));
        let taken = ring.read(&mut cursor, ms(1200));
        let inits = |item: &Item| match item {
            Item::Init(start) => Some(start.number),
            _ => None,
        };
        assert_eq!(numbers(&taken), [-1, 25, 26, 27, 28, 29, -1, 50, 51]);
        assert_eq!(taken.items.iter().filter_map(inits).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_long_group_of_pictures_is_kept_whole_and_no_more() {
        let mut ring = Ring::default();
        ring.push(init(), ms(0));
        ring.push(fragment(0), ms(0));
        (1..20).for_each(|n| _ = ring.push(fragment(n), ms(n * 1000)));
        let mut cursor = ring.join(ms(20_000));
        assert_eq!(ring.read(&mut cursor, ms(20_000)).items.len(), 21);
        ring.push(fragment(25), ms(25_000));
        ring.push(fragment(26), ms(29_000));
        assert!(ring.items.len() < 4, "{ring:?}");
    }

    #[test]
    fn bytes_are_bounded_and_a_joiner_then_waits_for_a_key_frame() {
        let mut ring = filled(1);
        for n in 1..40_u64 {
            let Output::Fragment(small) = fragment(n + 100) else { panic!() };
            ring.push(Output::Fragment(Fragment { bytes: vec![0; 1 << 20], is_key: false, ..small }), ms(n));
        }
        assert!(ring.bytes <= MOST_BYTES);
        let mut cursor = ring.join(ms(50));
        assert!(ring.read(&mut cursor, ms(50)).items.is_empty());
        ring.push(fragment(50), ms(60));
        assert_eq!(numbers(&ring.read(&mut cursor, ms(60))), [-1, 50]);
    }

    #[test]
    fn pictures_that_are_shown_before_earlier_ones_are_noticed_until_the_next_beginning() {
        let mut ring = filled(3);
        assert!(!ring.has_b_frames());
        let Output::Fragment(mut late) = fragment(3) else { panic!() };
        late.layout.composition = 80;
        ring.push(Output::Fragment(late), ms(120));
        assert!(!ring.has_b_frames());
        ring.push(fragment(4), ms(160));
        assert!(ring.has_b_frames());
        ring.push(init(), ms(200));
        assert_eq!((ring.has_b_frames(), ring.newest()), (false, None));
    }

    #[test]
    fn an_end_and_a_new_beginning_are_told_in_order() {
        let mut ring = filled(30);
        let mut cursor = ring.join(ms(1200));
        ring.read(&mut cursor, ms(1200));
        ring.publisher_gone(ms(1300));
        ring.publisher_gone(ms(1300));
        let mut late = ring.join(ms(1400));
        ring.push(init(), ms(2000));
        ring.push(fragment(50), ms(2000));
        assert_eq!(numbers(&ring.read(&mut cursor, ms(2000))), [-2, -1, 50]);
        assert_eq!(numbers(&ring.read(&mut late, ms(2000))), [-1, 50]);
    }
}
