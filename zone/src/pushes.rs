//! Streams at their targets: a row each, of the worker that has the publisher, so that all workers can tell how
//! it stands.

use weir_model::{
    Timestamp,
    target::{PushState, PushView, TargetId},
};

use crate::arena::{Locked, Mutex, Zone};
use crate::block::{Block, BlockKind, Index};
use crate::error::ZoneFull;
use crate::streams::{BYTES_OUT, OWNER, SESSION, SHAPE, SINCE, StreamId, clip, owner};
use crate::workers::WorkerId;

// The first words have the meaning that they have in a stream's row.
const STATE: usize = 6;
const RATE: usize = 8;
const RECONNECTS: usize = 9;
const RETRY_AT: usize = 10;
const TARGET: usize = 11;
const OF_SESSION: usize = 12;

/// The longest error that is kept, in bytes.
pub const MAX_PUSH_ERROR: usize = 200;

/// A stream that is to be pushed to a target.
#[derive(Debug, Clone)]
pub struct NewPush<'a> {
    /// The target.
    pub target: TargetId,
    /// The row of the stream.
    pub stream: StreamId,
    /// Its application.
    pub app: &'a str,
    /// Its public name.
    pub name: &'a str,
    /// How it stands at first.
    pub state: PushState,
    /// The worker that has the publisher.
    pub worker: WorkerId,
}

/// The row of one stream at one target.
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

/// What the zone knows of a stream at a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivePush {
    /// Its row.
    pub id: PushId,
    /// The target.
    pub target: TargetId,
    /// The stream, as [`StreamId::session`] tells it.
    pub session: u64,
    /// Its application.
    pub app: String,
    /// Its public name.
    pub name: String,
    /// Process id of the worker that has the publisher.
    pub worker_pid: u32,
    /// How it stands.
    pub state: PushState,
    /// Since when it stands so.
    pub since: Timestamp,
    /// When it is tried again, if it waits for that.
    pub retry_at: Option<Timestamp>,
    /// Bytes sent to the target.
    pub bytes_out: u64,
    /// Bits a second sent to the target.
    pub bitrate_out: u64,
    /// How often it was tried again.
    pub reconnects: u64,
    /// Why it failed last, if it ever did.
    pub last_error: Option<String>,
}

impl LivePush {
    /// As the API shows it.
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

/// The row of one stream at one target, for the worker that owns it. No lock is taken.
#[derive(Clone, Copy)]
pub struct PushRow<'z> {
    block: &'z Block,
}

impl PushRow<'_> {
    /// What was found out in the last second: bytes in all, over all connections that were made, and bits a
    /// second.
    pub fn describe(&self, bytes_out: u64, bitrate_out: u64) {
        self.block.set(BYTES_OUT, bytes_out);
        self.block.set(RATE, bitrate_out);
    }

    /// It is tried again.
    pub fn count_reconnect(&self) {
        self.block.add(RECONNECTS, 1);
    }
}

impl<'z, M: Mutex> Zone<'z, M> {
    /// The row of a push that the calling worker owns.
    pub fn push_row(&self, id: PushId) -> Option<PushRow<'z>> {
        self.own_block(BlockKind::Push, id.0).map(|block| PushRow { block })
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// A row for a stream at a target.
    pub fn add_push(&self, new: &NewPush<'_>, now: Timestamp) -> Result<PushId, ZoneFull> {
        let session = self.next_session();
        let (app, name) = (clip(new.app, 255), clip(new.name, 255));
        let text = [app.as_bytes(), name.as_bytes()].concat();
        // However many targets there are, publishers find room.
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

    /// How it stands now, and since when. `last_error` is kept when it is `None`, cut to
    /// [`MAX_PUSH_ERROR`], and left out when the zone has no room for it.
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
                // An old error would be a wrong one.
                let _ =
                    written.or_else(|_| self.replace_tails(row, [app, name].concat().as_bytes(), reserve));
            }
        }
    }

    /// A stream ended, or is not pushed there any more.
    pub fn remove_push(&self, id: PushId) {
        if self.zone.own_block(BlockKind::Push, id.0).is_some() {
            self.free_record(id.0.place);
        }
    }

    /// Every push of a worker that is alive, the longest there first.
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

    /// Application, name and the last error. The error has what the others leave of the blocks, up to the zeros
    /// that fill the last of them: so one store replaces it.
    fn push_text(&self, row: &Block) -> (String, String, String) {
        let [app, name] = [8, 0].map(|shift| (row.word(SHAPE) >> shift & 0xff) as usize);
        let text = self.text(row, app + name + MAX_PUSH_ERROR);
        let text = String::from_utf8_lossy(&text);
        let (app, rest) = text.split_at_checked(app).unwrap_or_default();
        let (name, error) = rest.split_at_checked(name).unwrap_or_default();
        (app.to_owned(), name.to_owned(), error.trim_end_matches('\0').to_owned())
    }
}
