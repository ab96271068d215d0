//! The shared memory: its cast to a module's types, its lock, and its life across reloads.

use std::{
    cell::Cell,
    fmt::Display,
    marker::PhantomData,
    ptr,
    rc::{Rc, Weak},
    slice,
};

use nginx_sys::{
    NGX_ERROR, NGX_OK, ngx_conf_t, ngx_cycle_t, ngx_int_t, ngx_pagesize, ngx_shared_memory_add,
    ngx_shm_zone_t, ngx_shmtx_lock, ngx_shmtx_trylock, ngx_shmtx_unlock, ngx_slab_alloc, ngx_slab_pool_t,
    ngx_str_t,
};
use zerocopy::FromBytes;

use super::{
    callback, collections, log,
    slots::{self, MainSlot},
    types::{Tables, Types},
};
use crate::local;

/// The module's part of the shared memory.
pub trait ZoneOwner: Types {
    /// The errors of a zone.
    type ZoneError: Display;
    /// Returns whether a zone of this many bytes is large enough.
    fn fits(bytes: usize) -> bool;
    /// Begins a zone in memory that is all zeros; `size` is the configured size, of which the module has `bytes`.
    fn lay_out(memory: &Memory, size: usize, bytes: usize) -> Result<(), Self::ZoneError>;
    /// Called when the zone is mapped; `fresh` says that nothing has used it. `user` is the user and group of the workers, `None` if they
    /// keep the master's. Returns warnings. After an error the configuration does not take effect.
    fn prepare(
        memory: &Memory,
        main: &mut Self::Main,
        fresh: bool,
        user: Option<(u32, u32)>,
    ) -> Result<Vec<String>, Self::ZoneError>;
    /// Returns the log line for a message about the zone.
    fn about_zone(main: &Self::Main, message: &str) -> String;
    /// Returns the error for a zone whose size differs from the running zone, which has `bytes`.
    fn other_size(bytes: usize) -> String;
}

/// NGX_SLAB_PAGE_START (ngx_slab.c). It marks the first page of pages that were allocated together.
const PAGE_START: usize = 1 << (usize::BITS - 1);

/// The mutex of the zone's slab pool. The master breaks it if its holder dies (`ngx_unlock_mutexes`, ngx_process.c).
pub struct SlabMutex<'m> {
    pool: *mut ngx_slab_pool_t,
    memory: PhantomData<&'m Memory>,
}

impl SlabMutex<'_> {
    /// Waits until this process has the lock.
    pub fn lock(&self) {
        // SAFETY: the pool stands at the start of the mapped zone, see `Memory::of` (ngx_shmtx_lock).
        unsafe { ngx_shmtx_lock(&raw mut (*self.pool).mutex) }
    }

    /// Takes the lock if it is free. Returns whether the caller now has it.
    #[must_use]
    pub fn try_lock(&self) -> bool {
        // SAFETY: as above (ngx_shmtx_trylock).
        unsafe { ngx_shmtx_trylock(&raw mut (*self.pool).mutex) != 0 }
    }

    /// Releases the lock. Does nothing if another process has it.
    pub fn unlock(&self) {
        // SAFETY: as above; the lock holds the id of the process that has it (ngx_shmtx_unlock).
        unsafe { ngx_shmtx_unlock(&raw mut (*self.pool).mutex) }
    }
}

/// The module's part of the zone, mapped at the same address in every process.
///
/// It holds values for which any bytes are valid, and which processes share: atomics. It stays mapped for as long as this value or a clone
/// of it exists, even if no configuration names the zone any more.
#[derive(Clone)]
pub struct Memory(Rc<Mapping>);

struct Mapping {
    pool: *mut ngx_slab_pool_t,
    start: *mut u8,
    length: usize,
    /// The size of the whole zone, if the fence must unmap it instead of nginx.
    own: Cell<Option<usize>>,
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if let Some(size) = self.own.get() {
            // SAFETY: what `keep` took over from nginx, and nobody refers to any more (munmap(2)).
            unsafe { libc::munmap(self.pool.cast(), size) };
        }
    }
}

