//! The streams that somebody watches. Each is played from nginx once, by the daemon itself, which counts as no player.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::board::{Board, Entry};
use super::source;
use super::station::{Counts, Kind, Station, Viewer};
use crate::context::Context;
use crate::streams::StreamId;

/// So many streams are played although nobody watches them.
const MOST_WARM: usize = 32;

/// The streams that somebody watches.
#[derive(Debug)]
pub struct Hub {
    context: Arc<Context>,
    board: Arc<Board>,
    stations: Mutex<BTreeMap<StreamId, Arc<Station>>>,
}

impl Hub {
    /// Nobody watches yet.
    pub fn new(context: Arc<Context>, board: Arc<Board>) -> Arc<Self> {
        Arc::new(Self { context, board, stations: Mutex::default() })
    }

    /// Plays streams although nobody watches them yet, so that the first edge that asks has the newest group of pictures immediately.
    /// Never ends.
    pub async fn keep_warm(self: Arc<Self>) {
        let mut live = self.board.watch();
        let mut kept: BTreeMap<StreamId, Viewer> = BTreeMap::new();
        loop {
            let ids: Vec<StreamId> = live.borrow_and_update().iter().map(Entry::id).collect();
            kept.retain(|id, _| ids.contains(id));
            for id in ids {
                if kept.len() < MOST_WARM && !kept.contains_key(&id) {
                    kept.extend(self.watch(&id, Kind::Uncounted).map(|viewer| (id, viewer)));
                }
            }
            if live.changed().await.is_err() {
                return;
            }
        }
    }

    /// What is live.
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    fn stations(&self) -> MutexGuard<'_, BTreeMap<StreamId, Arc<Station>>> {
        self.stations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody watches a stream; none when it is not live. The first viewer has it played.
    pub fn watch(self: &Arc<Self>, id: &StreamId, kind: Kind) -> Option<Viewer> {
        self.board.find(id)?;
        self.with_station(id, |station| station.enter(kind))
    }

    /// The station of a stream, for somebody who asks for Low-Latency HLS; none when it is not live.
    pub fn station(self: &Arc<Self>, id: &StreamId) -> Option<Arc<Station>> {
        self.with_station(id, |station| {
            station.touch();
            station.clone()
        })
    }

    fn with_station<T>(self: &Arc<Self>, id: &StreamId, act: impl FnOnce(&Arc<Station>) -> T) -> Option<T> {
        let is_live = self.board.find(id).is_some();
        let mut stations = self.stations();
        if let Some(station) = stations.get(id) {
            // Its publisher may return.
            return Some(act(station));
        }
        if !is_live {
            return None;
        }
        let station = Station::new(id.clone());
        let found = act(&station);
        stations.insert(id.clone(), station.clone());
        let hub = self.clone();
        tokio::spawn(async move {
            source::run(&station, &hub.context, &hub.board, || hub.leave(&station)).await;
            hub.forget(&station);
        });
        Some(found)
    }

    /// Takes a station away that nobody has watched for a while; false when somebody does.
    fn leave(&self, station: &Station) -> bool {
        let mut stations = self.stations();
        let is_idle = station.idle().is_some_and(|idle| idle >= source::LINGER);
        if is_idle {
            stations.remove(&station.id);
        }
        is_idle
    }

    fn forget(&self, station: &Arc<Station>) {
        let mut stations = self.stations();
        if stations.get(&station.id).is_some_and(|known| Arc::ptr_eq(known, station)) {
            stations.remove(&station.id);
        }
        station.close();
    }

    /// The station of a stream that somebody watches.
    pub fn known(&self, id: &StreamId) -> Option<Arc<Station>> {
        self.stations().get(id).cloned()
    }

    /// How many watch each stream.
    pub fn counts(&self) -> Vec<(StreamId, Counts)> {
        self.stations().values().map(|station| (station.id.clone(), station.counts())).collect()
    }

    /// Likewise of one.
    pub fn counts_of(&self, id: &StreamId) -> Counts {
        self.stations().get(id).map(|station| station.counts()).unwrap_or_default()
    }
}
