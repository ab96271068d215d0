//! Files that an admin names. A file is read completely or not at all, and never beyond a limit.

use std::{
    fs::{Metadata, OpenOptions},
    io::{self, ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Reads a file of at most `limit` bytes. Returns its content and its metadata.
///
/// # Errors
///
/// Errors of the file system, and [`ErrorKind::FileTooLarge`]. At most one byte more than `limit` is in memory.
pub fn read_at_most(path: &Path, limit: u64) -> io::Result<(Vec<u8>, Metadata)> {
    // A pipe instead of a file would block the reader.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let facts = file.metadata()?;
    let mut bytes = Vec::new();
    // A device reports the length 0 and never ends.
    if facts.len() <= limit {
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    }
    if facts.len() > limit || bytes.len() as u64 > limit {
        let why = format!("it has more than {limit} bytes, the most that is read");
        return Err(io::Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok((bytes, facts))
}
