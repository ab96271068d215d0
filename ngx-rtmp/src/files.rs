//! Files that an admin names: a whole one is read, and never more than there may be.

use std::{
    fs::{Metadata, OpenOptions},
    io::{self, ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Reads a file of at most `limit` bytes, and what the file system says of it.
///
/// # Errors
///
/// Those of the file system, and [`ErrorKind::FileTooLarge`], with at most one byte more than `limit` in memory.
pub fn read_at_most(path: &Path, limit: u64) -> io::Result<(Vec<u8>, Metadata)> {
    // A pipe in its place would keep the reader waiting.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let facts = file.metadata()?;
    let mut bytes = Vec::new();
    // A device has no length, and no end.
    if facts.len() <= limit {
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    }
    if facts.len() > limit || bytes.len() as u64 > limit {
        let why = format!("it has more than {limit} bytes, the most that is read");
        return Err(io::Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok((bytes, facts))
}
