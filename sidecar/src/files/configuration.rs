//! The files of an nginx configuration on this machine.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use glob::{GlobError, MatchOptions};
use weir_model::lint::Files;

/// The files of this machine, as nginx reads them.
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // As nginx does, no more than there is: a device has no length and no end.
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        // As glob(3): a hidden file has to be named.
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
