//! A fresh zone in an upgrade of nginx: the new master continues with the zone of the old one, if it fits.

use std::{io, mem::offset_of, ptr};

use nginx_sys::{ngx_pagesize, ngx_shm_zone_t, ngx_slab_page_t, ngx_slab_pool_t};

use super::{
    memory::{Memory, PAGE_START},
    owner::{Line, Unusable, ZoneOwner},
};
use crate::{
    handover::{self, NotFound, ZoneFile},
    log, process,
    types::Tables,
};

/// Makes sure that the next master of an upgrade can map a fresh zone. If this is such a master, maps the zone of the old one instead.
pub(super) fn hand_over<M: Tables + ZoneOwner>(
    zone: &mut ngx_shm_zone_t,
    main: &M::Main,
) -> Result<Option<Line>, Unusable<M::ZoneError>> {
    let (start, size) = (zone.shm.addr, zone.shm.size);
    let description = M::describe(start.addr(), size, form_of_pool());
    let pool: *mut ngx_slab_pool_t = start.cast();
    // SAFETY: a mapped zone that nobody else knows yet. nginx has written nothing but the pool, which ends at `start` (ngx_slab_init).
    let file = unsafe {
        let used = (*pool).start.offset_from(start).cast_unsigned();
        handover::back(M::NAME, (start, size), used, &description)
    };
    let file = match file {
        Ok(file) => file,
        Err(error) => {
            let line = format!("an upgrade of nginx will not take over the zone: {error}");
            return Ok(Some((log::Level::Notice, line)));
        }
    };
    if !process::is_upgrade() {
        handover::hold(file, start, false);
        return Ok(None);
    }
    let master = process::parent();
    let read = |bytes: &[u8]| M::read_description(bytes, size, form_of_pool());
    let taken = match handover::find(M::NAME, master, size, read) {
        // SAFETY: a zone that nobody else knows yet.
        Ok((theirs, address)) => unsafe {
            exchange::<M>(zone, main, &file, theirs, address).map_err(Unusable::Unmapped)?
        },
        Err(error) => Err(error),
    };
    if taken.is_err() {
        handover::hold(file, start, false);
    }
    let not = format!("the zone of the old master {master} is not taken over, its streams are not listed");
    Ok(Some(match taken {
        Ok(()) => (log::Level::Notice, format!("took over the zone of the old master {master}")),
        Err(NotFound::Nothing) => (log::Level::Notice, format!("{not}: {}", NotFound::<M::Unfit>::Nothing)),
        Err(error) => (log::Level::Warning, format!("{not}: {error}")),
    }))
}

/// Maps the zone of another master instead of a fresh one, if it fits.
///
/// # Errors
///
/// Neither zone is mapped.
///
/// # Safety
///
/// Nobody else knows the fresh zone, whose file is `ours`.
unsafe fn exchange<M: Tables + ZoneOwner>(
    zone: &mut ngx_shm_zone_t,
    main: &M::Main,
    ours: &ZoneFile,
    theirs: ZoneFile,
    address: usize,
) -> io::Result<Result<(), NotFound<M::Unfit>>> {
    let (fresh, size) = (zone.shm.addr, zone.shm.size);
    let address = ptr::with_exposed_provenance_mut::<u8>(address);
    // The fresh zone may have the very address that the other one needs.
    // SAFETY: by contract; afterwards `shm` says what is mapped, and nothing else refers to the zone.
    unsafe {
        handover::unmap((fresh, size));
        let outcome = theirs.map_at(address).map_err(NotFound::Taken).and_then(|()| {
            zone.shm.addr = address;
            let memory = if is_whole(address.cast(), size) { Memory::of(zone) } else { None };
            M::check_inherited(memory.as_ref(), main, size).map_err(|error| {
                handover::unmap((address, size));
                NotFound::Unfit(error)
            })
        });
        match &outcome {
            Ok(()) => handover::hold(theirs, address, true),
            Err(_) => {
                zone.shm.addr = fresh;
                ours.map_at(fresh)?;
            }
        }
        Ok(outcome)
    }
}

/// Returns a number for the form of nginx's slab pool. A zone whose pool has another form cannot be used.
fn form_of_pool() -> u64 {
    let offsets = [
        size_of::<ngx_slab_pool_t>(),
        offset_of!(ngx_slab_pool_t, mutex),
        offset_of!(ngx_slab_pool_t, data),
        // SAFETY: read by value; nginx sets it before it reads a configuration (ngx_os_init).
        unsafe { ngx_pagesize }.trailing_zeros() as usize,
    ];
    offsets.iter().fold(0, |form, offset| form << 16 | *offset as u64)
}

/// Returns whether the notes of a slab pool about its zone of `size` bytes are possible: [`Memory::of`] and the mutex rely on them.
///
/// # Safety
///
/// The zone is mapped.
unsafe fn is_whole(pool: *mut ngx_slab_pool_t, size: usize) -> bool {
    // SAFETY: by contract; the table of pages is read only within the zone.
    unsafe {
        let (start, end) = (pool.addr(), pool.addr() + size);
        let own = (*pool).addr.addr() == start
            && (*pool).end.addr() == end
            && ptr::eq((*pool).mutex.lock, &raw mut (*pool).lock.lock);
        let (first, data) = ((*pool).start.addr(), (*pool).data.addr());
        if !own || !(start..end).contains(&first) || !(first..end).contains(&data) {
            return false;
        }
        let at = (data - first) / ngx_pagesize;
        let page = (*pool).pages.wrapping_add(at);
        let table = start..first.saturating_sub(size_of::<ngx_slab_page_t>() - 1);
        if !(data - first).is_multiple_of(ngx_pagesize) || !table.contains(&page.addr()) || !page.is_aligned()
        {
            return false;
        }
        let length = ((*page).slab & !PAGE_START).checked_mul(ngx_pagesize);
        length.is_some_and(|length| length <= end - data)
    }
}
