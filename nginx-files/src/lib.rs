//! Reads the files of an nginx configuration on this machine, as nginx reads them.
//!
//! The module and the command line give advice on a configuration. [`weir_model::lint`] makes the advice without I/O; this
//! crate does the I/O for both programs. It must not know the meaning of the files.
//!
//! # Floors
//!
//! The crate has one file.
//!
//! ```floors
//! ```
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use glob::{GlobError, MatchOptions};
use weir_model::lint::Files;

/// The disk of this machine. A worker's event loop must not use it, because a disk may be slow.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // Like nginx, reads only as many bytes as the file's length says: a device has no length and no end.
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test's failure is a panic")]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_finds_what_nginx_would_include() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".hidden.conf", "a.txt"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let found = Disk.matching(&folder.path().join("*.conf")).unwrap();
        assert_eq!(found, ["a.conf", "b.conf"].map(|name| folder.path().join(name)));
        assert_eq!(Disk.read(&found[0]).unwrap(), b"a.conf");
        assert!(Disk.read(&folder.path().join("none")).is_err());
        assert!(Disk.matching(Path::new("/etc/***")).is_err());
    }

    #[test]
    fn a_device_without_end_is_empty() {
        assert_eq!(Disk.read(Path::new("/dev/zero")).unwrap(), b"");
    }
}
