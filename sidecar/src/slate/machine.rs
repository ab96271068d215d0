//! Decides when a slate replaces a publisher, and for how long. No clock, no I/O.

use std::time::Duration;

use weir_model::Timestamp;

/// An event of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input<'a> {
    /// A session has begun to publish the stream.
    Started(&'a str),
    /// A session was lost: its connection broke, or was silent.
    Lost(&'a str),
    /// A session has ended in another way: the encoder has unpublished, or somebody has ordered the end.
    Ended(&'a str),
    /// The slate is no longer published.
    Finished,
    /// The slate could not be published, for example because another publisher was faster or the file is missing.
    Failed,
}

/// State of one stream. A published slate ends by itself: when its time is over, or when another publisher takes the stream over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    filling: bool,
    /// The session of the slate, once it is known, or of the last slate.
    ours: Option<String>,
    /// The session that the slate replaces.
    lost: Option<String>,
    /// Time at which another publisher was lost before the slate had ended.
    again: Option<Timestamp>,
}

impl Machine {
    /// Handles an event at `now`. Returns the time until which a slate must be published, if one must begin.
    pub(crate) fn step(&mut self, now: Timestamp, input: Input<'_>, time: Duration) -> Option<Timestamp> {
        match input {
            // nginx accepts one publisher at a time, so the first session is the slate's.
            Input::Started(session) if self.filling && self.ours.is_none() => {
                self.ours = Some(session.to_owned());
            }
            Input::Started(_) => {}
            Input::Lost(session) if self.is_known(session) => {}
            Input::Lost(session) => {
                self.lost = Some(session.to_owned());
                if !self.filling {
                    return Some(self.fill(now, time));
                }
                self.again = Some(now);
            }
            Input::Ended(session) if self.is_known(session) => {}
            Input::Ended(_) => self.again = None,
            Input::Finished | Input::Failed => {
                self.filling = false;
                if input == Input::Failed {
                    // The session was another publisher's, not the slate's.
                    self.ours = None;
                }
                if let Some(since) = self.again.take() {
                    return Some(self.fill(since, time));
                }
            }
        }
        None
    }

    /// Returns whether the machine has no state worth keeping.
    pub(crate) fn is_idle(&self) -> bool {
        !self.filling
    }

    fn is_known(&self, session: &str) -> bool {
        [&self.ours, &self.lost].into_iter().any(|known| known.as_deref() == Some(session))
    }

    fn fill(&mut self, since: Timestamp, time: Duration) -> Timestamp {
        self.filling = true;
        self.ours = None;
        since.plus_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::Input::{Ended, Failed, Finished, Lost, Started};
    use super::*;

    /// Runs inputs, one per second. Returns the seconds until which a slate must be published.
    fn run(inputs: &[Input<'_>]) -> Vec<Option<u64>> {
        let mut machine = Machine::default();
        let moment = |second: usize| Timestamp::from_millis(second as u64 * 1000);
        let step = |(at, input): (usize, &Input<'_>)| {
            let until = machine.step(moment(at), *input, Duration::from_secs(60));
            until.map(Timestamp::as_seconds)
        };
        inputs.iter().enumerate().map(step).collect()
    }

    #[test]
    fn only_who_is_lost_is_filled_in_for() {
        assert_eq!(run(&[Started("a"), Lost("a")]), [None, Some(61)]);
        assert_eq!(run(&[Started("a"), Ended("a")]), [None, None]);
        // A daemon that has started late does not know the session, but the session was lost.
        assert_eq!(run(&[Lost("a")]), [Some(60)]);
        // The event is repeated after a gap in the events.
        assert_eq!(run(&[Lost("a"), Lost("a")]), [Some(60), None]);
    }

    #[test]
    fn a_slate_that_gave_way_may_come_again() {
        let back = [Lost("a"), Started("s"), Ended("s"), Finished, Started("b"), Lost("b")];
        assert_eq!(run(&back), [Some(60), None, None, None, None, Some(65)]);
        // The slate learns of the publisher late.
        let quick = [Lost("a"), Started("s"), Started("b"), Lost("b"), Finished];
        assert_eq!(run(&quick), [Some(60), None, None, None, Some(63)]);
        let polite = [Lost("a"), Started("s"), Started("b"), Ended("b"), Finished];
        assert_eq!(run(&polite), [Some(60), None, None, None, None]);
    }

    #[test]
    fn who_is_quicker_than_the_slate_is_filled_in_for_as_well() {
        let quicker = [Lost("a"), Started("b"), Failed, Lost("b")];
        assert_eq!(run(&quicker), [Some(60), None, None, Some(63)]);
    }

    #[test]
    fn a_slate_does_not_fill_in_for_a_slate() {
        assert_eq!(run(&[Lost("a"), Started("s"), Lost("s"), Finished]), [Some(60), None, None, None]);
        assert_eq!(run(&[Lost("a"), Started("s"), Finished, Lost("s")]), [Some(60), None, None, None]);
    }
}
