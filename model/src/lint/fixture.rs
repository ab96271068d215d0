//! A file system for tests.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::Files;

/// Files by path. In patterns it supports only `*`.
pub(super) struct Memory(BTreeMap<PathBuf, Vec<u8>>);

impl Memory {
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| (path.into(), text.as_bytes().to_vec())).collect())
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "not found"))
    }

    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let pattern = pattern.to_string_lossy();
        let (begin, end) = pattern.split_once('*').unwrap_or((&pattern, ""));
        let fits = |path: &&PathBuf| {
            let path = path.to_string_lossy();
            path.strip_prefix(begin)
                .and_then(|rest| rest.strip_suffix(end))
                .is_some_and(|rest| !rest.contains('/'))
        };
        Ok(self.0.keys().filter(fits).cloned().collect())
    }
}
