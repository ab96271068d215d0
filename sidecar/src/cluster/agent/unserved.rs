//! Applications whose viewers an edge cannot serve. The edge reports them, so that their viewers are sent to other edges.

use std::collections::BTreeSet;

use weir_model::AppName;

use super::{Origin, Shared};

impl Shared {
    /// Returns the applications of which no stream is pulled.
    pub(super) fn refused(&self) -> BTreeSet<AppName> {
        let lacks_revocations = self.revoked.is_behind();
        let mut refused = BTreeSet::new();
        for origin in &self.origins {
            let members = origin.members();
            refused.extend(members.refused().cloned());
            if lacks_revocations {
                refused.extend(members.apps().cloned());
            }
        }
        refused
    }

    /// Returns these applications, and those whose viewers have tokens of this origin that the edge does not accept.
    pub(super) fn unserved(&self, origin: &Origin) -> BTreeSet<AppName> {
        let mut unserved = self.refused();
        unserved.extend(origin.members().closed().cloned());
        unserved
    }
}
