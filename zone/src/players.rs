//! RTMP players: one row each, so that the zone counts them over all workers and a worker can be ordered to drop one.

use std::sync::atomic::Ordering::Relaxed;

use weir_model::{Digest, Secret, Server, Timestamp, verdict::Credential};

use crate::arena::{Locked, Mutex, Zone};
use crate::audiences::Watcher;
use crate::block::{Block, BlockKind, Index, pack, unpack};
use crate::error::ZoneFull;
use crate::streams::{BYTES_OUT, CLOSE, DROPPED, NewStream, ORDER, SESSION, SINCE, StreamId, clip, owner};
use crate::workers::WorkerId;

const RATE: usize = 9;
const AVSYNC: usize = 10;
/// 1 for one of the daemon's own players.
const OWN: usize = 11;
/// The record that counts the player + 1; 0 if the player is not counted.
const AUDIENCE: usize = 12;
/// The timestamp in the file that is played + 1; 0 for a player of a live stream.
const FILE: usize = 13;
/// Hex digits of a ticket.
const TICKET_LEN: usize = 32;

/// A client that wants to play a stream.
#[derive(Debug, Clone)]
pub struct NewPlayer<'a> {
    /// The `server` block of its connection.
    pub server: &'a Server,
    /// Application.
    pub app: &'a str,
    /// Public name of the stream.
    pub stream: &'a str,
    /// Address as text.
    pub addr: &'a str,
    /// The worker of the connection.
    pub worker: WorkerId,
    /// Whether it is the daemon's own player, which does not count as a viewer.
    pub own: bool,
}

/// The zone's facts about a player.
#[derive(Debug, Clone)]
pub struct LivePlayer {
    /// Its row.
    pub id: StreamId,
    /// The `server` block of its connection.
    pub server: Server,
    /// Application.
    pub app: String,
    /// Public name of the stream.
    pub stream: String,
    /// Its address.
    pub addr: String,
    /// Process id of the worker of the connection.
    pub worker_pid: u32,
    /// Whether it is the daemon's own player, which does not count as a viewer.
    pub own: bool,
    /// The time when it began to play.
    pub since: Timestamp,
    /// Bytes sent to it.
    pub bytes_out: u64,
    /// Bits per second sent to it.
    pub bitrate_out: u64,
    /// Messages that were dropped because it read too slowly.
    pub dropped: u64,
    /// How far the audio lags behind the video, in milliseconds.
    pub avsync_ms: i32,
    /// The timestamp in the file that it plays, in milliseconds; `None` for a player of a live stream.
    pub file_ms: Option<u32>,
}

/// The row of one player, for the worker that owns it. It needs no lock.
#[derive(Clone, Copy)]
pub struct PlayerRow<'z> {
    block: &'z Block,
}

impl PlayerRow<'_> {
    /// Stores the facts of the last second: bytes in total, bits per second, dropped messages in total, and how far the
    /// audio lags behind the video, in milliseconds.
    pub fn describe(&self, bytes_out: u64, bitrate_out: u64, dropped: u64, avsync_ms: i32) {
        self.block.set(AVSYNC, avsync_ms.cast_unsigned().into());
        self.block.set(BYTES_OUT, bytes_out);
        self.block.set(RATE, bitrate_out);
        self.block.set(DROPPED, dropped);
    }

    /// Stores the timestamp in the file that nginx-rtmp plays to it, in milliseconds; `None` for a live stream.
    pub fn set_file(&self, position_ms: Option<u32>) {
        self.block.set(FILE, position_ms.map_or(0, |position| u64::from(position) + 1));
    }

    /// Returns whether another worker has ordered to drop the player.
    #[must_use]
    pub fn is_ordered_to_close(&self) -> bool {
        self.block.word(ORDER) != 0
    }
}

impl<'z, M: Mutex> Zone<'z, M> {
    /// Returns the ticket that the daemon's own players present. Only clients of the API can read it. It stays the
    /// same while the zone exists.
    pub fn player_ticket(&self) -> Secret {
        let seed = self.root.seed.load(Relaxed).to_le_bytes();
        let digest = Digest::of(&[b"weir player ticket".as_slice(), &seed].concat());
        Secret::new(&digest.to_hex()[..TICKET_LEN])
    }

