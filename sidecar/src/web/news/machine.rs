//! What front ends are told of one stream: whether it can be watched. Pure; time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// A publisher that is lost may return within this time; then the stream has not ended.
pub(super) const LINGER: Duration = Duration::from_secs(10);

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A publisher has begun.
    Started,
    /// Viewers can play it.
    Ready,
    /// The publisher is lost, and may return.
    Interrupted,
    /// It has returned.
    Resumed,
    /// It is over.
    Ended,
}

/// One stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Machine {
    /// Not live.
    #[default]
    Off,
    /// It can be played.
    Live {
        /// Its publisher was told to be lost, not only gone.
        is_lost: bool,
    },
    /// Its publisher is lost.
    Away {
        /// Since then.
        since: Instant,
    },
}

impl Machine {
    /// nginx says why a publish has ended, before the stream is gone from the list of what is live.
    pub(super) fn lost(&mut self) {
        if let Self::Live { is_lost } = self {
            *is_lost = true;
        }
    }

    /// Whether it can be played now.
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
            // Another publisher has the name by now.
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

    /// When it is to be looked at again, if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Away { since } => Some(*since + LINGER),
            _ => None,
        }
    }

    /// What somebody who comes now has to know.
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
        // Lost, and another one there before it was noticed.
        machine.see(true, start);
        machine.lost();
        assert_eq!(machine.see(true, start), []);
        assert_eq!(machine.see(false, start), [News::Ended]);
        assert_eq!((machine.deadline(), machine.now()), (None, News::Ended));
    }
}
