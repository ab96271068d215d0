//! Errors that keep the daemon from running.

use std::path::PathBuf;

use super::logging;
use crate::http::CaError;
use crate::{cluster, config, nginx, webhooks};

/// Error that keeps the daemon from running.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The API's token file cannot be read, or no HTTP client can be created.
    #[error(transparent)]
    Nginx(#[from] nginx::Error),
    /// `ca_file` cannot be used.
    #[error("[daemon]: ca_file: {}: {why}", file.display())]
    Certificates {
        /// File, as configured.
        file: PathBuf,
        /// Reason.
        why: CaError,
    },
    /// A port or socket is in use, or access is denied.
    #[error("{place}: {why}")]
    Listen {
        /// Address or path, as configured.
        place: String,
        /// Message of the operating system.
        why: String,
    },
    /// The address for viewers is in use, or access is denied.
    #[error(transparent)]
    Web(#[from] crate::web::Error),
    /// The ports for WebRTC cannot be used.
    #[error(transparent)]
    WebRtc(#[from] crate::webrtc::Error),
    /// The log cannot be written to the configured place.
    #[error("log: {0}")]
    Log(#[from] logging::Error),
    /// The webhooks cannot start, for example because a secret is missing.
    #[error(transparent)]
    Hooks(#[from] webhooks::Error),
    /// The system has no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// The origin cannot start, for example because the secret of the cluster is missing.
    #[error(transparent)]
    Origin(#[from] cluster::origin::Error),
    /// The edge cannot start, for example because its secret is missing.
    #[error(transparent)]
    Edge(#[from] cluster::agent::Error),
    /// The pair cannot start, for example because its secret is missing.
    #[error(transparent)]
    Pair(#[from] cluster::pair::Error),
    /// Signals cannot be received.
    #[error("signals: {0}")]
    Signals(std::io::Error),
}
