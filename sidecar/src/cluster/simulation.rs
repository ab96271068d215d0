//! Simulates a whole audience with the table and the chooser, on simulated time: how evenly the edges fill, how the loss of edges affects
//! the others, and how long the computation takes. `cargo test -p weir --lib cluster::simulation -- --ignored --nocapture` runs the large
//! simulation.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::assigned::Assigned;
use super::choose::{Candidate, Fleet, number};
use super::prepared::REBUILD;
use super::record::EdgeId;
use super::store::{LEASE, RENEW};

/// With more edges than this, the edges are prepared only once per [`REBUILD`].
const MANY: usize = 1000;
/// Bitrate of one viewer, in bit/s.
const BITRATE: u64 = 2_000_000;

struct Evening {
    edges: usize,
    viewers: usize,
    /// Time in seconds over which the viewers arrive.
    come_s: f64,
    /// Share of the bandwidth of all edges that the whole audience needs.
    share: f64,
}

/// The real state of an edge, and its last report.
struct Edge {
    id: EdgeId,
    viewers: u64,
    reported: u64,
    reported_at: f64,
    dead_at: Option<f64>,
}

#[derive(Debug, Default)]
struct Outcome {
    /// The largest share of its bandwidth that any edge had to send at any time.
    most: f64,
    /// The smallest share among the live edges at the end, and the largest.
    least_at_end: f64,
    most_at_end: f64,
    /// Number of viewers who were sent to a dead edge, and number of requests that found all edges full.
    misled: usize,
    refused: usize,
    rebuilds: u32,
    rebuilding: Duration,
    choosing: Duration,
    choices: u32,
}

impl Evening {
    fn bandwidth(&self) -> u64 {
        (self.viewers as f64 * BITRATE as f64 / self.share / self.edges as f64) as u64
    }

    fn candidates(&self, edges: &[Edge], assigned: &Assigned, now: f64) -> Vec<Candidate> {
        let lives = |edge: &&Edge| edge.dead_at.is_none_or(|_| now - edge.reported_at < LEASE.as_secs_f64());
        edges
            .iter()
            .filter(lives)
            .map(|edge| Candidate {
                id: edge.id.clone(),
                address: String::new(),
                region: None,
                bandwidth: self.bandwidth(),
                egress: edge.reported,
                assigned: assigned.of(&edge.id, now),
                load: 0.0,
                viewers: edge.viewers as u32,
                max_viewers: None,
            })
            .collect()
    }

