//! The typed layout of the zone, and how a size in bytes is divided.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use zerocopy::FromBytes;

use crate::bans::BanTable;
use crate::block::Block;
use crate::connections::ConnectionTable;
use crate::refusals::RefusalCounts;
use crate::throttle::ThrottleTable;
use crate::viewer_table::ViewerBucket;

/// Version of the layout. It is raised with any change of a type below: a reload into a module with
/// another version is refused.
pub const VERSION: u64 = 8;

/// The smallest zone, in bytes: room for the root and a few hundred records.
pub const MIN_SIZE: usize = 128 * 1024;

/// Of so many bytes one is for viewers over HTTP, who take 16 each: of the first megabyte, and of all that comes beyond.
const VIEWERS_SHARE: (usize, usize) = (16, 7);
const MEGABYTE: usize = 1 << 20;

/// Blocks that are kept for workers: so many find a row however full the zone is.
pub(crate) const KEPT_FOR_WORKERS: usize = 64;
const MAGIC: u64 = u64::from_le_bytes(*b"weirzone");

/// The fixed part at the start of the zone.
#[derive(FromBytes)]
#[repr(C, align(128))]
pub struct Root {
    magic: AtomicU64,
    version: AtomicU64,
    /// Size that was asked for in the configuration, bytes.
    size: AtomicU64,
    /// Bytes that the zone itself has of it, which the plan divides.
    piece: AtomicU64,
    /// Process id of whoever changes the structure, 0 when nobody does.
    pub(crate) inside: AtomicU64,
    /// First free block + 1.
    pub(crate) free: AtomicU64,
    pub(crate) used: AtomicU64,
    /// Somebody died inside: records of dead workers may be left.
    pub(crate) orphans: AtomicU64,
    /// Blocks from here on were never used: nobody needs to look at them.
    pub(crate) touched: AtomicU64,
    /// Generation of the state file that the zone shows.
    pub(crate) generation: AtomicU64,
    /// Tells one state file from another.
    pub(crate) state_file: AtomicU64,
    /// Checksum of the state file that the zone shows, zeros when it shows none.
    pub(crate) content: [AtomicU64; 4],
    /// What the file system said of that file.
    pub(crate) stamp: AtomicU64,
    /// When a worker last asked the file system, milliseconds.
    pub(crate) looked: AtomicU64,
    /// Keys were revoked that may still be in the state file.
    pub(crate) unsaved: AtomicU64,
    /// No secret before a rotation ends before this moment, in milliseconds; 0 is not known.
    pub(crate) secrets_end: AtomicU64,
    /// The last attempt to write the state file failed.
    pub(crate) unwritten: AtomicU64,
    /// Raised whenever a row bears an order for its worker.
    pub(crate) orders: AtomicU64,
    pub(crate) next_session: AtomicU64,
    pub(crate) next_worker: AtomicU64,
    /// The row of the worker that registered last + 1; each row leads to the one before.
    pub(crate) last_worker: AtomicU64,
    /// Workers that have a row.
    pub(crate) workers: AtomicU64,
    /// Id that stands before the first event of this zone.
    pub(crate) first_event: AtomicU64,
    pub(crate) last_event: AtomicU64,
    pub(crate) oldest_event: AtomicU64,
    pub(crate) newest_event: AtomicU64,
    /// Blocks that events have.
    pub(crate) event_blocks: AtomicU64,
    /// Connections accepted.
    pub(crate) accepted: AtomicU64,
    pub(crate) seed: AtomicU64,
    /// Raised whenever what stands in the list of push targets changes.
    pub(crate) targets: AtomicU64,
    /// Nothing is pushed, whatever the targets say.
    pub(crate) held: AtomicU64,
    /// Raised whenever what is revoked of tokens changes.
    pub(crate) revocations: AtomicU64,
    /// What viewers are told apart by, so that nobody outside can make two look like one.
    pub(crate) viewer_secret: [AtomicU64; 2],
    /// Viewers over HTTP that have a row.
    pub(crate) viewers: AtomicU64,
    /// The bucket of viewers that is looked at next, counted on without end.
    pub(crate) sweep: AtomicU64,
    /// When a viewer last found no row, in milliseconds of the clock that is never set; 0 is never.
    pub(crate) saturated: AtomicU64,
    /// When the daemon last reported its viewers, likewise.
    pub(crate) reported: AtomicU64,
    /// The first record of those that tell how many watch + 1.
    pub(crate) audiences: AtomicU64,
    /// Blocks that these have.
    pub(crate) audience_blocks: AtomicU64,
    /// Raised whenever somebody comes or goes.
    pub(crate) audience_changes: AtomicU64,
    pub(crate) refusals: RefusalCounts,
    pub(crate) throttle: ThrottleTable,
    pub(crate) connections: ConnectionTable,
    pub(crate) bans: BanTable,
}

/// Zeros, as fresh memory is.
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

/// How many bytes the parts of a zone take.
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
    /// Divides `bytes`: root, heads, viewers, blocks. `None` when not even a few records would fit.
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

    /// Bytes of the hash chains, a whole number of blocks so that blocks stay aligned.
    #[must_use]
    pub fn heads_bytes(heads: usize) -> usize {
        (heads * size_of::<AtomicU64>()).next_multiple_of(align_of::<Block>())
    }
}

impl Root {
    /// Marks fresh (zeroed) memory as a zone of this layout. `size` is what the configuration asked for,
    /// `piece` what is left of it for us, both in bytes; `random` keeps chains unpredictable from outside, and
    /// viewers from being found out.
    pub fn initialise(&self, size: usize, piece: usize, session_base: u64, random: [u64; 3]) {
        let [seed, viewers @ ..] = random;
        for (secret, random) in self.viewer_secret.iter().zip(viewers) {
            secret.store(random, Relaxed);
        }
        self.size.store(size as u64, Relaxed);
        self.piece.store(piece as u64, Relaxed);
        self.next_session.store(session_base, Relaxed);
        // Ids of events go on rising over a restart, and fit into the numbers of JavaScript.
        let events = (session_base >> 16) * 1000;
        self.first_event.store(events, Relaxed);
        self.last_event.store(events, Relaxed);
        self.seed.store(seed, Relaxed);
        self.version.store(VERSION, Relaxed);
        self.magic.store(MAGIC, Relaxed);
    }

    /// The layout version of memory that was initialised before, or `None` when it is no zone.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        (self.magic.load(Relaxed) == MAGIC).then(|| self.version.load(Relaxed))
    }

    /// How this zone is divided.
    #[must_use]
    pub fn plan(&self) -> Option<Plan> {
        Plan::for_bytes(usize::try_from(self.piece.load(Relaxed)).ok()?)
    }

    /// Size asked for in the configuration, bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size.load(Relaxed)
    }
}
