//! Description of one relayed stream.

use std::path::PathBuf;
use std::sync::Arc;

use weir_model::{AppName, Secret, StreamName};

use super::error::Error;
use super::paths::Paths;
use super::recent::Recents;
use crate::config::origin::Origin;
use crate::config::{Jobs, RtmpServer};
use crate::publisher::token;
use crate::streams::StreamId;
use crate::supervise::helpers::Helpers;

/// A relay of a stream from another node to the nginx of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Relay {
    /// The stream at the other node.
    pub origin: Origin,
    /// The nginx that gets the stream.
    pub server: RtmpServer,
    /// Application in this nginx.
    pub app: AppName,
    /// Public name in this nginx.
    pub name: StreamName,
    /// A copy of nginx's `weir_secret`. The node mints publish tokens with it, and play tokens for nodes that share it.
    pub secret_file: Option<PathBuf>,
    /// The nodes that the streams of this node have passed.
    pub paths: Arc<Paths>,
    /// Store of the newest media.
    pub recents: Arc<Recents>,
    /// The far end gets a token of this node, if it needs one.
    pub mints: bool,
    /// Settings for programs.
    pub jobs: Jobs,
    /// The list of helpers: one of them makes AAC.
    pub helpers: Arc<Helpers>,
}

impl Relay {
    /// Returns the token of the URL, or mints one for a node with the same secret if nobody else can read it.
    pub(super) fn token(&self) -> Result<Option<Secret>, Error> {
        let Origin { token, stream, .. } = &self.origin;
        match (token, stream) {
            (Some(token), _) => Ok(Some(token.clone())),
            (None, Some((app, name))) if self.mints => {
                let minted = self.secret_file.as_ref().map(|file| token::play(file, app, name));
                Ok(minted.transpose()?)
            }
            (None, _) => Ok(None),
        }
    }

    pub(super) fn id(&self) -> StreamId {
        (self.app.clone(), self.name.clone())
    }
}
