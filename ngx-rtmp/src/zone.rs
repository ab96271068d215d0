//! The shared memory: its cast to a module's types, its lock, and its life across reloads and upgrades.

mod inherit;
mod memory;
mod mutex;
mod owner;

use std::{cell::Cell, ptr, rc::Rc};

use nginx_sys::{
    NGX_ERROR, NGX_OK, ngx_conf_t, ngx_cycle_t, ngx_int_t, ngx_pagesize, ngx_shared_memory_add,
    ngx_shm_zone_t, ngx_slab_alloc, ngx_slab_pool_t, ngx_str_t,
};

use super::{
    callback, collections, handover, log, process,
    slots::{self, MainSlot},
    types::{Tables, Types},
};
use memory::{MAPPED, Mapping};
use owner::{Line, Unusable};

pub use memory::Memory;
pub use mutex::SlabMutex;
pub use owner::ZoneOwner;

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

/// Runs when a configuration takes effect. Keeps the mapping of the zone before, if necessary, and only the file of the zone that is in
/// force.
///
/// # Safety
///
/// `cycle` takes over.
pub(super) unsafe fn settle<M: Types>(cycle: *mut ngx_cycle_t) {
    // SAFETY: by contract; a zone of this configuration (ngx_shared_memory_add).
    unsafe {
        keep::<M>(cycle);
        let start = find(&*cycle, M::NAME).map_or(ptr::null_mut(), |zone| (*zone).shm.addr);
        handover::let_go_of_others(start);
    }
}

/// Keeps a mapping that is still in use when a configuration takes effect without the zone of the one before. nginx is about to unmap that
/// zone (ngx_init_cycle); from now on the fence owns it, and nginx unmaps another mapping instead.
///
/// # Safety
///
/// `cycle` takes over.
unsafe fn keep<M: Types>(cycle: *mut ngx_cycle_t) {
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
        let (code, lines) = match outcome {
            Ok(lines) => (NGX_OK as ngx_int_t, lines),
            Err(message) => (NGX_ERROR as ngx_int_t, vec![(log::Level::Emergency, message.to_string())]),
        };
        for (level, line) in lines {
            let line = M::about_zone(&slot.settings, &line);
            // SAFETY: the log of the configuration that is being read (ngx_init_cycle).
            unsafe { log::to(zone.shm.log, level, format_args!("{line}")) };
        }
        code
    })
}

/// Lays out a new zone, or maps the zone of the old master in an upgrade, and lets the module prepare it. Returns lines for the log.
fn prepare<M: Tables + ZoneOwner>(
    zone: &mut ngx_shm_zone_t,
    slot: &mut MainSlot<M::Main>,
    reused: bool,
) -> Result<Vec<Line>, Unusable<M::ZoneError>> {
    // SAFETY: nginx laid a slab pool at the start of the zone (ngx_init_zone_pool); its `data` is the owner's.
    let is_fresh =
        |zone: &ngx_shm_zone_t| unsafe { (*zone.shm.addr.cast::<ngx_slab_pool_t>()).data.is_null() };
    let mut lines = Vec::new();
    if is_fresh(zone) && !process::is_test() {
        lines.extend(inherit::hand_over::<M>(zone, &slot.settings)?);
    }
    let inherited = handover::is_inherited(zone.shm.addr);
    let fresh = is_fresh(zone);
    debug_assert!(fresh || reused || inherited || zone.shm.exists != 0);
    if fresh {
        // SAFETY: the pool of a mapped zone that nobody else knows yet (ngx_init_zone_pool).
        unsafe { lay_out::<M>(zone.shm.addr.cast(), zone.shm.size)? };
    }
    // SAFETY: as above.
    let memory = unsafe { Memory::of(zone) }.ok_or(Unusable::NotLaidOut)?;
    slot.fresh = fresh;
    let user = worker_user(slot);
    let warnings = M::prepare(&memory, &mut slot.settings, fresh, user).map_err(Unusable::Module)?;
    lines.extend(warnings.into_iter().map(|line| (log::Level::Warning, line)));
    Ok(lines)
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
