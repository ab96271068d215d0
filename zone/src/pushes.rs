//! Pushes of streams to targets: one row each, written by the worker of the publisher, so that all workers can report
//! the state.

use weir_model::{
    Timestamp,
    target::{PushState, PushView, TargetId},
};

use crate::arena::{Locked, Mutex, Zone};
use crate::block::{Block, BlockKind, Index};
use crate::error::ZoneFull;
use crate::streams::{BYTES_OUT, OWNER, SESSION, SHAPE, SINCE, StreamId, clip, owner};
use crate::workers::WorkerId;

// The first words have the same meaning as in a stream's row.
const STATE: usize = 6;
const RATE: usize = 8;
const RECONNECTS: usize = 9;
const RETRY_AT: usize = 10;
const TARGET: usize = 11;
const OF_SESSION: usize = 12;

/// Maximum length of a stored error, in bytes.
pub const MAX_PUSH_ERROR: usize = 200;

/// A stream to push to a target.
#[derive(Debug, Clone)]
pub struct NewPush<'a> {
    /// The id of the target.
    pub target: TargetId,
    /// The row of the stream.
    pub stream: StreamId,
    /// The application of the stream.
    pub app: &'a str,
    /// The public name of the stream.
    pub name: &'a str,
    /// The initial state.
    pub state: PushState,
    /// The worker of the publisher.
    pub worker: WorkerId,
}

/// The id of the row of one stream at one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushId(StreamId);

#[cfg(test)]
impl PushId {
    pub(crate) fn row(self) -> StreamId {
        self.0
    }
}

#[cfg(test)]
impl From<StreamId> for PushId {
    fn from(id: StreamId) -> PushId {
        PushId(id)
    }
}

/// The zone's facts about a stream at a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivePush {
    /// The id of its row.
    pub id: PushId,
    /// The id of the target.
    pub target: TargetId,
    /// The stream, by [`StreamId::session`].
    pub session: u64,
    /// The application of the stream.
    pub app: String,
    /// The public name of the stream.
    pub name: String,
    /// Process id of the worker of the publisher.
    pub worker_pid: u32,
    /// The step that the push has reached.
    pub state: PushState,
    /// The time of the last change of state.
    pub since: Timestamp,
    /// The time of the next try, if it waits for one.
    pub retry_at: Option<Timestamp>,
    /// Bytes sent to the target.
    pub bytes_out: u64,
    /// Bits per second sent to the target.
    pub bitrate_out: u64,
    /// The number of retries.
    pub reconnects: u64,
    /// The reason of the last failure, if there was one.
    pub last_error: Option<String>,
}

impl LivePush {
    /// Returns the form that the API shows.
    #[must_use]
    pub fn view(self, now: Timestamp) -> PushView {
        let waits = self.retry_at.filter(|_| self.state == PushState::Waiting);
        PushView {
            stream: self.name,
            state: self.state,
            since: self.since,
            retry_in_ms: waits.map(|at| at.as_millis().saturating_sub(now.as_millis())),
            bytes_out: self.bytes_out,
            bitrate_out: self.bitrate_out,
            reconnects: self.reconnects,
            last_error: self.last_error,
        }
    }
}

/// The row of one stream at one target, for the worker that owns it. It needs no lock.
#[derive(Clone, Copy)]
pub struct PushRow<'z> {
    block: &'z Block,
}

impl PushRow<'_> {
    /// Stores the facts of the last second: bytes in total, over all connections, and bits per second.
    pub fn describe(&self, bytes_out: u64, bitrate_out: u64) {
        self.block.set(BYTES_OUT, bytes_out);
        self.block.set(RATE, bitrate_out);
    }

    /// Counts a retry.
    pub fn count_reconnect(&self) {
        self.block.add(RECONNECTS, 1);
    }
}

