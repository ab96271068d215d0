//! Warnings about dangerous directives that are not Weir's own. nginx logs them once, when it reads the configuration.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use glob::{GlobError, MatchOptions};
use weir_model::lint::{self, Advice, Files, ReadError};

/// Returns the warnings.
pub fn lines(main_file: &Path) -> Result<Vec<String>, ReadError> {
    Ok(lint::at_start(main_file, &Disk)?.iter().map(Advice::log_line).collect())
}

/// The files of this machine. Weir reads them while nginx reads the configuration, and never in a worker's event loop.
struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // Like nginx, reads no more than the file's length, because a device has no length and no end.
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        // As in glob(3), a pattern must name a hidden file explicitly.
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
