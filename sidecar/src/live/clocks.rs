//! The clocks of live streams. The renditions of a stream have the times of its publisher and its discontinuities, so their viewers get the
//! same times and the same discontinuity sequence numbers from all of them (RFC 8216bis, 6.2.4).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::streams::StreamId;

/// Most discontinuities that are kept per publish.
const MOST: usize = 64;
/// Most replaced publishes of a stream that are kept: a publisher may reconnect several times before the media of a rendition has ended.
const MOST_REPLACED: usize = 16;
/// Number of clocks above which those of streams that are not live are removed.
const MANY: usize = 1000;

/// The clocks of streams that somebody watches, or one of whose renditions somebody watches.
#[derive(Debug, Default)]
pub(super) struct Clocks(Mutex<BTreeMap<StreamId, Clock>>);

/// The clock of a stream and its renditions.
#[derive(Debug, Default)]
struct Clock {
    session: String,
    /// The newest sessions before: media of them may still arrive from a rendition.
    replaced: VecDeque<String>,
    /// The difference between the times of the publish and those that viewers get, in milliseconds.
    offset: Option<i64>,
    /// The discontinuities of the publish, in order.
    eras: VecDeque<Era>,
    /// The newest discontinuity sequence number of all publishes; `None` before the first one.
    newest: Option<u64>,
}

/// The media between two discontinuities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Era {
    /// Time at which it begins, in milliseconds.
    pub start: i64,
    /// Discontinuity sequence number.
    pub number: u64,
    /// Offset from a time to the time of day, in milliseconds.
    pub epoch: i64,
}

impl Clock {
    /// Begins a publish, unless another one has replaced it. Returns whether this is the current one.
    fn enter(&mut self, session: &str) -> bool {
        if self.session != session && !self.has_replaced(session) {
            self.replaced.push_back(std::mem::replace(&mut self.session, session.to_owned()));
            if self.replaced.len() > MOST_REPLACED {
                self.replaced.pop_front();
            }
            (self.offset, self.eras) = (None, VecDeque::new());
        }
        self.session == session
    }

    fn has_replaced(&self, session: &str) -> bool {
        self.replaced.iter().any(|replaced| replaced == session)
    }
}

impl Clocks {
    fn all(&self) -> MutexGuard<'_, BTreeMap<StreamId, Clock>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the difference for a publish of a stream, if it is known.
    pub(super) fn of(&self, id: &StreamId, session: &str) -> Option<i64> {
        self.all().get(id).filter(|clock| clock.session == session)?.offset
    }

    /// Notes the difference. The first of a publish is kept, and one of a replaced publish is not. With many clocks, removes those of
    /// streams that `is_live` does not know.
    pub(super) fn note(
        &self,
        id: &StreamId,
        session: &str,
        offset: i64,
        is_live: impl Fn(&StreamId) -> bool,
    ) {
        let mut clocks = self.all();
        if clocks.len() > MANY {
            clocks.retain(|id, _| is_live(id));
        }
        let clock = clocks.entry(id.clone()).or_default();
        if clock.enter(session) {
            clock.offset.get_or_insert(offset);
        }
    }
}

/// The clock of one publish, for a stream that has it.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    pub(super) clocks: Arc<Clocks>,
    pub(super) id: StreamId,
    pub(super) session: String,
}

impl Timeline {
    /// Returns the least discontinuity sequence number of media at this time, and the offset to the time of day if that is known.
    pub(super) fn at(&self, start: i64) -> (u64, Option<i64>) {
        let clocks = self.clocks.all();
        let Some(clock) = clocks.get(&self.id) else { return (0, None) };
        if clock.session != self.session {
            // A new publish begins another era.
            let next = clock.newest.map_or(0, |newest| newest + 1);
            return (if clock.has_replaced(&self.session) { 0 } else { next }, None);
        }
        let era = clock.eras.iter().rev().find(|era| era.start <= start).or(clock.eras.front());
        let next = clock.newest.map_or(0, |newest| newest + 1);
        era.map_or((next, None), |era| (era.number, Some(era.epoch)))
    }

