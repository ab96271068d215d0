//! The shared memory: its cast to the types of `weir_zone`, its lock, and its life over reloads.

use std::{slice, sync::atomic::AtomicU64};

use nginx_sys::{
    NGX_ERROR, NGX_OK, ngx_conf_t, ngx_cycle_t, ngx_int_t, ngx_pagesize, ngx_shared_memory_add,
    ngx_shm_zone_t, ngx_shmtx_lock, ngx_shmtx_trylock, ngx_shmtx_unlock, ngx_slab_alloc, ngx_slab_pool_t,
    ngx_str_t,
};
use weir_zone::{Block, Mutex, Plan, Root, Zone};

use super::{callback, collections, log, process};
use crate::settings::MainSettings;

/// The mutex of the zone's slab pool, which the master breaks when its holder dies
/// (`ngx_unlock_mutexes`, ngx_process.c).
pub struct SlabMutex(*mut ngx_slab_pool_t);

impl Mutex for SlabMutex {
    fn lock(&self) {
        // SAFETY: the pool stands at the start of the mapped zone, see `view`.
        unsafe { ngx_shmtx_lock(&raw mut (*self.0).mutex) }
    }

    fn try_lock(&self) -> bool {
        // SAFETY: as above.
        unsafe { ngx_shmtx_trylock(&raw mut (*self.0).mutex) != 0 }
    }

    fn unlock(&self) {
        // SAFETY: as above; the caller holds the lock.
        unsafe { ngx_shmtx_unlock(&raw mut (*self.0).mutex) }
    }
}

/// The zone as this process sees it.
pub type SharedZone = Zone<'static, SlabMutex>;

const NAME: &[u8] = b"weir";

/// Asks nginx for the zone of the configuration that is being read.
pub(super) fn add(cf: &mut ngx_conf_t, size: usize, settings: *mut MainSettings) -> Result<(), String> {
    refuse_other_size(cf, size)?;
    let mut name = ngx_str_t { len: NAME.len(), data: NAME.as_ptr().cast_mut() };
    // The tag is one of the core: a module's own address changes when its package is upgraded.
    let tag = &raw const nginx_sys::ngx_core_module;
    // SAFETY: `cf` is the configuration being read; the name is static.
    let zone = unsafe { ngx_shared_memory_add(cf, &mut name, size, tag.cast_mut().cast()) };
    // SAFETY: null or a zone of this configuration.
    let zone = unsafe { zone.as_mut() }.ok_or("not enough memory")?;
    zone.init = Some(init);
    zone.data = settings.cast();
    // SAFETY: the settings live in the pool of the same configuration.
    unsafe {
        (*settings).zone.0 = zone;
        (*settings).cycle.0 = cf.cycle;
    }
    Ok(())
}

/// nginx would silently start another size with an empty zone: keys and live streams would be forgotten.
fn refuse_other_size(cf: &ngx_conf_t, size: usize) -> Result<(), String> {
    // SAFETY: the configuration's cycle is being built and knows the running one, if any.
    let old = unsafe { (*cf.cycle).old_cycle.as_ref() };
    let Some(running) = old.and_then(find) else { return Ok(()) };
    // SAFETY: a zone of the running configuration.
    let has = unsafe { (*running).shm.size };
    if has != size {
        return Err(format!(
            "the running zone has {}k and keeps it until nginx is restarted: write \"weir_zone {}k\" or restart",
            has / 1024,
            has / 1024
        ));
    }
    Ok(())
}

fn find(cycle: &ngx_cycle_t) -> Option<*mut ngx_shm_zone_t> {
    let tag = (&raw const nginx_sys::ngx_core_module).cast_mut().cast();
    // SAFETY: the list of a cycle's zones, complete or empty, each with the name that its module gave it.
    unsafe {
        collections::list::<ngx_shm_zone_t>(&cycle.shared_memory).find(|zone| {
            let zone = &**zone;
            slice::from_raw_parts(zone.shm.name.data, zone.shm.name.len) == NAME && zone.tag == tag
        })
    }
}

/// ngx_shm_zone_t.init: the memory is mapped; `old` is what a former configuration had there.
extern "C" fn init(zone: *mut ngx_shm_zone_t, old: *mut std::ffi::c_void) -> ngx_int_t {
    callback::guard("the zone's start", NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx calls with the zone that `add` gave it; `data` are the settings of its configuration.
        let (zone, settings) = unsafe { (&mut *zone, &mut *(*zone).data.cast::<MainSettings>()) };
        match prepare(zone, settings, !old.is_null()) {
            Ok(()) => NGX_OK as ngx_int_t,
            Err(message) => {
                let place = &settings.place;
                // SAFETY: the log of the configuration that is being read.
                unsafe {
                    let log = zone.shm.log;
                    log::to(log, log::Level::Emergency, format_args!("\"weir_zone\": {message} in {place}"));
                }
                NGX_ERROR as ngx_int_t
            }
        }
    })
}