    /// Runs the simulation. One in a hundred edges dies once half of the audience has arrived, and its viewers immediately ask again.
    fn run(&self) -> Outcome {
        let mut edges: Vec<Edge> = (0..self.edges)
            .map(|nth| Edge {
                id: format!("edge{nth}").parse().unwrap(),
                viewers: 0,
                reported: 0,
                reported_at: -(nth as f64 / self.edges as f64) * RENEW.as_secs_f64(),
                dead_at: None,
            })
            .collect();
        let at: std::collections::HashMap<EdgeId, usize> =
            edges.iter().enumerate().map(|(nth, edge)| (edge.id.clone(), nth)).collect();
        let (mut assigned, mut outcome) = (Assigned::default(), Outcome::default());
        let (step, mut now, mut came) = (REBUILD.as_secs_f64(), 0.0, 0usize);
        let mut again: Vec<(u64, Option<EdgeId>)> = Vec::new();
        let mut has_died = false;
        while came < self.viewers || !again.is_empty() {
            for edge in &mut edges {
                if edge.dead_at.is_none() && now - edge.reported_at >= RENEW.as_secs_f64() {
                    (edge.reported, edge.reported_at) = (edge.viewers * BITRATE, now);
                }
            }
            if !has_died && came >= self.viewers / 2 {
                has_died = true;
                for edge in edges.iter_mut().step_by(100) {
                    edge.dead_at = Some(now);
                    let id = edge.id.clone();
                    again
                        .extend((0..edge.viewers).map(|nth| (number(&(id.as_str(), nth)), Some(id.clone()))));
                    edge.viewers = 0;
                }
            }
            let began = Instant::now();
            if outcome.rebuilds % 5 == 0 {
                assigned.tidy(now);
            }
            let mut fleet = Fleet::new(self.candidates(&edges, &assigned, now));
            let mut margin = fleet.margin();
            outcome.rebuilding += began.elapsed();
            outcome.rebuilds += 1;
            let until = (((now + step) / self.come_s * self.viewers as f64) as usize).min(self.viewers);
            let mut asking = std::mem::take(&mut again);
            asking.extend((came..until).map(|viewer| (number(&viewer), None)));
            came = until;
            let began = Instant::now();
            outcome.choices += asking.len() as u32;
            for (viewer, not) in asking {
                // An origin also prepares the edges again, except for many edges, which would take too long.
                if margin == 0 && self.edges <= MANY {
                    fleet = Fleet::new(self.candidates(&edges, &assigned, now));
                    margin = fleet.margin();
                }
                margin = margin.saturating_sub(BITRATE);
                let Some(chosen) = fleet.choose(viewer, None, not.as_slice()) else {
                    outcome.refused += 1;
                    again.push((viewer, None));
                    continue;
                };
                let address = IpAddr::from((viewer as u32).to_be_bytes());
                assigned.add(&chosen.id, viewer, address, BITRATE, now);
                let edge = &mut edges[at[&chosen.id]];
                if edge.dead_at.is_some() {
                    outcome.misled += 1;
                    again.push((viewer, Some(chosen.id.clone())));
                    continue;
                }
                edge.viewers += 1;
                outcome.most = outcome.most.max((edge.viewers * BITRATE) as f64 / self.bandwidth() as f64);
            }
            outcome.choosing += began.elapsed();
            now += step;
            assert!(now < self.come_s * 2.0 + 60.0, "viewers do not find a place: {outcome:?}");
        }
        let shares = edges.iter().filter(|edge| edge.dead_at.is_none());
        let shares = shares.map(|edge| (edge.viewers * BITRATE) as f64 / self.bandwidth() as f64);
        (outcome.least_at_end, outcome.most_at_end) =
            shares.fold((f64::MAX, 0.0), |(least, most), share| (share.min(least), share.max(most)));
        outcome
    }
}

fn show(evening: &Evening, outcome: &Outcome) {
    println!(
        "{} edges, {} viewers in {} s, {:.0} % of all bandwidth: fullest edge ever {:.2}, at the end {:.2} to {:.2}; sent to a dead \
         edge: {}, refused: {}; {:.2} ms per table, {:.2} us per viewer",
        evening.edges,
        evening.viewers,
        evening.come_s,
        evening.share * 100.0,
        outcome.most,
        outcome.least_at_end,
        outcome.most_at_end,
        outcome.misled,
        outcome.refused,
        outcome.rebuilding.as_secs_f64() * 1e3 / f64::from(outcome.rebuilds),
        outcome.choosing.as_secs_f64() * 1e6 / f64::from(outcome.choices),
    );
}

#[test]
fn an_audience_fills_all_edges_evenly_and_none_beyond_its_bandwidth() {
    for evening in [
        Evening { edges: 3, viewers: 600, come_s: 120.0, share: 0.6 },
        Evening { edges: 10, viewers: 5000, come_s: 20.0, share: 0.8 },
        Evening { edges: 100, viewers: 50_000, come_s: 100.0, share: 0.7 },
    ] {
        let outcome = evening.run();
        show(&evening, &outcome);
        assert!(outcome.most <= 1.0, "{outcome:?}");
        assert!(outcome.most_at_end - outcome.least_at_end < 0.2, "{outcome:?}");
    }
}

#[test]
#[ignore = "takes minutes"]
fn five_million_viewers_and_ten_thousand_edges() {
    for come_s in [600.0, 60.0] {
        let evening = Evening { edges: 10_000, viewers: 5_000_000, come_s, share: 0.8 };
        let outcome = evening.run();
        show(&evening, &outcome);
        // A crowd that comes within a minute is faster than the reports of the edges.
        assert!(outcome.most <= if come_s < 600.0 { 1.6 } else { 1.0 }, "{outcome:?}");
    }
}
