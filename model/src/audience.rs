//! Decides when a reader of events receives the event `viewers`, and for which streams.

use std::collections::HashMap;

use crate::snapshot::AudienceSnapshot;
use crate::time::Timestamp;

/// The least time between two `viewers` events of a stream, in milliseconds.
pub const EACH_MS: u64 = 5_000;

/// The last counts that a reader received for each stream.
#[derive(Debug, Default)]
pub struct Told {
    streams: HashMap<(String, String), (AudienceSnapshot, Timestamp)>,
    /// Whether a change waits because the last event of its stream is too recent.
    is_pending: bool,
}

impl Told {
    /// Returns whether the caller must call [`Told::news`] again even if nothing changes.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.is_pending
    }

    /// Returns the streams to report: those whose numbers changed, each at most once per [`EACH_MS`]. A stream that is
    /// no longer listed has no viewers. `now` is the time of a monotonic clock.
    pub fn news(&mut self, all: Vec<AudienceSnapshot>, now: Timestamp) -> Vec<AudienceSnapshot> {
        self.is_pending = false;
        let mut gone: Vec<_> = self.streams.keys().cloned().collect();
        let listed: std::collections::HashSet<_> =
            all.iter().map(|one| (one.app.clone(), one.name.clone())).collect();
        gone.retain(|stream| !listed.contains(stream));
        let gone = gone.into_iter().map(|(app, name)| AudienceSnapshot { app, name, ..Default::default() });
        let mut news = Vec::new();
        for one in all.into_iter().chain(gone) {
            let stream = (one.app.clone(), one.name.clone());
            let is_empty = one.viewers.total() == 0 && one.viewers_total == 0;
            match self.streams.get(&stream) {
                None if is_empty => {}
                Some((before, _)) if *before == one => {
                    if is_empty && !listed.contains(&stream) {
                        self.streams.remove(&stream);
                    }
                }
                Some((_, at)) if now.millis_since(*at) < EACH_MS => self.is_pending = true,
                _ => {
                    self.streams.insert(stream, (one.clone(), now));
                    news.push(one);
                }
            }
        }
        // The next call forgets streams that have ended.
        self.is_pending |= news.iter().any(|one| !listed.contains(&(one.app.clone(), one.name.clone())));
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Viewers;

    fn show(hls: u64) -> AudienceSnapshot {
        let viewers = Viewers { hls, ..Viewers::default() };
        AudienceSnapshot {
            app: "live".into(),
            name: "show".into(),
            viewers,
            viewers_peak: hls,
            viewers_total: hls,
        }
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(1000 + ms)
    }

    #[test]
    fn tells_what_changed_and_not_too_often() {
        let mut told = Told::default();
        assert_eq!(told.news(vec![show(0)], at(0)), []);
        assert_eq!(told.news(vec![show(1)], at(100)), [show(1)]);
        assert_eq!(told.news(vec![show(1)], at(9000)), []);
        assert_eq!((told.news(vec![show(2)], at(9000)), told.is_pending()), (vec![show(2)], false));
        assert_eq!((told.news(vec![show(3)], at(13_999)), told.is_pending()), (vec![], true));
        assert_eq!((told.news(vec![show(4)], at(14_000)), told.is_pending()), (vec![show(4)], false));
    }

    #[test]
    fn a_stream_that_is_over_has_no_viewers() {
        let mut told = Told::default();
        told.news(vec![show(1)], at(0));
        assert_eq!((told.news(vec![], at(1000)), told.is_pending()), (vec![], true));
        assert_eq!(told.news(vec![], at(5000)), [show(0)]);
        assert!(told.is_pending());
        assert_eq!((told.news(vec![], at(6000)), told.is_pending()), (vec![], false));
        assert!(told.streams.is_empty());
    }
}
