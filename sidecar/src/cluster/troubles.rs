//! Streams that an edge cannot pull. The edge reports them, so that viewers of these streams are sent to other edges.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::streams::StreamId;

/// Most streams in a report.
pub(super) const MOST: usize = 50;
/// Time after the last attempt in which viewers are sent elsewhere. Without viewers, the edge does not try again.
const MEMORY: Duration = Duration::from_secs(300);

/// A stream whose last pull has failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    /// The stream, as `APP/NAME`.
    pub stream: String,
    /// The reason.
    pub error: String,
}

/// The streams whose last pull has failed. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Troubles(Arc<Mutex<BTreeMap<StreamId, (String, Instant)>>>);

impl Troubles {
    /// Notes that a pull has failed.
    pub(super) fn note(&self, id: &StreamId, why: &str) {
        self.known().insert(id.clone(), (why.to_owned(), Instant::now()));
    }

    /// Notes that media of a stream has come.
    pub(super) fn clear(&self, id: &StreamId) {
        self.known().remove(id);
    }

    /// Forgets all other streams: the origins do not offer them any more.
    pub(super) fn keep(&self, offered: &BTreeSet<StreamId>) {
        self.known().retain(|id, _| offered.contains(id));
    }

    /// Returns the streams and the reasons, at most [`MOST`].
    pub(super) fn all(&self) -> Vec<Trouble> {
        let trouble =
            |(id, (why, _)): (&StreamId, &(String, _))| Trouble { stream: path(id), error: why.clone() };
        self.known().iter().take(MOST).map(trouble).collect()
    }

    /// Returns the streams as `APP/NAME`, at most [`MOST`].
    pub(super) fn streams(&self) -> Vec<String> {
        self.known().keys().take(MOST).map(path).collect()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<StreamId, (String, Instant)>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (_, at)| at.elapsed() < MEMORY);
        known
    }
}

fn path(id: &StreamId) -> String {
    format!("{}/{}", id.0, id.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn troubles_end() {
        let id = |name: &str| -> StreamId { ("live".parse().unwrap(), name.parse().unwrap()) };
        let troubles = Troubles::default();
        for name in ["a", "b", "c"] {
            troubles.note(&id(name), "timed out");
        }
        troubles.clear(&id("a"));
        assert_eq!(troubles.streams(), ["live/b", "live/c"]);
        troubles.keep(&BTreeSet::from([id("b")]));
        assert_eq!(troubles.all(), [Trouble { stream: "live/b".into(), error: "timed out".into() }]);
        tokio::time::advance(MEMORY).await;
        assert_eq!(troubles.all(), []);
        (0..60).for_each(|nth| troubles.note(&id(&format!("s{nth}")), "x"));
        assert_eq!(troubles.streams().len(), MOST);
    }
}
