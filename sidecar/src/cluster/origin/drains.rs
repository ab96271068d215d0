//! The edges that an administrator drains, and their names.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::timeout;

use super::Origin;
use crate::cluster::record::EdgeId;
use crate::cluster::store;

/// Longest wait until the list of edges shows a change.
const SHOWN: Duration = Duration::from_secs(1);

impl Origin {
    /// Drains an edge, or ends its drain. `name` is the name of the edge, or its host if no other edge has the host. Returns the name, or
    /// `None` if there is no such edge.
    pub(crate) async fn drain(&self, name: &str, drained: bool) -> Result<Option<EdgeId>, store::Error> {
        let Some(id) = named(&self.names(), name) else { return Ok(None) };
        self.store.drain(id.clone(), drained).await?;
        // The store bunches its changes. The next list must show this one.
        let mut table = self.watch();
        drop(timeout(SHOWN, table.wait_for(|table| table.drained.contains(&id) == drained)).await);
        tracing::info!("edge {}, edge: {id}", if drained { "drained" } else { "no longer drained" });
        Ok(Some(id))
    }

    /// Returns the names of all edges.
    pub(crate) fn names(&self) -> BTreeSet<EdgeId> {
        let table = self.table.borrow();
        let listed = self.listed.iter().filter_map(|listed| listed.edge.name.parse().ok());
        listed.chain(table.edges.keys().cloned()).chain(table.drained.iter().cloned()).collect()
    }
}

/// Returns the edge of this name, or the only edge whose name is this host and a port.
fn named(edges: &BTreeSet<EdgeId>, name: &str) -> Option<EdgeId> {
    if let Some(id) = edges.iter().find(|id| id.as_str() == name) {
        return Some(id.clone());
    }
    let has_host = |id: &&EdgeId| {
        id.as_str()
            .rsplit_once(':')
            .is_some_and(|(host, port)| host == name && port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut of_host = edges.iter().filter(has_host);
    of_host.next().filter(|_| of_host.next().is_none()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_alone_names_the_only_edge_with_it() {
        let edges = ["a:8080", "b", "b:81", "c:1", "c:2", "[::1]:80", "d:x"];
        let edges = edges.iter().map(|name| name.parse().unwrap()).collect();
        let found = |name: &str| named(&edges, name).map(|id| id.to_string());
        for (name, expected) in [
            ("a", Some("a:8080")),
            ("a:8080", Some("a:8080")),
            ("b", Some("b")),
            ("c", None),
            ("c:2", Some("c:2")),
            ("[::1]", Some("[::1]:80")),
            ("d", None),
            ("e", None),
            ("", None),
        ] {
            assert_eq!(found(name).as_deref(), expected, "{name}");
        }
    }
}
