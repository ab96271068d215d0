//! The typed layout of the zone, and the division of its size.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use zerocopy::FromBytes;

use crate::bans::BanTable;
use crate::block::Block;
use crate::connections::ConnectionTable;
use crate::refusals::RefusalCounts;
use crate::throttle::ThrottleTable;
use crate::viewer_table::ViewerBucket;

/// Version of the layout. It must rise with any change of a type below: Weir refuses a reload into a module with
/// another version. A new word of a block needs no other version only if 0 means that it is unknown.
pub const VERSION: u64 = 9;

/// The smallest zone, in bytes: enough for the root and a few hundred records.
pub const MIN_SIZE: usize = 128 * 1024;

/// HTTP viewers, with 16 bytes each, get one of this many bytes: of the first megabyte, and of the rest.
const VIEWERS_SHARE: (usize, usize) = (16, 7);
const MEGABYTE: usize = 1 << 20;

/// Blocks that are reserved for workers: this many workers get a row even in a full zone.
pub(crate) const KEPT_FOR_WORKERS: usize = 64;
const MAGIC: u64 = u64::from_le_bytes(*b"weirzone");

/// The fixed part at the start of the zone.
#[derive(FromBytes)]
#[repr(C, align(128))]
pub struct Root {
    magic: AtomicU64,
    version: AtomicU64,
    /// Size from the configuration, in bytes.
    size: AtomicU64,
    /// Bytes of that size that the plan divides.
    piece: AtomicU64,
    /// Process id of the lock's holder, 0 if the lock is free.
    pub(crate) inside: AtomicU64,
    /// First free block + 1.
    pub(crate) free: AtomicU64,
    pub(crate) used: AtomicU64,
    /// A worker died with the lock: records of dead workers may be left.
    pub(crate) orphans: AtomicU64,
    /// No block from here on was ever used.
    pub(crate) touched: AtomicU64,
    /// Generation of the state file that the zone shows.
    pub(crate) generation: AtomicU64,
    /// Identifies the state file by its path.
    pub(crate) state_file: AtomicU64,
    /// Checksum of the state file that the zone shows, zeros if it shows none.
    pub(crate) content: [AtomicU64; 4],
    /// The file system's facts about that file.
    pub(crate) stamp: AtomicU64,
    /// The time when a worker last checked the file, in milliseconds.
    pub(crate) looked: AtomicU64,
    /// Keys were revoked that the state file may still contain.
    pub(crate) unsaved: AtomicU64,
    /// No previous secret ends before this time, in milliseconds; 0 means unknown.
    pub(crate) secrets_end: AtomicU64,
    /// The last attempt to write the state file failed.
    pub(crate) unwritten: AtomicU64,
    /// Rises with each order in a row for its worker.
    pub(crate) orders: AtomicU64,
    pub(crate) next_session: AtomicU64,
    pub(crate) next_worker: AtomicU64,
    /// The row of the last registered worker + 1; each row points to the previous one.
    pub(crate) last_worker: AtomicU64,
    /// Workers that have a row.
    pub(crate) workers: AtomicU64,
    /// The id before the first event of this zone.
    pub(crate) first_event: AtomicU64,
    pub(crate) last_event: AtomicU64,
    pub(crate) oldest_event: AtomicU64,
    pub(crate) newest_event: AtomicU64,
    /// Blocks of events.
    pub(crate) event_blocks: AtomicU64,
    /// Connections accepted.
    pub(crate) accepted: AtomicU64,
    pub(crate) seed: AtomicU64,
    /// Rises with each change of the list of push targets.
    pub(crate) targets: AtomicU64,
    /// Whether pushes are held: nothing is pushed.
    pub(crate) held: AtomicU64,
    /// Rises with each change of the revoked tokens.
    pub(crate) revocations: AtomicU64,
    /// The secret of the viewers' hash, so that no client can make two viewers look equal.
    pub(crate) viewer_secret: [AtomicU64; 2],
    /// Viewers over HTTP that have a row.
    pub(crate) viewers: AtomicU64,
    /// Number of the next bucket of viewers to examine; it is never reset.
    pub(crate) sweep: AtomicU64,
    /// The time when a viewer last found no row, in milliseconds of the monotonic clock; 0 means never.
    pub(crate) saturated: AtomicU64,
    /// The time of the daemon's last report, in milliseconds of the monotonic clock; 0 means never.
    pub(crate) reported: AtomicU64,
    /// The first record of the list of audiences + 1.
    pub(crate) audiences: AtomicU64,
    /// Blocks of audiences.
    pub(crate) audience_blocks: AtomicU64,
    /// Rises whenever a viewer comes or goes.
    pub(crate) audience_changes: AtomicU64,
    pub(crate) refusals: RefusalCounts,
    pub(crate) throttle: ThrottleTable,
    pub(crate) connections: ConnectionTable,
    pub(crate) bans: BanTable,
}

