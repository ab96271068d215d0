//! What an origin can check of an edge's load: the viewers that it has sent there itself.
//!
//! An edge may say that it sends nothing. It counts as sending what its new viewers need, which fades as viewers leave.

use std::collections::HashMap;

use super::record::EdgeId;

/// After so long, in seconds, a viewer counts for 37 %.
const FADES_S: f64 = 60.0;
/// Below this, in bit/s, nothing is left.
const NOTHING: f64 = 1000.0;

/// Bit/s of the viewers that were sent to each edge. Times are seconds of any clock.
#[derive(Debug, Default)]
pub struct Assigned(HashMap<EdgeId, (f64, f64)>);

impl Assigned {
    /// A viewer of so many bit/s is sent to an edge.
    pub fn add(&mut self, id: &EdgeId, bitrate: u64, now: f64) {
        let before = self.of(id, now);
        match self.0.get_mut(id) {
            Some(entry) => *entry = (before as f64 + bitrate as f64, now),
            None => drop(self.0.insert(id.clone(), (bitrate as f64, now))),
        }
    }

    /// What viewers that were sent to an edge lately need, in bit/s.
    pub fn of(&self, id: &EdgeId, now: f64) -> u64 {
        self.0.get(id).map_or(0, |(bits, at)| (bits * (-(now - at).max(0.0) / FADES_S).exp()) as u64)
    }

    /// Forgets edges that nobody was sent to for long.
    pub fn tidy(&mut self, now: f64) {
        self.0.retain(|_, (bits, at)| *bits * (-(now - *at) / FADES_S).exp() > NOTHING);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_fades() {
        let (mut assigned, id): (Assigned, EdgeId) = (Assigned::default(), "a".parse().unwrap());
        for _ in 0..100 {
            assigned.add(&id, 4_000_000, 10.0);
        }
        assert!((399_000_000..=400_000_000).contains(&assigned.of(&id, 10.0)));
        let later = assigned.of(&id, 70.0);
        assert!((146_000_000..148_000_000).contains(&later), "{later}");
        assigned.tidy(3000.0);
        assert!(assigned.0.is_empty());
    }
}
