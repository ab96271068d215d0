//! What an edge knows of its place in the cluster, for `weir doctor`, `weir check node`, and the pages.

use std::net::IpAddr;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use weir_model::link::Base;

use super::{Membership, Origin, Shared, Standing};
use crate::clock;
use crate::cluster::troubles::Trouble;
use crate::cluster::{credential, voice};

impl Membership {
    /// Returns one standing per origin, in the order of weir.toml.
    pub(crate) fn standings(&self) -> Vec<Standing> {
        let standing = |origin: &Origin| {
            let members = origin.members();
            Standing {
                origin: origin.url.as_str().to_owned(),
                state: origin.told().state.clone(),
                skew_ms: *origin.skew.lock().unwrap_or_else(PoisonError::into_inner),
                leaks: members.leaks().to_vec(),
                has_other_secret: members.has_other_secret,
            }
        };
        self.0.origins.iter().map(standing).collect()
    }

    /// Returns the streams whose last pull has failed.
    pub(crate) fn troubles(&self) -> Vec<Trouble> {
        self.0.troubles.all()
    }

    /// Returns the addresses of other edges from the origins' last answers.
    pub(crate) fn neighbours(&self) -> Vec<String> {
        let mut all = Vec::new();
        for origin in &self.0.origins {
            for address in origin.neighbours.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                if !all.contains(address) {
                    all.push(address.clone());
                }
            }
        }
        all
    }

    /// Returns the first origin, and the headers with which this edge speaks there for a viewer, or `None` if the system has no random
    /// bytes.
    pub(crate) fn speak_for(&self, viewer: IpAddr) -> Option<(Base, Vec<(&'static str, String)>)> {
        let Shared { key, claim, origins, .. } = &*self.0;
        let origin = origins.first()?;
        let time = clock::now().as_millis().saturating_add_signed(origin.offset.load(Ordering::Relaxed));
        let mut headers = vec![(voice::HEADER, voice::sign(key, viewer, time)?)];
        headers.extend(claim.as_ref().map(|claim| (credential::HEADER, claim.header())));
        Some((origin.url.clone(), headers))
    }
}
