//! What is dangerous in the configuration, and none of Weir's own directives: said once when nginx reads it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use glob::{GlobError, MatchOptions};
use weir_model::lint::{self, Advice, Files, ReadError};

/// The lines to warn with.
pub fn lines(main_file: &Path) -> Result<Vec<String>, ReadError> {
    Ok(lint::at_start(main_file, &Disk)?.iter().map(Advice::log_line).collect())
}

/// The files of this machine, read while nginx reads them too: never in a worker's event loop.
struct Disk;

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
