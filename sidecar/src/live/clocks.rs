//! The clocks of live streams. The renditions of a stream have the times of its publisher, so their viewers get the same times from all of
//! them (RFC 8216bis, 6.2.4).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::streams::StreamId;

/// The difference between the times of a publish and those that viewers get, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Clocks(Mutex<BTreeMap<StreamId, (String, i64)>>);

impl Clocks {
    /// Returns the difference for a publish of a stream, if somebody watches it or one of its renditions.
    pub(super) fn of(&self, id: &StreamId, session: &str) -> Option<i64> {
        let clocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clocks.get(id).filter(|(known, _)| known == session).map(|(_, offset)| *offset)
    }

    /// Notes the difference. The first of a publish is kept. Removes streams that `is_live` does not know.
    pub(super) fn note(
        &self,
        id: &StreamId,
        session: &str,
        offset: i64,
        is_live: impl Fn(&StreamId) -> bool,
    ) {
        let mut clocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clocks.retain(|id, _| is_live(id));
        if clocks.get(id).is_none_or(|(known, _)| known != session) {
            clocks.insert(id.clone(), (session.to_owned(), offset));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_publish_is_kept_until_the_stream_ends() {
        let clocks = Clocks::default();
        let id = |name: &str| -> StreamId { ("live".parse().unwrap(), name.parse().unwrap()) };
        clocks.note(&id("a"), "s1", 5, |_| true);
        clocks.note(&id("a"), "s1", 7, |_| true);
        assert_eq!((clocks.of(&id("a"), "s1"), clocks.of(&id("a"), "s2")), (Some(5), None));
        clocks.note(&id("a"), "s2", 9, |_| true);
        assert_eq!(clocks.of(&id("a"), "s2"), Some(9));
        clocks.note(&id("b"), "s3", 1, |live| *live == id("b"));
        assert_eq!(clocks.of(&id("a"), "s2"), None);
    }
}
