//! A file system that does not answer.

use std::io::PipeReader;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Mounts a file system over a folder, so that look-ups below the folder block. Open files can still be read and
/// written. It is an autofs (the kernel's documentation, filesystems/autofs.rst) whose daemon reads no request.
/// Mounting needs root.
pub struct Silent {
    folder: PathBuf,
    requests: Option<PipeReader>,
    /// Gives its process group to the mount, because the kernel lets the daemon's process group pass.
    group: Child,
}

impl Silent {
    /// Blocks look-ups until it is dropped.
    pub fn over(folder: &Path) -> Self {
        let (requests, writer) = std::io::pipe().unwrap();
        let group = Command::new("sleep").arg("infinity").process_group(0).spawn().unwrap();
        let options = format!("fd={},pgrp={},minproto=5,maxproto=5,indirect", writer.as_raw_fd(), group.id());
        mount(Some("weir-silent"), folder, Some("autofs"), MsFlags::empty(), Some(options.as_str()))
            .expect("the tests mount an autofs, which needs root");
        Self { folder: folder.to_owned(), requests: Some(requests), group }
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // When the kernel fails to write the next request, it ends all waits (autofs_catatonic_mode).
        drop(self.requests.take());
        let mut ask = Command::new("stat");
        let _ = ask.arg(self.folder.join("nothing")).stdout(Stdio::null()).stderr(Stdio::null()).status();
        let _ = umount2(&self.folder, MntFlags::MNT_DETACH);
        let _ = self.group.kill();
        let _ = self.group.wait();
    }
}
