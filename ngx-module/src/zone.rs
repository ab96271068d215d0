//! The shared memory as the zone's own types.

use std::{mem::size_of, sync::atomic::AtomicU64};

use ngx_rtmp::zone::{Memory, SlabMutex};
use weir_zone::{Block, Mutex, Plan, Root, Zone};

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

/// The zone as this process sees it.
pub type View<'m> = Zone<'m, ZoneMutex<'m>>;

self_cell::self_cell!(
    struct Viewed {
        owner: Memory,
        #[covariant]
        dependent: View,
    }
);

/// A zone, which keeps its memory for as long as it is held.
pub struct SharedZone(Viewed);

impl SharedZone {
    /// The zone of a configuration.
    pub fn new(memory: Memory) -> Result<SharedZone, String> {
        Viewed::try_new(memory, open).map(SharedZone)
    }

    /// What is in it.
    #[must_use]
    pub fn view(&self) -> &View<'_> {
        self.0.borrow_dependent()
    }
}

/// Begins a zone in memory that is all zeroes; `size` is what was asked for, of which `bytes` are there.
pub fn lay_out(memory: &Memory, size: usize, bytes: usize) -> Result<(), String> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| format!("no random numbers: {error}"))?;
    let root: &Root = memory.value(0).ok_or("the zone is too small")?;
    // Sessions of one start of nginx never have the numbers of another's.
    let sessions = process::now().as_millis() << 16;
    root.initialise(size, bytes, sessions, u64::from_le_bytes(seed));
    Ok(())
}

/// The zone of a configuration as safe types.
pub fn open(memory: &Memory) -> Result<View<'_>, String> {
    let root: &Root = memory.value(0).ok_or("the zone has not been laid out")?;
    if root.version() != Some(weir_zone::VERSION) {
        return Err("the running zone was made by another version of this module: restart nginx".to_owned());
    }
    // The plan is checked against the size that the root itself bears, and by the memory against its own.
    let plan = root.plan().ok_or("the zone is too small")?;
    let heads = size_of::<Root>();
    let blocks = heads + Plan::heads_bytes(plan.heads);
    let (heads, blocks) = memory
        .slice::<AtomicU64>(heads, plan.heads)
        .zip(memory.slice::<Block>(blocks, plan.blocks))
        .ok_or("the zone is too small")?;
    Ok(Zone::new(root, heads, blocks, ZoneMutex(memory.mutex())))
}

/// Whether a zone of so many bytes has room for anything.
#[must_use]
pub fn fits(bytes: usize) -> bool {
    Plan::for_bytes(bytes).is_some()
}
