//! State machine for the messages about one stream: whether it can be watched. Pure; time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// A message to front ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A publisher has started.
    Started,
    /// Viewers can play the stream in all its renditions.
    Ready,
    /// The publisher is lost, and may return. Viewers may see a slate.
    Interrupted,
    /// The publisher has returned.
    Resumed,
    /// The stream has ended.
    Ended,
}

/// Facts about a stream that is live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// The publish.
    pub(super) session: u64,
    /// All renditions can be played.
    pub(super) is_ready: bool,
    /// The stream is a slate that replaces a lost publisher.
    pub(super) is_slate: bool,
}

/// State of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Machine {
    /// The stream is not live.
    #[default]
    Off,
    /// The stream can be played.
    Live {
        /// The publish.
        session: u64,
        /// Whether nginx reported that the publisher's connection was lost.
        is_lost: bool,
        /// Whether all renditions could be played since the start.
        is_ready: bool,
        /// Whether viewers see a slate.
        is_slate: bool,
    },
    /// The publisher is lost.
    Away {
        /// Time at which the stream ends.
        until: Instant,
        /// Whether all renditions could be played since the start.
        was_ready: bool,
    },
}

impl Machine {
    /// Records the loss of a publisher, which may be an earlier one. nginx reports the reason before the stream leaves the list of live streams.
    pub(super) fn lost(&mut self, of: u64) {
        if let Self::Live { session, is_lost, .. } = self
            && *session == of
        {
            *is_lost = true;
        }
    }

    /// Records the facts about the stream, or `None` if it cannot be played now; returns the messages to send. `linger` is the time
    /// within which a lost publisher may return without ending the stream.
    pub(super) fn see(&mut self, live: Option<Facts>, linger: Duration, now: Instant) -> Vec<News> {
        let before = *self;
        let Some(Facts { session, is_ready, is_slate }) = live else {
            return match before {
                Self::Live { is_lost: true, is_ready, .. } if !linger.is_zero() => {
                    *self = Self::Away { until: now + linger, was_ready: is_ready };
                    vec![News::Interrupted]
                }
                Self::Away { until, .. } if now < until => Vec::new(),
                Self::Off => Vec::new(),
                Self::Live { .. } | Self::Away { .. } => {
                    *self = Self::Off;
                    vec![News::Ended]
                }
            };
        };
        let (was_ready, begin) = match before {
            // A slate alone is no publisher.
            Self::Off if is_slate => (false, Some(News::Interrupted)),
            Self::Off => (false, Some(News::Started)),
            // Another publisher may use the name by now.
            Self::Live { is_slate: was_slate, is_ready, .. } => match (was_slate, is_slate) {
                (false, true) => (is_ready, Some(News::Interrupted)),
                (true, false) => (is_ready, Some(News::Resumed)),
                _ => (is_ready, None),
            },
            Self::Away { was_ready, .. } if is_slate => (was_ready, Some(News::Interrupted)),
            Self::Away { was_ready, .. } => (was_ready, Some(News::Resumed)),
        };
        // The list of live streams may still have the publish that was reported as lost.
        let is_lost = matches!(before, Self::Live { session: of, is_lost: true, .. } if of == session);
        let is_ready = is_ready && !is_slate;
        *self = Self::Live { session, is_lost, is_ready: was_ready || is_ready, is_slate };
        begin.into_iter().chain((is_ready && !was_ready).then_some(News::Ready)).collect()
    }

