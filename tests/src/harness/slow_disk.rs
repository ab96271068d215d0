//! A file system whose writes wait, as on an overloaded disk. Needs root, and a kernel with loop devices.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::mount::{MntFlags, umount2};
use tempfile::TempDir;

use super::products;

/// Time for which writes wait, again and again, and the time between two waits.
const STOPS: Duration = Duration::from_millis(400);
const RUNS: Duration = Duration::from_millis(20);
const SIZE: u64 = 64 << 20;

/// An ext4 in a file; unmounted when dropped.
pub struct SlowDisk {
    folder: TempDir,
    slow: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl SlowDisk {
    /// Mounts a file system, which is not slow yet.
    #[track_caller]
    pub fn mount() -> Self {
        let folder = tempfile::Builder::new().prefix("weir-slow-").tempdir().unwrap();
        let (image, place) = (folder.path().join("image"), folder.path().join("disk"));
        File::create(&image).unwrap().set_len(SIZE).unwrap();
        std::fs::create_dir(&place).unwrap();
        run(Command::new(products::tool("/usr/sbin/mkfs.ext4")).arg("-q").arg(&image));
        run(Command::new(products::tool("/bin/mount")).args(["-o", "loop"]).arg(&image).arg(&place));
        Self { folder, slow: None }
    }

    /// Returns the mount point.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// Makes each write wait up to 0.4 seconds, until [`be_fast`](Self::be_fast).
    pub fn be_slow(&mut self) {
        let (stop, place) = (Arc::<AtomicBool>::default(), self.path());
        let of = stop.clone();
        let thread = thread::spawn(move || {
            while !of.load(Ordering::Relaxed) {
                freeze("-f", &place);
                thread::sleep(STOPS);
                freeze("-u", &place);
                thread::sleep(RUNS);
            }
        });
        self.slow = Some((stop, thread));
    }

    /// Ends [`be_slow`](Self::be_slow).
    pub fn be_fast(&mut self) {
        if let Some((stop, thread)) = self.slow.take() {
            stop.store(true, Ordering::Relaxed);
            thread.join().unwrap();
        }
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        self.be_fast();
        let _ = umount2(&self.path(), MntFlags::MNT_DETACH);
    }
}

fn freeze(word: &str, place: &Path) {
    run(Command::new(products::tool("/usr/sbin/fsfreeze")).arg(word).arg(place));
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
