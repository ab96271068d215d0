//! Decides whether a viewer's network carries a stream, from the viewer's reports, one per second. Pure; time is an argument.
//!
//! The engine's own estimator spaces packets, which delays each viewer. Growing loss and delay show the same, only later.

use std::time::Duration;

/// Loss at which the video freezes, and loss that is repaired unnoticed. Fractions of 1.
const BAD_LOSS: f32 = 0.1;
const GOOD_LOSS: f32 = 0.02;
/// Queueing delay that counts as bad: the round-trip time above the best one.
const BAD_DELAY: Duration = Duration::from_millis(400);
/// Number of bad reports in a row after which the network is said not to carry the stream.
const BAD: u32 = 3;
/// Time after a change to a smaller stream for which bad reports do not count: the packets of the stream before it still wait in the network.
const SETTLES: Duration = Duration::from_secs(3);
/// Time for which a network must be good before a larger stream is tried. Each failed try doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(10);
const MOST_WAIT: Duration = Duration::from_secs(160);
/// Time for which a larger stream must hold to count as a success.
const WORKED: Duration = Duration::from_secs(30);

/// A report of a viewer about its network.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Report {
    /// Fraction of lost packets, from 0 to 1.
    pub(super) loss: Option<f32>,
    /// Round-trip time to the viewer.
    pub(super) round_trip: Option<Duration>,
}

/// Decision after a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No change.
    Stay,
    /// The network does not carry the stream.
    TooMuch,
    /// The network may carry a larger stream.
    More,
}

/// Known facts about one viewer's network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carry {
    best: Option<Duration>,
    bad: u32,
    good_since: Option<Duration>,
    wait: Duration,
    /// Time at which a larger stream began.
    tried: Option<Duration>,
    /// Time of the last change to a smaller stream.
    changed: Option<Duration>,
}

impl Default for Carry {
    fn default() -> Self {
        Self { best: None, bad: 0, good_since: None, wait: FIRST_WAIT, tried: None, changed: None }
    }
}

impl Carry {
    /// Takes a report and returns the decision. After [`Verdict::TooMuch`] and [`Verdict::More`], the count starts again.
    pub(super) fn take(&mut self, report: Report, now: Duration) -> Verdict {
        let (loss, Some(_)) =
            (report.loss.unwrap_or_default(), report.loss.or(report.round_trip.map(|_| 0.0)))
        else {
            return Verdict::Stay;
        };
        self.best = match (self.best, report.round_trip) {
            (Some(best), Some(trip)) => Some(best.min(trip)),
            (best, trip) => best.or(trip),
        };
        let waits = report.round_trip.zip(self.best).map_or(Duration::ZERO, |(trip, best)| trip - best);
        if loss >= BAD_LOSS || waits >= BAD_DELAY {
            self.good_since = None;
            if self.changed.is_some_and(|changed| now.saturating_sub(changed) < SETTLES) {
                return Verdict::Stay;
            }
            self.bad += 1;
            if self.bad >= BAD {
                self.bad = 0;
                self.failed(now);
                return Verdict::TooMuch;
            }
            return Verdict::Stay;
        }
        self.bad = 0;
        if loss > GOOD_LOSS {
            self.good_since = None;
            return Verdict::Stay;
        }
        let since = *self.good_since.get_or_insert(now);
        if self.tried.is_some_and(|tried| now.saturating_sub(tried) >= WORKED) {
            (self.tried, self.wait) = (None, FIRST_WAIT);
        }
        if now.saturating_sub(since) >= self.wait {
            self.good_since = None;
            return Verdict::More;
        }
        Verdict::Stay
    }

    fn failed(&mut self, now: Duration) {
        // The next try of a larger stream waits longer, because this one failed.
        if self.tried.take().is_some_and(|tried| now.saturating_sub(tried) < WORKED) {
            self.wait = (self.wait * 2).min(MOST_WAIT);
        }
    }

    /// Notes that another stream begins. A larger one that does not fit must show soon, so that its try disturbs the viewer briefly.
    pub(super) fn changed(&mut self, now: Duration) {
        self.changed = self.tried.is_none().then_some(now);
        self.bad = 0;
    }

    /// Notes that a larger stream begins.
    pub(super) fn try_more(&mut self, now: Duration) {
        self.tried = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the seconds at which a network with this loss gets a verdict other than [`Verdict::Stay`].
    fn verdicts(carry: &mut Carry, seconds: std::ops::Range<u64>, loss: f32) -> Vec<(u64, Verdict)> {
        let report = Report { loss: Some(loss), round_trip: None };
        let verdicts = seconds.map(|second| (second, carry.take(report, Duration::from_secs(second))));
        verdicts.filter(|(_, verdict)| *verdict != Verdict::Stay).collect()
    }

    #[test]
    fn loss_goes_down_and_a_good_network_up_later_and_later() {
        let mut carry = Carry::default();
        assert_eq!(verdicts(&mut carry, 0..3, 0.3), [(2, Verdict::TooMuch)]);
        assert_eq!(verdicts(&mut carry, 3..14, 0.0), [(13, Verdict::More)]);
        carry.try_more(Duration::from_secs(13));
        assert_eq!(verdicts(&mut carry, 14..17, 0.3), [(16, Verdict::TooMuch)]);
        assert_eq!(verdicts(&mut carry, 17..38, 0.01), [(37, Verdict::More)]);
        carry.try_more(Duration::from_secs(37));
        // The larger stream holds, so the next wait is the first one again.
        assert_eq!(verdicts(&mut carry, 38..69, 0.05), []);
        assert_eq!(verdicts(&mut carry, 69..80, 0.0), [(79, Verdict::More)]);
        // An ordinary network has a bad second now and then.
        for second in 80..100 {
            assert_eq!(verdicts(&mut carry, second..second + 1, if second % 3 == 0 { 0.0 } else { 0.5 }), []);
        }
        assert_eq!(carry.take(Report::default(), Duration::from_secs(100)), Verdict::Stay);
    }

    #[test]
    fn the_rest_of_the_stream_before_is_no_reason_to_go_further_down() {
        let mut carry = Carry::default();
        assert_eq!(verdicts(&mut carry, 0..3, 0.3), [(2, Verdict::TooMuch)]);
        carry.changed(Duration::from_secs(3));
        assert_eq!(verdicts(&mut carry, 3..6, 0.3), []);
        assert_eq!(verdicts(&mut carry, 6..8, 0.0), []);
        // A stream that the network does not carry either.
        carry.changed(Duration::from_secs(8));
        assert_eq!(verdicts(&mut carry, 8..14, 0.3), [(13, Verdict::TooMuch)]);
    }

    #[test]
    fn packets_that_wait_are_as_bad_as_lost_ones() {
        let mut carry = Carry::default();
        let mut take = |millis| {
            let round_trip = Some(Duration::from_millis(millis));
            carry.take(Report { loss: None, round_trip }, Duration::from_secs(1))
        };
        assert_eq!(
            [80, 500, 600, 700].map(&mut take),
            [Verdict::Stay, Verdict::Stay, Verdict::Stay, Verdict::TooMuch]
        );
        // A long round trip alone is not a reason.
        assert_eq!([400, 450, 420, 400].map(&mut take), [Verdict::Stay; 4]);
    }
}
