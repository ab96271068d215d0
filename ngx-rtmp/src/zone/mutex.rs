//! The lock of the zone.

use std::{
    marker::PhantomData,
    ptr,
    time::{Duration, Instant},
};

use nginx_sys::{
    ngx_shmtx_force_unlock, ngx_shmtx_lock, ngx_shmtx_trylock, ngx_shmtx_unlock, ngx_slab_pool_t,
};

use crate::{handover, log, process};

/// Longest interval between two attempts to lock a zone that another master laid out.
const LONGEST_PAUSE: Duration = Duration::from_millis(1);
/// Interval between two checks whether the holder of such a lock lives.
const CHECK_HOLDER: Duration = Duration::from_millis(20);

/// The mutex of the zone's slab pool. The master breaks it if its holder dies (`ngx_unlock_mutexes`, ngx_process.c).
pub struct SlabMutex<'m> {
    pool: *mut ngx_slab_pool_t,
    /// Whether the holder may be a worker of another master. If that master was killed, no master breaks the lock.
    is_shared: bool,
    memory: PhantomData<&'m ()>,
}

impl<'m> SlabMutex<'m> {
    /// Returns the mutex of a pool, which is at the start of a zone that is mapped for `'m`.
    pub(super) fn new(pool: *mut ngx_slab_pool_t) -> SlabMutex<'m> {
        SlabMutex { pool, is_shared: handover::is_shared(pool.cast()), memory: PhantomData }
    }

    /// Waits until this process has the lock.
    pub fn lock(&self) {
        if self.is_shared {
            return self.lock_or_break();
        }
        // SAFETY: the pool stands at the start of the mapped zone, see `Memory::of` (ngx_shmtx_lock).
        unsafe { ngx_shmtx_lock(&raw mut (*self.pool).mutex) }
    }

    /// Waits until this process has the lock, and breaks it if its holder has died.
    fn lock_or_break(&self) {
        let mut spins = 1_u32;
        let mut pause = Duration::from_micros(20);
        let mut checked = None;
        while !self.try_lock() {
            // As ngx_shmtx_lock does.
            if spins < 2048 {
                (0..spins).for_each(|_| std::hint::spin_loop());
                spins *= 2;
                continue;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
            if checked.get_or_insert_with(Instant::now).elapsed() >= CHECK_HOLDER {
                checked = Some(Instant::now());
                self.break_if_dead();
            }
        }
    }

    fn break_if_dead(&self) {
        // SAFETY: as in `lock`. The lock is the process id of its holder, or 0 (ngx_shmtx_trylock). If the lock has another holder
        // meanwhile, ngx_shmtx_force_unlock does nothing.
        let broken = unsafe {
            let mutex = &raw mut (*self.pool).mutex;
            let holder = ptr::read_volatile((*mutex).lock) as u32;
            let is_dead = holder != 0 && process::has_ended(holder);
            (is_dead && ngx_shmtx_force_unlock(mutex, holder.cast_signed()) != 0).then_some(holder)
        };
        if let Some(holder) = broken {
            log::named(log::Level::Critical, format_args!("process {holder} died with the lock of the zone"));
        }
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
