//! The shared memory: its cast to a module's types, its lock, and its life over reloads.

use std::slice;

use nginx_sys::{
    NGX_ERROR, NGX_OK, ngx_conf_t, ngx_cycle_t, ngx_int_t, ngx_pagesize, ngx_shared_memory_add,
    ngx_shm_zone_t, ngx_shmtx_lock, ngx_shmtx_trylock, ngx_shmtx_unlock, ngx_slab_alloc, ngx_slab_pool_t,
    ngx_str_t,
};
use zerocopy::FromBytes;

use super::{
    callback, collections,
    conf::{self, MainSlot},
    log,
    module::Module,
};

/// NGX_SLAB_PAGE_START (ngx_slab.c): marks the first of the pages that were given out together.
const PAGE_START: usize = 1 << (usize::BITS - 1);

/// The mutex of the zone's slab pool, which the master breaks when its holder dies
/// (`ngx_unlock_mutexes`, ngx_process.c).
pub struct SlabMutex(*mut ngx_slab_pool_t);

impl SlabMutex {
    /// Waits until the lock is held.
    pub fn lock(&self) {
        // SAFETY: the pool stands at the start of the mapped zone, see `Memory::of` (ngx_shmtx_lock).
        unsafe { ngx_shmtx_lock(&raw mut (*self.0).mutex) }
    }

    /// Takes the lock when nobody holds it. Returns whether the caller has it now.
    #[must_use]
    pub fn try_lock(&self) -> bool {
        // SAFETY: as above (ngx_shmtx_trylock).
        unsafe { ngx_shmtx_trylock(&raw mut (*self.0).mutex) != 0 }
    }

    /// Gives it back. Nothing happens where another process holds it.
    pub fn unlock(&self) {
        // SAFETY: as above; the lock holds the id of the process that has it (ngx_shmtx_unlock).
        unsafe { ngx_shmtx_unlock(&raw mut (*self.0).mutex) }
    }
}

/// The piece of the zone that belongs to the module: mapped at the same address in every process, as long as a
/// configuration names the zone.
///
/// What stands in it are values for which any bytes will do, and which processes share: atomics.
pub struct Memory {
    pool: *mut ngx_slab_pool_t,
    start: *mut u8,
    length: usize,
}

impl Memory {
    /// The memory of a zone that was laid out.
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
            Some(Memory { pool, start, length: pages * ngx_pagesize })
        }
    }

    /// `count` values from byte `offset` on; `None` where the memory ends before, or they would not be aligned.
    #[must_use]
    pub fn slice<T: FromBytes + Sync>(&self, offset: usize, count: usize) -> Option<&[T]> {
        let end = size_of::<T>().checked_mul(count)?.checked_add(offset)?;
        if end > self.length || !(self.start.addr() + offset).is_multiple_of(align_of::<T>()) {
            return None;
        }
        // SAFETY: mapped, within bounds and aligned, as was checked. Any bytes are a valid `T` (`FromBytes`), and it is
        // fit to be shared (`Sync`): what can change in it behind a reference are atomics.
        Some(unsafe { slice::from_raw_parts(self.start.add(offset).cast::<T>(), count) })
    }

    /// One value at byte `offset`, likewise.
    #[must_use]
    pub fn value<T: FromBytes + Sync>(&self, offset: usize) -> Option<&T> {
        self.slice(offset, 1)?.first()
    }

    /// The lock of the zone.
    #[must_use]
    pub fn mutex(&self) -> SlabMutex {
        SlabMutex(self.pool)
    }
}

/// Asks nginx for the zone of the configuration that is being read.
pub(super) fn add<M: Module>(cf: &mut ngx_conf_t, size: usize) -> Result<(), String> {
    refuse_other_size::<M>(cf, size)?;
    let mut name = ngx_str_t { len: M::NAME.len(), data: M::NAME.as_ptr().cast_mut() };
    // The tag is one of the core: a module's own address changes when its package is upgraded.
    let tag = &raw const nginx_sys::ngx_core_module;
    // SAFETY: `cf` is the configuration being read; the name is static (ngx_shared_memory_add).
    let zone = unsafe { ngx_shared_memory_add(cf, &mut name, size, tag.cast_mut().cast()) };
    // SAFETY: null or a zone of this configuration.
    let zone = unsafe { zone.as_mut() }.ok_or("not enough memory")?;
    zone.init = Some(init::<M>);
    // SAFETY: the settings live in the pool of the same configuration (`cycle::create`).
    unsafe {
        let slot = conf::main_slot::<M>((*cf.cycle).conf_ctx);
        zone.data = slot.cast();
        (*slot).zone = zone;
    }
    Ok(())
}