local! {
    /// The mapping of the running configuration.
    static MAPPED: Weak<Mapping> = Weak::new();
}

impl Memory {
    /// Returns the memory of a zone that was laid out.
    ///
    /// # Safety
    ///
    /// The zone is mapped, and nginx has made a slab pool of it.
    pub(super) unsafe fn of(zone: &ngx_shm_zone_t) -> Option<Memory> {
        let pool: *mut ngx_slab_pool_t = zone.shm.addr.cast();
        // SAFETY: by contract; `data` is what `lay_out` put there, whole pages that begin at a page of the pool. The
        // pool notes with the first of them how many they are (ngx_slab_alloc_pages).
        unsafe {
            let start = (*pool).data.cast::<u8>();
            if start.is_null() {
                return None;
            }
            let at = start.offset_from((*pool).start).cast_unsigned() / ngx_pagesize;
            let pages = (*(*pool).pages.add(at)).slab & !PAGE_START;
            let length = pages * ngx_pagesize;
            Some(Memory(Rc::new(Mapping { pool, start, length, own: Cell::new(None) })))
        }
    }

    /// Returns the memory of the zone of a configuration that takes effect.
    ///
    /// # Safety
    ///
    /// As for [`of`](Memory::of).
    pub(super) unsafe fn of_running(zone: &ngx_shm_zone_t) -> Option<Memory> {
        let pool: *mut ngx_slab_pool_t = zone.shm.addr.cast();
        let known = MAPPED.with(|mapped| mapped.upgrade()).filter(|known| ptr::eq(known.pool, pool));
        // SAFETY: by contract.
        let memory = known.map(Memory).or_else(|| unsafe { Memory::of(zone) })?;
        MAPPED.with(|mapped| *mapped = Rc::downgrade(&memory.0));
        Some(memory)
    }

    /// Returns `count` values from byte `offset` on; `None` if the memory ends earlier, or the values would not be aligned.
    #[must_use]
    pub fn slice<T: FromBytes + Sync>(&self, offset: usize, count: usize) -> Option<&[T]> {
        let end = size_of::<T>().checked_mul(count)?.checked_add(offset)?;
        if end > self.0.length || !(self.0.start.addr() + offset).is_multiple_of(align_of::<T>()) {
            return None;
        }
        // SAFETY: mapped, within bounds and aligned, as was checked. Any bytes are a valid `T` (`FromBytes`), and it is
        // fit to be shared (`Sync`): what can change in it behind a reference are atomics.
        Some(unsafe { slice::from_raw_parts(self.0.start.add(offset).cast::<T>(), count) })
    }

    /// Returns one value at byte `offset`; `None` as for [`slice`](Self::slice).
    #[must_use]
    pub fn value<T: FromBytes + Sync>(&self, offset: usize) -> Option<&T> {
        self.slice(offset, 1)?.first()
    }

    /// Returns the lock of the zone.
    #[must_use]
    pub fn mutex(&self) -> SlabMutex<'_> {
        SlabMutex { pool: self.0.pool, memory: PhantomData }
    }
}

/// Why nginx cannot add a zone.
#[derive(Debug, thiserror::Error)]
pub enum ZoneNotAdded {
    /// The running zone has another size; the module gives the text.
    #[error("{0}")]
    OtherSize(String),
    /// There is no memory.
    #[error("not enough memory")]
    NoMemory,
}

/// Why a zone cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unusable<E> {
    /// The zone is too small.
    #[error("the zone is too small")]
    TooSmall,
    /// The zone has no layout yet.
    #[error("the zone has not been laid out")]
    NotLaidOut,
    /// An error of the module.
    #[error("{0}")]
    Module(E),
}

