//! Paths of the daemon's sockets.

use std::path::PathBuf;

use crate::config::Config;

/// The socket of this daemon while it listens. Dropping it, also after a failed start, removes the file.
pub(super) struct OwnSocket(pub(super) PathBuf);

impl Drop for OwnSocket {
    fn drop(&mut self) {
        // Another process may have removed the file before.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Returns the folder for ffmpeg's sockets. It is beside the daemon's socket, because those sockets are also short-lived.
pub(super) fn place_of_sockets(config: &Config) -> PathBuf {
    config.daemon.socket.with_file_name("out")
}
