//! The file behind a zone. The master of an upgrade (SIGUSR2) maps the zone of the old master from it.
//!
//! nginx maps a zone anonymously (ngx_shm_alloc), so only processes that were forked after that share it. A new master is a new program.
//! So the fence puts a file without a name on any disk (memfd_create(2)) behind each fresh zone, at the same address. The file continues
//! after the zone with a description. The new master finds the open file of its parent in `/proc`, reads the description, and maps the
//! zone at the address where the old master has it: nginx's slab pool and its mutex point to themselves (ngx_slab_pool_t, ngx_shmtx_t).
//!
//! Only masters keep the file open. Programs that nginx starts do not inherit it, and workers close it, because another process of the
//! workers' user could open it through `/proc`.

use std::{
    ffi::CString,
    fs::{self, File, OpenOptions},
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd, FromRawFd},
        unix::fs::FileExt,
    },
    path::Path,
    ptr,
};

use nginx_sys::ngx_pagesize;

use crate::local;

/// The length of the part of the file that has the description, in bytes.
const DESCRIPTION: usize = 4096;
/// MFD_NOEXEC_SEAL (memfd_create(2)), since Linux 6.3.
const NEVER_EXECUTABLE: libc::c_uint = 8;

/// The open file of a zone.
pub(super) struct ZoneFile {
    file: File,
    /// The size of the zone, in bytes.
    size: usize,
}

/// Why a master has no zone that fits.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotFound<E> {
    /// It has no file of a zone.
    #[error("it has no zone that another master can map")]
    Nothing,
    /// Its open files cannot be listed, or not opened.
    #[error("its files cannot be opened: {0}")]
    Hidden(#[from] io::Error),
    /// The zone cannot be mapped at its address.
    #[error("its address is in use here: {0}")]
    Taken(io::Error),
    /// The module does not accept the zone.
    #[error("{0}")]
    Unfit(E),
}

/// The file of the zone that this process uses.
struct Held {
    start: usize,
    file: Option<ZoneFile>,
    /// Whether another master laid out the zone.
    inherited: bool,
}

local! {
    static HELD: Option<Held> = None;
}

/// Keeps the file of the zone that starts at `start` open, for the next master. `inherited` says that another master laid out the zone.
pub(super) fn hold(file: ZoneFile, start: *mut u8, inherited: bool) {
    let held = Held { start: start.addr(), file: Some(file), inherited };
    HELD.with(|known| *known = Some(held));
}

/// Closes the file unless its zone starts at `start`.
pub(super) fn let_go_of_others(start: *mut u8) {
    HELD.with(|held| {
        let _ = held.take_if(|held| held.start != start.addr());
    });
}

/// Closes the file in a worker.
pub(super) fn close() {
    HELD.with(|held| {
        if let Some(held) = held {
            held.file = None;
        }
    });
}

/// Returns whether another master laid out the zone that starts at `start`.
pub(super) fn is_inherited(start: *mut u8) -> bool {
    HELD.with(|held| held.as_ref().is_some_and(|held| held.inherited && held.start == start.addr()))
}

/// Returns whether workers of another master may use the zone that starts at `start`: those of the one that laid it out, or of one that takes
/// it over.
pub(super) fn is_shared(start: *mut u8) -> bool {
    HELD.with(|held| held.as_ref().is_some_and(|held| held.start == start.addr()))
}

/// Puts a file behind the fresh zone from `start` on, of which nothing after the first `used` bytes was written. `name` is the module's,
/// and `description` is for the next master.
///
/// # Safety
///
/// The zone is mapped for reading and writing, and no other process or thread uses it.
pub(super) unsafe fn back(
    name: &str,
    (start, size): (*mut u8, usize),
    used: usize,
    description: &[u8],
) -> io::Result<ZoneFile> {
    let place = place_of_description(size);
    let length = (place + DESCRIPTION) as u64;
    if !may_write(length) {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    let file = create(name)?;
    file.set_len(length)?;
    // SAFETY: by contract.
    file.write_all_at(unsafe { std::slice::from_raw_parts(start, used.min(size)) }, 0)?;
    file.write_all_at(&description[..description.len().min(DESCRIPTION)], place as u64)?;
    seal(&file)?;
    let file = ZoneFile { file, size };
    // SAFETY: by contract; the file has the same content.
    unsafe { file.map(start, libc::MAP_FIXED)? };
    Ok(file)
}

impl ZoneFile {
    /// Maps the zone at `start`.
    ///
    /// # Errors
    ///
    /// Another mapping has the address.
    ///
    /// # Safety
    ///
    /// As soon as the function returns, the caller is responsible for the mapping.
    pub(super) unsafe fn map_at(&self, start: *mut u8) -> io::Result<()> {
        // SAFETY: replaces no other mapping.
        unsafe { self.map(start, libc::MAP_FIXED_NOREPLACE) }
    }

    /// # Safety
    ///
    /// With `MAP_FIXED`, the file has the content of the memory that it replaces.
    unsafe fn map(&self, start: *mut u8, kind: libc::c_int) -> io::Result<()> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let (at, fd) = (start.cast(), self.file.as_raw_fd());
        // SAFETY: by contract; the file is long enough and cannot shrink (`seal`, `open`), so that reading never fails (mmap(2)).
        let mapped = unsafe { libc::mmap(at, self.size, access, libc::MAP_SHARED | kind, fd, 0) };
        if ptr::eq(mapped, libc::MAP_FAILED) {
            return Err(io::Error::last_os_error());
        }
        if !ptr::eq(mapped, at) {
            // Linux before 4.17 does not know MAP_FIXED_NOREPLACE, and chooses another address.
            // SAFETY: the mapping that was just made, which nobody knows.
            unsafe { libc::munmap(mapped, self.size) };
            return Err(io::Error::from_raw_os_error(libc::EEXIST));
        }
        Ok(())
    }
}

