//! The memory of a zone, with the module's types.

use std::{
    cell::Cell,
    ptr,
    rc::{Rc, Weak},
    slice,
};

use nginx_sys::{ngx_pagesize, ngx_shm_zone_t, ngx_slab_pool_t};
use zerocopy::FromBytes;

use super::mutex::SlabMutex;
use crate::local;

/// NGX_SLAB_PAGE_START (ngx_slab.c). It marks the first page of pages that were allocated together.
pub(super) const PAGE_START: usize = 1 << (usize::BITS - 1);

/// The module's part of the zone, mapped at the same address in every process.
///
/// It holds values for which any bytes are valid, and which processes share: atomics. It stays mapped for as long as this value or a clone
/// of it exists, even if no configuration names the zone any more.
#[derive(Clone)]
pub struct Memory(pub(super) Rc<Mapping>);

pub(super) struct Mapping {
    pub(super) pool: *mut ngx_slab_pool_t,
    pub(super) start: *mut u8,
    pub(super) length: usize,
    /// The size of the whole zone, if the fence must unmap it instead of nginx.
    pub(super) own: Cell<Option<usize>>,
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
    pub(super) static MAPPED: Weak<Mapping> = Weak::new();
}

impl Memory {
    /// Returns the memory of a zone that was laid out.
    ///
    /// # Safety
    ///
    /// The zone is mapped, and nginx has made a slab pool of it.
    pub(crate) unsafe fn of(zone: &ngx_shm_zone_t) -> Option<Memory> {
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
    pub(crate) unsafe fn of_running(zone: &ngx_shm_zone_t) -> Option<Memory> {
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
        SlabMutex::new(self.0.pool)
    }
}