fn prepare(zone: &mut ngx_shm_zone_t, settings: &mut MainSettings, reused: bool) -> Result<(), String> {
    let pool: *mut ngx_slab_pool_t = zone.shm.addr.cast();
    // SAFETY: nginx laid a slab pool at the start of the zone (ngx_init_zone_pool); its `data` is the owner's.
    let fresh = unsafe { (*pool).data.is_null() };
    debug_assert!(fresh || reused || zone.shm.exists != 0);
    if fresh {
        // SAFETY: the pool of a mapped zone that nobody else knows yet.
        unsafe { lay_out(pool, zone.shm.size)? };
    }
    let shared = view(zone)?;
    if fresh {
        shared.format(process::pid());
    }
    settings.fresh = fresh;
    let warnings = crate::state::load::check(&shared, settings, worker_user(settings));
    for warning in warnings.map_err(|error| error.to_string())? {
        let place = &settings.place;
        // SAFETY: the log of the configuration that is being read.
        unsafe {
            log::to(zone.shm.log, log::Level::Warning, format_args!("\"weir_zone\": {warning} in {place}"))
        }
    }
    Ok(())
}

/// User and group that the workers will run as; `None` when they stay who the master is.
pub(super) fn worker_user(settings: &MainSettings) -> Option<(u32, u32)> {
    // SAFETY: the core module made its settings before any other, and completed them before the zones start
    // (ngx_core_module_init_conf).
    let core = unsafe {
        let conf_ctx = settings.cycle.0.as_ref()?.conf_ctx;
        &*(*conf_ctx.add(nginx_sys::ngx_core_module.index)).cast::<nginx_sys::ngx_core_conf_t>()
    };
    // SAFETY: only asks.
    let root = unsafe { libc::geteuid() } == 0;
    root.then_some((core.user, core.group))
}

/// Takes all that the slab pool can give, in one piece, and makes it a zone.
///
/// # Safety
///
/// `pool` is the slab pool of a mapped zone.
unsafe fn lay_out(pool: *mut ngx_slab_pool_t, size: usize) -> Result<(), String> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| format!("no random numbers: {error}"))?;
    // SAFETY: by contract; `pfree` counts the free pages, and a piece of whole pages is aligned to one.
    unsafe {
        let mut pages = (*pool).pfree;
        while pages > 0 {
            let bytes = pages * ngx_pagesize;
            let piece = ngx_slab_alloc(pool, bytes).cast::<u8>();
            if !piece.is_null() && Plan::for_bytes(bytes).is_some() {
                piece.write_bytes(0, bytes);
                // Sessions of one start of nginx never have the numbers of another's.
                let sessions = process::now().as_millis() << 16;
                (*piece.cast::<Root>()).initialise(size, bytes, sessions, u64::from_le_bytes(seed));
                (*pool).data = piece.cast();
                return Ok(());
            }
            pages -= 1;
        }
    }
    Err("the zone is too small".to_owned())
}

/// The zone of a configuration as safe types.
pub(super) fn view(zone: &ngx_shm_zone_t) -> Result<SharedZone, String> {
    let pool: *mut ngx_slab_pool_t = zone.shm.addr.cast();
    // The plan is checked against the size that the root itself bears. Any bytes are valid atomics.
    // SAFETY: mapped at the same address in every process, as long as a configuration names the zone;
    // `lay_out` made `data` a root with chains and blocks behind it, which are atomics alone.
    unsafe {
        let root = (*pool).data.cast::<Root>().as_ref().ok_or("the zone has not been laid out")?;
        if root.version() != Some(weir_zone::VERSION) {
            return Err(
                "the running zone was made by another version of this module: restart nginx".to_owned()
            );
        }
        let plan = root.plan().ok_or("the zone is too small")?;
        let heads = (&raw const *root).add(1).cast::<AtomicU64>();
        let blocks = heads.cast::<u8>().add(Plan::heads_bytes(plan.heads)).cast::<Block>();
        Ok(Zone::new(
            root,
            slice::from_raw_parts(heads, plan.heads),
            slice::from_raw_parts(blocks, plan.blocks),
            SlabMutex(pool),
        ))
    }
}
