//! A small file system that a test can fill.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

/// A tmpfs; unmounted when dropped. Mounting needs root.
pub struct Tmpfs {
    folder: TempDir,
}

impl Tmpfs {
    /// Mounts a file system of `kilobytes`.
    pub fn mount(kilobytes: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("weir-small-").tempdir().unwrap();
        let size = format!("size={kilobytes}k,mode=0777");
        mount(Some("tmpfs"), folder.path(), Some("tmpfs"), MsFlags::empty(), Some(size.as_str()))
            .expect("the tests mount a tmpfs, which needs root");
        Self { folder }
    }

    /// Returns the mount point.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Uses this many kilobytes.
    pub fn take(&self, kilobytes: usize) {
        std::fs::write(self.folder.path().join("filler"), vec![0; kilobytes * 1024]).unwrap();
    }

    /// Fills the file system.
    pub fn fill(&self) {
        let mut file = File::create(self.folder.path().join("filler")).unwrap();
        loop {
            match file.write(&[0; 1024]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("cannot fill the tmpfs: {error}"),
            }
        }
    }

    /// Frees the space.
    pub fn empty(&self) {
        std::fs::remove_file(self.folder.path().join("filler")).unwrap();
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = umount2(self.folder.path(), MntFlags::MNT_DETACH);
    }
}