    /// Returns the secret of the tickets with which this nginx pulls from itself. No client can read it.
    pub fn pull_secret(&self) -> Secret {
        let seed = self.root.seed.load(Relaxed).to_le_bytes();
        Secret::new(Digest::of(&[b"weir pull".as_slice(), &seed].concat()).to_hex())
    }

    /// Returns the row of a player that the calling worker owns.
    pub fn player_row(&self, id: StreamId) -> Option<PlayerRow<'z>> {
        self.own_block(BlockKind::Player, id).map(|block| PlayerRow { block })
    }
}

impl<M: Mutex> Locked<'_, '_, M> {
    /// Adds a row for a player. The daemon's own players have rows too, because their worker may send them a stream of
    /// another worker.
    pub fn add_player(&self, new: &NewPlayer<'_>, now: Timestamp) -> Result<StreamId, ZoneFull> {
        let row = NewStream {
            server: new.server,
            folders: &[],
            app: new.app,
            name: new.stream,
            credential: Credential::Open,
            addr: new.addr,
            worker: new.worker,
        };
        // In a full zone a player that cannot be counted may still play.
        let audience = (!new.own)
            .then(|| self.enter_audience(clip(new.app, 255), clip(new.stream, 255), false).ok())
            .flatten();
        // The reserve leaves space for publishers, even with many players.
        let id = self.insert_row(BlockKind::Player, &row, now, self.reserve() / 2, |row| {
            row.set(OWN, new.own.into());
            row.set(AUDIENCE, pack(audience));
            row.set(FILE, 0);
        })?;
        if let Some(audience) = audience {
            self.came(audience, Watcher::Player);
        }
        Ok(id)
    }

    /// Frees a player's row, and ends its count.
    pub(crate) fn free_player(&self, place: Index, row: &Block) {
        let audience = audience(row);
        self.remove(self.row_hash(row), place);
        if let Some(audience) = audience {
            self.went(audience, Watcher::Player);
        }
    }

    /// Removes a player, and adds its sent bytes to its stream.
    pub fn remove_player(&self, id: StreamId) {
        let Some(player) = self.zone.own_block(BlockKind::Player, id) else { return };
        let text = self.row_text(player);
        if player.word(OWN) == 0
            && let Some((_, stream)) = self.find_stream(&text.server, &text.app, &text.name)
        {
            stream.add(BYTES_OUT, player.word(BYTES_OUT));
            stream.add(DROPPED, player.word(DROPPED));
        }
        self.free_player(id.place, player);
    }

    /// Returns every player of a live worker, the oldest first.
    #[must_use]
    pub fn players(&self, alive: impl Fn(u32) -> bool) -> Vec<LivePlayer> {
        let rows = self.records(BlockKind::Player).filter_map(|(place, row)| {
            let pid = self.zone.owner_pid(owner(row)).filter(|pid| alive(*pid))?;
            Some(self.read_player(place, row, pid))
        });
        let mut players: Vec<LivePlayer> = rows.collect();
        players.sort_by_key(|player| player.id.session());
        players
    }

    /// Orders the worker of a player to drop it. Returns whether the player was there, at this stream.
    pub fn order_drop(&self, app: &str, stream: &str, session: u64) -> bool {
        let mut rows = self.records(BlockKind::Player);
        let found = rows.find(|(_, row)| {
            row.word(SESSION) == session && {
                let text = self.row_text(row);
                text.app == app && text.name == stream
            }
        });
        if let Some((_, row)) = found {
            row.set(ORDER, CLOSE);
            self.order();
        }
        found.is_some()
    }

    fn read_player(&self, place: Index, row: &Block, worker_pid: u32) -> LivePlayer {
        let text = self.row_text(row);
        LivePlayer {
            id: StreamId { place, session: row.word(SESSION) },
            server: text.server,
            app: text.app,
            stream: text.name,
            addr: text.addr,
            worker_pid,
            own: row.word(OWN) != 0,
            since: Timestamp::from_millis(row.word(SINCE)),
            bytes_out: row.word(BYTES_OUT),
            bitrate_out: row.word(RATE),
            dropped: row.word(DROPPED),
            avsync_ms: (row.word(AVSYNC) as u32).cast_signed(),
            file_ms: row.word(FILE).checked_sub(1).map(|position| position as u32),
        }
    }
}

/// Returns the record that counts a player.
pub(crate) fn audience(row: &Block) -> Option<Index> {
    unpack(row.word(AUDIENCE))
}
