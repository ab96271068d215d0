//! The parts of an installation.

use std::path::PathBuf;

/// What is looked at.
#[derive(Debug)]
pub(crate) struct Installation {
    /// The nginx program: a path, or a name that is looked for in `PATH`.
    pub(crate) nginx: PathBuf,
    /// Its main configuration file.
    pub(crate) conf: PathBuf,
    /// `weir.toml`; without the file, no daemon is expected.
    pub(crate) config: PathBuf,
    /// Somebody has named that file, so it should be there.
    pub(crate) is_config_expected: bool,
    /// The daemon's socket.
    pub(crate) socket: PathBuf,
}
