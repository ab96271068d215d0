//! Chooses the edge for a viewer. No clock and no I/O: the edges are an argument, and the same viewer gets the same answer.
//!
//! Edges are sorted into bands: first by the used share of their bandwidth, in steps of 5 %, then by load per core. Viewers are sent to
//! the best band. If there are many edges, the best band has at least a tenth of them, so that not all viewers are sent to a single edge.
//! Within a band, each edge has points on a ring, and a viewer belongs to the next point behind the viewer's own point. So a viewer
//! returns to the same edge, and an edge that joins or leaves moves only the viewers next to it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::machine::LOADS;
use super::record::EdgeId;

/// Steps of the used share of the bandwidth.
const STEPS: f64 = 20.0;
/// Used share of the bandwidth from which an edge is full.
const FULL: f64 = 0.95;
/// Highest used share for which the viewers that were sent to an edge count, below [`FULL`]: strangers ask for edges too, so only what the
/// edge reports makes it full.
const MOST_ASSIGNED: f64 = 0.94;
/// The best band has at least one tenth of the edges.
const BEST: usize = 10;
/// Share of the best band's bandwidth that new viewers may use before the bands are out of date: half a step.
const MARGIN: f64 = 0.5 / STEPS;
/// Most points on all rings together, and most points of one edge.
const POINTS: usize = 20_000;
const MOST_POINTS: usize = 16;

/// An edge, with the facts that matter to viewers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate {
    /// Name of the edge.
    pub id: EdgeId,
    /// Address for viewers.
    pub address: String,
    /// Region of the edge.
    pub region: Option<String>,
    /// Rate that the edge can send, in bit/s.
    pub bandwidth: u64,
    /// Rate that the edge sends, in bit/s.
    pub egress: u64,
    /// Rate that recently sent viewers need, in bit/s.
    pub assigned: u64,
    /// Load per core.
    pub load: f64,
    /// Number of viewers.
    pub viewers: u32,
    /// Most viewers; `None` without a limit.
    pub max_viewers: Option<u32>,
}

impl Candidate {
    /// Returns the used share of the bandwidth.
    pub(crate) fn share(&self) -> f64 {
        let share = |rate: u64| rate as f64 / self.bandwidth.max(1) as f64;
        share(self.egress).max(share(self.assigned).min(MOST_ASSIGNED))
    }

    /// Returns whether the edge takes no more viewers.
    pub(crate) fn is_full(&self) -> bool {
        self.share() >= FULL || self.max_viewers.is_some_and(|most| self.viewers >= most)
    }

    fn band(&self) -> (u32, u32) {
        let step = LOADS.iter().filter(|limit| self.load >= **limit).count();
        ((self.share() * STEPS) as u32, step as u32)
    }
}

/// All edges that take viewers, prepared for many queries.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    edges: Vec<Candidate>,
    all: Pool,
    regions: BTreeMap<String, Pool>,
}

/// Bands, the best first. Each band is a ring, sorted by its points.
#[derive(Debug, Default)]
struct Pool(Vec<Vec<(u64, usize)>>);

/// Returns a hash that is the same on all machines and at all times, of a viewer or of a point of an edge.
pub(crate) fn number(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

impl Fleet {
    /// Prepares the edges, without those that are full.
    pub(crate) fn new(edges: impl IntoIterator<Item = Candidate>) -> Self {
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

    /// Returns the edge for a viewer, except those of `not`.
    #[cfg(test)]
    pub(crate) fn choose(&self, viewer: u64, region: Option<&str>, not: &[EdgeId]) -> Option<&Candidate> {
        self.choose_from(viewer, region, |id| !not.contains(id))
    }

    /// Returns the edge for a viewer among those that fit, or `None` if all of these are full. Edges of the viewer's region have priority.
    pub(crate) fn choose_from(
        &self,
        viewer: u64,
        region: Option<&str>,
        fits: impl Fn(&EdgeId) -> bool,
    ) -> Option<&Candidate> {
        let near = region.and_then(|name| self.regions.get(name));
        let pools = near.into_iter().chain([&self.all]);
        let found = pools.into_iter().find_map(|pool| pool.find(&self.edges, viewer, &fits));
        found.map(|at| &self.edges[at])
    }

    /// Returns the rate that the best band can take before the bands are out of date, in bit/s.
    pub(crate) fn margin(&self) -> u64 {
        let mut best: Vec<usize> = self.all.0.first().into_iter().flatten().map(|(_, at)| *at).collect();
        best.sort_unstable();
        best.dedup();
        let bandwidth: u64 =
            best.iter().filter_map(|at| self.edges.get(*at)).map(|edge| edge.bandwidth).sum();
        (bandwidth as f64 * MARGIN) as u64
    }

    /// Returns at most `most` edges, each once, in the order in which this viewer would be sent to them.
    pub(crate) fn near(
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

    fn find(&self, edges: &[Candidate], viewer: u64, fits: impl Fn(&EdgeId) -> bool) -> Option<usize> {
        self.0.iter().find_map(|ring| Self::points(ring, viewer).find(|at| fits(&edges[*at].id)))
    }

    /// Returns the edges of a ring's points, starting behind the viewer's point.
    fn points(ring: &[(u64, usize)], viewer: u64) -> impl Iterator<Item = usize> {
        let first = ring.partition_point(|(point, _)| *point < viewer);
        let (before, behind) = ring.split_at(first);
        behind.iter().chain(before).map(|(_, at)| *at)
    }
}

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
