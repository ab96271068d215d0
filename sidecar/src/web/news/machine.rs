//! State machine for the messages about one stream: whether it can be watched. Pure; time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Time within which a lost publisher may return without ending the stream.
pub(super) const LINGER: Duration = Duration::from_secs(10);

/// A message to front ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A publisher has started.
    Started,
    /// Viewers can play the stream.
    Ready,
    /// The publisher is lost, and may return.
    Interrupted,
    /// The publisher has returned.
    Resumed,
    /// The stream has ended.
    Ended,
}

/// State of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Machine {
    /// The stream is not live.
    #[default]
    Off,
    /// The stream can be played.
    Live {
        /// Whether nginx reported that the publisher's connection was lost.
        is_lost: bool,
    },
    /// The publisher is lost.
    Away {
        /// Time of the loss.
        since: Instant,
    },
}

impl Machine {
    /// Records the loss of the publisher. nginx reports the reason before the stream leaves the list of live streams.
    pub(super) fn lost(&mut self) {
        if let Self::Live { is_lost } = self {
            *is_lost = true;
        }
    }

    /// Records whether the stream can be played now; returns the messages to send.
    pub(super) fn see(&mut self, is_live: bool, now: Instant) -> &'static [News] {
        match (*self, is_live) {
            (Self::Off, true) => {
                *self = Self::Live { is_lost: false };
                &[News::Started, News::Ready]
            }
            (Self::Away { .. }, true) => {
                *self = Self::Live { is_lost: false };
                &[News::Resumed]
            }
            // Another publisher may use the name by now.
            (Self::Live { .. }, true) => {
                *self = Self::Live { is_lost: false };
                &[]
            }
            (Self::Live { is_lost: true }, false) => {
                *self = Self::Away { since: now };
                &[News::Interrupted]
            }
            (Self::Live { is_lost: false }, false) => {
                *self = Self::Off;
                &[News::Ended]
            }
            (Self::Away { since }, false) if now - since >= LINGER => {
                *self = Self::Off;
                &[News::Ended]
            }
            (Self::Away { .. } | Self::Off, false) => &[],
        }
    }

    /// Returns the time of the next check if no event occurs before it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Away { since } => Some(*since + LINGER),
            _ => None,
        }
    }

    /// Returns the message for a client that joins now.
    pub(super) fn now(&self) -> News {
        match self {
            Self::Off => News::Ended,
            Self::Live { .. } => News::Ready,
            Self::Away { .. } => News::Interrupted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publisher_that_returns_in_time_has_interrupted_the_stream() {
        let (mut machine, start) = (Machine::default(), Instant::now());
        assert_eq!(machine.see(true, start), [News::Started, News::Ready]);
        assert_eq!(machine.see(true, start), []);
        machine.lost();
        assert_eq!(machine.see(false, start), [News::Interrupted]);
        assert_eq!(machine.see(false, start + LINGER / 2), []);
        assert_eq!(machine.see(true, start + LINGER / 2), [News::Resumed]);
        machine.lost();
        assert_eq!(machine.see(false, start), [News::Interrupted]);
        assert_eq!(machine.now(), News::Interrupted);
        assert_eq!(machine.see(false, start + LINGER), [News::Ended]);
        assert_eq!(machine.see(false, start + LINGER * 2), []);
    }

    #[test]
    fn a_publisher_that_ends_its_stream_has_ended_it() {
        let (mut machine, start) = (Machine::default(), Instant::now());
        // The publisher was lost, and another one started before the loss was noticed.
        machine.see(true, start);
        machine.lost();
        assert_eq!(machine.see(true, start), []);
        assert_eq!(machine.see(false, start), [News::Ended]);
        assert_eq!((machine.deadline(), machine.now()), (None, News::Ended));
    }
}
