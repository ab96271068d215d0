//! The files of an nginx configuration on this machine.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use glob::{GlobError, MatchOptions};
use weir_model::lint::Files;

/// The disk of this machine, as nginx reads it.
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // Like nginx, read only as many bytes as the file's length says: a device has no length and no end.
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        // Like glob(3), a pattern matches a hidden file only if it names the dot.
        let options = MatchOptions {
            require_literal_separator: true,
            require_literal_leading_dot: true,
            ..MatchOptions::new()
        };
        let found = glob::glob_with(&pattern.to_string_lossy(), options)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        found.collect::<Result<_, _>>().map_err(GlobError::into)
    }
}