/// Asks nginx for the zone of the configuration that it is reading.
pub(super) fn add<M: Tables + ZoneOwner>(cf: &mut ngx_conf_t, size: usize) -> Result<(), ZoneNotAdded> {
    refuse_other_size::<M>(cf, size)?;
    let mut name = ngx_str_t { len: M::NAME.len(), data: M::NAME.as_ptr().cast_mut() };
    // The tag is an address of the core, because a module's own address changes when its package is upgraded.
    let tag = &raw const nginx_sys::ngx_core_module;
    // SAFETY: `cf` is the configuration being read; the name is static (ngx_shared_memory_add).
    let zone = unsafe { ngx_shared_memory_add(cf, &mut name, size, tag.cast_mut().cast()) };
    // SAFETY: null or a zone of this configuration (ngx_shared_memory_add).
    let zone = unsafe { zone.as_mut() }.ok_or(ZoneNotAdded::NoMemory)?;
    zone.init = Some(init::<M>);
    // SAFETY: `cycle::create` made the settings in the pool of the same configuration, when nginx loaded the module (ngx_add_module) and so
    // before any directive of the module.
    unsafe {
        let slot = slots::main_slot::<M>((*cf.cycle).conf_ctx);
        zone.data = slot.cast();
        (*slot).zone = zone;
    }
    Ok(())
}

/// Refuses a changed size. nginx would silently start with a new, empty zone, and forget keys and live streams.
fn refuse_other_size<M: Tables + ZoneOwner>(cf: &ngx_conf_t, size: usize) -> Result<(), ZoneNotAdded> {
    // SAFETY: the configuration's cycle is being built and knows the running one, if any (ngx_init_cycle).
    let old = unsafe { (*cf.cycle).old_cycle.as_ref() };
    let Some(running) = old.and_then(|old| find(old, M::NAME)) else { return Ok(()) };
    // SAFETY: a zone of the running configuration (ngx_init_cycle).
    let has = unsafe { (*running).shm.size };
    if has != size {
        return Err(ZoneNotAdded::OtherSize(M::other_size(has)));
    }
    Ok(())
}

fn find(cycle: &ngx_cycle_t, name: &str) -> Option<*mut ngx_shm_zone_t> {
    let tag = (&raw const nginx_sys::ngx_core_module).cast_mut().cast();
    // SAFETY: the list of a cycle's zones, complete or empty, each with the name that its module gave it (ngx_shared_memory_add).
    unsafe {
        collections::list::<ngx_shm_zone_t>(&cycle.shared_memory).find(|zone| {
            let zone = &**zone;
            collections::bytes(&zone.shm.name) == name.as_bytes() && zone.tag == tag
        })
    }
}

/// Keeps a mapping that is still in use when a configuration takes effect without the zone of the one before. nginx is about to unmap that
/// zone (ngx_init_cycle); from now on the fence owns it, and nginx unmaps another mapping instead.
///
/// # Safety
///
/// `cycle` takes over.
pub(super) unsafe fn keep<M: Types>(cycle: *mut ngx_cycle_t) {
    // SAFETY: by contract, the cycle before is not freed yet; a mapping without access that nobody else knows.
    unsafe {
        let Some(gone) = (*cycle).old_cycle.as_ref().and_then(|old| find(old, M::NAME)) else { return };
        let stays = find(&*cycle, M::NAME).is_some_and(|zone| (*zone).shm.addr == (*gone).shm.addr);
        let held =
            MAPPED.with(|mapped| mapped.upgrade()).filter(|held| ptr::eq(held.pool.cast(), (*gone).shm.addr));
        let Some(held) = held.filter(|_| !stays) else { return };
        let size = (*gone).shm.size;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let other = libc::mmap(ptr::null_mut(), size, libc::PROT_NONE, kind, -1, 0);
        if ptr::eq(other, libc::MAP_FAILED) {
            // nginx logs that it unmapped nothing.
            (*gone).shm.size = 0;
        } else {
            (*gone).shm.addr = other.cast();
        }
        held.own.set(Some(size));
    }
}