/// nginx would silently start another size with an empty zone: keys and live streams would be forgotten.
fn refuse_other_size<M: Module>(cf: &ngx_conf_t, size: usize) -> Result<(), String> {
    // SAFETY: the configuration's cycle is being built and knows the running one, if any.
    let old = unsafe { (*cf.cycle).old_cycle.as_ref() };
    let Some(running) = old.and_then(|old| find(old, M::NAME)) else { return Ok(()) };
    // SAFETY: a zone of the running configuration.
    let has = unsafe { (*running).shm.size };
    if has != size {
        return Err(M::other_size(has));
    }
    Ok(())
}

fn find(cycle: &ngx_cycle_t, name: &str) -> Option<*mut ngx_shm_zone_t> {
    let tag = (&raw const nginx_sys::ngx_core_module).cast_mut().cast();
    // SAFETY: the list of a cycle's zones, complete or empty, each with the name that its module gave it.
    unsafe {
        collections::list::<ngx_shm_zone_t>(&cycle.shared_memory).find(|zone| {
            let zone = &**zone;
            conf::bytes(&zone.shm.name) == name.as_bytes() && zone.tag == tag
        })
    }
}

/// ngx_shm_zone_t.init: the memory is mapped; `old` is what a former configuration had there.
extern "C" fn init<M: Module>(zone: *mut ngx_shm_zone_t, old: *mut std::ffi::c_void) -> ngx_int_t {
    callback::guard("the zone's start", NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx calls with the zone that `add` gave it; `data` are the settings of its configuration.
        let (zone, slot) = unsafe { (&mut *zone, &mut *(*zone).data.cast::<MainSlot<M::Main>>()) };
        let outcome = prepare::<M>(zone, slot, !old.is_null());
        let (code, level, lines) = match outcome {
            Ok(warnings) => (NGX_OK as ngx_int_t, log::Level::Warning, warnings),
            Err(message) => (NGX_ERROR as ngx_int_t, log::Level::Emergency, vec![message]),
        };
        for line in lines {
            let line = M::about_zone(&slot.settings, &line);
            // SAFETY: the log of the configuration that is being read.
            unsafe { log::to(zone.shm.log, level, format_args!("{line}")) };
        }
        code
    })
}

/// Returns warnings.
fn prepare<M: Module>(
    zone: &mut ngx_shm_zone_t,
    slot: &mut MainSlot<M::Main>,
    reused: bool,
) -> Result<Vec<String>, String> {
    let pool: *mut ngx_slab_pool_t = zone.shm.addr.cast();
    // SAFETY: nginx laid a slab pool at the start of the zone (ngx_init_zone_pool); its `data` is the owner's.
    let fresh = unsafe { (*pool).data.is_null() };
    debug_assert!(fresh || reused || zone.shm.exists != 0);
    if fresh {
        // SAFETY: the pool of a mapped zone that nobody else knows yet.
        unsafe { lay_out::<M>(pool, zone.shm.size)? };
    }
    // SAFETY: as above.
    let memory = unsafe { Memory::of(zone) }.ok_or("the zone has not been laid out")?;
    slot.fresh = fresh;
    let user = worker_user(slot);
    M::prepare(memory, &mut slot.settings, fresh, user)
}

/// User and group that the workers will run as; `None` when they stay who the master is.
pub(super) fn worker_user<T>(slot: &MainSlot<T>) -> Option<(u32, u32)> {
    // SAFETY: the core module made its settings before any other, and completed them before the zones start
    // (ngx_core_module_init_conf).
    let core = unsafe {
        let conf_ctx = slot.cycle.as_ref()?.conf_ctx;
        &*(*conf_ctx.add(nginx_sys::ngx_core_module.index)).cast::<nginx_sys::ngx_core_conf_t>()
    };
    // SAFETY: only asks.
    let root = unsafe { libc::geteuid() } == 0;
    root.then_some((core.user, core.group))
}

/// Takes all that the slab pool can give, in one piece, and has the module begin its zone there.
///
/// # Safety
///
/// `pool` is the slab pool of a mapped zone.
unsafe fn lay_out<M: Module>(pool: *mut ngx_slab_pool_t, size: usize) -> Result<(), String> {
    // SAFETY: by contract; `pfree` counts the free pages, and a piece of whole pages is aligned to one
    // (ngx_slab_alloc_pages).
    unsafe {
        let mut pages = (*pool).pfree;
        while pages > 0 {
            let bytes = pages * ngx_pagesize;
            let piece = ngx_slab_alloc(pool, bytes).cast::<u8>();
            if !piece.is_null() && M::fits(bytes) {
                piece.write_bytes(0, bytes);
                M::lay_out(&Memory { pool, start: piece, length: bytes }, size, bytes)?;
                (*pool).data = piece.cast();
                return Ok(());
            }
            pages -= 1;
        }
    }
    Err("the zone is too small".to_owned())
}