impl<'z, M: Mutex> Zone<'z, M> {
    /// Returns the row of a push that the calling worker owns.
    pub fn push_row(&self, id: PushId) -> Option<PushRow<'z>> {
        self.own_block(BlockKind::Push, id.0).map(|block| PushRow { block })
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Adds a row for a stream at a target.
    pub fn add_push(&self, new: &NewPush<'_>, now: Timestamp) -> Result<PushId, ZoneFull> {
        let session = self.next_session();
        let (app, name) = (clip(new.app, 255), clip(new.name, 255));
        let text = [app.as_bytes(), name.as_bytes()].concat();
        // The reserve leaves space for publishers, even with many targets.
        let place = self.write(BlockKind::Push, &text, self.reserve() / 4, |row| {
            row.set(SESSION, session);
            row.set(SINCE, now.as_millis());
            row.set(SHAPE, (app.len() as u64) << 8 | name.len() as u64);
            row.set(OWNER, new.worker.to_word());
            row.set(STATE, new.state.number().into());
            row.set(TARGET, new.target.0);
            row.set(OF_SESSION, new.stream.session());
        })?;
        Ok(PushId(StreamId { place, session }))
    }

    /// Sets the state and the time of its change. If `last_error` is `None`, the old error stays. The error is cut to
    /// [`MAX_PUSH_ERROR`], and removed if the zone has no space for it.
    pub fn set_push_state(
        &self,
        id: PushId,
        state: PushState,
        since: Timestamp,
        retry_at: Option<Timestamp>,
        last_error: Option<&str>,
    ) {
        let Some(row) = self.zone.own_block(BlockKind::Push, id.0) else { return };
        row.set(STATE, state.number().into());
        row.set(SINCE, since.as_millis());
        row.set(RETRY_AT, retry_at.map_or(0, Timestamp::as_millis));
        if let Some(error) = last_error {
            let (app, name, before) = self.push_text(row);
            let error = clip(error, MAX_PUSH_ERROR);
            if before != error {
                let text = [&app, &name, error].concat();
                let reserve = self.reserve() / 4;
                let written = self.replace_tails(row, text.as_bytes(), reserve);
                // An old error would be wrong.
                let _ =
                    written.or_else(|_| self.replace_tails(row, [app, name].concat().as_bytes(), reserve));
            }
        }
    }

    /// Removes the push of a stream that has ended or is no longer pushed there.
    pub fn remove_push(&self, id: PushId) {
        if self.zone.own_block(BlockKind::Push, id.0).is_some() {
            self.free_record(id.0.place);
        }
    }

    /// Returns every push of a live worker, the oldest first.
    #[must_use]
    pub fn pushes(&self, alive: impl Fn(u32) -> bool) -> Vec<LivePush> {
        let rows = self.records(BlockKind::Push).filter_map(|(place, row)| {
            let pid = self.zone.owner_pid(owner(row)).filter(|pid| alive(*pid))?;
            Some(self.read_push(place, row, pid))
        });
        let mut pushes: Vec<LivePush> = rows.collect();
        pushes.sort_by_key(|push| push.id.0.session());
        pushes
    }

    pub(crate) fn read_push(&self, place: Index, row: &Block, worker_pid: u32) -> LivePush {
        let (app, name, error) = self.push_text(row);
        LivePush {
            id: PushId(StreamId { place, session: row.word(SESSION) }),
            target: TargetId(row.word(TARGET)),
            session: row.word(OF_SESSION),
            app,
            name,
            worker_pid,
            state: PushState::from_number(row.word(STATE) as u8),
            since: Timestamp::from_millis(row.word(SINCE)),
            retry_at: Some(row.word(RETRY_AT)).filter(|at| *at != 0).map(Timestamp::from_millis),
            bytes_out: row.word(BYTES_OUT),
            bitrate_out: row.word(RATE),
            reconnects: row.word(RECONNECTS),
            last_error: Some(error).filter(|error| !error.is_empty()),
        }
    }

    /// Returns application, name and the last error. The error takes the rest of the blocks, up to the zeros that fill
    /// the last of them, so that one store replaces it.
    fn push_text(&self, row: &Block) -> (String, String, String) {
        let [app, name] = [8, 0].map(|shift| (row.word(SHAPE) >> shift & 0xff) as usize);
        let text = self.text(row, app + name + MAX_PUSH_ERROR);
        let text = String::from_utf8_lossy(&text);
        let (app, rest) = text.split_at_checked(app).unwrap_or_default();
        let (name, error) = rest.split_at_checked(name).unwrap_or_default();
        (app.to_owned(), name.to_owned(), error.trim_end_matches('\0').to_owned())
    }
}