/// ngx_shm_zone_t.init. The memory is mapped; `old` is the data of the configuration before.
extern "C" fn init<M: Tables + ZoneOwner>(
    zone: *mut ngx_shm_zone_t,
    old: *mut std::ffi::c_void,
) -> ngx_int_t {
    callback::guard("the zone's start", NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx calls with the zone that `add` gave it (ngx_init_cycle); `data` are the settings of its configuration.
        let (zone, slot) = unsafe { (&mut *zone, &mut *(*zone).data.cast::<MainSlot<M::Main>>()) };
        let outcome = prepare::<M>(zone, slot, !old.is_null());
        let (code, level, lines) = match outcome {
            Ok(warnings) => (NGX_OK as ngx_int_t, log::Level::Warning, warnings),
            Err(message) => (NGX_ERROR as ngx_int_t, log::Level::Emergency, vec![message.to_string()]),
        };
        for line in lines {
            let line = M::about_zone(&slot.settings, &line);
            // SAFETY: the log of the configuration that is being read (ngx_init_cycle).
            unsafe { log::to(zone.shm.log, level, format_args!("{line}")) };
        }
        code
    })
}

/// Lays out a new zone, and lets the module prepare it. Returns warnings.
fn prepare<M: Tables + ZoneOwner>(
    zone: &mut ngx_shm_zone_t,
    slot: &mut MainSlot<M::Main>,
    reused: bool,
) -> Result<Vec<String>, Unusable<M::ZoneError>> {
    let pool: *mut ngx_slab_pool_t = zone.shm.addr.cast();
    // SAFETY: nginx laid a slab pool at the start of the zone (ngx_init_zone_pool); its `data` is the owner's.
    let fresh = unsafe { (*pool).data.is_null() };
    debug_assert!(fresh || reused || zone.shm.exists != 0);
    if fresh {
        // SAFETY: the pool of a mapped zone that nobody else knows yet (ngx_init_zone_pool).
        unsafe { lay_out::<M>(pool, zone.shm.size)? };
    }
    // SAFETY: as above.
    let memory = unsafe { Memory::of(zone) }.ok_or(Unusable::NotLaidOut)?;
    slot.fresh = fresh;
    let user = worker_user(slot);
    M::prepare(&memory, &mut slot.settings, fresh, user).map_err(Unusable::Module)
}

/// Returns user and group that the workers will run as; `None` if they keep the master's.
pub(super) fn worker_user<T>(slot: &MainSlot<T>) -> Option<(u32, u32)> {
    // SAFETY: the core module made its settings before any other, and completed them before the zones start
    // (ngx_core_module_init_conf).
    let core = unsafe {
        let conf_ctx = slot.cycle.as_ref()?.conf_ctx;
        &*(*conf_ctx.add(nginx_sys::ngx_core_module.index)).cast::<nginx_sys::ngx_core_conf_t>()
    };
    // SAFETY: only asks (geteuid(2)).
    let root = unsafe { libc::geteuid() } == 0;
    root.then_some((core.user, core.group))
}

/// Takes all memory of the slab pool in one piece, and lets the module begin its zone there.
///
/// # Safety
///
/// `pool` is the slab pool of a mapped zone.
unsafe fn lay_out<M: Tables + ZoneOwner>(
    pool: *mut ngx_slab_pool_t,
    size: usize,
) -> Result<(), Unusable<M::ZoneError>> {
    // SAFETY: by contract; `pfree` counts the free pages, and a piece of whole pages is aligned to one
    // (ngx_slab_alloc_pages).
    unsafe {
        let mut pages = (*pool).pfree;
        while pages > 0 {
            let bytes = pages * ngx_pagesize;
            let piece = ngx_slab_alloc(pool, bytes).cast::<u8>();
            if !piece.is_null() && M::fits(bytes) {
                piece.write_bytes(0, bytes);
                let mapping = Mapping { pool, start: piece, length: bytes, own: Cell::new(None) };
                M::lay_out(&Memory(Rc::new(mapping)), size, bytes).map_err(Unusable::Module)?;
                (*pool).data = piece.cast();
                return Ok(());
            }
            pages -= 1;
        }
    }
    Err(Unusable::TooSmall)
}
