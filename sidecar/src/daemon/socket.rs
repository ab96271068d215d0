//! Where the daemon's sockets are.

use std::path::PathBuf;

use crate::config::Config;

/// The socket of this daemon, from when it listens. Dropped, also by a start that fails, it is gone.
pub(super) struct OwnSocket(pub(super) PathBuf);

impl Drop for OwnSocket {
    fn drop(&mut self) {
        // Somebody may have removed it before.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Beside the socket, as ffmpeg's sockets are short-lived too.
pub(super) fn place_of_sockets(config: &Config) -> PathBuf {
    config.daemon.socket.with_file_name("out")
}
