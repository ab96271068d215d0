//! The nodes that the streams of this node have passed. Each relaying node adds itself to the path, so a node recognizes a returning
//! stream.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use data_encoding::HEXLOWER;

use crate::streams::StreamId;

/// Header with nodes, separated by commas: of an answer, those that the stream has passed; of a request, those that it comes from.
pub(crate) const VIA: &str = "weir-via";

/// Most nodes of a path. A longer chain is a mistake.
const MOST_HOPS: usize = 16;
/// Most nodes of a path that are read, and most bytes of a node's name.
const MOST_VIA: usize = 64;
const MOST_NAME: usize = 64;
/// Most streams whose requests are known.
const MOST_ASKED: usize = 1000;
/// Time for which a request for a stream is known.
const ASKED: Duration = Duration::from_secs(60);

/// Reason why a stream must not be relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Loop {
    /// The stream has passed this node.
    #[error("loop: the stream comes from this node; take it from the node that has the publisher")]
    Here,
    /// The stream has passed too many nodes.
    #[error("the stream has come over {MOST_HOPS} nodes already")]
    Long,
}

/// The paths of the relayed streams.
#[derive(Debug)]
pub(crate) struct Paths {
    /// Name of this node for other nodes: a random number of this process.
    node: String,
    relayed: Mutex<BTreeMap<StreamId, (u64, Vec<String>)>>,
    /// The newest request of another node for each stream that was not live: its time, and the nodes that it comes from.
    asked: Mutex<BTreeMap<StreamId, (Instant, Vec<String>)>>,
}

/// Returns the nodes that a header names.
pub(crate) fn via(headers: &HeaderMap) -> Vec<String> {
    let text = headers.get(VIA).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let names = text.split(',').map(str::trim);
    let names = names.filter(|node| !node.is_empty() && node.len() <= MOST_NAME).take(MOST_VIA);
    names.map(str::to_owned).collect()
}

impl Paths {
    /// Returns an empty set of paths.
    ///
    /// # Errors
    ///
    /// The system has no random bytes.
    pub(crate) fn new() -> Result<Arc<Self>, getrandom::Error> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)?;
        Ok(Arc::new(Self {
            node: HEXLOWER.encode(&random),
            relayed: Mutex::default(),
            asked: Mutex::default(),
        }))
    }

    fn relayed(&self) -> MutexGuard<'_, BTreeMap<StreamId, (u64, Vec<String>)>> {
        self.relayed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the path of a stream of this node. This node is the first.
    pub(crate) fn of(&self, id: &StreamId) -> Vec<String> {
        let before = self.relayed().get(id).map(|(_, path)| path.clone()).unwrap_or_default();
        std::iter::once(self.node.clone()).chain(before).collect()
    }

    /// Notes a request of another node for a stream that starts on demand and is not live. This node asks the next one on its behalf.
    pub(crate) fn ask(&self, id: &StreamId, via: Vec<String>) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() >= MOST_ASKED && !asked.contains_key(id) {
            asked.retain(|_, (at, _)| at.elapsed() < ASKED);
            if asked.len() >= MOST_ASKED {
                return;
            }
        }
        // A viewer of this node is no part of a loop, whatever other requests say.
        if asked.get(id).is_none_or(|(at, known)| at.elapsed() >= ASKED || via.len() <= known.len()) {
            asked.insert(id.clone(), (Instant::now(), via));
        }
    }

    /// Returns the nodes that a request of this node for a stream comes from. This node is the first.
    pub(super) fn asking(&self, id: &StreamId) -> Vec<String> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let before = asked.get(id).filter(|(at, _)| at.elapsed() < ASKED).map(|(_, via)| via.clone());
        std::iter::once(self.node.clone()).chain(before.unwrap_or_default()).collect()
    }

    /// Checks that a stream with this path may be relayed, or that a request which comes from these nodes may ask others.
    pub(crate) fn check(&self, path: &[String]) -> Result<(), Loop> {
        match path {
            _ if path.contains(&self.node) => Err(Loop::Here),
            _ if path.len() >= MOST_HOPS => Err(Loop::Long),
            _ => Ok(()),
        }
    }

    /// Notes the path of a relayed stream until the entry is dropped.
    pub(super) fn enter(self: &Arc<Self>, id: StreamId, path: Vec<String>) -> Entry {
        let mut relayed = self.relayed();
        let number = relayed.values().map(|(number, _)| number + 1).max().unwrap_or_default();
        relayed.insert(id.clone(), (number, path));
        Entry { paths: self.clone(), id, number }
    }
}

/// A relayed stream.
#[derive(Debug)]
pub(super) struct Entry {
    paths: Arc<Paths>,
    id: StreamId,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut relayed = self.paths.relayed();
        if relayed.get(&self.id).is_some_and(|(number, _)| *number == self.number) {
            relayed.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_was_here_is_known() {
        let (a, b, c) = (Paths::new().unwrap(), Paths::new().unwrap(), Paths::new().unwrap());
        let id: StreamId = ("live".parse().unwrap(), "show".parse().unwrap());
        let of_a = a.of(&id);
        assert_eq!((b.check(&of_a), a.check(&of_a)), (Ok(()), Err(Loop::Here)));
        let entry = b.enter(id.clone(), of_a);
        let of_b = b.of(&id);
        assert_eq!(
            (c.check(&of_b), a.check(&of_b), b.check(&of_b)),
            (Ok(()), Err(Loop::Here), Err(Loop::Here))
        );
        assert_eq!(of_b.len(), 2);
        drop(entry);
        assert_eq!(a.check(&b.of(&id)), Ok(()));
        assert_eq!(a.check(&vec!["x".to_owned(); MOST_HOPS]), Err(Loop::Long));
    }

    #[test]
    fn a_request_that_returns_is_known() {
        let (a, b, c) = (Paths::new().unwrap(), Paths::new().unwrap(), Paths::new().unwrap());
        let id: StreamId = ("live".parse().unwrap(), "show".parse().unwrap());
        b.ask(&id, a.asking(&id));
        c.ask(&id, b.asking(&id));
        assert_eq!(a.check(&c.asking(&id)), Err(Loop::Here));
        let other = ("live".parse().unwrap(), "other".parse().unwrap());
        assert_eq!(a.check(&c.asking(&other)), Ok(()));
        let mut headers = HeaderMap::new();
        headers.insert(VIA, "a, b,,c".parse().unwrap());
        assert_eq!(via(&headers), ["a", "b", "c"]);
    }
}
