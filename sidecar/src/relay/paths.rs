//! Over which nodes the streams of this node came. Each node that relays adds itself, so a stream that comes back is known by its path.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use data_encoding::HEXLOWER;

use crate::streams::StreamId;

/// A chain of more nodes is a mistake.
const MOST_HOPS: usize = 16;

/// A stream that is not to be relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loop {
    /// It was here before.
    #[error("loop: the stream comes from this node; take it from the node that has the publisher")]
    Here,
    /// It has come over too many nodes.
    #[error("the stream has come over {MOST_HOPS} nodes already")]
    Long,
}

/// Over which nodes streams came.
#[derive(Debug)]
pub struct Paths {
    /// This node, as others know it: a random number of this process.
    node: String,
    relayed: Mutex<BTreeMap<StreamId, (u64, Vec<String>)>>,
}

impl Paths {
    /// Nothing is relayed yet.
    ///
    /// # Errors
    ///
    /// The system has no random bytes.
    pub fn new() -> Result<Arc<Self>, getrandom::Error> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)?;
        Ok(Arc::new(Self { node: HEXLOWER.encode(&random), relayed: Mutex::default() }))
    }

    fn relayed(&self) -> MutexGuard<'_, BTreeMap<StreamId, (u64, Vec<String>)>> {
        self.relayed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The path of a stream of this node, this node first.
    pub fn of(&self, id: &StreamId) -> Vec<String> {
        let before = self.relayed().get(id).map(|(_, path)| path.clone()).unwrap_or_default();
        std::iter::once(self.node.clone()).chain(before).collect()
    }

    /// Whether a stream that came over these nodes may be relayed.
    pub(super) fn check(&self, path: &[String]) -> Result<(), Loop> {
        match path {
            _ if path.contains(&self.node) => Err(Loop::Here),
            _ if path.len() >= MOST_HOPS => Err(Loop::Long),
            _ => Ok(()),
        }
    }

    /// A stream is relayed here, over these nodes, until the answer is dropped.
    pub(super) fn enter(self: &Arc<Self>, id: StreamId, path: Vec<String>) -> Entry {
        let mut relayed = self.relayed();
        let number = relayed.values().map(|(number, _)| number + 1).max().unwrap_or_default();
        relayed.insert(id.clone(), (number, path));
        Entry { paths: self.clone(), id, number }
    }
}

/// A stream that is relayed.
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
}