/// Unmaps a zone.
///
/// # Safety
///
/// Nothing refers to the memory any more.
pub(super) unsafe fn unmap((start, size): (*mut u8, usize)) {
    // SAFETY: by contract (munmap(2)).
    unsafe { libc::munmap(start.cast(), size) };
}

/// Finds the file of a zone of `size` bytes among the open files of another master. `read` reads a description, and returns the address of
/// the zone.
pub(super) fn find<E>(
    name: &str,
    master: u32,
    size: usize,
    read: impl Fn(&[u8]) -> Result<usize, E>,
) -> Result<(ZoneFile, usize), NotFound<E>> {
    let mut answer = NotFound::Nothing;
    for entry in fs::read_dir(format!("/proc/{master}/fd"))? {
        let path = entry?.path();
        // The link of a file that was closed meanwhile cannot be read.
        let Ok(target) = fs::read_link(&path) else { continue };
        if target.to_str() != Some(&format!("/memfd:{} (deleted)", file_name(name))) {
            continue;
        }
        let attempt = open(&path, size).map_err(NotFound::Hidden).and_then(|(file, description)| {
            let address = read(&description).map_err(NotFound::Unfit)?;
            Ok((file, address))
        });
        match attempt {
            Ok(found) => return Ok(found),
            Err(error) => answer = error,
        }
    }
    Err(answer)
}

/// Opens a file of a zone, and reads its description.
fn open(path: &Path, size: usize) -> io::Result<(ZoneFile, Vec<u8>)> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    // A zone of another size has its description elsewhere.
    let place = length.checked_sub(DESCRIPTION as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut description = vec![0; DESCRIPTION];
    file.read_exact_at(&mut description, place)?;
    // SAFETY: only asks (fcntl(2), F_GET_SEALS).
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    // A process that shrinks a mapped file kills the processes that read it (SIGBUS).
    if seals < 0 || seals & libc::F_SEAL_SHRINK == 0 {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    Ok((ZoneFile { file, size }, description))
}

fn file_name(name: &str) -> String {
    format!("{name}_zone")
}

/// Returns where the description begins: after the last page of the zone, so that it is never mapped.
fn place_of_description(size: usize) -> usize {
    // SAFETY: read by value; nginx sets it before it reads a configuration (ngx_os_init).
    size.next_multiple_of(unsafe { ngx_pagesize })
}

/// Returns whether this process may have a file of this length. A longer one would kill it (SIGXFSZ).
fn may_write(length: u64) -> bool {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: the kernel fills a struct that is ours, and then says so (getrlimit(2)).
    unsafe {
        libc::getrlimit(libc::RLIMIT_FSIZE, limit.as_mut_ptr()) != 0 || length <= limit.assume_init().rlim_cur
    }
}

fn create(name: &str) -> io::Result<File> {
    let name = CString::new(file_name(name))?;
    // SAFETY: a string that ends with NUL (memfd_create(2)).
    let create = |flags| unsafe { libc::memfd_create(name.as_ptr(), flags) };
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let mut fd = create(flags | NEVER_EXECUTABLE);
    if fd < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL) {
        fd = create(flags);
    }
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, which is ours.
    let file = unsafe { File::from_raw_fd(fd) };
    // nginx puts /dev/null and its log on the first three descriptors (ngx_daemon). The copy has a higher number.
    if fd <= 2 { file.try_clone() } else { Ok(file) }
}

/// Keeps the file's length for ever.
fn seal(file: &File) -> io::Result<()> {
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: an open descriptor (fcntl(2), F_ADD_SEALS).
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
