//! The last publisher of a stream: when it was live, and why it is gone. Pure; time is an argument.

use weir_model::Timestamp;
use weir_model::event::EndReason;

/// A stream that is or was live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Earlier {
    /// Time at which the stream was last seen live.
    seen: Timestamp,
    session: u64,
    is_slate: bool,
    end: Option<EndReason>,
}

impl Earlier {
    /// Records that a publish is live.
    pub(super) fn see(&mut self, session: u64, is_slate: bool, at: Timestamp) {
        // The list of live streams may still have the publish that has ended.
        if self.session != session {
            // A slate replaces a lost publisher, and is none.
            self.end = is_slate.then_some(EndReason::Disconnected);
        }
        (self.seen, self.session, self.is_slate) = (at, session, is_slate);
    }

    /// Records the end of a publish, which may be an earlier one.
    pub(super) fn ended(&mut self, session: u64, reason: EndReason) {
        if self.session == session {
            // A slate that ends by itself leaves the publisher lost.
            let is_still_lost = self.is_slate && reason != EndReason::Dropped;
            self.end = Some(if is_still_lost { EndReason::Disconnected } else { reason });
        }
    }

    /// Returns whether the stream was live at or after a time.
    pub(super) fn was_live_since(&self, since: Timestamp) -> bool {
        self.seen >= since
    }

    /// Returns why the last publisher is gone; `None` while it publishes, or if the reason is unknown.
    pub(super) fn end(&self) -> Option<EndReason> {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_that_of_the_last_publisher() {
        use EndReason::{Disconnected, Dropped, Unpublished};
        let at = Timestamp::from_millis;
        let mut stream = Earlier::default();
        stream.see(1, false, at(1000));
        assert_eq!(
            (stream.end(), stream.was_live_since(at(1000)), stream.was_live_since(at(1001))),
            (None, true, false)
        );
        stream.ended(1, Disconnected);
        stream.see(1, false, at(2000));
        assert_eq!(stream.end(), Some(Disconnected));
        // The publisher does not return, and its slate ends.
        stream.see(2, true, at(3000));
        assert_eq!(stream.end(), Some(Disconnected));
        stream.ended(2, Unpublished);
        assert_eq!(stream.end(), Some(Disconnected));
        stream.ended(2, Dropped);
        assert_eq!(stream.end(), Some(Dropped));
        stream.see(3, false, at(4000));
        stream.ended(1, Disconnected);
        assert_eq!(stream.end(), None);
        stream.ended(3, Unpublished);
        assert_eq!(stream.end(), Some(Unpublished));
        // Only the slate was seen, for example after a restart of the daemon.
        let mut stream = Earlier::default();
        stream.see(2, true, at(1000));
        assert_eq!(stream.end(), Some(Disconnected));
    }
}