/// Returns zeros, like fresh memory.
impl Default for Root {
    fn default() -> Root {
        Root {
            magic: AtomicU64::default(),
            version: AtomicU64::default(),
            size: AtomicU64::default(),
            piece: AtomicU64::default(),
            inside: AtomicU64::default(),
            free: AtomicU64::default(),
            used: AtomicU64::default(),
            orphans: AtomicU64::default(),
            touched: AtomicU64::default(),
            generation: AtomicU64::default(),
            state_file: AtomicU64::default(),
            content: std::array::from_fn(|_| AtomicU64::default()),
            stamp: AtomicU64::default(),
            looked: AtomicU64::default(),
            unsaved: AtomicU64::default(),
            secrets_end: AtomicU64::default(),
            unwritten: AtomicU64::default(),
            orders: AtomicU64::default(),
            next_session: AtomicU64::default(),
            next_worker: AtomicU64::default(),
            last_worker: AtomicU64::default(),
            workers: AtomicU64::default(),
            first_event: AtomicU64::default(),
            last_event: AtomicU64::default(),
            oldest_event: AtomicU64::default(),
            newest_event: AtomicU64::default(),
            event_blocks: AtomicU64::default(),
            accepted: AtomicU64::default(),
            seed: AtomicU64::default(),
            targets: AtomicU64::default(),
            held: AtomicU64::default(),
            revocations: AtomicU64::default(),
            viewer_secret: std::array::from_fn(|_| AtomicU64::default()),
            viewers: AtomicU64::default(),
            sweep: AtomicU64::default(),
            saturated: AtomicU64::default(),
            reported: AtomicU64::default(),
            audiences: AtomicU64::default(),
            audience_blocks: AtomicU64::default(),
            audience_changes: AtomicU64::default(),
            refusals: RefusalCounts::default(),
            throttle: ThrottleTable::default(),
            connections: ConnectionTable::default(),
            bans: BanTable::default(),
        }
    }
}

/// The sizes of the parts of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Number of hash chains, a power of two.
    pub heads: usize,
    /// Number of buckets of viewers, at least one.
    pub viewers: usize,
    /// Number of blocks.
    pub blocks: usize,
}

impl Plan {
    /// Divides `bytes` into root, heads, viewers and blocks. Returns `None` if not even a few records would fit.
    #[must_use]
    pub fn for_bytes(bytes: usize) -> Option<Plan> {
        let rest = bytes.checked_sub(size_of::<Root>())?;
        let heads = (rest / size_of::<Block>() / 2).next_power_of_two();
        let (small, large) = VIEWERS_SHARE;
        let viewers = rest.min(MEGABYTE) / small + rest.saturating_sub(MEGABYTE) / large;
        let viewers = (viewers / size_of::<ViewerBucket>()).max(1);
        let rest = rest.checked_sub(Self::heads_bytes(heads) + viewers * size_of::<ViewerBucket>())?;
        let blocks = rest / size_of::<Block>();
        (blocks >= 64 + KEPT_FOR_WORKERS).then_some(Plan { heads, viewers, blocks })
    }

    /// Returns the size of the hash chains in bytes, a whole number of blocks so that blocks stay aligned.
    #[must_use]
    pub fn heads_bytes(heads: usize) -> usize {
        (heads * size_of::<AtomicU64>()).next_multiple_of(align_of::<Block>())
    }
}

impl Root {
    /// Marks fresh (zeroed) memory as a zone of this layout. `size` is the size from the configuration, `piece` the
    /// part of it that is available to Weir, both in bytes. `random` makes chains unpredictable and viewers' hashes
    /// secret.
    pub fn initialise(&self, size: usize, piece: usize, session_base: u64, random: [u64; 3]) {
        let [seed, viewers @ ..] = random;
        for (secret, random) in self.viewer_secret.iter().zip(viewers) {
            secret.store(random, Relaxed);
        }
        self.size.store(size as u64, Relaxed);
        self.piece.store(piece as u64, Relaxed);
        self.next_session.store(session_base, Relaxed);
        // The ids of events continue to rise after a restart, and fit into the numbers of JavaScript.
        let events = (session_base >> 16) * 1000;
        self.first_event.store(events, Relaxed);
        self.last_event.store(events, Relaxed);
        self.seed.store(seed, Relaxed);
        self.version.store(VERSION, Relaxed);
        self.magic.store(MAGIC, Relaxed);
    }

    /// Returns the layout version of initialised memory, or `None` if it is not a zone.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        (self.magic.load(Relaxed) == MAGIC).then(|| self.version.load(Relaxed))
    }

    /// Returns the division of this zone.
    #[must_use]
    pub fn plan(&self) -> Option<Plan> {
        Plan::for_bytes(usize::try_from(self.piece.load(Relaxed)).ok()?)
    }

    /// Returns the size from the configuration, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size.load(Relaxed)
    }
}
