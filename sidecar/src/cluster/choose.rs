//! Which edge a viewer is sent to. No clock and no I/O: the edges come in as they are, and the same viewer gets the same answer.
//!
//! Edges are sorted into bands: first by what they send of their bandwidth, in steps of 5 %, then by load per core. Viewers go to
//! the best band; of many edges, to the best tenth of them at least, so that a crowd does not fall upon a single one. Within a band
//! each edge has points on a ring, and a viewer belongs to the next point behind his own: he returns to the same edge, and an edge
//! that comes or goes moves only the viewers next to it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::record::EdgeId;

/// Steps of the share of the bandwidth.
const STEPS: f64 = 20.0;
/// An edge with this share of its bandwidth in use is full.
const FULL: f64 = 0.95;
/// Steps of the load per core.
pub const LOADS: [f64; 3] = [0.3, 0.5, 0.8];
/// The best band has at least this share of the edges.
const BEST: usize = 10;
/// Viewers may take this share of the bandwidth of the best band before the bands are out of date: half a step.
const MARGIN: f64 = 0.5 / STEPS;
/// Points on all rings together, and at most so many of one edge.
const POINTS: usize = 20_000;
const MOST_POINTS: usize = 16;

/// An edge, as far as viewers are concerned.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// What it is called.
    pub id: EdgeId,
    /// Where its viewers go.
    pub address: String,
    /// Where it is.
    pub region: Option<String>,
    /// What it can send, in bit/s.
    pub bandwidth: u64,
    /// What it sends, in bit/s.
    pub egress: u64,
    /// What viewers who were sent there lately need, in bit/s.
    pub assigned: u64,
    /// Load per core.
    pub load: f64,
    /// How many watch, and how many may.
    pub viewers: u32,
    /// No limit where there is none.
    pub max_viewers: Option<u32>,
}

impl Candidate {
    /// The share of its bandwidth that is in use.
    pub fn share(&self) -> f64 {
        self.egress.max(self.assigned) as f64 / self.bandwidth.max(1) as f64
    }

    /// Whether it takes no more viewers.
    pub fn is_full(&self) -> bool {
        self.share() >= FULL || self.max_viewers.is_some_and(|most| self.viewers >= most)
    }

    fn band(&self) -> (u32, u32) {
        let step = LOADS.iter().filter(|limit| self.load >= **limit).count();
        ((self.share() * STEPS) as u32, step as u32)
    }
}

/// All edges that take viewers, prepared for many questions.
#[derive(Debug, Default)]
pub struct Fleet {
    edges: Vec<Candidate>,
    all: Pool,
    regions: BTreeMap<String, Pool>,
}

/// Bands, the best first, each a ring sorted by its points.
#[derive(Debug, Default)]
struct Pool(Vec<Vec<(u64, usize)>>);

/// A number for anything that is the same everywhere and always: a viewer, a point of an edge.
pub fn number(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

impl Fleet {
    /// Leaves out those that are full.
    pub fn new(edges: impl IntoIterator<Item = Candidate>) -> Self {
        let edges: Vec<Candidate> = edges.into_iter().filter(|edge| !edge.is_full()).collect();
        let points = (POINTS / edges.len().max(1)).clamp(1, MOST_POINTS);
        let all = Pool::new(&edges, points, |_| true);
        let mut names: Vec<&String> = edges.iter().filter_map(|edge| edge.region.as_ref()).collect();
        names.sort();
        names.dedup();
        let regions = names
            .into_iter()
            .map(|name| (name.clone(), Pool::new(&edges, points, |edge| edge.region.as_ref() == Some(name))))
            .collect();
        Self { edges, all, regions }
    }

    /// The edge for a viewer; none when all are full. Edges of the viewer's region come first. `not` are edges that the
    /// viewer could not reach.
    pub fn choose(&self, viewer: u64, region: Option<&str>, not: &[EdgeId]) -> Option<&Candidate> {
        let near = region.and_then(|name| self.regions.get(name));
        let pools = near.into_iter().chain([&self.all]);
        let found = pools.into_iter().find_map(|pool| pool.find(&self.edges, viewer, not));
        found.map(|at| &self.edges[at])
    }

    /// Bit/s that the best band takes before the bands are out of date.
    pub fn margin(&self) -> u64 {
        let mut best: Vec<usize> = self.all.0.first().into_iter().flatten().map(|(_, at)| *at).collect();
        best.sort_unstable();
        best.dedup();
        let bandwidth: u64 =
            best.iter().filter_map(|at| self.edges.get(*at)).map(|edge| edge.bandwidth).sum();
        (bandwidth as f64 * MARGIN) as u64
    }

    /// At most so many edges in the order in which this viewer would be sent to them, each once.
    pub fn near(
        &self,
        viewer: u64,
        region: Option<&str>,
        not: &[EdgeId],
        most: usize,
    ) -> impl Iterator<Item = &Candidate> {
        let mut seen = BTreeSet::new();
        let of_region = region.and_then(|name| self.regions.get(name));
        let rings = of_region.into_iter().chain([&self.all]).flat_map(|pool| &pool.0);
        let points = rings.flat_map(move |ring| Pool::points(ring, viewer));
        let others = points.filter(move |at| seen.insert(*at)).map(|at| &self.edges[at]);
        others.filter(|edge| !not.contains(&edge.id)).take(most)
    }

    /// How many take viewers.
    pub fn len(&self) -> usize {
        self.edges.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }
}

impl Pool {
    fn new(edges: &[Candidate], points: usize, belongs: impl Fn(&Candidate) -> bool) -> Self {
        let mut bands: BTreeMap<(u32, u32), Vec<(u64, usize)>> = BTreeMap::new();
        let mut count = 0;
        for (at, edge) in edges.iter().enumerate().filter(|(_, edge)| belongs(edge)) {
            let ring = bands.entry(edge.band()).or_default();
            ring.extend((0..points).map(|nth| (number(&(edge.id.as_str(), nth)), at)));
            count += 1;
        }
        let least = count / BEST * points;
        let mut bands = bands.into_values();
        let mut best = bands.next().unwrap_or_default();
        while best.len() < least
            && let Some(next) = bands.next()
        {
            best.extend(next);
        }
        let mut bands: Vec<Vec<(u64, usize)>> = std::iter::once(best).chain(bands).collect();
        bands.iter_mut().for_each(|ring| ring.sort_unstable());
        Self(bands)
    }

    fn find(&self, edges: &[Candidate], viewer: u64, not: &[EdgeId]) -> Option<usize> {
        self.0.iter().find_map(|ring| Self::points(ring, viewer).find(|at| !not.contains(&edges[*at].id)))
    }

    /// The edges of a ring's points, from the one behind the viewer on.
    fn points(ring: &[(u64, usize)], viewer: u64) -> impl Iterator<Item = usize> {
        let first = ring.partition_point(|(point, _)| *point < viewer);
        let (before, behind) = ring.split_at(first);
        behind.iter().chain(before).map(|(_, at)| *at)
    }
}

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
