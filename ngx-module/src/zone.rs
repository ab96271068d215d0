//! The shared memory, with the zone's types.

use std::{mem::size_of, path::Path, sync::atomic::AtomicU64};

use ngx_rtmp::zone::{Memory, SlabMutex};
use weir_zone::{Block, Description, Mutex, Plan, Root, Unfit, ViewerBucket, Zone};

use crate::process;

/// The mutex of the zone's slab pool.
pub struct ZoneMutex<'m>(SlabMutex<'m>);

impl Mutex for ZoneMutex<'_> {
    fn lock(&self) {
        self.0.lock();
    }

    fn try_lock(&self) -> bool {
        self.0.try_lock()
    }

    fn unlock(&self) {
        self.0.unlock();
    }
}

/// This process's view of the zone.
pub type View<'m> = Zone<'m, ZoneMutex<'m>>;

self_cell::self_cell!(
    struct Viewed {
        owner: Memory,
        #[covariant]
        dependent: View,
    }
);

/// Why a zone cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ZoneError {
    /// The system has no random numbers.
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
    /// The zone is too small.
    #[error("the zone is too small")]
    TooSmall,
    /// The zone has no layout yet.
    #[error("the zone has not been laid out")]
    NotLaidOut,
    /// Another version of Weir laid out the zone.
    #[error("the running zone was made by another version of this module: restart nginx")]
    OtherVersion,
}

/// A zone. It keeps its memory for as long as the value exists.
pub struct SharedZone(Viewed);

impl SharedZone {
    /// Opens the zone of a configuration.
    pub fn new(memory: Memory) -> Result<SharedZone, ZoneError> {
        Viewed::try_new(memory, open).map(SharedZone)
    }

    /// Returns the content of the zone.
    #[must_use]
    pub fn view(&self) -> &View<'_> {
        self.0.borrow_dependent()
    }
}

/// Begins a zone in memory that is all zeros; `size` is the configured size, of which `bytes` are available.
pub fn lay_out(memory: &Memory, size: usize, bytes: usize) -> Result<(), ZoneError> {
    let mut random = [0; 24];
    getrandom::fill(&mut random).map_err(ZoneError::Random)?;
    let word = |at: usize| random[8 * at..][..8].iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let root: &Root = memory.value(0).ok_or(ZoneError::TooSmall)?;
    // Session numbers of one start of nginx differ from those of every other start.
    let sessions = process::now().as_millis() << 16;
    root.initialise(size, bytes, sessions, [0, 1, 2].map(word));
    Ok(())
}

/// Returns the zone of a configuration with safe types.
pub fn open(memory: &Memory) -> Result<View<'_>, ZoneError> {
    let root: &Root = memory.value(0).ok_or(ZoneError::NotLaidOut)?;
    if root.version() != Some(weir_zone::VERSION) {
        return Err(ZoneError::OtherVersion);
    }
    // This checks the plan against the size that the root stores, and `memory` checks it against its own size.
    let plan = root.plan().ok_or(ZoneError::TooSmall)?;
    let heads = size_of::<Root>();
    let viewers = heads + Plan::heads_bytes(plan.heads);
    let blocks = viewers + plan.viewers * size_of::<ViewerBucket>();
    let parts = (
        memory.slice::<AtomicU64>(heads, plan.heads),
        memory.slice::<ViewerBucket>(viewers, plan.viewers),
        memory.slice::<Block>(blocks, plan.blocks),
    );
    let (Some(heads), Some(viewers), Some(blocks)) = parts else {
        return Err(ZoneError::TooSmall);
    };
    Ok(Zone::new(root, heads, viewers, blocks, ZoneMutex(memory.mutex())))
}

/// Returns whether a zone of this many bytes is large enough.
#[must_use]
pub fn fits(bytes: usize) -> bool {
    Plan::for_bytes(bytes).is_some()
}

/// Describes a zone for the next master of an upgrade.
#[must_use]
pub fn describe(address: usize, size: usize, pool: u64) -> Vec<u8> {
    Description { address, size, pool }.to_bytes().to_vec()
}

/// Returns the address of a zone that another master described.
pub fn read_description(bytes: &[u8], size: usize, pool: u64) -> Result<usize, Unfit> {
    Description::read(bytes, size, pool).map(|described| described.address)
}

/// Checks the content of a zone that another master laid out, for a configuration with this state file. A zone follows one file: with
/// another file, the workers of the other master could store nothing any more.
pub fn check_inherited(memory: Option<&Memory>, state: Option<&Path>, size: usize) -> Result<(), Unfit> {
    let path = state.map_or(&[][..], |path| path.as_os_str().as_encoded_bytes());
    let zone = memory.and_then(|memory| open(memory).ok());
    match zone.filter(|zone| zone.size() == size as u64) {
        Some(zone) if zone.is_state_file(path) => Ok(()),
        Some(_) => Err(Unfit::OtherStateFile),
        None => Err(Unfit::Damaged),
    }
}