    /// Notes that media of this era exists.
    pub(super) fn note(&self, era: Era) {
        let mut clocks = self.clocks.all();
        let clock = clocks.entry(self.id.clone()).or_default();
        if !clock.enter(&self.session) || clock.newest.is_some_and(|newest| era.number <= newest) {
            return;
        }
        clock.newest = Some(era.number);
        clock.eras.push_back(era);
        if clock.eras.len() > MOST {
            clock.eras.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> StreamId {
        ("live".parse().unwrap(), name.parse().unwrap())
    }

    #[test]
    fn the_first_of_a_publish_is_kept_and_a_replaced_one_does_not_return() {
        let clocks = Clocks::default();
        clocks.note(&id("a"), "s1", 5, |_| true);
        clocks.note(&id("a"), "s1", 7, |_| true);
        assert_eq!((clocks.of(&id("a"), "s1"), clocks.of(&id("a"), "s2")), (Some(5), None));
        clocks.note(&id("a"), "s2", 9, |_| true);
        // A rendition of the replaced publish is late.
        clocks.note(&id("a"), "s1", 11, |_| true);
        assert_eq!((clocks.of(&id("a"), "s1"), clocks.of(&id("a"), "s2")), (None, Some(9)));
        // The publisher reconnects again before that rendition has ended.
        clocks.note(&id("a"), "s3", 13, |_| true);
        clocks.note(&id("a"), "s1", 15, |_| true);
        clocks.note(&id("a"), "s2", 17, |_| true);
        assert_eq!(["s1", "s2", "s3"].map(|session| clocks.of(&id("a"), session)), [None, None, Some(13)]);
    }

    #[test]
    fn only_the_newest_replaced_publishes_are_kept() {
        let clocks = Clocks::default();
        for n in 0..100 {
            clocks.note(&id("a"), &format!("s{n}"), n, |_| true);
        }
        let kept = clocks.all()[&id("a")].replaced.clone();
        assert_eq!((kept.len(), kept.back().map(String::as_str)), (MOST_REPLACED, Some("s98")));
        assert_eq!(clocks.of(&id("a"), "s99"), Some(99));
    }

    #[test]
    fn clocks_of_streams_that_are_gone_are_removed_when_there_are_many() {
        let clocks = Clocks::default();
        for n in 0..=MANY + 1 {
            clocks.note(&id(&format!("s{n}")), "s", 1, |live| *live == id("s0"));
        }
        assert_eq!(clocks.all().len(), 2);
        assert_eq!(clocks.of(&id("s0"), "s"), Some(1));
    }

    #[test]
    fn eras_are_common_to_all_renditions_and_count_over_publishes() {
        let clocks = Arc::new(Clocks::default());
        let timeline =
            |session: &str| Timeline { clocks: clocks.clone(), id: id("a"), session: session.into() };
        let era = |start, number, epoch| Era { start, number, epoch };
        let (first, second) = (timeline("s1"), timeline("s2"));
        assert_eq!(first.at(0), (0, None));
        first.note(era(0, 0, 100));
        first.note(era(5000, 1, 103));
        first.note(era(5100, 1, 999));
        assert_eq!(
            [first.at(-10), first.at(4999), first.at(5000)],
            [(0, Some(100)), (0, Some(100)), (1, Some(103))]
        );
        assert_eq!(second.at(5000), (2, None));
        second.note(era(9000, 2, 110));
        // Late media of the replaced publish.
        assert_eq!(first.at(9000), (0, None));
        first.note(era(9100, 3, 0));
        assert_eq!((second.at(8990), second.at(20_000)), ((2, Some(110)), (2, Some(110))));
        let third = timeline("s3");
        third.note(era(9500, 3, 120));
        assert_eq!([first.at(9600), second.at(9600)], [(0, None), (0, None)]);
        first.note(era(9600, 4, 0));
        second.note(era(9600, 4, 0));
        assert_eq!(third.at(9700), (3, Some(120)));
    }
}