    /// Returns whether it is known that all renditions could be played.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self, Self::Live { is_ready: true, .. } | Self::Away { was_ready: true, .. })
    }

    /// Returns whether viewers see a slate.
    pub(super) fn is_slate(&self) -> bool {
        matches!(self, Self::Live { is_slate: true, .. })
    }

    /// Returns the time of the next check if no event occurs before it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Away { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// Returns the message for a client that joins now.
    pub(super) fn now(&self) -> News {
        match self {
            Self::Off => News::Ended,
            Self::Live { is_slate: true, .. } | Self::Away { .. } => News::Interrupted,
            Self::Live { is_ready: false, .. } => News::Started,
            Self::Live { .. } => News::Ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_secs(30);
    const READY: Option<Facts> = Some(Facts { session: 1, is_ready: true, is_slate: false });
    const BEGUN: Option<Facts> = Some(Facts { session: 1, is_ready: false, is_slate: false });
    const OTHER: Option<Facts> = Some(Facts { session: 3, is_ready: true, is_slate: false });
    const SLATE: Option<Facts> = Some(Facts { session: 2, is_ready: true, is_slate: true });

    #[test]
    fn a_publisher_that_returns_in_time_has_interrupted_the_stream() {
        let (mut machine, start) = (Machine::default(), Instant::now());
        assert_eq!(machine.see(READY, LINGER, start), [News::Started, News::Ready]);
        assert_eq!(machine.see(READY, LINGER, start), []);
        machine.lost(1);
        assert_eq!(machine.see(None, LINGER, start), [News::Interrupted]);
        assert_eq!(machine.deadline(), Some(start + LINGER));
        assert_eq!(machine.see(None, LINGER, start + LINGER / 2), []);
        // The renditions are made again, which viewers notice as a pause only.
        assert_eq!(machine.see(BEGUN, LINGER, start + LINGER / 2), [News::Resumed]);
        assert_eq!(machine.see(READY, LINGER, start + LINGER / 2), []);
        machine.lost(1);
        assert_eq!(machine.see(None, LINGER, start), [News::Interrupted]);
        assert_eq!(machine.now(), News::Interrupted);
        assert_eq!(machine.see(None, LINGER, start + LINGER), [News::Ended]);
        assert_eq!(machine.see(None, LINGER, start + LINGER * 2), []);
    }

    #[test]
    fn a_publisher_that_ends_its_stream_has_ended_it() {
        let (mut machine, start) = (Machine::default(), Instant::now());
        // The publisher was lost, and another one started before the loss was noticed.
        machine.see(READY, LINGER, start);
        machine.lost(1);
        assert_eq!(machine.see(OTHER, LINGER, start), []);
        assert_eq!(machine.see(None, LINGER, start), [News::Ended]);
        assert_eq!((machine.deadline(), machine.now()), (None, News::Ended));
        // Without `linger`, a loss is an end.
        machine.see(READY, LINGER, start);
        machine.lost(1);
        assert_eq!(machine.see(None, Duration::ZERO, start), [News::Ended]);
    }

    #[test]
    fn a_loss_is_known_before_the_list_has_changed() {
        let (mut machine, start) = (Machine::default(), Instant::now());
        machine.see(READY, LINGER, start);
        machine.lost(1);
        // Something else changed, and the list still has the stream.
        assert_eq!(machine.see(READY, LINGER, start), []);
        assert_eq!(machine.see(None, LINGER, start), [News::Interrupted]);
    }

    #[test]
    fn the_loss_of_an_earlier_publisher_says_nothing_about_the_next() {
        let (mut machine, start) = (Machine::default(), Instant::now());
        machine.see(OTHER, LINGER, start);
        machine.lost(1);
        assert_eq!(machine.see(None, LINGER, start), [News::Ended]);
    }

    #[test]
    fn a_slate_after_the_end_is_no_publisher() {
        let (mut machine, start) = (Machine::default(), Instant::now());
        machine.see(READY, Duration::ZERO, start);
        machine.lost(1);
        assert_eq!(machine.see(None, Duration::ZERO, start), [News::Ended]);
        assert_eq!(machine.see(SLATE, Duration::ZERO, start), [News::Interrupted]);
        assert_eq!(machine.see(READY, Duration::ZERO, start), [News::Resumed, News::Ready]);
    }

    #[test]
    fn a_stream_is_ready_once_when_its_last_rendition_is() {
        let (mut machine, start) = (Machine::default(), Instant::now());
        assert_eq!(machine.see(BEGUN, LINGER, start), [News::Started]);
        assert_eq!(machine.now(), News::Started);
        machine.lost(1);
        assert_eq!(machine.see(None, LINGER, start), [News::Interrupted]);
        assert_eq!(machine.see(BEGUN, LINGER, start), [News::Resumed]);
        assert_eq!(machine.see(READY, LINGER, start), [News::Ready]);
        assert_eq!((machine.see(READY, LINGER, start), machine.now()), (Vec::new(), News::Ready));
    }

    #[test]
    fn a_slate_is_an_interruption_until_the_publisher_returns() {
        let (mut machine, start) = (Machine::default(), Instant::now());
        machine.see(READY, LINGER, start);
        machine.lost(1);
        assert_eq!(machine.see(SLATE, LINGER, start), [News::Interrupted]);
        assert_eq!((machine.now(), machine.is_slate()), (News::Interrupted, true));
        assert_eq!(machine.see(READY, LINGER, start), [News::Resumed]);
        machine.lost(1);
        assert_eq!(machine.see(None, LINGER, start), [News::Interrupted]);
        assert_eq!(machine.see(SLATE, LINGER, start), [News::Interrupted]);
        // The slate ends itself, and nobody has returned.
        assert_eq!(machine.see(None, LINGER, start), [News::Ended]);
    }
}
