//! The watched streams. The daemon plays each of them from nginx once, and nginx does not count the daemon as a player.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::board::{Board, Entry};
use super::source;
use super::station::{Counts, Station, Viewer, ViewerKind};
use crate::config::Config;
use crate::context::Context;
use crate::streams::StreamId;

/// Time for which Low-Latency HLS of a stream that is over can be played to its end.
const REMAINS: Duration = Duration::from_secs(30);
/// Most streams that are played although nobody watches them.
const MOST_WARM: usize = 32;

/// A function that returns the stream that a rendition is of.
pub(crate) type SourceOf = fn(&Config, &StreamId) -> Option<StreamId>;

/// The watched streams.
#[derive(Debug)]
pub(crate) struct Hub {
    context: Arc<Context>,
    board: Arc<Board>,
    /// Returns the stream that a rendition is of.
    source_of: SourceOf,
    stations: Mutex<BTreeMap<StreamId, Arc<Station>>>,
    /// Stations whose stream is over, and the time of that.
    over: Mutex<BTreeMap<StreamId, (Arc<Station>, Instant)>>,
}

impl Hub {
    /// Returns a hub without stations.
    pub(crate) fn new(context: Arc<Context>, board: Arc<Board>, source_of: SourceOf) -> Arc<Self> {
        Arc::new(Self { context, board, source_of, stations: Mutex::default(), over: Mutex::default() })
    }

    /// Plays streams although nobody watches them yet, so that the first edge that asks gets the newest group of pictures immediately.
    /// Never returns.
    pub(crate) async fn keep_warm(self: Arc<Self>) {
        let mut live = self.board.watch();
        let mut kept: BTreeMap<StreamId, Viewer> = BTreeMap::new();
        loop {
            let ids: Vec<StreamId> = live.borrow_and_update().iter().map(Entry::id).collect();
            kept.retain(|id, _| ids.contains(id));
            for id in ids {
                if kept.len() < MOST_WARM && !kept.contains_key(&id) {
                    kept.extend(self.watch(&id, ViewerKind::Uncounted).map(|viewer| (id, viewer)));
                }
            }
            if live.changed().await.is_err() {
                return;
            }
        }
    }

    /// Returns the list of live streams.
    pub(crate) fn board(&self) -> &Arc<Board> {
        &self.board
    }

    fn stations(&self) -> MutexGuard<'_, BTreeMap<StreamId, Arc<Station>>> {
        self.stations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a viewer of a stream. Returns `None` if the stream is not live. The first viewer starts the station.
    pub(crate) fn watch(self: &Arc<Self>, id: &StreamId, kind: ViewerKind) -> Option<Viewer> {
        self.board.find(id)?;
        self.with_station(id, |station| station.enter(kind))
    }

    /// Returns the station of a stream for a Low-Latency HLS request, or `None` if the stream is not live. The station of a stream that
    /// has just ended remains for a while, so that players reach the end.
    pub(crate) fn station(self: &Arc<Self>, id: &StreamId) -> Option<Arc<Station>> {
        let station = self.with_station(id, |station| {
            station.touch();
            station.clone()
        });
        station.or_else(|| self.over().get(id).map(|(station, _)| station.clone()))
    }

    /// Returns the stations whose stream has ended less than [`REMAINS`] ago.
    fn over(&self) -> MutexGuard<'_, BTreeMap<StreamId, (Arc<Station>, Instant)>> {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        over.retain(|_, (_, since)| since.elapsed() < REMAINS);
        over
    }

    fn with_station<T>(self: &Arc<Self>, id: &StreamId, act: impl FnOnce(&Arc<Station>) -> T) -> Option<T> {
        let is_live = self.board.find(id).is_some();
        let mut stations = self.stations();
        if let Some(station) = stations.get(id) {
            // The publisher of a known station may return, so the station stays valid without it.
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
            let family = || (hub.source_of)(&hub.context.config(), &station.id);
            source::run(&station, &hub.context, &hub.board, family, || hub.leave(&station)).await;
            hub.forget(&station);
        });
        Some(found)
    }

    /// Removes a station that nobody has watched for a while. Returns false if it has viewers.
    fn leave(&self, station: &Station) -> bool {
        let mut stations = self.stations();
        let is_idle = station.idle().is_some_and(|idle| idle >= source::LINGER);
        if is_idle {
            stations.remove(&station.id);
        }
        is_idle
    }

    fn forget(self: &Arc<Self>, station: &Arc<Station>) {
        let mut stations = self.stations();
        if stations.get(&station.id).is_some_and(|known| Arc::ptr_eq(known, station)) {
            stations.remove(&station.id);
        }
        station.close();
        if station.is_away() && station.newest_part().is_some() {
            self.over().insert(station.id.clone(), (station.clone(), Instant::now()));
            let hub = self.clone();
            tokio::spawn(async move {
                sleep(REMAINS).await;
                drop(hub.over());
            });
        }
    }

    /// Returns the station of a stream that is watched.
    pub(crate) fn known(&self, id: &StreamId) -> Option<Arc<Station>> {
        self.stations().get(id).cloned()
    }

    /// Returns the numbers of viewers per stream.
    pub(crate) fn counts(&self) -> Vec<(StreamId, Counts)> {
        self.stations().values().map(|station| (station.id.clone(), station.counts())).collect()
    }

    /// Returns the numbers of viewers of one stream.
    pub(crate) fn counts_of(&self, id: &StreamId) -> Counts {
        self.stations().get(id).map(|station| station.counts()).unwrap_or_default()
    }
}
