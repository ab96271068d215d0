//! Chooses the edge of a viewer.

use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::Duration;

use super::{NoPlace, Origin, Place, Viewer};
use crate::cluster::record::EdgeId;
use crate::config::cluster::Region;

/// Assumed bitrate of a stream with an unknown bitrate, in bit/s.
const BITRATE: u64 = 3_000_000;
/// Most edges that are named to a page.
const NEAR: usize = 32;
/// Greatest age of the list of these edges.
const NEWS: Duration = Duration::from_secs(1);

impl Origin {
    /// Returns the edge for a viewer.
    pub(crate) fn place(&self, viewer: Viewer<'_>) -> Result<Place, NoPlace> {
        let (fleet, lacks) = self.fleet();
        let region = self.region(viewer.address);
        let table = self.table.borrow().clone();
        let refusing = lacks.refusing(viewer.stream);
        let fits = |id: &EdgeId| {
            !viewer.not.contains(id)
                && (!viewer.needs_daemon || table.edges.contains_key(id))
                && refusing.is_none_or(|refusing| !refusing.contains(id))
        };
        let choose = |fits: &dyn Fn(&EdgeId) -> bool| fleet.choose_from(viewer.hash, region, fits);
        // If no other edge takes viewers, an edge that could not pull the stream tries again.
        let others =
            lacks.failing(viewer.stream).map(|failing| choose(&|id| fits(id) && !failing.contains(id)));
        let Some(chosen) = others.flatten().or_else(|| choose(&fits)) else {
            return Err(if self.takes_viewers(fits) { NoPlace::Full } else { NoPlace::NoEdge });
        };
        if let Some(bitrate) = viewer.bitrate {
            let bitrate = if bitrate == 0 { BITRATE } else { bitrate };
            let mut assigned = self.assigned.lock().unwrap_or_else(PoisonError::into_inner);
            assigned.add(&chosen.id, viewer.hash, viewer.address, bitrate, self.now());
            drop(assigned);
            let mut prepared = self.prepared();
            prepared.margin = prepared.margin.saturating_sub(bitrate);
        }
        Ok(Place { edge: chosen.id.to_string(), address: chosen.address.clone() })
    }

    /// Returns whether any edge that fits takes viewers, or would if it were not full.
    fn takes_viewers(&self, fits: impl Fn(&EdgeId) -> bool) -> bool {
        let table = self.table.borrow();
        let reports = table.edges.values().map(|record| &record.report);
        let joined = reports.filter(|report| !report.draining).map(|report| report.id.clone());
        let listed = self.listed().filter_map(|edge| edge.name.parse::<EdgeId>().ok());
        let listed = listed.filter(|id| !table.edges.contains_key(id));
        joined.chain(listed).any(|id| !table.drained.contains(&id) && fits(&id))
    }

    /// Returns the region of a viewer.
    fn region(&self, address: IpAddr) -> Option<&str> {
        let is_here = |region: &&Region| region.networks.iter().any(|network| network.contains(address));
        self.regions.iter().find(is_here).map(|region| region.name.as_str())
    }

    /// Returns the addresses of edges for a viewer, at most [`NEAR`], in the order in which the viewer would be sent to them. Does not
    /// count the viewer anywhere.
    pub(crate) fn near(&self, hash: u64, address: Option<IpAddr>, not: &[EdgeId]) -> Vec<String> {
        // Each renewal of an edge asks for this list and changes the table, so the fleet is not prepared again for each renewal.
        let known = {
            let prepared = self.prepared();
            let is_new = prepared.of.as_ref().is_some_and(|(_, at)| at.elapsed() < NEWS);
            is_new.then(|| prepared.fleet.clone())
        };
        let fleet = known.unwrap_or_else(|| self.fleet().0);
        let region = address.and_then(|address| self.region(address));
        fleet.near(hash, region, not, NEAR).map(|edge| edge.address.clone()).collect()
    }
}
