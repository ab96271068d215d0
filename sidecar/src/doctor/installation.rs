//! The parts of an installation.

use std::path::PathBuf;

/// Files, programs and sockets to check.
#[derive(Debug)]
pub(crate) struct Installation {
    /// The nginx program: a path, or a name to find in `PATH`.
    pub(crate) nginx: PathBuf,
    /// Its main configuration file.
    pub(crate) conf: PathBuf,
    /// `weir.toml`; without the file, no daemon is expected.
    pub(crate) config: PathBuf,
    /// Whether the user named that file, so that it must exist.
    pub(crate) is_config_expected: bool,
    /// The daemon's socket.
    pub(crate) socket: PathBuf,
}
