//! Why the daemon does not run.

use std::path::PathBuf;

use super::logging;
use crate::http::CaError;
use crate::{cluster, config, nginx, webhooks};

/// Why the daemon does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration does not hold.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The API's token file, or no HTTP client.
    #[error(transparent)]
    Nginx(#[from] nginx::Error),
    /// `ca_file` cannot be used.
    #[error("[daemon]: ca_file: {}: {why}", file.display())]
    Certificates {
        /// As configured.
        file: PathBuf,
        /// Why not.
        why: CaError,
    },
    /// A port or socket is taken, or may not be used.
    #[error("{place}: {why}")]
    Listen {
        /// As configured.
        place: String,
        /// What the system says.
        why: String,
    },
    /// Likewise for viewers.
    #[error(transparent)]
    Web(#[from] crate::web::Error),
    /// Nothing listens for WebRTC.
    #[error(transparent)]
    WebRtc(#[from] crate::webrtc::Error),
    /// The log cannot be written where it is to be.
    #[error("log: {0}")]
    Log(#[from] logging::Error),
    /// A secret of a webhook is missing, and the like.
    #[error(transparent)]
    Hooks(#[from] webhooks::Error),
    /// The system has none.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// The secret of the cluster, and the like.
    #[error(transparent)]
    Origin(#[from] cluster::origin::Error),
    /// Likewise, of an edge.
    #[error(transparent)]
    Edge(#[from] cluster::agent::Error),
    /// Likewise, of a pair.
    #[error(transparent)]
    Pair(#[from] cluster::pair::Error),
    /// Signals cannot be received.
    #[error("signals: {0}")]
    Signals(std::io::Error),
}
